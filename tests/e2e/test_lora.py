"""Whole runs with low-rank factors: what trains, what is resumed, and what the files hold."""

import json
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import FSDPStrategy
from processes import python
from runs import TINY, composed, content_of, example_lines, rows_of
from toy_callbacks import LIGHTNING, exported, measured, with_callback
from toy_checkpoints import edited
from toy_lora import with_lora

from lai.config.load import load_run_config
from lai.config.schema import LORA_TARGETS
from lai.export.checkpoint import read_checkpoint
from lai.export.lai_file import read_model
from lai.host.errors import UserError
from lai.model.module import LanguageModel
from lai.model.transformer import ModelConfig
from lai.train import train

# LoRA of a run from random weights, which the rules refuse: what is trained is the same.
WITHOUT_RULES = """
import lai.config.load
lai.config.load.check_rules = lambda run: None
from lai.train import main
main()
"""


@pytest.fixture(scope="module")
def lora_checkpoint(tmp_path_factory):
    """A checkpoint of a small run with LoRA of rank 4."""
    folder = tmp_path_factory.mktemp("lora")
    (folder / "text.txt").write_text("\n".join(example_lines(60)) + "\n", encoding="utf-8")
    files = (f"output_dir={folder / 'run'}", f"data.cache_dir={folder / 'cache'}", f"export.path={folder / 'm.bin'}")
    more = (*TINY, *files, f"data.path={folder / 'text.txt'}", "trainer.max_steps=2")
    train(with_lora(load_run_config(composed(*more), more)))
    return folder / "run" / "checkpoints" / "last.ckpt"


def summed(path, rank, alpha):
    """The weights of a checkpoint, each with its factors' product, in plain PyTorch."""
    stored = {
        name.removeprefix("model."): one for name, one in torch.load(path, weights_only=True)["state_dict"].items()
    }
    plain = {name: one.double() for name, one in stored.items() if ".lora_" not in name}
    for name, a in stored.items():
        if name.endswith(".lora_a"):
            b = stored[name.replace("lora_a", "lora_b")]
            plain[name.replace("lora_a", "weight")] += alpha / rank * (b.double() @ a.double())
    return {name: one.float() for name, one in plain.items()}


@pytest.mark.parametrize(
    "overrides",
    [
        pytest.param(("trainer.gradient_clip_val=0.1",), marks=pytest.mark.heavy),
        pytest.param(("optimizer=muon", "trainer.accumulate_grad_batches=3"), marks=pytest.mark.heavy),
        ("trainer.precision=bf16-mixed", "device.recompute_activations=true", "model.tie_embeddings=false"),
    ],
    ids=str,
)
def test_an_interrupted_and_resumed_run_does_exactly_what_an_undisturbed_one_does(
    tmp_path, compose_run, text_file, overrides
):
    common = (f"data.path={text_file}", "trainer.max_epochs=2", "trainer.val_check_interval=11", *overrides)
    expected = train(with_lora(compose_run(*common, f"output_dir={tmp_path / 'whole'}")))
    model = content_of(tmp_path / "model.bin")
    stopped = with_lora(compose_run(*common, f"output_dir={tmp_path / 'stopped'}"))
    stopped.callbacks["signal_at"] = {"_target_": "toy_callbacks.SignalAt", "batch": 15}
    with pytest.raises(KeyboardInterrupt):
        train(stopped)
    last = tmp_path / "stopped" / "checkpoints" / "last.ckpt"
    assert train(with_lora(compose_run(*common, f"output_dir={tmp_path / 'resumed'}", f"ckpt_path={last}"))) == expected
    assert content_of(tmp_path / "model.bin") == model
    whole, *parts = (rows_of(tmp_path / name, "val/loss") for name in ("whole", "stopped", "resumed"))
    assert whole == parts[0] + parts[1]


