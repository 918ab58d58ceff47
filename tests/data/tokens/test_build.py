"""None"""

import json
import logging
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from toy_documents import lines

from lai.data.sources.reading import Reading
from lai.data.tokens import build as build_module
from lai.data.tokens import splits
from lai.data.tokens.build import TokenFiles, prepare_token_files
from lai.data.tokens.token_file import TokenFile, encode_documents
from lai.host.errors import UserError
from lai.host.files import file_digest
from lai.tokenizer.chat import Document, parse, split_key
from lai.tokenizer.train import learn_vocab
from lai.tokenizer.vocab import Vocab


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_bytes(b"\n".join([*lines(400), b"stray <user> tag", b"", b"stray <user> tag"]))
    return path


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


def test_a_validation_file_that_is_also_trained_on_is_a_warning(
    tmp_path: Path, text: Path, vocab: Vocab, caplog: pytest.LogCaptureFixture
) -> None:
    copy = tmp_path / "copy.txt"
    copy.write_bytes(text.read_bytes())
    prepare_token_files(text, vocab, tmp_path / "cache", val_fraction=0.2, split_seed=0, val_paths=copy)
    assert f"{copy}, a validation file, is the same text as {text}" in caplog.text


def test_validation_files_are_the_validation_split(tmp_path: Path, text: Path, vocab: Vocab) -> None:
    val = tmp_path / "val.txt"
    val.write_bytes(b"\n".join(lines(50, seed=1)))

    def build() -> TokenFiles:
        return prepare_token_files(text, vocab, tmp_path / "cache", val_fraction=0.2, split_seed=0, val_paths=val)

    token_files = build()
    assert texts(token_files.val, vocab) == lines(50, seed=1)
    assert texts(token_files.train, vocab) == [line for line in text.read_bytes().split(b"\n") if line]
    assert build().folder == token_files.folder != prepare(text, vocab).folder
    val.write_bytes(b"\n".join(lines(49, seed=1)))
    assert len(build().val) == 49
    val.write_bytes(b"\n\n")
    with pytest.raises(UserError, match=r"val\.txt .*holds no document"):
        build()


def test_normalized_text_is_folded_in_both_splits(tmp_path: Path, vocab: Vocab, builds: list[Path]) -> None:
    text, val = tmp_path / "text.txt", tmp_path / "val.txt"
    typed = "<user>a\u00a0lo\u0301 „fa” </user><assistant>egy  kis–fa</assistant>"
    text.write_text(f"\ufeff\u00a0\n\u200b\n{typed}\nthe\u00addog\na dog\n", encoding="utf-8")
    val.write_text("\u2009sze\u0301p\u2028fa\n\u00ad\n", encoding="utf-8")

    def build(normalize: bool) -> TokenFiles:
        return prepare_token_files(
            text,
            vocab,
            tmp_path / "cache",
            val_fraction=0.2,
            split_seed=0,
            val_paths=val,
            reading=Reading(normalize=normalize),
        )

    folded = build(normalize=True)
    expected = ['<user>a ló "fa"</user><assistant>egy kis-fa</assistant>', "thedog", "a dog"]
    assert [found.decode() for found in texts(folded.train, vocab)] == expected
    assert [found.decode() for found in texts(folded.val, vocab)] == ["szép\nfa"]
    assert folded.stats.train.documents == 3
    assert folded.stats.train.bytes == sum(len(document.encode()) for document in expected)
    unfolded = build(normalize=False)
    assert texts(unfolded.train, vocab)[1] == "\u200b".encode() and unfolded.folder != folded.folder
    build(normalize=True)
    assert len(builds) == 2


def test_forms_of_one_document_lie_on_one_side(tmp_path: Path, vocab: Vocab) -> None:
    text = tmp_path / "text.txt"
    forms = ("lo\u0301 {}", "ló\u00a0{}", "\ufeffló {}", "ló {} ")
    text.write_text("".join(form.format(n) + "\n" for n in range(100) for form in forms), encoding="utf-8")
    files = prepare_token_files(
        text, vocab, tmp_path / "cache", val_fraction=0.3, split_seed=0, reading=Reading(normalize=True)
    )
    train, val = set(texts(files.train, vocab)), set(texts(files.val, vocab))
    assert len(train) + len(val) == 100 and not train & val


def test_folded_text_makes_the_same_token_files_normalized_or_not(text: Path, vocab: Vocab) -> None:
    plain = prepare(text, vocab)
    folded = prepare_token_files(
        text, vocab, text.parent / "cache", val_fraction=0.2, split_seed=0, reading=Reading(normalize=True)
    )
    assert folded.folder != plain.folder and folded.stats == plain.stats
    for name in ("train.bin", "train.idx", "val.bin", "val.idx"):
        assert content(folded)[name] == content(plain)[name]


