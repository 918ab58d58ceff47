"""The check of an accelerator: a CPU stands for it, whose kernels compute something else where a test says so."""

import math
import re
from contextlib import AbstractContextManager, contextmanager, nullcontext

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from lai.host.errors import UserError
from lai.model.transformer import ModelConfig, Transformer
from lai.run import accelerator_check
from lai.run.accelerator_check import FLOAT32, MIXED, check_accelerator, compare, small, ways_of
from lai.run.build import build_trainer
from lai.train import train

CPU = torch.device("cpu")
CONFIG = ModelConfig(dim=64, hidden_dim=96, n_layers=4, n_heads=4, n_kv_heads=2, vocab_size=900, max_seq_len=512)


@pytest.fixture(scope="module")
def network() -> Transformer:
    torch.manual_seed(0)
    return Transformer(small(CONFIG, 40))


class Halved(torch.autograd.Function):
    """The same value with half the gradient."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return gradient / 2


class Faulty(TorchFunctionMode):
    """Replaces the result of one of PyTorch's functions."""

    def __init__(self, name: str, change) -> None:
        super().__init__()
        self.name, self.change = name, change

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        return self.change(result) if function.__name__ == self.name else result


FAULTS = {
    # Attention's scores are masked with minus infinity: 1e-2 of each weight goes to all tokens, also to later ones.
    "attention reads future tokens": ("softmax", lambda weights: 0.99 * weights + 0.01 / weights.shape[-1]),
    "the (loss|gradient)": ("linear", lambda product: product * 1.1),
    "the gradient of": ("linear", Halved.apply),
    "the loss is nan": ("embedding", lambda rows: rows * math.nan),
}


@pytest.mark.parametrize("way", [FLOAT32, *MIXED.values()], ids=lambda way: way.name)
def test_a_device_that_computes_as_the_cpu_does_passes(network, way):
    compare(network, CPU, [way])


@pytest.mark.parametrize("words", FAULTS)
@pytest.mark.parametrize("way", [FLOAT32, MIXED["bf16-mixed"]], ids=lambda way: way.name)
def test_a_faulty_kernel_is_one_line_that_names_the_safer_setting(monkeypatch, network, words, way):
    healthy = accelerator_check.computing

    @contextmanager
    def computing(device, dtype):
        with healthy(device, dtype), Faulty(*FAULTS[words]) if dtype == way.dtype else nullcontext():
            yield

    monkeypatch.setattr(accelerator_check, "computing", computing)
    with pytest.raises(UserError) as caught:
        compare(network, CPU, [FLOAT32, MIXED["bf16-mixed"]])
    line = str(caught.value)
    assert re.search(f"computes wrongly in {way.name}: {words}", line) and line.endswith(f"use {way.safer}")
    assert "\n" not in line


@pytest.mark.parametrize(
    ("device", "error", "words"),
    [
        (
            "mps",
            NotImplementedError("no kernel\nfor it"),
            "PYTORCH_ENABLE_MPS_FALLBACK=1 in the environment, or trainer",
        ),
        ("cuda", RuntimeError("no kernel"), "no kernel; use trainer.accelerator=cpu"),
    ],
)
def test_a_device_that_cannot_compute_is_one_line(monkeypatch, network, device, error, words):
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(Transformer, "to", refuse)
    with pytest.raises(UserError, match=words) as caught:
        compare(network, torch.device(device), [FLOAT32])
    assert "\n" not in str(caught.value)


def test_the_small_network_is_of_the_same_kind():
    for heads, kv_heads in ((4, 4), (32, 4), (16, 16), (3, 1)):
        config = ModelConfig(
            dim=24 * heads,
            hidden_dim=9999,
            n_layers=9,
            n_heads=heads,
            n_kv_heads=kv_heads,
            vocab_size=50,
            max_seq_len=1,
        )
        found = small(config, 1)
        assert found.head_dim == 24 and found.n_heads // found.n_kv_heads == heads // kv_heads
        assert (found.n_layers, found.vocab_size) == (2, 50)
        compare(Transformer(found), CPU, [FLOAT32])


def test_the_ways_of_a_run_are_tried_from_the_safest_on(compose_run):
    run, cuda = compose_run("device.tf32=true"), torch.device("cuda")
    assert [way.name for way in ways_of(run, "bf16-mixed", cuda)] == ["float32", "TF32", "bf16-mixed"]
    assert [way.name for way in ways_of(run, "32-true", torch.device("mps"))] == ["float32"]


def test_a_run_on_a_faulty_accelerator_ends_before_its_model_is_built(compose_run, text_file, monkeypatch):
    def computing(*_: object) -> AbstractContextManager[object]:
        return Faulty("linear", Halved.apply)

    def never(*_: object) -> None:
        raise AssertionError("the model is built")

    monkeypatch.setattr(accelerator_check, "computing", computing)
    monkeypatch.setattr(accelerator_check, "is_accelerator", lambda _: True)
    monkeypatch.setattr("lai.run.build.build_module", never)
    with pytest.raises(UserError, match=r"the gradient of .* use trainer\.accelerator=cpu"):
        train(compose_run(f"data.path={text_file}"))
    run = compose_run("device.check=false")
    check_accelerator(run, CONFIG, build_trainer(run, []))


def test_the_check_leaves_the_random_numbers_of_a_run_alone(compose_run, monkeypatch):
    monkeypatch.setattr(accelerator_check, "is_accelerator", lambda _: True)
    run = compose_run()
    trainer = build_trainer(run, [])
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    check_accelerator(run, CONFIG, trainer)
    assert torch.equal(torch.rand(3), expected)
