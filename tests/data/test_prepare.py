"""Which known data sets are fetched, and how much of each; what `data.normalize` changes."""

from pathlib import Path

import pytest

from lai.data.prepare import contents, prepare_corpus
from lai.data.sources.streams import CorpusCounts
from lai.host.errors import UserError


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.hub.split=validation"], "data.hub.split is for a data set of your own"),
        (["data.hub.streaming=false"], "data.hub.streaming is for a data set of your own"),
        (["data.hub.name=org/set", "data.hub.rows={hu_wiki: 7}"], "data.hub.rows is for the known data sets"),
    ],
)
def test_settings_of_the_other_kind_are_refused(compose_run, overrides: list[str], message: str) -> None:
    run = compose_run("data=hub", *overrides)
    with pytest.raises(UserError, match=message):
        prepare_corpus(run.data)


def test_normalize_folds_what_vocabulary_and_token_files_are_made_of(compose_run, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("".join(f"„Kis alma\u0301t\u00a0eszik {n}”\n" for n in range(50)), encoding="utf-8")
    files = [text]
    assert next(iter(contents(files, CorpusCounts(), normalize=True))) == '"Kis almát eszik 0"'.encode()
    assert next(iter(contents(files, CorpusCounts()))) == "„Kis alma\u0301t\u00a0eszik 0”".encode()
    settings = [f"data.path={text}", f"data.cache_dir={tmp_path / 'cache'}", "data.vocab_size=330"]
    folded = prepare_corpus(compose_run("data=text", *settings).data)
    unfolded = prepare_corpus(compose_run("data=text", *settings, "data.normalize=false").data)
    assert folded.vocab_path != unfolded.vocab_path
    assert folded.token_files.folder != unfolded.token_files.folder
    assert b"\xcc\x81" in unfolded.vocab.decode(unfolded.token_files.train.document(0).tolist())
    document = folded.vocab.decode(folded.token_files.train.document(0).tolist()).decode()
    assert document.startswith('"Kis almát eszik')
    assert b"\xcc\x81" in b"".join(unfolded.vocab.tokens[260:])
    assert b"\xcc\x81" not in b"".join(folded.vocab.tokens[260:])
