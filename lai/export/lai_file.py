"""Reading and writing model files (docs/format.md): header, vocabulary, weights."""

import math
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO

import torch
from torch import Tensor

from lai.export import quantize
from lai.export.vocab_file import MAGIC
from lai.host.errors import UserError
from lai.host.files import atomic_write, open_regular, target_of
from lai.host.memory import check_memory
from lai.model.manifest import MAX_SIZE, Content, from_json, to_json
from lai.model.record import UNKNOWN, TrainingRecord
from lai.model.transformer import ModelConfig, Transformer
from lai.tokenizer.vocab import Vocab

ENDING = ".bin"
HEADER_SIZE = 256
ALIGNMENT = 64
FLAG_TIED = 1
FLAG_UNFOLDED = 2
ACTIVATIONS = ("silu", "gelu")

# magic, version, dim … max_seq_len, rope_theta, norm_eps, activation, dtype, vocab_offset, weights_offset, file_size,
# CRC-32, flags, 7 bytes of nothing, steps, tokens, val_loss, val_loss_floor, turns, manifest_offset, manifest_size; "<"
# packs them without gaps.
_HEADER = struct.Struct("<4sI7iffiBQQQII7xQQffIQI")
_TABLES = 3  # floats a position and an element of a head, while the cosines and sines are computed
_SIZES = ("dim", "hidden_dim", "n_layers", "n_heads", "n_kv_heads", "vocab_size", "max_seq_len")


@dataclass(frozen=True)
class ModelFile:
    """The content of a model file: `weights` are float32 by the module's parameter names."""

    config: ModelConfig
    vocab: Vocab
    weights: dict[str, Tensor]
    version: int
    dtype: str
    file_size: int
    checksum: int
    training: TrainingRecord
    path: Path
    manifest: Content | None = None

    def build(self) -> Transformer:
        """The network in evaluation mode; it shares this object's weights.

        Raises:
            UserError: as `build_network`.
        """
        return build_network(self.config, self.weights, str(self.path))


def build_network(config: ModelConfig, weights: dict[str, Tensor], name: str) -> Transformer:
    """The network in evaluation mode, with these weights as they are.

    Args:
        name: of their file, for error lines.

    Raises:
        UserError: the tables of the positions, whose number the header alone decides, do not fit into the memory.
    """
    context = config.max_seq_len
    check_memory(_TABLES * 4 * context * config.head_dim, f"{name}: a context of {context:,} tokens")
    model = Transformer(config)
    model.load_state_dict(weights, assign=True)
    return model.eval()


