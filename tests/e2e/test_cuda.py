"""What only a CUDA device can show: that it computes what the CPU does, and that whole runs on it work."""

import math
import re

import pytest
import torch
import torch.nn.functional as F
from processes import lai_train
from runs import TINY, rows_of
from toy_callbacks import BadLoss, with_callback

from lai.config.schema import OptimizerSettings
from lai.export.lai_file import read_model
from lai.model.loss import linear_cross_entropy
from lai.model.optimizers import build_optimizer
from lai.model.transformer import ModelConfig, Transformer, is_causal
from lai.run.accelerator_check import FLOAT32, MIXED, TF32, compare, small
from lai.tokenizer.targets import IGNORE_INDEX
from lai.train import train

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")

CONFIG = ModelConfig(
    dim=128, hidden_dim=256, n_layers=2, n_heads=4, n_kv_heads=2, vocab_size=500, max_seq_len=64, tie_embeddings=True
)


@pytest.fixture
def networks():
    """The same network on the CPU and on the device."""
    torch.manual_seed(0)
    network = Transformer(CONFIG)
    copy = Transformer(CONFIG).cuda()
    copy.load_state_dict(network.state_dict())
    return network, copy


@pytest.fixture
def batch():
    """Two packed rows of three documents each, and what follows each token."""
    tokens = torch.randint(500, (2, 64), generator=torch.Generator().manual_seed(1))
    documents = (torch.arange(64) // 24).expand(2, -1).contiguous()
    targets = tokens.roll(-1, 1)
    targets[:, [23, 47, 63]] = IGNORE_INDEX
    return {"tokens": tokens, "documents": documents, "targets": targets}


def loss_and_gradients(network, batch, device, dtype=None):
    network.zero_grad()
    with torch.autocast(device, dtype, enabled=dtype is not None):
        loss = network(**{name: tensor.to(device) for name, tensor in batch.items()})
    loss.backward()
    return loss.item(), {name: parameter.grad.cpu() for name, parameter in network.named_parameters()}


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize(
    ("dtype", "of_loss", "of_gradients"),
    [(None, 1e-5, 1e-4), (torch.bfloat16, 1e-3, 0.03)],
    ids=["float32", "bfloat16"],
)
def test_loss_and_gradients_equal_those_of_the_cpu(networks, batch, compiled, dtype, of_loss, of_gradients):
    here, there = networks
    if compiled:
        there.compile()
    loss, gradients = loss_and_gradients(here, batch, "cpu")
    on_device, found = loss_and_gradients(there, batch, "cuda", dtype)
    assert on_device == pytest.approx(loss, rel=of_loss)
    for name, gradient in gradients.items():
        assert (found[name] - gradient).norm() <= of_gradients * gradient.norm(), name


def test_recomputed_activations_change_nothing(networks, batch):
    _, there = networks
    loss, gradients = loss_and_gradients(there, batch, "cuda")
    there.recomputes_activations = True
    again, found = loss_and_gradients(there, batch, "cuda")
    assert again == pytest.approx(loss, rel=1e-6)
    for name, gradient in gradients.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-4 * gradient.abs().max().item())


