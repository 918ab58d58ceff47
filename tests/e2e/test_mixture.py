"""Whole runs on several sources."""

import json
import os

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from runs import example_lines, rows_of

import lai.run.build
from lai.data.prepare import prepare_corpus
from lai.host.errors import UserError
from lai.run.leftovers import find_leftovers
from lai.train import train


@pytest.fixture
def mixture(tmp_path):
    """Three sources: plain lines, translations, and a short one that may come twice in the run."""
    lines = example_lines(240)
    (tmp_path / "plain.txt").write_text("\n".join(lines[1::2]) + "\n", encoding="utf-8")
    (tmp_path / "chat.txt").write_text("\n".join(lines[0:160:2]) + "\n", encoding="utf-8")
    (tmp_path / "few.txt").write_text("\n".join(lines[200::3]) + "\n", encoding="utf-8")
    return (
        f"data.sources={{plain: {{path: {tmp_path / 'plain.txt'}, weight: 0.5}}, "
        f"chat: {{path: {tmp_path / 'chat.txt'}, weight: 0.3, licence: CC0}}, "
        f"few: {{path: {tmp_path / 'few.txt'}, weight: 0.2, max_epochs: 2}}}}"
    )


def steps_kept(run, folder):
    run.callbacks["every_step"] = {
        "_target_": "lightning.pytorch.callbacks.ModelCheckpoint",
        "dirpath": str(folder),
        "filename": "{step}",
        "every_n_train_steps": 1,
        "save_top_k": -1,
        "save_on_train_epoch_end": False,
    }
    return run


def weights(path):
    return torch.load(path, weights_only=True)["state_dict"]


@pytest.mark.parametrize(
    ("epochs", "overrides"),
    [(1.5, ("device.num_workers=1", "trainer.accumulate_grad_batches=2")), (2, ())],
    ids=["inside an epoch, with a worker", "at its end"],
)
def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(tmp_path, compose_run, mixture, epochs, overrides):
    common = (mixture, "trainer.max_epochs=3", "data.batch_size=12", *overrides)
    train(steps_kept(compose_run(*common), tmp_path / "steps"))
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    expected, total = weights(last), torch.load(last, weights_only=True)["global_step"]
    (tmp_path / "run").rename(tmp_path / "whole")
    (tmp_path / "model.bin").unlink()
    checkpoint = str(tmp_path / "steps" / f"step={int(epochs * total / 3)}.ckpt").replace("step=", "step\\=")
    train(compose_run(*common, f"ckpt_path={checkpoint}"))
    found = weights(last)
    assert all(torch.equal(found[name], weight) for name, weight in expected.items())
    assert torch.load(last, weights_only=True)["global_step"] == total


def test_each_source_and_language_has_its_loss_and_stands_in_the_manifest(tmp_path, compose_run, mixture, caplog):
    with caplog.at_level("INFO", logger="lai"):
        loss = train(compose_run(mixture, "trainer.max_epochs=2", "data.val_fraction=0.3", "data.batch_size=12"))
    found = {
        name: rows_of(tmp_path / "run", f"val/loss{name}")[-1][1] for name in ("", "/plain", "/chat", "/few", "/hu")
    }
    assert found[""] == pytest.approx(0.5 * found["/plain"] + 0.3 * found["/chat"] + 0.2 * found["/few"], rel=1e-4)
    assert loss == pytest.approx(min(value for _, value in rows_of(tmp_path / "run", "val/loss")), rel=1e-4)
    assert rows_of(tmp_path / "run", "val/bpb/chat")
    manifest = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert {"val/loss/plain", "val/bpb/few"} <= manifest["metrics"].keys()
    entries = [(entry["source"], entry["weight"], entry["licence"]) for entry in manifest["data"]]
    assert entries == [("plain", 0.5, None), ("chat", 0.3, "CC0"), ("few", 0.2, None)]
    assert "mixture     plain: " in caplog.text
    assert "max_epochs allows no more" in caplog.text
    assert "times, at most 2" in caplog.text
    assert "            val/loss/chat " in caplog.text
    for folder in (tmp_path / "cache").glob("shards-*"):
        os.utime(folder, (0, 0))
    (tmp_path / "run" / "config.yaml").write_text("")  # as the program writes it
    found = find_leftovers(tmp_path)
    assert len(found.runs) == 1 and found.token_files == {}  # its checkpoints name those of each source


class Rows(Callback):
    """Keeps the rows that a run trains on, and how many targets each has."""

    def __init__(self) -> None:
        self.rows: list[tuple[list[int], int]] = []

    def on_train_batch_start(self, trainer, module, batch, *_):
        for tokens, targets in zip(batch["tokens"], batch["targets"], strict=True):
            self.rows.append((tokens.tolist(), int((targets >= 0).sum())))


def test_the_tokens_of_a_run_are_those_that_its_start_has_planned(tmp_path, compose_run, monkeypatch):
    """The truth is independent: each source has a letter of its own."""
    for letter in ("a", "b"):
        lines = [letter * (5 + number % 40) + " " + letter * (number % 7 + 1) for number in range(300)]
        (tmp_path / f"{letter}.txt").write_text("\n".join(lines) + "\n")
    kept, own = Rows(), lai.run.build.own_callbacks
    monkeypatch.setattr("lai.run.build.own_callbacks", lambda *given: [kept, *own(*given)])
    sources = f"{{a: {{path: {tmp_path / 'a.txt'}, weight: 3}}, b: {{path: {tmp_path / 'b.txt'}, weight: 1}}}}"
    run = compose_run(f"data.sources={sources}", "trainer.max_steps=12", "trainer.limit_val_batches=0")
    train(run)
    vocab = prepare_corpus(run.data).vocab
    counts = {letter: sum(count for row, count in kept.rows if letter in vocab.decode(row)) for letter in (b"a", b"b")}
    assert counts[b"a"] + counts[b"b"] == sum(count for _, count in kept.rows)  # no row is of both
    assert counts[b"a"] == pytest.approx(3 * counts[b"b"], abs=4 * 64)  # two rows more of one, fewer of the other


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("trainer.max_epochs=3", "data.max_epochs=2"), "the run is 3 epochs of .* raise data.max_epochs"),
        (("trainer.max_steps=100000", "trainer.max_epochs=-1", "data.max_epochs=2"), "or make the run shorter"),
    ],
)
def test_a_run_that_is_longer_than_its_sources_last_is_refused(compose_run, mixture, overrides, message):
    with pytest.raises(UserError, match=message):
        train(compose_run(mixture, *overrides))


def test_a_run_without_another_end_stops_where_its_sources_end(tmp_path, compose_run, mixture, caplog):
    limits = ("trainer.max_epochs=-1", "trainer.max_time=00:01:00:00", "data.max_epochs=2", "data.batch_size=24")
    with caplog.at_level("INFO", logger="lai"):
        train(compose_run(mixture, *limits))
    assert "max_epochs ends the run after 2 epochs" in caplog.text
    assert torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] in (1, 2)
