"""Model files against a reader written with struct and numpy from docs/format.md alone."""

import json
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from toy_network import network

from lai.export.lai_file import are_equal, read_model, write_model
from lai.export.verify import export_model
from lai.host import memory
from lai.host.errors import UserError
from lai.model.record import TrainingRecord

FIELDS = ("dim", "hidden_dim", "n_layers", "n_heads", "n_kv_heads", "vocab_size", "max_seq_len")


def independent_read(path):
    """Header, vocabulary and weights by the page's tables: offsets, sizes, order, alignment."""
    data = path.read_bytes()
    assert data[:4] == b"LAi1"
    version = struct.unpack_from("<I", data, 4)[0]
    header = dict(zip(FIELDS, struct.unpack_from("<7i", data, 8), strict=True))
    header["rope_theta"], header["norm_eps"] = struct.unpack_from("<ff", data, 36)
    header["activation"] = struct.unpack_from("<i", data, 44)[0]
    header["dtype"] = data[48]
    vocab_offset, weights_offset, file_size = struct.unpack_from("<QQQ", data, 49)
    crc, flags = struct.unpack_from("<II", data, 73)
    assert file_size == len(data)
    assert crc == zlib.crc32(data[256:])
    assert data[81:88] == bytes(7)
    assert data[128:256] == bytes(128)
    manifest_offset, manifest_size = struct.unpack_from("<QI", data, 116)
    header["turns"] = struct.unpack_from("<I", data, 112)[0]
    header["steps"], header["tokens"] = struct.unpack_from("<QQ", data, 88)
    header["val_loss"], header["val_loss_floor"] = struct.unpack_from("<ff", data, 104)
    assert vocab_offset == 256
    magic, vocab_version, count = struct.unpack_from("<III", data, 256)
    assert (magic, vocab_version) == (0x4C414956, 1)
    position, tokens = 268, []
    for _ in range(count):
        length = struct.unpack_from("<I", data, position)[0]
        tokens.append(data[position + 4 : position + 4 + length])
        position += 4 + length + 4
    header["manifest"] = data[manifest_offset : manifest_offset + manifest_size]
    if manifest_size:
        assert manifest_offset == position
        position += manifest_size
    assert weights_offset == -(-position // 64) * 64
    assert data[position:weights_offset] == bytes(weights_offset - position)
    h = header
    kv_dim = h["dim"] // h["n_heads"] * h["n_kv_heads"]
    shapes = [("token_embed", (h["vocab_size"], h["dim"]))]
    if not flags & 1:
        shapes.append(("output", (h["vocab_size"], h["dim"])))
    shapes.append(("final_norm", (h["dim"],)))
    for layer in range(h["n_layers"]):
        for name, shape in (
            ("wq", (h["dim"], h["dim"])),
            ("wk", (kv_dim, h["dim"])),
            ("wv", (kv_dim, h["dim"])),
            ("wo", (h["dim"], h["dim"])),
            ("w_gate", (h["hidden_dim"], h["dim"])),
            ("w_up", (h["hidden_dim"], h["dim"])),
            ("w_down", (h["dim"], h["hidden_dim"])),
            ("attn_norm", (h["dim"],)),
            ("ffn_norm", (h["dim"],)),
        ):
            shapes.append((f"{layer}.{name}", shape))
    position, weights = weights_offset, {}
    for name, shape in shapes:
        if version == 2:
            position = -(-position // 64) * 64
        half = version == 2 and h["dtype"] == 1 and len(shape) == 2
        count = int(np.prod(shape))
        weights[name] = np.frombuffer(data, "<f2" if half else "<f4", count, position).reshape(shape)
        position += count * (2 if half else 4)
    assert position == len(data)
    return version, header, tokens, weights, flags


def by_format_name(model):
    names = {name.removesuffix(".weight"): value.detach().numpy() for name, value in model.named_parameters()}
    short = {"token_embed": "token_embed", "final_norm": "final_norm", "output": "output"}
    return {short.get(name) or f"{name.split('.')[1]}.{name.split('.')[-1]}": value for name, value in names.items()}


@pytest.mark.parametrize("tied", [True, False])
def test_version_1_matches_the_format_page(tmp_path, config, small_vocab, tied):
    config = replace(config, tie_embeddings=tied, activation="gelu")
    model = network(config)
    write_model(tmp_path / "m.bin", config, model.state_dict(), small_vocab)
    version, header, tokens, weights, flags = independent_read(tmp_path / "m.bin")
    assert (version, header["dtype"], header["activation"], flags) == (1, 0, 1, 0)
    assert {name: header[name] for name in FIELDS} == {name: getattr(config, name) for name in FIELDS}
    assert header["rope_theta"] == 5000.0
    assert header["norm_eps"] == np.float32(1e-6)
    assert tokens == list(small_vocab.tokens)
    expected = by_format_name(model)
    for name, values in weights.items():
        np.testing.assert_array_equal(values, expected["token_embed" if tied and name == "output" else name])


def test_version_2_matches_the_format_page(tmp_path, config, small_vocab):
    model = network(config)
    write_model(tmp_path / "m.bin", config, model.state_dict(), small_vocab, dtype="f16")
    version, header, _, weights, flags = independent_read(tmp_path / "m.bin")
    assert (version, header["dtype"], flags) == (2, 1, 1)
    expected = by_format_name(model)
    assert weights.keys() == expected.keys()
    for name, values in weights.items():
        wanted = expected[name].astype(np.float16) if values.ndim == 2 else expected[name]
        np.testing.assert_array_equal(values, wanted)


RECORD = TrainingRecord(steps=3_000_000_000, tokens=2**50 + 1, val_loss=1.75, val_loss_floor=1.0, turns=8)


@pytest.mark.parametrize("dtype", ["f32", "f16"])
def test_training_record_is_where_the_format_page_says(tmp_path, config, small_vocab, dtype):
    for training in (RECORD, TrainingRecord()):
        write_model(tmp_path / "m.bin", config, network(config).state_dict(), small_vocab, dtype, training)
        header = independent_read(tmp_path / "m.bin")[1]
        assert {name: header[name] for name in training.to_dict()} == training.to_dict()
        assert read_model(tmp_path / "m.bin").training == training


@pytest.mark.parametrize(("dtype", "tied"), [("f32", 0), ("f16", 1)])
def test_unfolded_text_is_flag_bit_1(tmp_path, config, small_vocab, dtype, tied):
    for training, flags in ((RECORD, tied), (replace(RECORD, unfolded=True), tied | 2)):
        write_model(tmp_path / "m.bin", config, network(config).state_dict(), small_vocab, dtype, training)
        assert independent_read(tmp_path / "m.bin")[4] == flags
        assert read_model(tmp_path / "m.bin").training == training


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), float("-inf"), -1.0, -0.0])
def test_impossible_loss_in_the_header_reads_as_unknown(written, loss):
    data = bytearray(written.read_bytes())
    struct.pack_into("<QQff", data, 88, 2**64 - 1, 2**64 - 1, loss, loss)
    written.write_bytes(data)
    training = read_model(written).training
    assert training == TrainingRecord(2**64 - 1, 2**64 - 1)
    assert training.note(400) is None


