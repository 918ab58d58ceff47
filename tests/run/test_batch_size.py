"""The batch size that a run chooses, on made-up devices."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from mistakes import mistake
from omegaconf import OmegaConf
from toy_lora import with_lora

from lai.host.errors import UserError
from lai.model.transformer import ModelConfig, Transformer
from lai.run import batch_size, memory
from lai.run.batch_size import check_batch_size, choose_batch_size
from lai.run.memory import Plan, TrainingShape, needed
from lai.train import train

CONFIG = ModelConfig(dim=64, hidden_dim=192, n_layers=3, n_heads=4, n_kv_heads=4, vocab_size=300, max_seq_len=256)


def trainer_on(kind: str) -> SimpleNamespace:
    strategy = SimpleNamespace(root_device=torch.device(kind))
    return SimpleNamespace(strategy=strategy, world_size=1, precision="32-true", num_devices=1)


def corpus_of(tokens: int) -> SimpleNamespace:
    train_stats = SimpleNamespace(tokens=tokens, documents=0)
    return SimpleNamespace(token_files=SimpleNamespace(stats=SimpleNamespace(train=train_stats)))


@pytest.fixture
def auto(compose_run):
    return compose_run("data.batch_size=auto")  # rows of 64 tokens


def chosen(monkeypatch, run, kind: str, free: float | None, tokens: int = 10**9) -> tuple[int, str]:
    shape = TrainingShape(CONFIG, 1, 64, device=kind)
    monkeypatch.setattr(memory, "plan", lambda *_: Plan(shape, free))
    why = choose_batch_size(run, CONFIG, corpus_of(tokens), trainer_on(kind))
    return run.data.batch_size, why


def test_as_many_rows_as_the_free_memory_holds_with_a_margin(monkeypatch, compose_run):
    need = {rows: needed(TrainingShape(CONFIG, rows, 64, device="mps")) for rows in (16, 32)}
    for free, rows in ((1.3 * need[32], 32), (1.2 * need[32], 16), (1.3 * need[16], 16), (1.0, 1)):
        run = compose_run("data.batch_size=auto")
        found, why = chosen(monkeypatch, run, "mps", free)
        if rows > 1:
            found_next = needed(replace(TrainingShape(CONFIG, 2 * rows, 64, device="mps")))
            assert why == f"{2 * rows} need {found_next / 1e9:.1f} GB, {free / 1e9:.1f} GB are free"
        assert found == rows


def test_memory_alone_never_gives_a_batch_that_the_learning_rates_are_not_for(monkeypatch, auto, compose_run):
    assert chosen(monkeypatch, auto, "cpu", 1e15) == (32, "at most 2,048 tokens on cpu")
    run = compose_run("data.batch_size=auto")
    assert chosen(monkeypatch, run, "mps", None) == (256, "at most 16,384 tokens on mps")
    run = compose_run("data.batch_size=auto", "device.max_batch_tokens=1000")
    assert chosen(monkeypatch, run, "mps", None) == (8, "at most 1,000 tokens on mps")  # 15 rows fit
    run = compose_run("data.batch_size=auto")
    assert chosen(monkeypatch, run, "mps", None, tokens=64 * 900) == (8, "an epoch has at least 100 batches")
    run = compose_run("data.batch_size=auto")
    assert chosen(monkeypatch, run, "cpu", None, tokens=64)[0] == 1


def test_on_cuda_a_trial_that_runs_out_of_memory_halves_the_batch(monkeypatch, auto):
    tried = []

    def two_steps(run, *_):
        tried.append(run.data.batch_size)
        if run.data.batch_size > 64:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")

    monkeypatch.setattr(batch_size, "_two_steps", two_steps)
    assert chosen(monkeypatch, auto, "cuda", 1e15) == (64, "128 ran out of memory in a trial")
    assert tried == [256, 128, 64]


def test_a_trial_is_a_step_of_the_run_and_leaves_its_random_numbers_alone(monkeypatch, compose_run):
    seen = []
    forward = Transformer.forward

    def note(network, tokens, *others, **named):
        seen.append(tuple(tokens.shape))
        return forward(network, tokens, *others, **named)

    monkeypatch.setattr(Transformer, "forward", note)
    before = torch.get_rng_state()
    for precision in ("32-true", "bf16-mixed"):
        run, trainer = compose_run("data.batch_size=3", "optimizer=muon"), trainer_on("cpu")
        trainer.precision = precision
        assert batch_size.fits(run, CONFIG, trainer)
    assert seen == [(3, 64)] * 4
    assert torch.equal(torch.get_rng_state(), before)

    trains = []
    step = torch.optim.AdamW.step
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda self: trains.append(self) or step(self))
    assert batch_size.fits(with_lora(compose_run("data.batch_size=3")), CONFIG, trainer_on("cpu"))
    assert sum(len(group["params"]) for group in trains[0].param_groups) == 2 * 7 * CONFIG.n_layers
    assert torch.equal(torch.get_rng_state(), before)

    def fail(*_, **__):
        raise RuntimeError("another error")

    monkeypatch.setattr(Transformer, "forward", fail)
    with pytest.raises(RuntimeError, match="another error"):
        batch_size.fits(compose_run(), CONFIG, trainer_on("cpu"))


def test_several_processes_need_a_number(auto, compose_run):
    with pytest.raises(UserError, match="this run has 2 processes; give it a number"):
        check_batch_size(auto, 2)
    check_batch_size(auto, 1)
    check_batch_size(compose_run("data.batch_size=4"), 2)


@pytest.mark.parametrize("value", ["many", "2.5", "true", "null", "0", "'4'"])
def test_what_is_neither_a_number_nor_auto_is_refused(value):
    assert mistake(f"data.batch_size={value}").endswith("it must be a whole number of at least 1, or auto")


def test_a_resumed_run_keeps_the_size_that_the_first_one_chose(compose_run, text_file, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(batch_size, "_MIN_BATCHES", 2)
    run = compose_run(f"data.path={text_file}", "data.batch_size=auto", "trainer.max_steps=2")
    config = tmp_path / "run" / "config.yaml"
    config.parent.mkdir()
    config.write_text("data: {batch_size: auto, seq_len: 64}\nseed: 0\n")
    with caplog.at_level("INFO", logger="lai"):
        train(run)
    assert run.data.batch_size == 32
    assert "batches of 32 x 64 tokens (auto: at most 2,048 tokens on cpu)" in caplog.text
    assert OmegaConf.load(config) == {"data": {"batch_size": 32, "seq_len": 64}, "seed": 0}

    monkeypatch.setattr(memory, "available", lambda _: 1.0)  # for which one row would be chosen
    monkeypatch.setattr(Plan, "check", lambda *_, **__: None)
    again = compose_run(
        f"data.path={text_file}",
        "data.batch_size=auto",
        "trainer.max_steps=3",
        f"ckpt_path={tmp_path / 'run' / 'checkpoints' / 'last.ckpt'}",
    )
    with caplog.at_level("INFO", logger="lai"):
        train(again)
    assert again.data.batch_size == 32
    assert "batches of 32 x 64 tokens (auto: as in the checkpoint)" in caplog.text
    assert "training resumes at another place" not in caplog.text


def test_a_checkpoint_without_a_batch_size_asks_for_a_number_before_data_are_prepared(
    checkpoint, compose_run, monkeypatch
):
    def never(*_: object) -> None:
        raise AssertionError("the data is prepared")

    monkeypatch.setattr("lai.data.prepare.prepare_corpus", never)
    run = compose_run("data.batch_size=auto", f"ckpt_path={checkpoint[0]}")
    with pytest.raises(UserError, match="does not say its batch size"):
        train(run)
