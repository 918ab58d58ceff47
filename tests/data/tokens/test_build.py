"""The folder of token files: found while nothing changes, made anew where something has."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from toy_documents import lines
from toy_token_files import content, prepare

from lai.data.sources.reading import Reading
from lai.data.tokens import build as build_module
from lai.data.tokens import splits
from lai.data.tokens.build import prepare_token_files
from lai.data.tokens.token_file import encode_documents
from lai.host.errors import UserError
from lai.host.files import file_digest
from lai.tokenizer.chat import Document
from lai.tokenizer.train import learn_vocab
from lai.tokenizer.vocab import Vocab


def test_a_validation_file_that_is_also_trained_on_is_a_warning(
    tmp_path: Path, text: Path, vocab: Vocab, caplog: pytest.LogCaptureFixture
) -> None:
    copy = tmp_path / "copy.txt"
    copy.write_bytes(text.read_bytes())
    prepare_token_files(text, vocab, tmp_path / "cache", val_fraction=0.2, split_seed=0, val_paths=copy)
    assert f"{copy}, a validation file, is the same text as {text}" in caplog.text


@pytest.mark.parametrize(
    ("content", "fraction", "message"),
    [
        (b"dog\ndog\n", 0.5, "only one different document"),
        (b"\n \n", 0.5, "no document"),
        (b"dog\ntree", 0.0, "validation fraction is 0.0"),
        (b"dog\ntree", 1.0, "validation fraction is 1.0"),
    ],
)
def test_a_text_that_cannot_be_split_is_an_error_and_leaves_no_files(
    tmp_path: Path, vocab: Vocab, content: bytes, fraction: float, message: str
) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        prepare(path, vocab, fraction)
    assert not list(tmp_path.glob("cache/*shards*[!k]"))


def test_token_files_are_reused_while_nothing_changes(text: Path, vocab: Vocab, builds: list[Path]) -> None:
    first = prepare(text, vocab)
    os.utime(text, (0, 0))
    assert prepare(text, vocab) == first
    assert len(builds) == 1


def test_a_changed_input_makes_new_token_files(text: Path, vocab: Vocab, builds: list[Path]) -> None:
    other = learn_vocab(lines(300), vocab_size=320, min_freq=1)
    folders = [prepare(text, vocab).folder, prepare(text, other).folder]
    folders += [prepare(text, vocab, fraction=0.3).folder, prepare(text, vocab, seed=1).folder]
    text.write_bytes(text.read_bytes().replace(b"stray", b"spray"))
    folders.append(prepare(text, vocab).folder)
    # The same bytes under another ending are other documents.
    table = text.with_suffix(".jsonl")
    for path in (text, table):
        path.write_bytes(b'{"text": "a"}\n{"text": "b"}\n')
        folders.append(prepare(path, vocab).folder)
    assert len(set(folders)) == len(builds) == 7


def test_moving_the_text_makes_no_new_token_files(text: Path, vocab: Vocab, builds: list[Path]) -> None:
    token_files = prepare(text, vocab)
    assert prepare(text.rename(text.with_name("moved.txt")), vocab) == token_files
    assert len(builds) == 1


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2])


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [Path.unlink, truncate, flip_a_bit, empty])
@pytest.mark.parametrize("name", ["train.bin", "train.idx", "val.bin", "val.idx", "meta.json"])
def test_a_damaged_cache_is_rebuilt(
    text: Path, vocab: Vocab, name: str, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    before = content(prepare(text, vocab))
    damage(prepare(text, vocab).folder / name)
    with caplog.at_level(logging.WARNING):
        assert content(prepare(text, vocab)) == before
    assert [name in record.message and "built again" in record.message for record in caplog.records] == [True]
    caplog.clear()
    prepare(text, vocab)
    assert not caplog.records


def test_an_edited_sidecar_rebuilds_the_token_files(text: Path, vocab: Vocab, builds: list[Path]) -> None:
    sidecar = prepare(text, vocab).folder / "meta.json"
    meta = json.loads(sidecar.read_bytes())
    meta["stats"]["val"]["documents"] += 1
    sidecar.write_text(json.dumps(meta))
    assert prepare(text, vocab).stats.val.documents == meta["stats"]["val"]["documents"] - 1
    assert len(builds) == 2


def test_a_foreign_sidecar_whose_checksum_is_right_rebuilds_the_token_files(
    text: Path, vocab: Vocab, builds: list[Path]
) -> None:
    sidecar = prepare(text, vocab).folder / "meta.json"
    meta = json.loads(sidecar.read_bytes()) | {"dtype": "object"}
    del meta["checksum"]
    for found in (json.dumps(meta | {"checksum": build_module._checksum(meta)}), "[" * 100_000):
        sidecar.write_text(found)
        assert prepare(text, vocab).train.dtype == "uint16"
    assert len(builds) == 3


# Where documents start; 4 stands for the file's end.
NO_DOCUMENTS = [[], [3, 4], [0, 1 << 60], [0, (1 << 64) - 1, 4], [0, 90, 9, 4], [0, 2, 2, 4], [0, 1 << 63, 4]]


@pytest.mark.parametrize("offsets", NO_DOCUMENTS)
def test_foreign_documents_that_the_tokens_do_not_have_rebuild_the_token_files(
    text: Path, vocab: Vocab, builds: list[Path], offsets: list[int]
) -> None:
    files = prepare(text, vocab)
    folder, before = files.folder, content(files)
    meta = json.loads((folder / "meta.json").read_bytes())
    del meta["checksum"]
    total = (folder / "val.bin").stat().st_size // 2
    np.array([total if offset == 4 else offset for offset in offsets], np.uint64).tofile(folder / "val.idx")
    meta["files"]["val.idx"]["sha256"] = file_digest(folder / "val.idx")
    (folder / "meta.json").write_text(json.dumps(meta | {"checksum": build_module._checksum(meta)}))
    assert content(prepare(text, vocab)) == before
    assert len(builds) == 2


@pytest.mark.parametrize("error", [KeyboardInterrupt, UserError("full")])
def test_an_interrupted_build_leaves_nothing(
    text: Path, vocab: Vocab, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(splits, "encode_documents", lambda *_: (_ for _ in ()).throw(error))
        with pytest.raises(type(error) if isinstance(error, Exception) else KeyboardInterrupt):
            prepare(text, vocab)
    assert [path.suffix for path in (text.parent / "cache").iterdir()] == [".lock"]
    folder = prepare(text, vocab).folder
    # What a process that was killed outright leaves behind goes with the next one that builds or uses the folder.
    stale = folder.with_name(f".{folder.name}.killed.tmp")
    stale.mkdir()
    prepare(text, vocab)
    assert not stale.exists()


def test_a_text_that_changes_meanwhile_is_an_error(text: Path, vocab: Vocab, monkeypatch: pytest.MonkeyPatch) -> None:
    def encode_and_touch(documents: list[Document], vocab: Vocab) -> object:
        text.write_bytes(text.read_bytes() + b"\nmore")
        return encode_documents(documents, vocab)

    monkeypatch.setattr(splits, "encode_documents", encode_and_touch)
    with pytest.raises(UserError, match="changed while it was read"):
        prepare(text, vocab)


def test_processes_that_need_the_same_files_build_them_once(text: Path, vocab: Vocab, tmp_path: Path) -> None:
    vocab.save(tmp_path / "vocab.bin")
    program = (
        "import sys; from lai.data.tokens import build; from lai.tokenizer.vocab import Vocab\n"
        "original = build._build\n"
        "def reporting(*args): print('built'); original(*args)\n"
        "build._build = reporting\n"
        "build.prepare_token_files(sys.argv[1], Vocab.load(sys.argv[2]), sys.argv[3], val_fraction=0.2, split_seed=0)\n"
    )
    command = [sys.executable, "-c", program, str(text), str(tmp_path / "vocab.bin"), str(tmp_path / "cache")]
    root = Path(__file__).parents[3]
    jobs = [subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    outputs = [job.communicate(timeout=120)[0] for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0, 0]
    assert sorted(outputs) == ["", "", "built\n"]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads a process's peak memory from Linux's /proc")
def test_memory_does_not_grow_with_the_text(vocab: Vocab, tmp_path: Path) -> None:
    """The peak of building from 36 MB stays within 6 MB of that from 12 MB."""
    vocab.save(tmp_path / "vocab.bin")
    program = (
        "import sys; from pathlib import Path\n"
        "from lai.data.tokens.build import prepare_token_files; from lai.tokenizer.vocab import Vocab\n"
        "prepare_token_files(sys.argv[1], Vocab.load(sys.argv[2]), sys.argv[3], val_fraction=0.2, split_seed=0)\n"
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])\n"
    )
    peaks = []
    for megabytes in (12, 36):
        text = tmp_path / f"{megabytes}.txt"
        with text.open("wb") as file:
            for number in range(megabytes):
                block = b"\n".join(b"%d " % number + line for line in lines(2000, number))
                file.write((block + b"\n") * (1_000_000 // len(block)))
        done = subprocess.run(
            [sys.executable, "-c", program, str(text), str(tmp_path / "vocab.bin"), str(tmp_path / "cache")],
            cwd=Path(__file__).parents[3],
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(int(done.stdout))
    assert peaks[1] - peaks[0] < 6000, peaks


def test_only_formats_and_settings_that_are_new_are_in_the_fingerprint(tmp_path: Path, vocab: Vocab) -> None:
    """Token files of text that was read before formats had names are used again."""
    (tmp_path / "a.txt").write_text("dog\ntree\n")
    old = json.loads((prepare(tmp_path / "a.txt", vocab, 0.5).folder / "meta.json").read_bytes())
    assert set(old["sources"][0]) == {"kind", "packed", "size", "sha256"}
    assert "reading" not in old
    (tmp_path / "b.txt").write_text("dog\n<|endoftext|>\ntree\n")
    new = json.loads((prepare(tmp_path / "b.txt", vocab, 0.5).folder / "meta.json").read_bytes())
    assert new["sources"][0]["format"] == "stories"
    read = prepare_token_files(
        tmp_path / "a.txt", vocab, tmp_path / "cache", val_fraction=0.5, split_seed=0, reading=Reading(bad_rows="skip")
    )
    assert json.loads((read.folder / "meta.json").read_bytes())["reading"] == {"bad_rows": "skip"}
