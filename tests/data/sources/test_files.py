import errno
import gzip
import io
import json
import os
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from lai.data.sources.discovery import files_left_out, find_files
from lai.data.sources.files import read_documents
from lai.data.sources.rows import row_documents
from lai.data.sources.serialize import document_row
from lai.data.sources.streams import CorpusCounts
from lai.host.errors import UserError
from lai.tokenizer.chat import Document, Turn, plain, translation_examples


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def jsonl(*rows: Any) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def table(**columns: list[Any]) -> bytes:
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), buffer)
    return buffer.getvalue()


def read(path: Path) -> tuple[list[Document], CorpusCounts]:
    counts = CorpusCounts()
    return list(read_documents(path, counts)), counts


@pytest.mark.parametrize("ending", ["txt", "txt.gz", "TXT.GZ"])
def test_text_lines_end_at_line_feeds_alone(tmp_path: Path, ending: str) -> None:
    others = "a\u2029b\u0085c\x0bd\x0ce\rf".encode()
    data = (
        b"\xef\xbb\xbffirst\r\n\n \t\r\n" + others + b"\n\xff\xfe bad\n<user>q</user><assistant>a</assistant>\n last "
    )
    path = tmp_path / f"x.{ending}"
    path.write_bytes(gzip.compress(data) if ending.lower().endswith("gz") else data)
    documents, counts = read(path)
    assert documents == [
        plain(b"first"),
        plain(others),
        plain(b"\xff\xfe bad"),
        (Turn("user", b"q"), Turn("assistant", b"a")),
        plain(b" last "),
    ]
    assert counts == CorpusCounts(documents=5, empty=2, bytes_read=path.stat().st_size)


def test_stray_tags_are_text(tmp_path: Path) -> None:
    documents, _ = read(write(tmp_path / "a.txt", b"see <user> here\n<user>open\nnone\n"))
    assert documents == [plain(b"see <user> here"), plain(b"<user>open"), plain(b"none")]


def test_jsonl_keeps_newlines_literal_tags_and_lone_surrogates(tmp_path: Path) -> None:
    rows = [
        {"text": "two\nlines"},
        {"text": "<user>q</user><assistant>a</assistant>"},
        {"messages": [{"role": "system", "content": ""}, {"role": "user", "content": "say </user>\nnow", "name": "x"}]},
        {"messages": [{"role": "text", "content": "<user>q</user>"}]},
        {"text": "\ud800 \U0001f600"},
        {"text": "  "},
        {"en": "dog", "hu": "kutya"},
        {"translation": {"en": "cat", "hu": ""}},
    ]
    documents, counts = read(write(tmp_path / "a.jsonl", jsonl(*rows) + b'\n{"text": "raw \xed\xa0\x80"}'))
    assert documents == [
        plain(b"two\nlines"),
        (Turn("user", b"q"), Turn("assistant", b"a")),
        (Turn("system", b""), Turn("user", b"say </user>\nnow")),
        plain(b"<user>q</user>"),
        plain(b"\xed\xa0\x80 \xf0\x9f\x98\x80"),
        *translation_examples(b"dog", b"kutya"),
        plain(b"raw \xed\xa0\x80"),
    ]
    assert (counts.documents, counts.empty, counts.skipped) == (8, 2, 1)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "not JSON"),
        (b'{"text": "\xff"}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[1]", "found a list; expected an object"),
        (b"{}", "found nothing; expected text"),
        (b'{"content": 1, "n\\nm": 2}', r"found 'content', 'n\nm'; expected text"),
        (b'{"text": 5}', "text is 5; expected a text"),
        (b'{"messages": []}', "messages is an empty list"),
        (b'{"messages": null}', "messages is null"),
        (b'{"messages": [7]}', "role is 7; expected system, user, assistant"),
        (b'{"messages": [{"role": "bot", "content": ""}]}', "role is 'bot'; expected system, user, assistant"),
        (b'{"messages": [{"role": [], "content": ""}]}', "role is an empty list"),
        (b'{"messages": [{"role": "user"}]}', "the user message has no content"),
        (b'{"messages": [{"role": "user", "content": {}}]}', "content is an object; expected a text"),
        (b'{"translation": "x"}', "found 'x' in translation; expected text"),
        (b'{"translation": {"en": "x"}}', "found 'en' in translation; expected text"),
    ],
)
def test_a_wrong_json_line_is_named(tmp_path: Path, line: bytes, message: str) -> None:
    path = write(tmp_path / "a.jsonl", b'{"text": "good"}\n\n' + line + b"\n")
    with pytest.raises(UserError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}:3: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_named(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path / "a.txt", "\ufeffA ló fut.\nThe horse runs.\n".encode(encoding))
    with pytest.raises(UserError, match=r"a\.txt is UTF-16; expected UTF-8: iconv "):
        read(path)


