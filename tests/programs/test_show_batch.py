"""lai.programs.show_batch as a user runs it, in this process."""

import re

import pytest
from runs import TINY

PROGRAM = "lai.programs.show_batch"


@pytest.fixture
def settings(tmp_path, text_file):
    return [*TINY, f"data.path={text_file}", f"data.cache_dir={tmp_path / 'cache'}"]


def test_a_batch_is_that_of_the_run_and_nothing_else_is_written(run, tmp_path, settings, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, output, error = run(PROGRAM, *settings, "data.loss_on=answers", "--batch", "2", "--rows", "3")
    assert (status, error) == (0, "")
    lines = output.splitlines()
    assert re.fullmatch(r"train batch 2 of \d+, the first 3 of 4 rows", lines[0])
    assert [line for line in lines if line.startswith("row")] == ["row 1", "row 2", "row 3"]
    for line in lines:
        if "<user>" in line:  # each is whole: documents are short
            assert re.search(r": <bos>\|<user>\|[^«]*\|</user>\|<assistant>\|«[^»]*\|</assistant>»$", line), line
        elif "document" in line and "batch" not in line:
            assert re.search(r": <bos>\|«[^«]*\|<eos>»$", line), line
    assert re.fullmatch(r"batch: 4 rows, \d+ tokens, .* padding, \d+ targets count \(.*%\), \d+ documents", lines[-1])
    assert {path.name for path in tmp_path.iterdir()} == {"text.txt", "cache"}


def test_the_marks_are_what_the_loss_of_the_module_counts(run, settings, compose_run, text_file):
    import torch

    from lai.data.prepare import prepare_corpus
    from lai.model.transformer import ModelConfig
    from lai.run.build import build_datamodule, build_module
    from lai.run.targets import counting_of

    status, output, _ = run(PROGRAM, *settings, "data.loss_on=answers", "--split", "val")
    made = compose_run(f"data.path={text_file}", "data.loss_on=answers", "device.num_workers=0")
    corpus = prepare_corpus(made.data)
    module = build_module(
        made, ModelConfig.of(made.model, len(corpus.vocab)), corpus, counting=counting_of(made, corpus)
    )
    with torch.no_grad():
        batch = next(iter(build_datamodule(made, corpus).val_dataloader()))
        _, count = module._loss(batch)
    assert status == 0 and f" {int(count)} targets count " in output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--batch", "9999"], "--batch 9,999: an epoch has "),
        (["--batch", "0"], "0 is not a whole number from 1 on"),
        (["data.batch_size=auto"], "data.batch_size=auto: the run chooses it"),
        (["data.seq_lenn=8"], "did you mean data.seq_len"),
        (["data.loss_on=answer"], "data.loss_on"),
    ],
    ids=str,
)
def test_a_mistake_is_one_line(run, settings, arguments, words):
    status, output, error = run(PROGRAM, *settings, *arguments)
    assert status == 2 and words in error and not output
    assert error.count("\n") == 1 or error.startswith("usage: ")
