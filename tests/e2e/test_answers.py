"""Whole runs with `data.loss_on=answers`: what is validated, what a batch weighs, and how they resume."""

import json
import math

import pytest
import torch
from processes import lai_train
from runs import TINY, rows_of

from lai.callbacks.export import ExportModel
from lai.data.prepare import prepare_corpus
from lai.export.lai_file import read_model
from lai.host.errors import UserError
from lai.model.transformer import ModelConfig
from lai.run.build import build_datamodule, build_module, build_trainer
from lai.run.fit import fit
from lai.run.targets import counting_of
from lai.tokenizer.vocab import Vocab
from lai.train import train

ANSWERS = "data.loss_on=answers"
EACH_STEP = "trainer.log_every_n_steps=1"


def scores(network, vocab, file):
    """The loss of the answers' tokens and of texts, each document by itself, in nats a token and bits a byte."""
    opening, closing = vocab.tag_id(b"<assistant>"), vocab.tag_id(b"</assistant>")
    nats = tokens = size = 0
    with torch.no_grad():
        for index in range(len(file)):
            ids = file.document(index).tolist()
            log_probs = network(torch.tensor([ids[:-1]]))[0].double().log_softmax(-1)
            is_chat, speaks = opening in ids, False
            for place in range(1, len(ids)):
                if not is_chat or (speaks and ids[place] != opening):
                    nats -= float(log_probs[place - 1, ids[place]])
                    tokens += 1
                    size += len(vocab.decode([ids[place]]))
                speaks = ids[place] == opening or (speaks and ids[place] != closing)
    return nats / tokens, nats / math.log(2) / size


def test_validation_is_the_mean_over_what_the_assistant_says_and_texts(tmp_path, compose_run, text_file):
    run = compose_run(f"data.path={text_file}", ANSWERS, "trainer.max_steps=3", "data.val_fraction=0.3")
    corpus = prepare_corpus(run.data)
    export = ExportModel(tmp_path / "model.bin")
    trainer = build_trainer(run, export.callbacks)
    config = ModelConfig.of(run.model, len(corpus.vocab))
    module = build_module(run, config, corpus, counting=counting_of(run, corpus))
    fit(run, trainer, module, build_datamodule(run, corpus))
    loss, bpb = scores(module.model.eval(), Vocab.from_bytes(module.vocab), corpus.token_files.val)
    assert export.metrics["val/loss"] == pytest.approx(loss, rel=1e-4)
    assert export.metrics["val/bpb"] == pytest.approx(bpb, rel=1e-4)


def steps(folder):
    return [[value for _, value in rows_of(folder, name)][:3] for name in ("train/loss", "train/grad_norm")]


def test_batches_of_one_step_weigh_their_targets_alike(tmp_path, compose_run, text_file):
    common = (f"data.path={text_file}", ANSWERS, EACH_STEP, "trainer.max_steps=3")
    train(compose_run(*common, "data.batch_size=4"))
    whole = steps(tmp_path / "run")
    train(compose_run(*common, "data.batch_size=1", "trainer.accumulate_grad_batches=4"))
    assert len(whole[0]) == len(whole[1]) == 3
    for found, expected in zip(steps(tmp_path / "run"), whole, strict=True):
        assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.heavy
