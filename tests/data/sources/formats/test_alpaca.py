"""Alpaca's instructions."""

import json
from pathlib import Path
from typing import Any

import pytest

from lai.host.errors import UserError

CASES = Path(__file__).resolve().parents[5] / "shared" / "cases"


@pytest.mark.parametrize(
    ("row", "question"),
    [
        ({"instruction": "Do.", "output": "x"}, "Do."),
        ({"instruction": "Do.", "input": "", "output": "x"}, "Do."),
        ({"instruction": "Do.", "input": None, "output": "x", "tags": [1]}, "Do."),
        ({"instruction": "Do.", "input": "it", "output": "x"}, "Do.\nit"),
        ({"instruction": "", "input": "it", "output": "x"}, "it"),
        ({"instruction": "Do.", "context": "it", "response": "x", "category": "open"}, "Do.\nit"),
    ],
)
def test_an_input_stands_below_the_instruction(read, row: dict[str, Any], question: str) -> None:
    assert read("a.jsonl", json.dumps(row)) == [(1, f"<user>{question}</user><assistant>x</assistant>")]


def test_system_and_history_come_first(read) -> None:
    row = {"instruction": "c", "input": "", "output": "d", "system": "s", "history": [["a", "b"]]}
    expected = "<system>s</system><user>a</user><assistant>b</assistant><user>c</user><assistant>d</assistant>"
    assert read("a.json", json.dumps([row])) == [(1, expected)]
    with pytest.raises(UserError, match="history is a list; expected a list of"):
        read("a.json", json.dumps([row | {"history": ["a"]}]))


def test_an_empty_answer_is_skipped_and_another_type_is_an_error(read, counts) -> None:
    assert read("a.jsonl", '{"instruction": "Do.", "output": ""}\n{"instruction": " ", "output": "x"}') == []
    assert counts.skipped == 2
    with pytest.raises(UserError, match=r"a\.jsonl:1: instruction is 5; expected a text"):
        read("a.jsonl", '{"instruction": 5, "output": "x"}')


@pytest.mark.skipif(not CASES.exists(), reason="shared/cases is not beside the checkout")
def test_the_shared_cases_are_the_same_in_both_forms(read) -> None:
    texts = [[text for _, text in read(name, (CASES / name).read_bytes())] for name in ("alpaca.json", "alpaca.jsonl")]
    assert texts[0] == texts[1]
    assert texts[0][:2] == [
        "<user>Translate the sentence to Hungarian.</user><assistant>A kutya az udvaron alszik.</assistant>",
        "<user>Translate the sentence to Hungarian.\nThe guard sat in the boiler house.</user>"
        "<assistant>Az őr a fűtőházban ült.</assistant>",
    ]
