"""Token files of a text, and what is in them."""

from pathlib import Path

from lai.data.tokens.build import TokenFiles, prepare_token_files
from lai.data.tokens.token_file import TokenFile
from lai.tokenizer.vocab import Vocab


def prepare(text: Path, vocab: Vocab, fraction: float = 0.2, seed: int = 0) -> TokenFiles:
    return prepare_token_files(text, vocab, text.parent / "cache", val_fraction=fraction, split_seed=seed)


def texts(file: TokenFile, vocab: Vocab) -> list[bytes]:
    """Each document decoded, after checking that it stands between BOS and EOS."""
    found = []
    for index in range(len(file)):
        ids = file.document(index).tolist()
        assert (ids[0], ids[-1]) == (Vocab.BOS, Vocab.EOS)
        found.append(vocab.decode(ids[1:-1]))
    return found


def content(token_files: TokenFiles) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(token_files.folder.iterdir())}
