"""What counts as agreement between LAi and a program that reads an export."""

from dataclasses import replace

import numpy as np
import pytest
from toy_network import network

from lai.export.agreement import Questions, difference
from lai.host.errors import UserError


@pytest.fixture(scope="module")
def questions(model):
    return Questions.of(model.config.vocab_size, model.config.max_seq_len)


@pytest.fixture(scope="module")
def expected(questions, model):
    return questions.expected(model.vocab, network(model.config))


def test_equal_answers_differ_by_nothing(questions, expected):
    assert difference(questions, expected, expected, 0.0) == 0.0


def test_difference_is_a_share_of_the_largest_distance_from_the_mean(questions, expected):
    logits = expected.logits.copy()
    logits[0, 0] += 0.5
    spread = np.abs(expected.logits - expected.logits.mean()).max()
    found = difference(questions, expected, replace(expected, logits=logits), 1.0)
    assert found == pytest.approx(0.5 / spread, rel=1e-5)


def test_logits_that_are_not_finite_or_differ_by_more_are_refused(questions, expected):
    for value in (np.nan, np.inf, 1.0):
        logits = expected.logits.copy()
        logits[-1, 3] += value
        with pytest.raises(UserError, match="computes other logits"):
            difference(questions, expected, replace(expected, logits=logits), 1e-4)


def test_another_id_of_a_text_or_a_chat_is_named_with_its_place(questions, expected):
    texts = [list(ids) for ids in expected.texts]
    texts[3][2] += 1
    with pytest.raises(UserError, match=r"reads other ids from .Hello, how are you.*differ at 2"):
        difference(questions, expected, replace(expected, texts=texts), 1.0)
    chats = [*expected.chats[:-1], expected.chats[-1][:-1]]
    with pytest.raises(UserError, match=r"reads other ids from .*differ at the end"):
        difference(questions, expected, replace(expected, chats=chats), 1.0)
