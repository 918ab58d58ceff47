"""What a run chooses for itself: device, precision, learning rate for the model's width, row length."""

import math
from collections.abc import Callable
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from lai.host.errors import UserError

# The matrices' learning rate. It keeps the largest singular value of a step equal for all widths. That value grows with
# the width in AdamW, whose elements may all point one way, and with sqrt(width) in Muon, whose directions have one size
# (Yang et al. 2022, 2023; benchmarks/recipes.md).
_LR_OF_WIDTH: dict[str, Callable[[int], float]] = {
    "adamw": lambda dim: 0.125 / dim,
    "muon": lambda dim: 0.02 / math.sqrt(dim),
}


_TIMES_OF_FACTORS = 10
"""How much higher the rate of low-rank factors is (model.lora; Schulman et al. 2025, "LoRA Without Regret")."""


def choose_values(config: DictConfig, devices: Path) -> None:
    """Fill in what `config` leaves to the machine and the model; `devices` is the folder of device YAML files.

    Raises:
        UserError: `trainer.accelerator` is not one of those devices.
    """
    _choose_device(config, devices)
    _choose_precision(config)
    _choose_learning_rate(config)
    _choose_seq_len(config)


def _choose_device(config: DictConfig, devices: Path) -> None:
    """Replace `device=auto` by this machine's device, or by `trainer.accelerator` if that is given."""
    device = config.device
    if device.get("name") != "auto":
        return
    asked = name = OmegaConf.select(config, "trainer.accelerator")
    if asked in (None, "auto", "gpu"):
        name = _detect_accelerator()
        if (asked, name) == ("gpu", "cpu"):
            name = "cuda"  # refused later, by its name
    file = devices / f"{name}.yaml"
    if not file.is_file():
        raise UserError(f"trainer.accelerator={asked} is not one of auto, cpu, mps, cuda")
    values = OmegaConf.load(file)
    assert isinstance(values, DictConfig)
    for key, value in values.items():
        if key in ("name", "accelerator") or device.get(key) is None:
            device[key] = value


def _choose_precision(config: DictConfig) -> None:
    """Replace the device's `precision: auto` by the faster one on this CPU."""
    if config.device.get("precision") == "auto":
        from lai.host.cpu import multiplies_bf16

        config.device.precision = "bf16-mixed" if multiplies_bf16() else "32-true"


def _choose_learning_rate(config: DictConfig) -> None:
    """Replace `optimizer.lr: null` by the optimizer's learning rate for the model's width.

    An unknown optimizer or an impossible width gets a rate, too: later checks report the optimizer or the width.
    """
    if "lr" in config.optimizer and config.optimizer.lr is None:
        dim = config.model.get("dim")
        of_width = _LR_OF_WIDTH.get(config.optimizer.get("name"), _LR_OF_WIDTH["adamw"])
        rank = OmegaConf.select(config, "model.lora.rank")
        times = _TIMES_OF_FACTORS if isinstance(rank, int) and rank > 0 else 1
        config.optimizer.lr = times * of_width(dim if isinstance(dim, int) and dim > 0 else 1)


def _choose_seq_len(config: DictConfig) -> None:
    """Replace `data.seq_len: null` by the model's context length."""
    if config.data.get("seq_len") is None:
        config.data.seq_len = config.model.get("max_seq_len")


def _detect_accelerator() -> str:
    """The best accelerator of this machine: cuda, mps or cpu."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
