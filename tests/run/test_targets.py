"""What a run says of the targets that count, and when it refuses to start."""

import pytest

from lai.data.prepare import prepare_corpus
from lai.host.errors import UserError, message_of
from lai.model.transformer import ModelConfig
from lai.run.build import build_module
from lai.run.targets import answers_of, counting_of
from lai.tokenizer.chat import parse

CHAT = "<user>how many, number {0}</user><assistant>{0}</assistant>"
QUESTION = "<user>how many, number {0}</user>"
TEXT = "There are {0} of them."


def counting(compose_run, path, train, val, *overrides):
    for name, form in (("train", train), ("val", val)):
        (path / f"{name}.txt").write_text("".join(form.format(number) + "\n" for number in range(100, 130)))
    files = (f"data.path={path / 'train.txt'}", f"data.val_path={path / 'val.txt'}")
    run = compose_run(*files, "data.loss_on=answers", "data.vocab_size=320", *overrides)
    return counting_of(run, prepare_corpus(run.data))


def test_the_share_that_counts_is_told(compose_run, tmp_path, small_vocab):
    found = counting(compose_run, tmp_path, CHAT, TEXT)
    assert (found.val.counting, found.val.share) == (found.val.targets, 1.0)
    # Each answer and its end tag: three digits, or fewer tokens of several digits.
    assert 30 * 2 <= found.train.counting <= 30 * 4
    share = f"{100 * found.train.counting / found.train.targets:.1f}"
    assert found.line() == (
        f"answers: {share}% of {found.train.targets:,} targets count, "
        f"100.0% of {found.val.targets:,} in validation (data.loss_on=answers)"
    )


@pytest.mark.parametrize(("train", "val", "use"), [(QUESTION, CHAT, "to train on"), (CHAT, QUESTION, "to validate")])
def test_data_in_which_nothing_counts_are_one_line(compose_run, tmp_path, train, val, use):
    with pytest.raises(UserError) as caught:
        counting(compose_run, tmp_path, train, val)
    line = message_of(caught.value)
    assert "data.loss_on=answers: none of the " in line and use in line and "\n" not in line
    assert parse(QUESTION.encode())[0].role == "user"


def test_documents_that_are_not_validated_need_no_answers(compose_run, tmp_path):
    found = counting(compose_run, tmp_path, CHAT, QUESTION, "trainer.limit_val_batches=0")
    assert found.val.counting == 0


def test_without_masks_nothing_is_counted(compose_run, text_file):
    run = compose_run(f"data.path={text_file}")
    corpus = prepare_corpus(run.data)
    assert answers_of(run, corpus) is None and counting_of(run, corpus) is None


@pytest.mark.parametrize("translations", [0, 100])
def test_the_floor_is_shown_where_it_is_of_the_targets_that_count(compose_run, translations):
    small = {"sentences": 200, "stories": 0, "translations": translations, "instructions": 0, "lexicon": "small"}
    run = compose_run(*(f"data.synthetic.{key}={value}" for key, value in small.items()), "data.loss_on=answers")
    corpus = prepare_corpus(run.data)
    module = build_module(run, ModelConfig.of(run.model, len(corpus.vocab)), corpus, counting=counting_of(run, corpus))
    assert corpus.floor is not None and bool(module.references) is (translations == 0)
