"""Damage to a checkpoint is found by its checksums, and what is no checkpoint is not waited for."""

import os
import random
import struct
import zipfile

import pytest
import torch

from lai.export.checkpoint import read_checkpoint
from lai.export.checkpoint_file import read_plain
from lai.host.errors import UserError


def bits(value):
    """All that is in plain data, comparable: each tensor by its bytes."""
    if isinstance(value, torch.Tensor):
        return value.dtype, tuple(value.shape), value.contiguous().view(torch.uint8).numpy().tobytes()
    if isinstance(value, dict):
        return {key: bits(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [bits(item) for item in value]
    return value


@pytest.mark.parametrize("seed", range(60))
def test_a_single_flipped_bit_never_changes_what_is_read(checkpoint, tmp_path, seed):
    path = checkpoint[0]
    whole, content = bits(read_plain(path)), bytearray(path.read_bytes())
    bit = random.Random(seed).randrange(8 * len(content))
    content[bit // 8] ^= 1 << bit % 8
    (tmp_path / "flipped.ckpt").write_bytes(content)
    try:
        found = read_plain(tmp_path / "flipped.ckpt")
    except UserError as error:
        assert "flipped.ckpt" in str(error) and "\n" not in str(error)
    else:
        assert bits(found) == whole, "a flip between the entries, which nothing reads"


STEP = 997  # every so many bits; 1 tries all of them


def test_a_flip_between_the_tensors_changes_nothing_that_is_read(checkpoint, tmp_path):
    path = checkpoint[0]
    whole, content = bits(read_plain(path)), bytearray(path.read_bytes())
    inside = bytearray(len(content))
    for entry in zipfile.ZipFile(path).infolist():
        if "/data/" in entry.filename:
            name, extra = struct.unpack_from("<HH", content, entry.header_offset + 26)
            start = entry.header_offset + 30 + name + extra
            inside[start : start + entry.file_size] = b"\1" * entry.file_size
    places = [place for place, is_tensor in enumerate(inside) if not is_tensor]
    refused = 0
    for bit in range(0, 8 * len(places), STEP):
        place, mask = places[bit // 8], 1 << bit % 8
        content[place] ^= mask
        (tmp_path / "flipped.ckpt").write_bytes(content)
        content[place] ^= mask
        try:
            found = read_plain(tmp_path / "flipped.ckpt")
        except UserError:
            refused += 1
        else:
            assert bits(found) == whole, place
    assert refused


def test_a_flip_in_a_weight_is_told_as_damage(checkpoint, tmp_path):
    path, module = checkpoint
    content = path.read_bytes()
    weight = module.model.layers[0].attn.wq.weight.detach().numpy().tobytes()
    place = content.index(weight)
    damaged = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
    (tmp_path / "damaged.ckpt").write_bytes(damaged)
    with pytest.raises(UserError, match=r"damaged\.ckpt is damaged: its checksum"):
        read_checkpoint(tmp_path / "damaged.ckpt")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_cut_file_is_refused(checkpoint, tmp_path, share):
    content = checkpoint[0].read_bytes()
    (tmp_path / "cut.ckpt").write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match=r"cut\.ckpt is not a whole checkpoint"):
        read_plain(tmp_path / "cut.ckpt")


def repacked(source, target, *, compression=zipfile.ZIP_STORED, more=()):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", compression) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
        for name in more:
            new.writestr(name, b"0" * 64)
    return target


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_that_unpacks_to_more_or_holds_an_entry_twice_is_refused(checkpoint, tmp_path):
    plain = repacked(checkpoint[0], tmp_path / "plain.ckpt")
    assert bits(read_plain(plain)) == bits(read_plain(checkpoint[0]))
    packed = repacked(checkpoint[0], tmp_path / "packed.ckpt", compression=zipfile.ZIP_DEFLATED)
    names = zipfile.ZipFile(plain).namelist()
    for path in (packed, repacked(checkpoint[0], tmp_path / "twice.ckpt", more=names[-1:])):
        with pytest.raises(UserError, match="is not a whole checkpoint"):
            read_plain(path)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.ckpt")
    with pytest.raises(UserError, match=r"cannot read the checkpoint .*pipe\.ckpt: it is a named pipe; expected a reg"):
        read_checkpoint(tmp_path / "pipe.ckpt")
    with pytest.raises(UserError, match=r"cannot read the checkpoint .*: No such file"):
        read_checkpoint(tmp_path / "none.ckpt")


def test_a_tensor_that_claims_more_than_its_storage_is_refused(checkpoint, tmp_path):
    content = torch.load(checkpoint[0], weights_only=True)
    one = torch.ones(1)
    content["state_dict"]["model.final_norm.weight"] = one.expand(1 << 40)
    torch.save(content, tmp_path / "large.ckpt")
    with pytest.raises(UserError, match=r"state_dict\.model\.final_norm\.weight is torch\.float32 of shape"):
        read_checkpoint(tmp_path / "large.ckpt")
