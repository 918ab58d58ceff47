"""Exports for other programs: each gets its name only after it was read back and agreed.

Where the other program is installed, it is the one that reads it back; else LAi's own reader is.
"""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from lai.export import gguf, huggingface, own_readers, quantize
from lai.export.agreement import Answers, Questions, difference
from lai.export.checkpoint import Checkpoint
from lai.export.peers import LLAMA_CPP, TRANSFORMERS, ask
from lai.export.reading.gguf_content import MAGIC
from lai.export.verify import stored_network
from lai.host.errors import UserError
from lai.host.files import replace_and_keep, replace_folder_and_keep, sync_directory, sync_files, target_of


@dataclass(frozen=True)
class OtherExport:
    """The file or folder that was written, for the last lines of a run."""

    path: Path
    size: int
    reader: str
    difference: float
    kept: Path | None
    """The new name of an earlier export of the same name; None where there was none."""

    def __str__(self) -> str:
        return (
            f"{self.path}: {self.size / 1e6:.1f} MB; read back by {self.reader}: the same ids, "
            f"logits differ by {self.difference:.1e} of the largest"
        )

    def kept_line(self) -> str | None:
        """The line on an earlier export of the same name; None where there was none."""
        return None if self.kept is None else f"the earlier {self.path.name} is kept as {self.kept}"


@dataclass(frozen=True)
class _Format:
    ending: str
    write: Callable[[Path, Checkpoint, str, str], None]
    package: str
    read: Callable[[Path, Questions], Answers]
    limits: Mapping[str, float]
    """The largest accepted difference of a logit by dtype, as a share of the largest.

    llama.cpp rounds the other factor of a product to the dtype, too: to blocks of 8 bits for block dtypes.
    """
    are_equal: Callable[[Path, Path], bool]
    """Whether two exports are equal but for what comes from the manifest, which has times in it."""


_FORMATS = {
    "gguf": _Format(
        ".gguf",
        gguf.write_gguf,
        LLAMA_CPP,
        own_readers.read_gguf,
        {"f32": 1e-4, "f16": 1e-2, "bf16": 2e-2, "q8_0": 5e-2, "q4_0": 5e-2},
        gguf.are_equal,
    ),
    "hf": _Format(
        ".hf",
        huggingface.write_huggingface,
        TRANSFORMERS,
        own_readers.read_huggingface,
        dict.fromkeys(huggingface.DTYPES, 1e-5),
        huggingface.are_equal,
    ),
}


def check_format(name: str, activation: str, dtype: str) -> None:
    """Refuse what a format, one of `EXPORT_FORMATS`, cannot hold, before anything is written.

    Raises:
        UserError: as `gguf.check_gguf` and `huggingface.check_huggingface`; a model file has no such dtype.
    """
    if name == "gguf":
        gguf.check_gguf(activation, dtype)
    elif name == "hf":
        huggingface.check_huggingface(dtype)
    elif dtype not in quantize.DTYPES:
        raise UserError(
            f"a model file holds no {dtype}; its dtypes are {', '.join(quantize.DTYPES)}, --format gguf or hf holds "
            f"{dtype}"
        )


def path_beside(name: str, path: Path) -> Path:
    """Where a format's export stands: beside another file of the model, with the same stem."""
    return path.with_suffix(_FORMATS[name].ending)


def export_other(name: str, path: Path, model: Checkpoint, dtype: str = "f32") -> OtherExport:
    """Write a GGUF file (`gguf`) or a Hugging Face folder (`hf`); an earlier one of this name is kept under another.

    Raises:
        UserError: the format cannot hold the model, something else has the name, or the file that is read back gives
            other ids or logits.
    """
    format_ = _FORMATS[name]
    check_format(name, model.config.activation, dtype)
    path = _target(name, path)
    unverified = path.with_name(f".{path.stem}.{os.getpid()}.unverified{format_.ending}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if name == "hf":
            unverified.mkdir()
        format_.write(unverified, model, dtype, path.stem)
        reader, found_difference = _verify(format_, unverified, model, dtype)
        sync_files(unverified)
        kept = (replace_folder_and_keep if name == "hf" else replace_and_keep)(unverified, path, format_.are_equal)
    except UserError as error:
        raise UserError(f"{path} is not written: {error}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        if unverified.is_dir():
            shutil.rmtree(unverified, ignore_errors=True)
        else:
            unverified.unlink(missing_ok=True)
    sync_directory(path.parent)
    files = path.iterdir() if path.is_dir() else [path]
    return OtherExport(path, sum(file.stat().st_size for file in files), reader, found_difference, kept)


def _target(name: str, path: Path) -> Path:
    """The file or folder that is written for a name; something else of this name is not replaced."""
    ending = _FORMATS[name].ending
    if name == "gguf":
        if path.suffix.lower() != ending:
            raise UserError(f"{path} does not end in {ending}; give {path.with_suffix(ending)}")
        return target_of(path, MAGIC)
    path = Path(os.path.realpath(path))
    if path.exists() and not (path / "config.json").is_file() and not (path.is_dir() and not any(path.iterdir())):
        raise UserError(f"{path} exists and is no Hugging Face folder, and would be lost; give another name")
    return path


def _verify(format_: _Format, path: Path, model: Checkpoint, dtype: str) -> tuple[str, float]:
    """Which program has read the export, and by how much its logits differ."""
    config = model.config
    questions = Questions.of(config.vocab_size, config.max_seq_len)
    expected = questions.expected(model.vocab, stored_network(model.config, model.weights, dtype))
    answer = ask(format_.package, path, asdict(questions) | {"vocab_size": config.vocab_size})
    found = format_.read(path, questions) if answer is None else Answers.of(answer)
    return found.program, difference(questions, expected, found, format_.limits[dtype])
