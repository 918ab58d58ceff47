"""Writing a model file and proving that it says what the network says."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lai.data.vocab import Vocab
from lai.errors import UserError
from lai.export.model_file import ModelFile, read_model, write_model
from lai.model.transformer import ModelConfig, Transformer

TOLERANCE = {"f32": 1e-5, "f16": 2e-2, "q8_0": 1e-1, "q4_0": 1.0}
"""The largest difference of a logit, as a share of the largest logit; quantised weights are meant to differ."""


@dataclass(frozen=True)
class ExportReport:
    """What was written, for the last lines of a run."""

    path: Path
    config: ModelConfig
    parameters: int
    file_size: int
    difference: float

    def __str__(self) -> str:
        config = self.config
        return (
            f"{self.path}: dim {config.dim}, hidden_dim {config.hidden_dim}, n_layers {config.n_layers}, "
            f"n_heads {config.n_heads}, n_kv_heads {config.n_kv_heads}, max_seq_len {config.max_seq_len}, "
            f"vocab_size {config.vocab_size}; {self.parameters:,} parameters, {self.file_size / 1e6:.1f} MB; "
            f"read back, logits differ by {self.difference:.1e} of the largest"
        )


def export_model(
    path: Path | str, config: ModelConfig, weights: Mapping[str, Tensor], vocab: Vocab, dtype: str = "f32"
) -> ExportReport:
    """Write a model file, read it back and compare its logits with the network's.

    Raises:
        UserError: the weights cannot be written, or what was read back computes something else.
    """
    write_model(path, config, weights, vocab, dtype)
    network = Transformer(config)
    network.load_state_dict(dict(weights))
    difference = _difference(network.eval(), read_model(path))
    if not difference <= TOLERANCE[dtype]:
        raise UserError(f"{path} was written, but its logits differ by {difference:.1e} of the largest: do not use it")
    parameters, _ = config.parameter_counts()
    return ExportReport(Path(path), config, parameters, Path(path).stat().st_size, difference)


@torch.inference_mode()
def _difference(network: Transformer, written: ModelFile) -> float:
    length = min(64, network.config.max_seq_len)
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(network.config.vocab_size, (1, length), generator=generator)
    expected, found = network(tokens), written.build()(tokens)
    return float((expected - found).abs().max() / expected.abs().max())