def test_no_token_sees_a_later_one_and_a_packed_document_stands_alone(networks, batch):
    _, there = networks
    assert is_causal(there)
    tokens, documents = batch["tokens"].cuda(), batch["documents"].cuda()
    with torch.no_grad():
        torch.testing.assert_close(there(tokens, documents)[:, 24:48], there(tokens[:, 24:48]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_loss_is_that_of_whole_logits(dtype):
    generator = torch.Generator("cuda").manual_seed(0)
    hidden = torch.randn(3000, 64, device="cuda", generator=generator).to(dtype)
    weight = (torch.randn(700, 64, device="cuda", generator=generator) / 8).to(dtype)
    targets = torch.randint(700, (3000,), device="cuda", generator=generator)
    targets[::7] = IGNORE_INDEX
    expected = F.cross_entropy(
        F.linear(hidden.double(), weight.double()), targets, ignore_index=IGNORE_INDEX, reduction="sum"
    )
    found = linear_cross_entropy(hidden, weight, targets)
    assert found.item() == pytest.approx(expected.item(), rel=1e-6 if dtype == torch.float32 else 1e-3)


@pytest.mark.parametrize(("name", "block_rows"), [("adamw", None), ("muon", None), ("muon", 32)])
def test_optimizer_steps_equal_those_of_the_cpu(networks, batch, name, block_rows):
    steps = []
    settings = OptimizerSettings(
        name=name, lr=0.01, embedding_lr=0.02, beta1=0.9, beta2=0.99, eps=1e-8, weight_decay=0.1, block_rows=block_rows
    )
    for device, network in zip(("cpu", "cuda"), networks, strict=True):
        before = [parameter.detach().cpu().clone() for parameter in network.parameters()]
        optimizer = build_optimizer(network, settings)
        loss_and_gradients(network, batch, device)
        for parameter, of_cpu in zip(network.parameters(), networks[0].parameters(), strict=True):
            parameter.grad = of_cpu.grad.to(device)  # AdamW's first step is a sign: rounding could turn it
        optimizer.step()
        steps.append([now.detach().cpu() - then for now, then in zip(network.parameters(), before, strict=True)])
    for (parameter, _), expected, found in zip(networks[0].named_parameters(), *steps, strict=True):
        # Muon's products are bfloat16 on the device.
        assert (found - expected).norm() <= (0.02 if name == "muon" else 1e-4) * expected.norm(), parameter


ON_DEVICE = [setting for setting in TINY if not setting.startswith(("trainer.accelerator", "device.compile"))]


@pytest.mark.parametrize("settings", [("optimizer=muon",), ("trainer.precision=16-mixed", "device.compile=false")])
def test_gpu_run_trains_resumes_and_exports_a_model_that_the_cpu_reads(tmp_path, text_file, settings):
    common = [f"data.path={text_file}", "data=text", f"data.cache_dir={tmp_path / 'cache'}", *ON_DEVICE, *settings]
    common += [f"export.path={tmp_path / 'model.bin'}", "checkpoint.keep=all", "trainer.log_every_n_steps=1"]
    first = lai_train(*common, "trainer.max_epochs=2", f"hydra.run.dir={tmp_path / 'first'}", cwd=tmp_path)
    assert first.returncode == 0, first.stdout + first.stderr
    assert torch.cuda.get_device_name() in first.stdout
    losses = [loss for _, loss in rows_of(tmp_path / "first", "train/loss")]
    assert losses[0] == pytest.approx(math.log(read_model(tmp_path / "model.bin").config.vocab_size), rel=0.02)
    assert losses[-1] < losses[0] - 0.5
    checkpoint = tmp_path / "first" / "checkpoints" / "last.ckpt"
    second = lai_train(
        *(*common, "trainer.max_epochs=3", f"ckpt_path={checkpoint}", f"hydra.run.dir={tmp_path / 'second'}"),
        cwd=tmp_path,
    )
    assert second.returncode == 0, second.stdout + second.stderr
    assert rows_of(tmp_path / "second", "train/loss")[0][0] == len(losses)
    assert rows_of(tmp_path / "second", "val/loss")[-1][1] < rows_of(tmp_path / "first", "val/loss")[-1][1]


@pytest.mark.parametrize("way", [FLOAT32, TF32, *MIXED.values()], ids=lambda way: way.name)
def test_the_comparison_with_the_cpu_passes(way):
    torch.manual_seed(0)
    compare(Transformer(small(CONFIG, 64)), torch.device("cuda"), [way])


def test_a_batch_size_that_fits_is_found(tmp_path, text_file):
    common = [f"data.path={text_file}", "data=text", f"data.cache_dir={tmp_path / 'cache'}", *ON_DEVICE]
    done = lai_train(*common, "data.batch_size=auto", "device.compile=false", "trainer.max_steps=2", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"batches of 1 x 64 tokens \(auto: an epoch has at least 100 batches\)", done.stdout)


def test_an_estimate_measures_the_device(tmp_path, text_file):
    common = [f"data.path={text_file}", "data=text", f"data.cache_dir={tmp_path / 'cache'}", *ON_DEVICE]
    done = lai_train(*common, "+estimate=true", "device.compile=false", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"estimate +[\d,]+ tokens/s", done.stdout)
    assert re.search(r"at most 0\.[0-4] GB", done.stdout)  # of the device; the program takes over a gigabyte


def test_gpu_generates_the_text_of_the_cpu(run, tmp_path, small_vocab):
    from lai.export.lai_file import write_model

    config = ModelConfig(
        dim=64, hidden_dim=128, n_layers=2, n_heads=2, n_kv_heads=2, vocab_size=len(small_vocab), max_seq_len=64
    )
    torch.manual_seed(0)
    write_model(tmp_path / "m.bin", config, Transformer(config).state_dict(), small_vocab)
    arguments = ("-m", tmp_path / "m.bin", "--raw", "-p", "The dog", "--temp", 0, "--tokens", 20)
    status, expected, _ = run("lai.generate", *arguments)
    assert status == 0
    assert run("lai.generate", *arguments, "--device", "cuda")[:2] == (0, expected)


@pytest.mark.parametrize("overrides", [(), ("optimizer=muon",)], ids=["adamw", "muon"])
def test_a_step_that_is_not_finite_changes_nothing_on_the_device(
    tmp_path, compose_run, text_file, monkeypatch, overrides
):
    made = []
    monkeypatch.setattr(BadLoss, "setup", lambda self, *_, **__: made.append(self))
    common = (f"data.path={text_file}", "trainer.log_every_n_steps=1", "trainer.max_epochs=1")
    run = compose_run(*common, "device=cuda", "trainer.accelerator=cuda", *overrides)
    assert math.isfinite(train(with_callback(run, "toy_callbacks.BadLoss", batches=[4, 8])))
    before, after = made[0].before, made[0].after
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert rows_of(tmp_path / "run", "train/skipped_steps")[0] == (5, 1)  # the host hears it a step later


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_a_spike_changes_nothing_on_the_device(tmp_path, compose_run, text_file, monkeypatch, precision):
    made = []
    monkeypatch.setattr(BadLoss, "setup", lambda self, *_, **__: made.append(self))
    common = (f"data.path={text_file}", "skip_spikes=true", "trainer.log_every_n_steps=1", "trainer.max_epochs=5")
    run = compose_run(*common, "device=cuda", "trainer.accelerator=cuda", f"trainer.precision={precision}")
    train(with_callback(run, "toy_callbacks.BadLoss", batches=[105], value=20.0))
    before, after = made[0].before, made[0].after
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert (106, 1) in rows_of(tmp_path / "run", "train/skipped_steps")  # the host hears it a step later
