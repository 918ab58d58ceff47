"""Writes a model file, reads it back and proves that it computes what the network computes."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lai.export import quantize
from lai.export.lai_file import ModelFile, are_equal, model_target, read_model, write_model
from lai.host.errors import UserError
from lai.host.files import replace_and_keep, sync_directory
from lai.host.temporary import held
from lai.model.manifest import Content
from lai.model.record import UNKNOWN, TrainingRecord
from lai.model.transformer import ModelConfig, Transformer
from lai.tokenizer.vocab import Vocab

TOLERANCE = 1e-5
"""The largest accepted difference of a logit, as a share of the largest logit."""


@dataclass(frozen=True)
class ExportReport:
    """The file that was written, for the last lines of a run."""

    path: Path
    config: ModelConfig
    parameters: int
    file_size: int
    difference: float
    training: TrainingRecord
    kept: Path | None
    """The new name of an earlier file of the same name; None where there was none."""

    def __str__(self) -> str:
        config = self.config
        return (
            f"{self.path}: dim {config.dim}, hidden_dim {config.hidden_dim}, n_layers {config.n_layers}, "
            f"n_heads {config.n_heads}, n_kv_heads {config.n_kv_heads}, max_seq_len {config.max_seq_len}, "
            f"vocab_size {config.vocab_size}; {self.parameters:,} parameters, {self.file_size / 1e6:.1f} MB; "
            f"read back, logits differ by {self.difference:.1e} of the largest"
        )

    def kept_line(self) -> str | None:
        """The line on an earlier model of the same name; None where there was none."""
        return None if self.kept is None else f"the earlier {self.path.name} is kept as {self.kept}"


def export_model(
    path: Path | str,
    config: ModelConfig,
    weights: Mapping[str, Tensor],
    vocab: Vocab,
    dtype: str = "f32",
    training: TrainingRecord = UNKNOWN,
    manifest: Content | None = None,
) -> ExportReport:
    """Write a model file; it gets its name only after the file, read back, has computed the network's logits.

    An earlier model of the same name is kept under another name if it differs in more than its manifest
    (`lai.host.files.replace_and_keep`).

    Raises:
        UserError: weights are not finite or cannot be written, or the file computes other logits.
    """
    path = model_target(path)
    if odd := [name for name, weight in weights.items() if not bool(weight.isfinite().all())]:
        raise UserError(f"{path} is not written: weights of {odd[0]} are not finite; training diverged")
    unverified = path.with_name(f".{path.name}.{os.getpid()}.unverified")  # another run may write the same file
    try:
        write_model(unverified, config, weights, vocab, dtype, training, manifest)
        with held(unverified):
            difference = _difference(stored_network(config, weights, dtype), read_model(unverified))
        if not difference <= TOLERANCE:
            raise UserError(f"{path} is not written: read back, its logits differ by {difference:.1e} of the largest")
        kept = replace_and_keep(unverified, path, are_equal)
    finally:
        unverified.unlink(missing_ok=True)
    sync_directory(path.parent)
    parameters, _ = config.parameter_counts()
    return ExportReport(path, config, parameters, path.stat().st_size, difference, training, kept)


def stored_network(config: ModelConfig, weights: Mapping[str, Tensor], dtype: str) -> Transformer:
    """The network with its matrices rounded to what `dtype`, one of any format's, stores."""
    network = Transformer(config)
    network.load_state_dict(dict(weights))
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 2 and dtype == "bf16":
                parameter.copy_(parameter.bfloat16())
            elif parameter.ndim == 2:
                rounded = quantize.decode(quantize.encode(parameter.numpy(), dtype), tuple(parameter.shape), dtype)
                parameter.copy_(torch.from_numpy(rounded))
    return network.eval()


@torch.inference_mode()
def _difference(network: Transformer, written: ModelFile) -> float:
    length = min(64, network.config.max_seq_len)
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(network.config.vocab_size, (1, length), generator=generator)
    expected, found = network(tokens), written.build()(tokens)
    return float((expected - found).abs().max() / expected.abs().max())