@pytest.mark.parametrize("dtype", ["f32", "f16", "q8_0", "q4_0"])
@pytest.mark.parametrize("tied", [True, False])
def test_reads_back_what_it_wrote(tmp_path, config, small_vocab, dtype, tied):
    config = replace(config, tie_embeddings=tied)
    model = network(config)
    report = export_model(tmp_path / "m.bin", config, model.state_dict(), small_vocab, dtype)
    assert report.parameters == sum(parameter.numel() for parameter in model.parameters())
    read = read_model(tmp_path / "m.bin")
    assert read.config == replace(config, norm_eps=float(np.float32(1e-6)))
    assert read.vocab.to_bytes() == small_vocab.to_bytes()
    if dtype == "f32":
        tokens = torch.randint(config.vocab_size, (1, 20))
        with torch.no_grad():
            assert torch.equal(read.build()(tokens), model(tokens))


def test_a_weight_that_is_not_finite_is_not_written(tmp_path, config, small_vocab):
    model = network(config)
    with torch.no_grad():
        model.layers[1].ffn.w_up.weight[3, 4] = float("nan")
    (tmp_path / "m.bin").write_bytes(b"the model of yesterday")
    with pytest.raises(UserError, match=r"layers.1.ffn.w_up.weight .*not finite"):
        write_model(tmp_path / "m.bin", config, model.state_dict(), small_vocab)
    assert (tmp_path / "m.bin").read_bytes() == b"the model of yesterday"
    assert [path.name for path in tmp_path.iterdir()] == ["m.bin"]


def test_vocabulary_and_config_must_agree(tmp_path, config, small_vocab):
    config = replace(config, vocab_size=config.vocab_size + 1)
    with pytest.raises(UserError, match="they must agree"):
        write_model(tmp_path / "m.bin", config, network(config).state_dict(), small_vocab)


@pytest.fixture
def written(tmp_path, config, small_vocab):
    path = tmp_path / "m.bin"
    write_model(path, config, network(config).state_dict(), small_vocab)
    return path


@pytest.mark.parametrize("length", [0, 3, 80, 255, 256, 300, 5000, -4])
def test_a_truncated_file_is_refused(written, length):
    written.write_bytes(written.read_bytes()[:length])
    with pytest.raises(UserError, match=r"m\.bin"):
        read_model(written)