def test_files_hold_every_document_and_the_statistics_count_them(text: Path, vocab: Vocab) -> None:
    token_files = prepare(text, vocab)
    expected = [line for line in text.read_bytes().split(b"\n") if line]
    train, val = texts(token_files.train, vocab), texts(token_files.val, vocab)
    assert Counter(train + val) == Counter(expected)
    assert not set(train) & set(val)
    stats = token_files.stats
    assert stats.documents == 402 > len(set(expected)) + 1
    for split, found, file in ((stats.train, train, token_files.train), (stats.val, val, token_files.val)):
        assert (split.documents, split.bytes) == (len(found), sum(map(len, found)))
        assert 2 * split.tokens == file.path.stat().st_size == 2 * int(file.offsets[-1])
        tokens = np.fromfile(file.path, "uint16")
        assert split.bytes == int(vocab.byte_lengths[tokens].sum())
    assert token_files.train.document(0).dtype == "uint16"


@pytest.mark.parametrize(
    ("conversations", "turns"),
    [
        ({}, 0),
        ({1: 50}, 1),
        ({1: 398, 8: 2}, 8),  # one in 200 has eight
        ({1: 399, 8: 1}, 1),
        ({1: 300, 3: 60, 5: 1, 8: 1}, 5),
    ],
)
def test_the_turns_of_the_training_text_are_those_that_enough_documents_have(
    tmp_path: Path, vocab: Vocab, conversations: dict[int, int], turns: int
) -> None:
    exchange = b"<user>a</user><assistant>fa</assistant>"
    rows = [
        b"<system>the %d</system>" % count + exchange * count
        for count, number in conversations.items()
        for _ in range(number)
    ]
    (tmp_path / "text.txt").write_bytes(b"\n".join([*rows, *[b"plain <user> text"] * 5000]))
    (tmp_path / "val.txt").write_bytes(exchange * 9)
    found = prepare_token_files(
        tmp_path / "text.txt",
        vocab,
        tmp_path / "cache",
        val_fraction=0.1,
        split_seed=0,
        val_paths=tmp_path / "val.txt",
    )
    assert (found.stats.train.turns, found.stats.val.turns) == (turns, 9)
    assert TokenFiles.open(found.folder).stats == found.stats


def test_the_split_depends_on_content_and_seed_alone(tmp_path: Path, vocab: Vocab) -> None:
    distinct = sorted(set(lines(2000)))

    def validation(documents: list[bytes], seed: int = 0) -> set[bytes]:
        path = tmp_path / "text.txt"
        path.write_bytes(b"\n".join(documents))
        return set(texts(prepare(path, vocab, 0.25, seed).val, vocab))

    whole = validation(distinct)
    assert 0.2 < len(whole) / len(distinct) < 0.3
    shuffled = random.Random(1).sample(distinct, len(distinct))
    assert validation(shuffled * 2) == whole
    half = shuffled[: len(shuffled) // 2]
    assert validation(half) == whole & set(half)
    assert validation(distinct, seed=1) != whole


def test_both_directions_of_a_pair_lie_on_one_side(tmp_path: Path, vocab: Vocab) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_bytes(b"".join(b"dog %d\tkutya %d\n" % (n, n) for n in range(200)))
    token_files = prepare(path, vocab)
    keys = [{split_key(parse(found)) for found in texts(file, vocab)} for file in (token_files.train, token_files.val)]
    assert len(keys[0]) + len(keys[1]) == 200 and not keys[0] & keys[1]
    assert token_files.stats.documents == 400


@pytest.mark.parametrize("fraction", [1e-9, 0.5, 1 - 1e-9])
@pytest.mark.parametrize("seed", range(4))
def test_neither_split_is_ever_empty(tmp_path: Path, vocab: Vocab, fraction: float, seed: int) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(b"dog\ntree\ndog\ntree")
    token_files = prepare(path, vocab, fraction, seed)
    sides = [set(texts(file, vocab)) for file in (token_files.train, token_files.val)]
    assert sorted(sides, key=min) == [{b"dog"}, {b"tree"}]


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


def content(token_files: TokenFiles) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(token_files.folder.iterdir())}


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
    for content in (json.dumps(meta | {"checksum": build_module._checksum(meta)}), "[" * 100_000):
        sidecar.write_text(content)
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