def tensor_shapes(config: ModelConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The module's parameter names and shapes, in the order of the file."""
    dim, kv_dim, hidden = config.dim, config.kv_dim, config.hidden_dim
    yield "token_embed.weight", (config.vocab_size, dim)
    yield "output.weight", (config.vocab_size, dim)
    yield "final_norm.weight", (dim,)
    for layer in range(config.n_layers):
        prefix = f"layers.{layer}."
        yield prefix + "attn.wq.weight", (dim, dim)
        yield prefix + "attn.wk.weight", (kv_dim, dim)
        yield prefix + "attn.wv.weight", (kv_dim, dim)
        yield prefix + "attn.wo.weight", (dim, dim)
        yield prefix + "ffn.w_gate.weight", (hidden, dim)
        yield prefix + "ffn.w_up.weight", (hidden, dim)
        yield prefix + "ffn.w_down.weight", (dim, hidden)
        yield prefix + "attn_norm.weight", (dim,)
        yield prefix + "ffn_norm.weight", (dim,)


def model_target(path: Path | str) -> Path:
    """The file that is written for a model file of this name (`lai.host.files.target_of`).

    Raises:
        UserError: another kind of file exists there, or the name has the ending of one.
    """
    target, ending = target_of(path, MAGIC), Path(path).suffix
    if ending.lower() not in ("", ENDING):
        raise UserError(
            f"{path} ends in {ending}, and a model file ends in {ENDING}; give {Path(path).with_suffix(ENDING)}"
        )
    return target


def write_model(
    path: Path | str,
    config: ModelConfig,
    weights: Mapping[str, Tensor],
    vocab: Vocab,
    dtype: str = "f32",
    training: TrainingRecord = UNKNOWN,
    manifest: Content | None = None,
) -> None:
    """Write a model file, whole or not at all: version 1 for f32, version 2 for the other dtypes.

    Args:
        manifest: what is known of the run (`lai.model.manifest`); None: the file has none.

    Raises:
        UserError: the vocabulary and the config disagree, a weight is not finite or does not fit the dtype, or the
            manifest is too large.
    """
    if len(vocab) != config.vocab_size:
        raise UserError(f"the vocabulary has {len(vocab)} tokens, the model {config.vocab_size}; they must agree")
    if dtype not in quantize.DTYPES:
        raise UserError(f"weight dtype {dtype!r} is not one of {', '.join(quantize.DTYPES)}")
    record = vocab.to_bytes()
    told = b"" if manifest is None else to_json(manifest)
    if len(told) > MAX_SIZE:
        raise UserError(f"the manifest has {len(told):,} bytes; a model file has room for {MAX_SIZE:,}")
    manifest_offset = HEADER_SIZE + len(record) if told else 0
    weights_offset = _aligned(HEADER_SIZE + len(record) + len(told))
    with atomic_write(path) as file:
        file.write(bytes(HEADER_SIZE) + record + told)
        file.write(bytes(weights_offset - file.tell()))
        _write_weights(file, config, weights, dtype)
        file_size = file.tell()
        checksum = _crc(file, HEADER_SIZE)
        file.seek(0)
        place = (manifest_offset, len(told))
        file.write(_header(config, dtype, weights_offset, file_size, checksum, training, place))


def _header(
    config: ModelConfig,
    dtype: str,
    weights_offset: int,
    file_size: int,
    checksum: int,
    training: TrainingRecord,
    manifest: tuple[int, int],
) -> bytes:
    version = 1 if dtype == "f32" else 2
    packed = _HEADER.pack(
        MAGIC,
        version,
        *(getattr(config, name) for name in _SIZES),
        config.rope_theta,
        config.norm_eps,
        ACTIVATIONS.index(config.activation),
        quantize.DTYPES[dtype],
        HEADER_SIZE,
        weights_offset,
        file_size,
        checksum,
        (FLAG_TIED if version == 2 and config.tie_embeddings else 0) | (FLAG_UNFOLDED if training.unfolded else 0),
        training.steps,
        training.tokens,
        training.val_loss,
        training.val_loss_floor,
        training.turns,
        *manifest,
    )
    return packed.ljust(HEADER_SIZE, b"\0")


def _write_weights(file: IO[bytes], config: ModelConfig, weights: Mapping[str, Tensor], dtype: str) -> None:
    version = 1 if dtype == "f32" else 2
    for name, tensor in stored_weights(config, weights, twice=version == 1):
        if version == 2:
            file.write(bytes(_aligned(file.tell()) - file.tell()))
        try:
            file.write(quantize.encode(tensor.numpy(), dtype if tensor.ndim == 2 else "f32"))
        except ValueError as error:
            raise UserError(f"{name} cannot be written as {dtype}: {error}") from None


def stored_weights(
    config: ModelConfig, weights: Mapping[str, Tensor], *, twice: bool = False
) -> Iterator[tuple[str, Tensor]]:
    """The weights that a file holds with their names, as float32 in memory, in the order of the file.

    Args:
        twice: give a tied output matrix, which is the embedding, once more.

    Raises:
        UserError: a weight has another shape than the config says, or is not finite.
    """
    for name, shape in tensor_shapes(config):
        source = name
        if name == "output.weight" and config.tie_embeddings:
            if not twice:
                continue
            source = "token_embed.weight"
        tensor = weights[source].detach().float().cpu().contiguous()
        if tuple(tensor.shape) != shape:
            raise UserError(f"{source} has the shape {tuple(tensor.shape)}, the config says {shape}")
        if not torch.isfinite(tensor).all():
            raise UserError(f"{source} holds a value that is not finite; the training diverged, nothing was written")
        yield name, tensor


def are_equal(first: Path, second: Path) -> bool:
    """Whether two files are equal; in model files, manifests do not count, which have times in them."""
    return _digest_without_manifest(first) == _digest_without_manifest(second)


def _digest_without_manifest(path: Path) -> bytes:
    """Of a model file without its manifest and the fields that depend on its size; of any other file, all of it."""
    digest, size = sha256(), path.stat().st_size
    with path.open("rb") as file:
        header = file.read(HEADER_SIZE)
        end = 0
        if len(header) == HEADER_SIZE and header[:4] == MAGIC:
            weights_offset, begin = (struct.unpack_from("<Q", header, offset)[0] for offset in (57, 116))
            begin = begin or weights_offset
            if HEADER_SIZE <= begin <= weights_offset <= size:
                digest.update(header[:57] + header[77:116])
                digest.update(_bytes_at(file, HEADER_SIZE, begin - HEADER_SIZE).rstrip(b"\0"))
                end = weights_offset
        file.seek(end)
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.digest()


def is_model_file(path: Path | str) -> bool:
    """Whether the file begins with the magic of model files.

    Raises:
        UserError: it is missing, cannot be read, or is no regular file.
    """
    with open_regular(path) as file:
        return file.read(4) == MAGIC


def read_model(path: Path | str) -> ModelFile:
    """Read and check a model file, version 1 or 2.

    Version 1 always carries an output matrix; where it equals the embedding the config says so (`tie_embeddings`).

    Raises:
        UserError: the file is missing, foreign, truncated or damaged; the line says what was found and expected.
    """
    path = Path(path)
    try:
        with open_regular(path, "the model file") as file:
            return _read(path, file)
    except OSError as error:
        raise UserError(f"cannot read the model file {path}: {error.strerror}") from None


def _read(path: Path, file: IO[bytes]) -> ModelFile:
    """Read an open file; never more than the bytes of one tensor are in memory beside the weights."""
    size = file.seek(0, os.SEEK_END)
    header = _bytes_at(file, 0, HEADER_SIZE)
    if len(header) < HEADER_SIZE or header[:4] != MAGIC:
        raise UserError(f"{path} is not a LAi model file (it should start with {MAGIC!r}, found {header[:4]!r})")
    _, version, *fields = _HEADER.unpack_from(header)
    sizes, (theta, eps, activation, dtype_number) = fields[:7], fields[7:11]
    vocab_offset, weights_offset, file_size, checksum, flags = fields[11:16]
    if version not in (1, 2):
        raise UserError(f"{path} has format version {version}; this program reads 1 and 2")
    if file_size and file_size != size:
        raise UserError(f"{path} has {size} bytes, its header says {file_size}: it is cut short or not whole")
    if file_size and _crc(file, HEADER_SIZE) != checksum:
        raise UserError(f"{path} is damaged: its checksum does not match its content; export the model again")
    names = {number: name for name, number in quantize.DTYPES.items()}
    if activation not in (0, 1) or dtype_number not in names or (version == 1 and dtype_number != 0):
        raise UserError(
            f"{path} has activation {activation}, weight dtype {dtype_number}: unknown to version {version}"
        )
    tied = version == 2 and bool(flags & FLAG_TIED)
    try:
        shape = dict(zip(_SIZES, sizes, strict=True))
        config = ModelConfig(
            **shape, rope_theta=theta, norm_eps=eps, activation=ACTIVATIONS[activation], tie_embeddings=tied
        )
    except ValueError as error:
        raise UserError(f"{path} has an impossible header: {error}") from None
    vocab_offset, weights_offset = min(vocab_offset, size), min(weights_offset, size)
    vocab = Vocab.from_bytes(_bytes_at(file, vocab_offset, max(0, weights_offset - vocab_offset)), name=str(path))
    if len(vocab) != config.vocab_size:
        raise UserError(f"{path}: the header says {config.vocab_size} tokens, the vocabulary holds {len(vocab)}")
    weights = _read_weights(path, file, weights_offset, config, version, names[dtype_number])
    if not tied and torch.equal(weights["output.weight"], weights["token_embed.weight"]):
        tied = True
        del weights["output.weight"]
        config = ModelConfig(**{**config.to_dict(), "tie_embeddings": True})
    steps, tokens, val_loss, val_loss_floor, turns, manifest_offset, manifest_size = fields[16:]
    training = TrainingRecord.read(steps, tokens, val_loss, val_loss_floor, bool(flags & FLAG_UNFOLDED), turns)
    manifest = _read_manifest(path, file, manifest_offset, manifest_size, weights_offset)
    return ModelFile(config, vocab, weights, version, names[dtype_number], size, checksum, training, path, manifest)


def _read_manifest(path: Path, file: IO[bytes], offset: int, size: int, weights_offset: int) -> Content | None:
    if not size:
        return None
    if size > MAX_SIZE or offset < HEADER_SIZE or offset + size > weights_offset:
        raise UserError(
            f"{path} says that its manifest has {size:,} bytes at {offset:,}; expected at most {MAX_SIZE:,} before the "
            f"weights at {weights_offset:,}"
        )
    return from_json(_bytes_at(file, offset, size), str(path))


def _read_weights(
    path: Path, file: IO[bytes], offset: int, config: ModelConfig, version: int, dtype: str
) -> dict[str, Tensor]:
    places = list(_places(path, file.seek(0, os.SEEK_END), offset, config, version, dtype))
    check_memory(4 * sum(math.prod(shape) for _, shape, *_ in places), f"{path} as float32")
    weights = {}
    for name, shape, kind, start, size in places:
        tensor = torch.from_numpy(quantize.decode(_bytes_at(file, start, size), shape, kind))
        if not all(torch.isfinite(value) for value in tensor.aminmax()):
            raise UserError(
                f"{path}: {name} holds a value that is not finite; the training diverged or the file is damaged"
            )
        weights[name] = tensor
    return weights


def _places(
    path: Path, end: int, offset: int, config: ModelConfig, version: int, dtype: str
) -> Iterator[tuple[str, tuple[int, ...], str, int, int]]:
    """Each tensor's name, shape, dtype, offset and size in bytes; all of them lie within the file."""
    for name, shape in tensor_shapes(config):
        if name == "output.weight" and config.tie_embeddings:
            continue
        kind = dtype if len(shape) == 2 else "f32"
        if version == 2:
            offset = _aligned(offset)
        if kind in ("q4_0", "q8_0") and shape[-1] % quantize.BLOCK:
            raise UserError(f"{path}: {name} has rows of {shape[-1]} weights, {kind} needs multiples of 32")
        size = quantize.nbytes(math.prod(shape), kind)
        if offset + size > end:
            raise UserError(f"{path} ends inside {name}: {end} bytes found, {offset + size} expected at least")
        yield name, shape, kind, offset, size
        offset += size


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT


def _bytes_at(file: IO[bytes], offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)


def _crc(file: IO[bytes], offset: int) -> int:
    """The CRC-32 of the file from `offset` to its end."""
    file.seek(offset)
    value = 0
    while piece := file.read(1 << 20):
        value = zlib.crc32(piece, value)
    return value
