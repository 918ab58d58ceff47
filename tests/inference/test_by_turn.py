"""Exact answers by turn: what is counted, and that PyTorch and the engine answer alike."""

import pytest
from engine_program import Engine

from lai.inference.by_turn import (
    TurnScore,
    conversations_of_engine,
    conversations_of_pytorch,
    describe,
    turn_scores,
)
from lai.tokenizer.chat import parse

LONG = parse(b"".join(b"<user>q%d</user><assistant>a%d</assistant>" % (turn, turn) for turn in range(1, 9)))
SHORT = parse(
    b"<system>hello</system><user>the world</user><assistant>a ho</assistant><user>a</user><assistant>b</assistant>"
)


def test_exact_answers_are_counted_by_turn() -> None:
    right = [b"a%d" % turn for turn in range(1, 9)]
    wrong_late = [*right[:3], *[b"a4 and more"] * 5]
    found = turn_scores([LONG, LONG, SHORT], [right, wrong_late, [b"a ho", b""]])
    assert found == [TurnScore(1, 3, 3), TurnScore(2, 3, 2), TurnScore(4, 2, 1), TurnScore(8, 2, 1)]
    assert describe(found[1:3]) == "turn 2 66.7%, turn 4 50.0%"


@pytest.mark.parametrize("turns", [0, 3, 8])
@pytest.mark.parametrize("context", [64, 256])
def test_pytorch_and_the_engine_give_the_same_answers(engine: Engine, make_model, turns: int, context: int) -> None:
    path, model = make_model(turns=turns, max_seq_len=context)
    asked = [LONG, SHORT, LONG]
    of_pytorch = list(conversations_of_pytorch(model.build(), model.vocab, model.training, asked, 6))
    assert of_pytorch == list(conversations_of_engine(engine.program, path, asked, 6))
    assert [len(answers) for answers in of_pytorch] == [8, 2, 8]
    assert of_pytorch[0] == of_pytorch[2] and all(of_pytorch[0])
