"""One reader for every file and folder that holds a model."""

from hashlib import sha256
from pathlib import Path

from lai.export.checkpoint import read_checkpoint, read_content
from lai.export.lai_file import read_model
from lai.export.reading import gguf_content
from lai.export.reading.gguf_model import read_gguf_model
from lai.export.reading.huggingface_model import read_huggingface_model
from lai.export.reading.stored import StoredModel, check_finite
from lai.export.vocab_file import MAGIC
from lai.host.errors import UserError
from lai.host.files import file_digest, open_regular, with_home

EXPECTED = "expected a model file (.bin), a checkpoint (.ckpt), a GGUF file, a Hugging Face folder or a run's folder"


def read_stored(path: Path | str) -> StoredModel:
    """Read a model from a model file, a checkpoint, a GGUF file, a Hugging Face folder or the folder of a run.

    Of a run's folder it is the checkpoint with the lowest `val/loss`. Nothing in a file is executed.

    Raises:
        UserError: there is no such file, it is truncated or damaged, or holds no model that LAi's network can be.
    """
    path = with_home(path)
    if path.is_dir():
        if is_huggingface(path):
            return read_huggingface_model(path)
        if found := best_checkpoint(path):
            return _checkpoint(found)
        raise UserError(f"{path} has neither a config.json of transformers nor checkpoints of a run; {EXPECTED}")
    with open_regular(path) as file:
        start = file.read(4)
    if start == MAGIC:
        model = read_model(path)
        return StoredModel(
            path, "model file", model.dtype, model.config, model.weights, model.vocab, model.training,
            manifest=model.manifest,
        )  # fmt: skip
    if start == gguf_content.MAGIC:
        return read_gguf_model(path)
    if start[:2] == b"PK":
        return _checkpoint(path)
    hint = "; give its folder" if path.suffix == ".safetensors" else ""
    raise UserError(f"{path} is no model{hint}; {EXPECTED}, found a file that starts with {start!r}")


def digest_of(path: Path) -> str:
    """The SHA-256 of a model's file; of a folder's weights, of all its shards in the order of their names.

    Raises:
        OSError: it cannot be read.
    """
    if not path.is_dir():
        return file_digest(path)
    digests = [file_digest(file) for file in sorted(path.glob("*.safetensors"))]
    return digests[0] if len(digests) == 1 else sha256("".join(digests).encode()).hexdigest()


def is_huggingface(folder: Path) -> bool:
    """Whether a folder is one of transformers."""
    return (folder / "config.json").is_file()


def best_checkpoint(folder: Path) -> Path | None:
    """The checkpoint of a run with the lowest `val/loss`, else `last.ckpt`; None where there is none."""
    found: dict[Path, float] = {}
    for path in sorted((folder / "checkpoints").glob("*.ckpt")):
        try:
            training = read_content(path, mapped=True, verified=False)["lai"].get("training")
        except UserError:  # another one may be whole
            continue
        loss = training.get("val_loss") if isinstance(training, dict) else None
        found[path] = loss if isinstance(loss, float) and loss > 0 else float("inf")
    last = folder / "checkpoints" / "last.ckpt"
    return min(found, key=lambda path: (found[path], path != last), default=None)


def _checkpoint(path: Path) -> StoredModel:
    found = read_checkpoint(path)
    weights = {name: weight.float() for name, weight in found.weights.items()}
    for name, weight in weights.items():
        check_finite(str(path), name, weight)
    kinds = {str(weight.dtype).removeprefix("torch.") for weight in found.weights.values()}
    dtype = "f32" if kinds == {"float32"} else ", ".join(sorted(kinds))
    return StoredModel(
        path, "checkpoint", dtype, found.config, weights, found.vocab, found.training, found.run, found.manifest
    )
