"""Text prepared by several processes: the same bytes as by one, for every kind of file."""

import gzip
import json
import random
from pathlib import Path

import pytest

from lai.data import prepare
from lai.data.sources import chunks
from lai.host.errors import UserError
from lai.host.workers import Workers

WORDS = ["alma", "körte", "the", "house", "„ő”", "fut", "x1", "<b>", "Kis", "a\u0301gy", "two", "", "blanks\u00a0here"]


@pytest.fixture
def texts() -> list[str]:
    draw = random.Random(4)
    return [" ".join(draw.choices(WORDS, k=draw.randint(1, 30))) for _ in range(1500)]


def write(folder: Path, kind: str, texts: list[str]) -> Path:
    path = folder / f"text{kind}"
    pairs = list(zip(texts[::2], texts[1::2], strict=True))
    chats = [f"<user>{a}</user><assistant>{b}</assistant>" for a, b in pairs]
    if kind in (".txt", ".txt.gz"):
        lines = [*texts, *chats, "", "<user>no answer</user>", "\x01\x02 control", "a  b ", texts[0]]
        data = "\n".join(lines).encode() + b"\nno UTF-8 \xc3 here\r\n\xff"
        path.write_bytes(gzip.compress(data) if kind == ".txt.gz" else b"\xef\xbb\xbf" + data)
    elif kind == ".jsonl":
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    elif kind == ".tsv":
        path.write_text("".join(f"{a}\t{b}\n" for a, b in pairs), encoding="utf-8")
    elif kind == ".json":
        path.write_text(json.dumps([{"instruction": a, "output": b} for a, b in pairs]), encoding="utf-8")
    elif kind == ".parquet":
        pyarrow = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        parquet.write_table(pyarrow.table({"text": texts}), path)
    else:
        path = folder / "stories.txt"
        path.write_text("\n<|endoftext|>\n".join(texts), encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", [".txt", ".txt.gz", ".jsonl", ".tsv", ".json", ".parquet", "stories"])
def test_workers_make_what_one_process_makes(
    compose_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, texts: list[str], kind: str
) -> None:
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 5000)
    monkeypatch.setattr("lai.data.sources.files._BATCH_DOCUMENTS", 100)
    path = write(tmp_path, kind, texts)
    made = []
    for count in (1, 3):
        monkeypatch.setattr(prepare, "workers_for", lambda files, count=count: Workers(count))
        cache = tmp_path / f"cache{count}"
        prepare.prepare_corpus(
            compose_run("data=text", f"data.path={path}", f"data.cache_dir={cache}", "data.vocab_size=600").data
        )
        files = sorted(file for file in cache.rglob("*") if file.is_file() and file.suffix != ".lock")
        made.append({str(file.relative_to(cache)): file.read_bytes() for file in files})
    assert len(made[0]) >= 8
    assert made[0] == made[1]


def test_a_faulty_row_is_the_same_error_with_workers(
    compose_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, texts: list[str]
) -> None:
    path = write(tmp_path, ".jsonl", texts)
    path.write_text(path.read_text(encoding="utf-8") + "{\n", encoding="utf-8")
    errors = []
    for count in (1, 2):
        monkeypatch.setattr(prepare, "workers_for", lambda files, count=count: Workers(count))
        with pytest.raises(UserError, match=f"text.jsonl:{len(texts) + 1}: not JSON") as error:
            prepare.prepare_corpus(compose_run("data=text", f"data.path={path}", f"data.cache_dir={tmp_path}").data)
        errors.append(str(error.value))
    assert errors[0] == errors[1]


def test_small_texts_start_no_process(tmp_path: Path) -> None:
    path = tmp_path / "small.txt"
    path.write_bytes(b"small\n")
    with prepare.workers_for([path]) as workers:
        assert workers.count == 1