def test_a_folder_that_cannot_be_read_is_not_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.txt", b"read\n")
    (tmp_path / ".hidden").mkdir()
    assert find_files(tmp_path) == [tmp_path / "a.txt"]
    (tmp_path / "locked").mkdir()
    listed = os.scandir

    def scandir(path: str) -> Any:
        if Path(path).name in ("locked", ".hidden"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(UserError, match="locked cannot be read: Permission denied"):
        find_files(tmp_path)


def test_pairs_become_both_directions_and_faults_are_counted(tmp_path: Path) -> None:
    lines = b"dog\tkutya\r\n\nno tab\na\tb\tc\n \tx\ncat\tmacska\nmouse\teg\xc3\xa9r"
    documents, counts = read(write(tmp_path / "a.tsv.gz", lines))
    pairs = [(b"dog", b"kutya"), (b"cat", b"macska"), (b"mouse", "egér".encode())]
    assert documents == [document for pair in pairs for document in translation_examples(*pair)]
    assert (counts.documents, counts.empty, counts.skipped) == (6, 1, 3)


def test_mostly_faulty_pairs_are_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", b"a\tb\nc\nd\n")
    with pytest.raises(UserError, match=r"a\.tsv:2: 2 of 3 lines .* expected English, a tab, Hungarian"):
        read(path)


@pytest.mark.parametrize("ending", ["parquet", "parquet.gz"])
def test_parquet_columns(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    assert read(write(path, table(text=["x\ny", None], other=[1, 2])))[0] == [plain(b"x\ny")]
    messages = [[{"role": "user", "content": "<user>"}]]
    assert read(write(path, table(messages=messages)))[0] == [(Turn("user", b"<user>"),)]
    expected = list(translation_examples(b"dog", b"kutya"))
    documents, counts = read(write(path, table(en=["dog", None], hu=["kutya", "x"])))
    assert (documents, counts.skipped) == (expected, 1)
    documents, counts = read(write(path, table(translation=[{"en": "dog", "hu": "kutya"}, None])))
    assert (documents, counts.skipped) == (expected, 1)
    assert read(write(path, table(text=[f"{n}" for n in range(5000)])))[0] == [plain(b"%d" % n) for n in range(5000)]


def test_parquet_faults_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.parquet: row 1: found 'body'; expected text"):
        read(write(tmp_path / "a.parquet", table(body=["x"])))
    whole = table(text=["x" * 1000, "y"] * 1000)
    for data in (b"", b"PAR1 nothing PAR1", whole[:-30], whole[:20] + bytes(200) + whole[220:]):
        with pytest.raises(UserError, match=r"a\.parquet.*(damaged|cannot be read)"):
            read(write(tmp_path / "a.parquet", data))


@pytest.mark.parametrize("name", ["a.txt.gz", "a.jsonl.gz", "a.tsv.gz", "a.parquet.gz"])
def test_damaged_gzip_is_named(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, b'{"text": "x"}\n' * 1000)
    packed = path.read_bytes()
    for data in (packed[: len(packed) // 2], b"plain text", packed[:12] + b"\xff" * 8 + packed[20:]):
        path.write_bytes(data)
        with pytest.raises(UserError, match="damaged gzip file"):
            read(path)


def test_files_folders_and_globs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["b.txt", "a.txt", "deep/er/c.jsonl.gz", "deep/d.TSV", "x[1].txt", ".hidden.txt", ".cache/e.txt", "f.md"]
    for name in names:
        write(tmp_path / name, b"x")

    def found(*paths: str) -> list[str]:
        return [str(file.relative_to(tmp_path)) for file in find_files([tmp_path / path for path in paths])]

    every = ["a.txt", "b.txt", "deep/d.TSV", "deep/er/c.jsonl.gz", "x[1].txt"]
    assert found(".") == every
    assert found("b.txt", "*.txt", ".") == every
    assert found("x[1].txt") == ["x[1].txt"]
    assert found("**/*.jsonl*") == ["deep/er/c.jsonl.gz"]
    assert found("*") == ["a.txt", "b.txt", "x[1].txt"]
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_files("~/a.txt") == [tmp_path / "a.txt"]
    (tmp_path / "g.txt").symlink_to(tmp_path / "a.txt")
    assert found("g.txt", "a.txt") == ["g.txt"]


def test_files_that_a_folder_leaves_out_are_counted_by_ending(tmp_path: Path) -> None:
    """But for hidden ones and what LAi writes beside texts: sidecars, locks, vocabularies and models."""
    for name in (
        "a.txt", "b.md", "deep/c.MD", "deep/d.docx", "e.md.gz", "README", "f.json", ".hidden.md", ".cache/g.md",
        "a.txt.sources.json", "a.txt.json", "a.txt.lock", "vocab.bin", "model.ckpt",
    ):  # fmt: skip
        write(tmp_path / name, b"x")
    expected = {".md": 2, ".docx": 1, ".gz": 0, ".md.gz": 1, "without ending": 1, ".json": 1}
    assert files_left_out(tmp_path) == {ending: count for ending, count in expected.items() if count}
    assert files_left_out([tmp_path, tmp_path / "b.md", tmp_path / "*"]) == files_left_out(tmp_path)
    assert files_left_out(tmp_path / "*.txt") == files_left_out(tmp_path / "a.txt") == {}
    assert files_left_out(tmp_path / "deep" / "*") == {".md": 1, ".docx": 1}
    with pytest.raises(UserError, match=r"deep holds no file of a known kind but 1 \.\w+, 1 \.\w+; expected"):
        find_files(tmp_path / "deep")


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    write(tmp_path / "f.md", b"x")
    for path, message in [
        ("f.md", "no known kind"),
        ("*.csv", "matches no file"),
        (".", "holds no file"),
        ("*", "holds"),
    ]:
        with pytest.raises(UserError, match=rf"{message}.*expected files ending in \.txt, \.jsonl, \.tsv, \.parquet"):
            find_files(tmp_path / path)
    with pytest.raises(UserError, match="no data files"):
        find_files([])


@pytest.mark.parametrize(
    "document",
    [
        plain(b"text"),
        plain(b"<user>q</user>"),
        plain(b"<user>open"),
        plain(b"\xed\xa0\x80"),
        (Turn("user", b"a</user><assistant>b"), Turn("assistant", b"\n")),
    ],
)
def test_a_document_survives_its_row(document: Document) -> None:
    assert row_documents(json.loads(json.dumps(document_row(document)))) == [document]