def test_exports_and_checkpoints_hold_one_plain_model(tmp_path, compose_run, text_file, run, caplog):
    """The model file, `lai-export` of both checkpoints, and the sum by hand have the same weights."""
    settings = with_lora(compose_run(f"data.path={text_file}", "trainer.max_steps=12"), rank=2, alpha=6.0)
    with caplog.at_level("INFO", logger="lai"):
        train(settings)
    assert "warning" not in caplog.text
    factors = 2 * 2 * (4 * (32 + 32) + 3 * (32 + 64))  # layers, rank, sides
    model = read_model(tmp_path / "model.bin")
    total, _ = model.config.parameter_counts()  # of the plain network
    assert f"lora        rank 2, alpha 6, {factors:,} of {total + factors:,} parameters train" in caplog.text
    plain = ModelConfig.of(settings.model, model.config.vocab_size)
    manifest = json.loads((tmp_path / "run" / "run.json").read_text())
    assert manifest["model"] == {
        "name": "tiny",
        **plain.to_dict(),
        "parameters": total,
        "without_embedding": plain.parameter_counts()[1],
        "lora": {"rank": 2, "alpha": 6.0, "targets": [*LORA_TARGETS], "parameters": factors},
    }
    checkpoints = sorted((tmp_path / "run" / "checkpoints").iterdir())
    assert [path.name for path in checkpoints] == ["last.ckpt", "step12.ckpt"]
    for path in checkpoints:
        expected, read = summed(path, 2, 6.0), read_checkpoint(path)
        assert read.weights.keys() == expected.keys() == model.weights.keys() - {"output.weight"}
        for name, weight in expected.items():
            assert torch.equal(read.weights[name], weight) and torch.equal(model.weights[name], weight)
        status, _, error = run("lai.programs.export", path, "--output", tmp_path / "again.bin")
        assert status == 0, error
        assert content_of(tmp_path / "again.bin")[256:] == content_of(tmp_path / "model.bin")[256:]
        status, output, _ = run("lai.info", path)
        assert status == 0 and "lora.rank" in output


def test_the_weights_stay_and_the_factors_learn(tmp_path, compose_run, text_file):
    common = (f"data.path={text_file}", "trainer.max_epochs=2", "checkpoint.keep=all", "trainer.val_check_interval=11")
    train(with_lora(compose_run(*common, "optimizer.lr=0.02")))
    first, last = (
        torch.load(tmp_path / "run" / "checkpoints" / name, weights_only=True)["state_dict"]
        for name in (next((tmp_path / "run" / "checkpoints").glob("step*")).name, "last.ckpt")
    )
    for name, weight in last.items():
        if name.endswith("lora_b"):
            assert bool(weight.any()), name
        elif not name.endswith("lora_a"):
            assert torch.equal(first[name], weight), name
    losses = [value for _, value in rows_of(tmp_path / "run", "val/loss")]
    assert losses[-1] < losses[0] - 0.05


def test_a_checkpoint_with_other_factors_is_refused_in_one_line(tmp_path, compose_run, text_file):
    common = (f"data.path={text_file}", "trainer.max_steps=3")
    train(with_lora(compose_run(*common, f"output_dir={tmp_path / 'lora'}"), rank=8))
    train(compose_run(*common, f"output_dir={tmp_path / 'full'}"))
    lora, full = (f"ckpt_path={tmp_path / name / 'checkpoints' / 'last.ckpt'}" for name in ("lora", "full"))
    for ckpt_path, settings, words in (
        (
            lora,
            {"rank": 4},
            r"has LoRA of rank 8, alpha 16, targets q .* this run has LoRA of rank 4,.*same model\.lora",
        ),
        (lora, {"rank": 8, "alpha": 8.0}, "alpha 16, .* alpha 8, "),
        (lora, {"rank": 8, "targets": ["q", "v"]}, "targets q k v o gate up down, .* targets q v; "),
        (lora, {"rank": 0}, "this run has no LoRA; use the same"),
        (full, {"rank": 8}, "the checkpoint has no LoRA, this run has LoRA of rank 8.*init_from=FILE"),
    ):
        with pytest.raises(UserError, match=words) as raised:
            train(with_lora(compose_run(*common, ckpt_path), **settings))
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda lai: lai["lora"].update(rank=3), r"float32 of shape \(4, 32\), expected .*\(3, 32\)"),
        (lambda lai: lai["lora"].update(rank=0), r"lai\.lora\.rank is 0, expected at least 1"),
        (lambda lai: lai["lora"].update(rank=-1), r"lai\.lora\.rank is -1, expected a whole number"),
        (lambda lai: lai["lora"].update(alpha=-1.0), r"alpha is -1\.0; it must be more than 0"),
        (lambda lai: lai["lora"].update(targets=["x"]), r"lai\.lora\.targets\.0 is 'x'"),
        (lambda lai: lai["lora"].update(more=1), r"lai\.lora\.more is unknown"),
        (lambda lai: lai.pop("lora"), r"lora_a is unknown"),
    ],
    ids=["another rank", "rank 0", "below 0", "alpha", "targets", "more", "without"],
)
def test_a_checkpoint_whose_factors_are_not_as_it_says_is_not_read(lora_checkpoint, tmp_path, change, words):
    path = edited(lora_checkpoint, lambda content: change(content["lai"]), tmp_path / "edited.ckpt")
    with pytest.raises(UserError, match=words) as raised:
        read_checkpoint(path)
    assert "\n" not in str(raised.value)


