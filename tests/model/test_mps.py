"""A training step as an Apple GPU would do it, looked at without one.

The step runs on the `meta` device, so the code takes the ways of an accelerator. Each operator that PyTorch dispatches
is looked up in PyTorch's own table of kernels (torchgen's native_functions.yaml, which the package carries).
"""

import functools
from contextlib import nullcontext
from importlib.resources import files
from types import SimpleNamespace

import pytest
import torch
import yaml
from runs import composed
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from lai.config.load import load_run_config
from lai.model.module import LanguageModel
from lai.model.optimizers import build_optimizer
from lai.model.transformer import ModelConfig

CONFIG = ModelConfig(dim=64, hidden_dim=96, n_layers=2, n_heads=2, n_kv_heads=2, vocab_size=128, max_seq_len=32)

_ANY_DEVICE = ("CompositeExplicitAutograd", "CompositeExplicitAutogradNonFunctional", "CompositeImplicitAutograd")


@functools.cache
def operators_of_mps() -> frozenset[str]:
    """The operators that have a kernel for MPS, or one for any device, or that call one (structured_delegate)."""
    table = files("torchgen").joinpath("packaged/ATen/native/native_functions.yaml").read_text(encoding="utf-8")
    entries = {
        entry["func"].split("(")[0]: entry for entry in yaml.load(table, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    }

    def has_kernel(name: str) -> bool:
        entry = entries[name]
        if delegate := entry.get("structured_delegate"):
            return has_kernel(delegate)
        keys = [
            key.strip() for keys in entry.get("dispatch", {"CompositeImplicitAutograd": ""}) for key in keys.split(",")
        ]
        return "MPS" in keys or any(key in keys for key in _ANY_DEVICE)

    return frozenset(name for name in entries if has_kernel(name))


class MpsGuard(TorchDispatchMode):
    """Collects what a step does that Apple GPUs cannot do, or that would wait for a copy from the CPU."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.faults: set[str] = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function._schema.name.removeprefix("aten::")
        overload = function._schema.overload_name
        name = f"{name}.{overload}" if overload else name
        self.seen.add(name)
        if function.namespace == "aten" and name not in operators_of_mps():
            self.faults.add(f"{name} has no MPS kernel")
        result = function(*args, **(kwargs or {}))
        for value in torch.utils._pytree.tree_leaves((args, kwargs, result)):
            if isinstance(value, torch.Tensor) and not (value.ndim == 0 and value.device.type == "cpu"):
                if value.dtype == torch.float64 or value.is_complex():
                    self.faults.add(f"{name} with {value.dtype}")
                if value.device.type != "meta":
                    self.faults.add(f"{name} with a tensor on {value.device}")
        return result


def faults_of_a_step(module: LanguageModel, optimizer: torch.optim.Optimizer, **batch: torch.Tensor | None) -> MpsGuard:
    module._trainer = SimpleNamespace(world_size=1, optimizers=[optimizer])
    with MpsGuard() as guard:
        module.training_step(batch, 0).backward()
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return guard


@pytest.fixture
def no_autocast(monkeypatch):
    """Autocast, which a run on MPS does not use, knows no `meta` device."""
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda kind=None: False)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())


@pytest.mark.parametrize("recomputes", [False, True])
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("several_documents", [False, True])
def test_a_training_step_does_nothing_that_mps_cannot(
    optimizer, several_documents, recomputes, no_autocast, monkeypatch
):
    logged = {}
    monkeypatch.setattr(LanguageModel, "log", lambda _, name, value, **__: logged.update({name: value}))
    run = load_run_config(composed("output_dir=out", "device=cpu", f"optimizer={optimizer}"))
    byte_lengths = torch.ones(CONFIG.vocab_size)
    with torch.device("meta"):
        module = LanguageModel(CONFIG, b"", byte_lengths, run.optimizer, run.schedule)
        tokens = torch.zeros(2, 32, dtype=torch.long)
        documents = torch.zeros(2, 32, dtype=torch.long) if several_documents else None
        step = build_optimizer(module.model, run.optimizer, fused=False)  # PyTorch has no fused step on `meta`
    module.model.recomputes_activations = recomputes
    guard = faults_of_a_step(module, step, tokens=tokens, documents=documents, targets=tokens)
    assert guard.faults == set()
    assert {"embedding", "mm", "addcdiv_"} <= guard.seen
    assert "_fused_adamw_" in operators_of_mps()
    assert logged["train/loss"].device.type == "meta"  # no figure of a step waits for a copy to the CPU


def test_the_guard_finds_what_mps_cannot():
    with MpsGuard() as guard:
        torch.ones(2, device="meta", dtype=torch.float64) + 1
        torch.linalg.eigvals(torch.ones(2, 2, device="meta"))
        torch.view_as_complex(torch.ones(2, 2, device="meta"))
        torch.ones(2, device="meta") * 2
        torch.ones(3)
    assert any("float64" in fault for fault in guard.faults)
    assert "view_as_complex with torch.complex64" in guard.faults
    assert any("has no MPS kernel" in fault for fault in guard.faults)
    assert any("on cpu" in fault for fault in guard.faults)
    assert not any(fault.startswith("mul") for fault in guard.faults)
