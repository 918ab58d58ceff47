"""Damaged model files and other files: each is refused in one line with exit code 2."""

import json
import struct
import zlib

import pytest
import torch
from engine_program import random_network

from lai.export.lai_file import read_model, write_model
from lai.model.transformer import ModelConfig
from lai.tokenizer.vocab import Vocab

INTEGERS = ("dim", "hidden_dim", "n_layers", "n_heads", "n_kv_heads", "vocab_size", "max_seq_len")
# Name in the message: offset and struct format.
FIELDS = {
    "version": (4, "I"),
    "dim": (8, "i"),
    "hidden_dim": (12, "i"),
    "n_layers": (16, "i"),
    "n_heads": (20, "i"),
    "n_kv_heads": (24, "i"),
    "vocab_size": (28, "i"),
    "max_seq_len": (32, "i"),
    "rope_theta": (36, "f"),
    "norm_eps": (40, "f"),
    "activation": (44, "i"),
    "dtype": (48, "B"),
    "vocab_offset": (49, "Q"),
    "weights_offset": (57, "Q"),
    "file_size": (65, "Q"),
    "crc": (73, "I"),
    "flags": (77, "I"),
}
RECORD = {
    "steps": (88, "Q"),
    "tokens_seen": (96, "Q"),
    "val_loss": (104, "f"),
    "val_loss_floor": (108, "f"),
    "turns": (112, "I"),
}


@pytest.fixture(scope="module", params=["f32", "q8_0"])
def model_bytes(request, tmp_path_factory, vocab):
    path = tmp_path_factory.mktemp("files") / "model.bin"
    config = ModelConfig(
        dim=32, hidden_dim=64, n_layers=2, n_heads=2, n_kv_heads=1, vocab_size=len(vocab), max_seq_len=16
    )
    write_model(path, config, random_network(config).state_dict(), vocab, request.param)
    return path.read_bytes()


def sealed(data, size=None):
    """Correct size and checksum, so that only the checks of the fields can find the damage."""
    data = bytearray(data)
    struct.pack_into("<Q", data, 65, len(data) if size is None else size)
    struct.pack_into("<I", data, 73, zlib.crc32(data[256:]))
    return bytes(data)


def refuse(engine, tmp_path, data):
    path = tmp_path / "edited.bin"
    path.write_bytes(data)
    line = engine.error("-m", path, "--info")
    assert str(path) in line
    return line


def edited(data, name, value):
    offset, kind = (FIELDS | RECORD)[name]
    data = bytearray(data)
    struct.pack_into("<" + kind, data, offset, value)
    return bytes(data)


def test_an_unchanged_file_is_accepted(engine, tmp_path, model_bytes):
    path = tmp_path / "model.bin"
    path.write_bytes(sealed(model_bytes))
    assert path.read_bytes() == model_bytes
    assert engine.json("-m", path, "--info")["checksum"] == "correct"


@pytest.mark.parametrize("size", [0, 1, 3, 4, *(offset + 1 for offset, _ in FIELDS.values()), 255, 256, 300, -65, -1])
def test_truncated_files_are_refused_with_their_length(engine, tmp_path, model_bytes, size):
    """The message states the true length, unless the magic letters are cut off too."""
    data = model_bytes[:size]
    line = refuse(engine, tmp_path, data)
    assert f" {len(data)} bytes" in line if len(data) >= 4 else "is empty" in line or "starts with the letters" in line
    if size > 81 or size < 0:
        for unsuspicious in (sealed(data), edited(data, "file_size", 0)):
            line = refuse(engine, tmp_path, unsuspicious)
            assert f" {len(data)} bytes" in line or "the vocabulary" in line


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in INTEGERS for value in (0, -1, -(2**31), 2**31 - 1, 2**28)),
        *((name, value) for name in ("rope_theta", "norm_eps") for value in (0.0, -1.0, float("nan"), float("inf"))),
        *(("version", value) for value in (0, 3, 2**32 - 1)),
        *(("dtype", value) for value in (4, 255)),
        *((name, value) for name in ("vocab_offset", "weights_offset") for value in (0, 255, 2**63, 2**64 - 1, 2**20)),
        *(("flags", value) for value in (4, 2**31, 7)),
        *(("n_layers", value) for value in (1, 3)),
        *(("dim", value) for value in (30, 34, 64)),
        *(("hidden_dim", value) for value in (32, 33, 96)),
        *(("n_heads", value) for value in (3, 4, 32)),
        ("n_kv_heads", 2),
        ("file_size", 1),
        ("file_size", 2**64 - 1),
        *(("activation", value) for value in (2, -1, 2**31 - 1)),
    ],
)  # fmt: skip
def test_impossible_header_fields_are_refused(engine, tmp_path, model_bytes, name, value):
    line = refuse(engine, tmp_path, edited(model_bytes, name, value))
    assert "expect" in line or "room" in line or "positive" in line or "magic" in line or "vocabulary" in line
    if name != "file_size":
        refuse(engine, tmp_path, edited(edited(model_bytes, name, value), "file_size", 0))


