from pathlib import Path

import pytest
from toy_documents import lines

from lai.data.tokens import build as build_module
from lai.tokenizer.train import learn_vocab
from lai.tokenizer.vocab import Vocab


@pytest.fixture(scope="module")
def vocab() -> Vocab:
    return learn_vocab(lines(300), vocab_size=330, min_freq=1)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_bytes(b"\n".join([*lines(400), b"stray <user> tag", b"", b"stray <user> tag"]))
    return path


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that were built from here on."""
    made: list[Path] = []
    build = build_module._build

    def counted(folder: Path, *rest: object) -> None:
        made.append(folder)
        build(folder, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(build_module, "_build", counted)
    return made