@pytest.mark.parametrize(
    ("offset", "value", "words"),
    [
        (0, b"GGUF", "not a LAi model file"),
        (4, struct.pack("<I", 7), "version 7"),
        (8, struct.pack("<i", -64), "impossible header"),
        (16, struct.pack("<i", 2**31 - 1), "impossible header"),
        (20, struct.pack("<i", 5), "not divisible"),
        (28, struct.pack("<i", 17), "17 tokens"),
        (40, struct.pack("<f", float("nan")), "norm_eps"),
        (44, struct.pack("<i", 9), "activation 9"),
        (49, struct.pack("<Q", 2**60), "m.bin"),
        (57, struct.pack("<Q", 2**62), "m.bin"),
        (65, struct.pack("<Q", 12), "header says 12"),
        (20000, b"\xff", "checksum"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(written, offset, value, words):
    data = bytearray(written.read_bytes())
    data[offset : offset + len(value)] = value
    written.write_bytes(data)
    with pytest.raises(UserError, match=words) as raised:
        read_model(written)
    assert "\n" not in str(raised.value)


def test_a_file_of_another_writer_needs_neither_size_nor_checksum(written):
    data = bytearray(written.read_bytes())
    data[65:77] = bytes(12)
    written.write_bytes(data)
    assert read_model(written).checksum == 0


def without_checksum(path, change):
    """Change a written file's bytes and take its size and checksum away, as a foreign program may write it."""
    data = bytearray(path.read_bytes())
    data[65:77] = bytes(12)
    change(data)
    path.write_bytes(data)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_weight_that_is_not_finite_is_refused_by_name(written, value):
    without_checksum(written, lambda data: struct.pack_into("<f", data, len(data) - 8, value))
    with pytest.raises(UserError, match=r"m.bin: layers.\d.ffn_norm.weight holds a value that is not finite"):
        read_model(written)


def test_a_context_larger_than_memory_is_refused_before_memory_is_taken(written, monkeypatch):
    without_checksum(written, lambda data: struct.pack_into("<i", data, 32, 1 << 24))
    monkeypatch.setattr(memory, "free_memory", lambda: 1e9)
    model = read_model(written)
    assert model.config.max_seq_len == 1 << 24
    with pytest.raises(UserError, match=r"m.bin: a context of 16,777,216 tokens needs .* GB of memory; 1.0 GB are"):
        model.build()
    monkeypatch.setattr(memory, "free_memory", lambda: 1000.0)
    with pytest.raises(UserError, match=r"m.bin as float32 needs .* of memory"):
        read_model(written)


MANIFEST = {"seed": 7, "data": [{"name": "szöveg.txt", "licence": None}]}


@pytest.mark.parametrize("dtype", ["f32", "f16"])
def test_a_manifest_stands_between_vocabulary_and_weights(tmp_path, config, small_vocab, dtype):
    weights = network(config).state_dict()
    plain, told = tmp_path / "plain.bin", tmp_path / "told.bin"
    write_model(plain, config, weights, small_vocab, dtype)
    write_model(told, config, weights, small_vocab, dtype, manifest=MANIFEST)
    assert json.loads(independent_read(told)[1]["manifest"]) == MANIFEST
    found = read_model(told)
    assert found.manifest == MANIFEST
    assert read_model(plain).manifest is None
    assert all(torch.equal(found.weights[name], weight) for name, weight in read_model(plain).weights.items())


def test_a_manifest_outside_its_place_is_refused(tmp_path, config, small_vocab):
    weights = network(config).state_dict()
    path = tmp_path / "m.bin"
    for offset, value in (
        (116, struct.pack("<Q", 2**60)),
        (116, struct.pack("<Q", 3)),
        (124, struct.pack("<I", 2**31)),
    ):
        write_model(path, config, weights, small_vocab, manifest=MANIFEST)
        without_checksum(path, lambda data, at=offset, new=value: data.__setitem__(slice(at, at + len(new)), new))
        with pytest.raises(UserError, match=r"m.bin says that its manifest has .* bytes at"):
            read_model(path)


def test_files_that_differ_in_their_manifests_alone_are_equal(tmp_path, config, small_vocab):
    weights = network(config).state_dict()
    paths = [tmp_path / f"{number}.bin" for number in range(4)]
    for path, manifest in zip(paths, (None, MANIFEST, {"seed": 8}), strict=False):
        write_model(path, config, weights, small_vocab, manifest=manifest)
    write_model(paths[3], config, weights, small_vocab, training=TrainingRecord(steps=7), manifest=MANIFEST)
    assert are_equal(paths[0], paths[1]) and are_equal(paths[1], paths[2])
    assert not are_equal(paths[1], paths[3]), "another record"
    weights["final_norm.weight"][0] += 1
    write_model(paths[2], config, weights, small_vocab, manifest=MANIFEST)
    assert not are_equal(paths[1], paths[2])
    without_checksum(paths[2], lambda data: struct.pack_into("<Q", data, 116, 2**64 - 1))
    assert not are_equal(paths[1], paths[2]), "a damaged file is compared byte by byte"