def test_the_checksum_finds_damage(engine, tmp_path, model_bytes):
    damaged = bytearray(model_bytes)
    damaged[-100] ^= 1
    assert "checksum" in refuse(engine, tmp_path, bytes(damaged))
    assert engine.json("-m", tmp_path / "edited.bin", "--info", "--no-verify")["checksum"] == "not checked"
    path = tmp_path / "unknown.bin"
    path.write_bytes(edited(model_bytes, "file_size", 0))
    assert engine.json("-m", path, "--info")["checksum"] == "none in the file"


NO_LOSSES = (float("nan"), float("inf"), float("-inf"), -1.0, -0.0, 0.0)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        *((name, value, value) for name in ("steps", "tokens_seen") for value in (0, 1, 12345, 2**63, 2**64 - 1)),
        *(("turns", value, value) for value in (0, 1, 8, 2**32 - 1)),
        *((name, value, None) for name in ("val_loss", "val_loss_floor") for value in NO_LOSSES),
        *((name, value, value) for name in ("val_loss", "val_loss_floor") for value in (2.0**-149, 1.5, 2.0**127)),
    ],
)
def test_any_training_record_is_accepted(engine, tmp_path, model_bytes, name, value, expected):
    """The engine and Python read the same values; only one line of `--info` changes."""
    plain, path = tmp_path / "plain.bin", tmp_path / "edited.bin"
    plain.write_bytes(model_bytes)
    path.write_bytes(edited(model_bytes, name, value))
    found = engine.json("-m", path, "--info")
    assert found[name] == (expected if expected is None else pytest.approx(expected, rel=1e-8, abs=0))
    told = read_model(path).training.to_dict()
    told["tokens_seen"] = told.pop("tokens")
    assert {key: found[key] or 0 for key in RECORD} == pytest.approx(told, rel=1e-8, abs=0)
    before, after = (engine.output("-m", file, "--info").splitlines() for file in (plain, path))
    changed = [line for old, line in zip(before, after, strict=True) if old != line and not line.startswith(b"file:")]
    assert all(line.startswith(b"training:") for line in changed)
    arguments = ("--raw", "-p", "a", "--temp", "0", "--tokens", "3")
    assert engine.output("-m", path, *arguments) == engine.output("-m", plain, *arguments)


def test_info_shows_the_manifest(engine, tmp_path, vocab):
    told = {"seed": 7, "data": [{"name": "szöveg.txt\x1b"}]}
    config = ModelConfig(
        dim=32, hidden_dim=64, n_layers=2, n_heads=2, n_kv_heads=1, vocab_size=len(vocab), max_seq_len=16
    )
    write_model(tmp_path / "m.bin", config, random_network(config).state_dict(), vocab, manifest=told)
    assert json.loads(engine.json("-m", tmp_path / "m.bin", "--info")["manifest"]) == told
    shown = engine.output("-m", tmp_path / "m.bin", "--info").decode()
    assert json.loads(shown[shown.index("manifest:") + len("manifest:") :]) == told


def record(offset, token):
    return offset + 12 + sum(8 + len(part) for part in token)