@pytest.mark.heavy
def test_two_processes_learn_what_one_does(tmp_path, text_file):
    """The same steps by one process and by two, each with half of the rows: only their shares of tokens differ."""
    (tmp_path / "train_lora.py").write_text(WITHOUT_RULES, encoding="utf-8")
    found = []
    for devices, rows in ((1, 8), (2, 4)):
        more = ("model.lora.rank=4", f"trainer.devices={devices}", f"data.batch_size={rows}", "optimizer.eps=1e-3")
        done = python(
            *("train_lora.py", *TINY, *more, f"data.path={text_file}", "trainer.max_steps=3", "trainer.strategy=auto"),
            *(f"export.path={devices}.bin", f"hydra.run.dir={devices}"),
            cwd=tmp_path,
            OMP_NUM_THREADS="1",
        )
        assert done.returncode == 0, done.stderr
        state = torch.load(tmp_path / str(devices) / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        found.append({name: weight for name, weight in state.items() if name.endswith("lora_b")})
    for name, weight in found[0].items():  # from zeros
        assert float((found[1][name] - weight).norm()) < 0.1 * float(weight.norm()), name


def test_a_run_with_lora_can_be_estimated_and_chooses_its_batch(compose_run, text_file, caplog):
    with caplog.at_level("INFO", logger="lai"):
        train(with_lora(compose_run(f"data.path={text_file}", "+estimate=true", "data.batch_size=auto")))
    assert "the largest batch that fits is" in caplog.text
    assert "tokens a parameter" not in caplog.text  # what the weights have read before is not known


class ScaleForValidation(Callback):
    """Validates other factors than those that are trained and kept."""

    def on_validation_start(self, trainer, pl_module):
        pl_module.model.layers[0].attn.wq.lora_a.data.mul_(2)

    def on_validation_end(self, trainer, pl_module):
        pl_module.model.layers[0].attn.wq.lora_a.data.mul_(0.5)


def test_loss_of_other_factors_than_the_exported_draws_a_warning(compose_run, text_file, caplog):
    run = with_lora(compose_run(f"data.path={text_file}", "trainer.max_steps=9"))
    train(with_callback(run, f"{__name__}.ScaleForValidation"))
    assert "is not that of the exported weights" in caplog.text


def test_loss_in_the_record_is_that_of_the_merged_weights(tmp_path, compose_run, text_file):
    run = with_lora(compose_run(f"data.path={text_file}", "trainer.max_steps=30", "optimizer.lr=0.02"))
    assert train(run) == pytest.approx(measured(run, exported(tmp_path)), rel=1e-5)


def test_averaged_factors_are_exported(tmp_path, compose_run, text_file, caplog):
    run = with_lora(compose_run(f"data.path={text_file}", "trainer.max_steps=30", "optimizer.lr=0.02"))
    loss = train(with_callback(run, f"{LIGHTNING}.EMAWeightAveraging", decay=0.5))
    assert loss == pytest.approx(measured(run, exported(tmp_path)), rel=1e-4)
    assert "is not that of the exported weights" not in caplog.text


def test_fsdp_which_splits_factors_is_refused_in_one_line(compose_run, small_vocab):
    run = with_lora(compose_run())
    config = ModelConfig.of(run.model, len(small_vocab))
    lengths = torch.from_numpy(small_vocab.byte_lengths.copy())
    module = LanguageModel(config, small_vocab.to_bytes(), lengths, run.optimizer, run.schedule)
    module.add_lora(run.model.lora, run.seed)
    module._trainer = SimpleNamespace(strategy=FSDPStrategy())
    with pytest.raises(UserError, match=r"^model\.lora needs whole factors.*trainer\.strategy=ddp"):
        module.configure_optimizers()
