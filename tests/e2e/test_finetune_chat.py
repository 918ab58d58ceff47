"""The experiment finetune_chat: a model is trained further on chats, beside text that it knows."""

from pathlib import Path

import pytest
from runs import rows_of

from lai.config.compose import compose_run
from lai.export.lai_file import read_model
from lai.inference.evaluate import read_prompts
from lai.run.follow import follow_initial
from lai.train import train

EXAMPLES = Path(__file__).parents[2] / "examples" / "chats.jsonl"


def test_the_examples_are_five_hundred_questions_each_once():
    prompts = read_prompts(EXAMPLES)
    assert len({prompt.prompt for prompt in prompts}) == len(prompts) == 500


def test_the_experiment_trains_a_model_further_and_names_it_as_parent(tmp_path, model_file):
    parent = read_model(model_file)
    run = compose_run(
        [
            "experiment=finetune_chat", f"init_from={model_file}", f"data.sources.chats.path={EXAMPLES}",
            "data.sources.replay.synthetic={sentences: 40, translations: 40, instructions: 20, conversations: 20}",
            f"data.cache_dir={tmp_path / 'cache'}", f"output_dir={tmp_path / 'run'}",
            f"export.path={tmp_path / 'chat.bin'}", "trainer.max_steps=6", "trainer.val_check_interval=3",
            "trainer.accelerator=cpu", "device.threads=1", "device.compile=false", "model.max_seq_len=512",
        ],
        follow_initial,
    )  # fmt: skip
    loss = train(run)
    found = read_model(tmp_path / "chat.bin")
    assert found.vocab.fingerprint == parent.vocab.fingerprint
    assert found.manifest["parent"]["name"] == model_file.name
    assert [entry["source"] for entry in found.manifest["data"]] == ["chats", "replay"]
    assert loss == pytest.approx(found.training.val_loss)
    of_chats = [value for _, value in rows_of(tmp_path / "run", "val/loss/chats")]
    assert of_chats[-1] < of_chats[0]