@pytest.mark.parametrize(
    ("what", "offset", "value"),
    [
        ("magic", 256, 0x4C414957),
        ("version", 260, 2),
        ("count", 264, 2**32 - 1),
        ("count", 264, 259),
        ("count", 264, 0),
        ("length of a token", 268, 2**32 - 1),
        ("length of a token", 268, 6),
    ],
)
def test_impossible_vocabularies_are_refused(engine, tmp_path, model_bytes, what, offset, value):
    data = bytearray(model_bytes)
    struct.pack_into("<I", data, offset, value)
    assert "vocabulary" in refuse(engine, tmp_path, sealed(data)), what


@pytest.mark.parametrize("token", [0, 1, 3, 4, 259, 300])
@pytest.mark.parametrize("score", [float("nan"), float("inf"), float("-inf"), -1.0])
def test_impossible_token_scores_are_refused(engine, tmp_path, model_bytes, vocab, token, score):
    data = bytearray(model_bytes)
    struct.pack_into("<f", data, record(256, vocab.tokens[:token]) + 4 + len(vocab.tokens[token]), score)
    if score == -1.0 and token > 3:
        (tmp_path / "m.bin").write_bytes(sealed(data))
        assert engine.run("-m", tmp_path / "m.bin", "--info").returncode == 0
    else:
        assert "vocabulary" in refuse(engine, tmp_path, sealed(data))


def test_a_wrong_byte_token_is_refused(engine, tmp_path, model_bytes, vocab):
    data = bytearray(model_bytes)
    data[record(256, vocab.tokens[:100]) + 4] ^= 1
    assert "token 100" in refuse(engine, tmp_path, sealed(data))


def test_a_file_longer_than_its_header_says_is_refused(engine, tmp_path, model_bytes):
    for longer in (sealed(model_bytes + bytes(64)), edited(model_bytes + bytes(4096), "file_size", 0)):
        assert f"has {len(longer)} bytes, its header expects {len(model_bytes)}" in refuse(engine, tmp_path, longer)


def test_other_kinds_of_files_are_refused(engine, tmp_path):
    assert "directory" in engine.error("-m", tmp_path) or "regular" in engine.error("-m", tmp_path)
    assert "No such file" in engine.error("-m", tmp_path / "missing.bin")
    for data in (b"", b"GGUF" + bytes(1000), b"\x7fELF", b"Ez nem modell.\n" * 100):
        refuse(engine, tmp_path, data)


def test_a_context_of_millions_takes_no_memory_until_used(engine, tmp_path, vocab):
    path = tmp_path / "long.bin"
    config = ModelConfig(
        dim=16, hidden_dim=16, n_layers=1, n_heads=1, n_kv_heads=1, vocab_size=len(vocab), max_seq_len=1 << 24
    )
    # The network's rotary tables would be large in Python; its weights do not depend on the context.
    weights = random_network(
        ModelConfig(dim=16, hidden_dim=16, n_layers=1, n_heads=1, n_kv_heads=1, vocab_size=len(vocab), max_seq_len=16)
    ).state_dict()
    write_model(path, config, weights, vocab)
    assert engine.json("-m", path, "--raw", "-p", "hello", "--tokens", "3", "--temp", "0")["ids"]


def test_nan_weights_end_in_one_line(engine, tmp_path, vocab):
    path = tmp_path / "nan.bin"
    config = ModelConfig(
        dim=32, hidden_dim=64, n_layers=1, n_heads=2, n_kv_heads=2, vocab_size=len(vocab), max_seq_len=16
    )
    weights = random_network(config).state_dict()
    write_model(path, config, weights, vocab)
    data = bytearray(path.read_bytes())
    data[-32 * 4 :] = struct.pack("<f", float("nan")) * 32
    path.write_bytes(sealed(data))
    for temperature in ("0", "1"):
        assert "not a number" in engine.error("-m", path, "--raw", "-p", "a", "--temp", temperature)
    assert torch.isfinite(weights["final_norm.weight"]).all() and Vocab.BOS == 1