def test_processes_of_one_step_weigh_their_targets_alike(tmp_path, compose_run, text_file):
    common = (f"data.path={text_file}", ANSWERS, EACH_STEP, "trainer.max_steps=3")
    train(compose_run(*common, "data.batch_size=4"))
    devices = ("trainer.devices=2", "trainer.strategy=ddp", "hydra.run.dir=two", "export.path=two.bin")
    done = lai_train(*TINY, *common, "data.batch_size=2", *devices, cwd=tmp_path, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    for found, expected in zip(steps(tmp_path / "two"), steps(tmp_path / "run"), strict=True):
        assert found == pytest.approx(expected, rel=1e-4)


def test_all_tokens_that_the_model_reads_are_tokens_seen(tmp_path, compose_run, text_file):
    seen = []
    for loss_on in ("all", "answers"):
        train(compose_run(f"data.path={text_file}", "trainer.max_steps=3", f"data.loss_on={loss_on}"))
        seen.append(read_model(tmp_path / "model.bin").training.tokens)
    assert seen[0] == seen[1] > 0


def test_a_resumed_run_tells_that_other_targets_count(tmp_path, compose_run, text_file, caplog):
    common = (f"data.path={text_file}", "trainer.max_epochs=-1")
    train(compose_run(*common, ANSWERS, "trainer.max_steps=2"))
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    assert torch.load(last, weights_only=True)["CorpusDataModule"]["loss_on"] == "answers"
    with caplog.at_level("INFO", logger="lai"):
        train(compose_run(*common, ANSWERS, "trainer.max_steps=3", f"ckpt_path={last}"))
    assert "loss_on" not in caplog.text.partition("resuming at step 2")[2].replace("(data.loss_on=answers)", "")
    caplog.clear()
    with caplog.at_level("INFO", logger="lai"):
        train(compose_run(*common, "trainer.max_steps=4", f"ckpt_path={last}"))
    told = [line for line in caplog.messages if "loss_on" in line]
    assert told == [
        "data.loss_on is all, but answers in the checkpoint: other targets count from here on, "
        "and earlier values of val/loss are ignored"
    ]
    assert "loss_on" not in torch.load(last, weights_only=True)["CorpusDataModule"]


def test_a_run_that_no_answer_can_teach_ends_before_it_trains(tmp_path, compose_run):
    text = tmp_path / "text.txt"
    text.write_text("".join(f"<user>number {number}</user>\n" for number in range(200)))
    with pytest.raises(UserError, match=r"data.loss_on=answers: none of the [\d,]+ targets to train on counts"):
        train(compose_run(f"data.path={text}", ANSWERS, "trainer.max_steps=2"))
    assert not (tmp_path / "model.bin").exists() and not (tmp_path / "run").exists()


def test_a_validation_in_which_nothing_counts_has_no_loss(tmp_path, compose_run, text_file):
    val = tmp_path / "val.txt"
    questions = "".join(f"<user>question {number}</user>\n" for number in range(100, 140))
    val.write_text(questions + "<user>A</user><assistant>B</assistant>\n")
    first_row = ("data.batch_size=1", "data.seq_len=16", "trainer.limit_val_batches=1")
    with pytest.raises(UserError, match=r"none of the targets that were validated counts.*raise trainer\.limit_val"):
        train(compose_run(f"data.path={text_file}", f"data.val_path={val}", ANSWERS, "trainer.max_steps=1", *first_row))


def test_the_manifest_has_the_setting(tmp_path, text_file):
    done = lai_train(*TINY, f"data.path={text_file}", ANSWERS, "trainer.max_steps=1", "hydra.run.dir=run", cwd=tmp_path)
    assert done.returncode == 0 and "% of " in done.stdout and "(data.loss_on=answers)" in done.stdout, done.stderr
    assert ANSWERS in json.loads((tmp_path / "run" / "run.json").read_text())["overrides"]


def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(tmp_path, compose_run, text_file):
    # Rows that begin inside an answer, and steps of several batches.
    shape = (
        "data.seq_len=24",
        "trainer.accumulate_grad_batches=2",
        "trainer.max_steps=6",
        "trainer.limit_val_batches=3",
    )
    common = (f"data.path={text_file}", ANSWERS, *shape)
    whole = compose_run(*common)
    whole.callbacks["every_third_step"] = {
        "_target_": "lightning.pytorch.callbacks.ModelCheckpoint",
        "dirpath": str(tmp_path / "steps"),
        "filename": "{step}",
        "every_n_train_steps": 3,
        "save_top_k": -1,
    }
    train(whole)
    expected = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)
    (tmp_path / "run").rename(tmp_path / "whole")
    train(compose_run(*common, f"ckpt_path={tmp_path / 'steps' / 'step=3.ckpt'}".replace("step=", "step\\=")))
    found = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)
    assert found["global_step"] == expected["global_step"] == 6
    assert found["state_dict"].keys() == expected["state_dict"].keys()
    for name, weight in expected["state_dict"].items():
        assert torch.equal(found["state_dict"][name], weight), name
