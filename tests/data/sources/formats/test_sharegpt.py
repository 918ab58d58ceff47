"""ShareGPT's conversations."""

import json
from pathlib import Path
from typing import Any

import pytest

from lai.host.errors import UserError

CASES = Path(__file__).resolve().parents[5] / "shared" / "cases"
ANSWERED = [("human", "a"), ("gpt", "b")]


def row(*turns: tuple[str, Any], **others: Any) -> str:
    return json.dumps({"conversations": [{"from": name, "value": text} for name, text in turns], **others}) + "\n"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (row(*ANSWERED, *ANSWERED, id="x"), "<user>a</user><assistant>b</assistant>" * 2),
        (row(("Human", "a"), ("GPT", "b")), "<user>a</user><assistant>b</assistant>"),
        (row(("user", "a"), ("assistant", "b")), "<user>a</user><assistant>b</assistant>"),
        (row(("prompter", "a"), ("chatgpt", "b")), "<user>a</user><assistant>b</assistant>"),
        (row(("system", "s"), *ANSWERED), "<system>s</system><user>a</user><assistant>b</assistant>"),
        (row(("system", " "), *ANSWERED), "<user>a</user><assistant>b</assistant>"),
        (row(*ANSWERED, system="s"), "<system>s</system><user>a</user><assistant>b</assistant>"),
        (row(*ANSWERED, system=None), "<user>a</user><assistant>b</assistant>"),
        ('{"conversation": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n',
         "<user>a</user><assistant>b</assistant>"),
        ('{"messages": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}\n',
         "<user>a</user><assistant>b</assistant>"),
    ],
)  # fmt: skip
def test_senders_become_roles(read, line: str, expected: str) -> None:
    assert read("a.jsonl", line) == [(1, expected)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (row(("human", "a"), ("human", "b")), "has the turns user, user; expected system or none, then user and"),
        (row(("human", "a")), "has the turns user;"),
        (row(("gpt", "a"), ("human", "b")), "has the turns assistant, user;"),
        (row(*ANSWERED, ("system", "s"), *ANSWERED), "has the turns user, assistant, system, user, assistant;"),
        (row(("system", "s")), "has the turns system;"),
        (row(("tool", "a"), ("gpt", "b")), "is from 'tool'; expected human, gpt or system"),
        (row(("human", "a"), ("gpt", None)), "the turn of gpt has no value"),
        (row(("human", {}), ("gpt", "b")), "content is an object; expected a text"),
        (row(), "conversations is an empty list"),
        ('{"conversations": null}\n', "conversations is null"),
        ('{"conversations": ["a"]}\n', "conversations holds 'a'"),
    ],
)
def test_what_is_no_conversation_is_an_error_of_its_row(read, line: str, message: str) -> None:
    good = row(*ANSWERED)
    with pytest.raises(UserError, match=rf"a\.jsonl:3: .*{message}.*data\.bad_rows=skip leaves such rows out"):
        read("a.jsonl", good + good + line)
    assert [number for number, _ in read("a.jsonl", good + line + good, bad_rows="skip")] == [1, 3]


def test_a_conversation_with_a_blank_turn_is_skipped(read, counts) -> None:
    assert read("a.jsonl", row(("human", "a"), ("gpt", " "))) == []
    assert (counts.skipped, counts.bad_rows) == (1, 0)


@pytest.mark.skipif(not CASES.exists(), reason="shared/cases is not beside the checkout")
def test_the_shared_case_is_read_with_all_turns(read) -> None:
    documents = read("a.jsonl", (CASES / "sharegpt.jsonl").read_bytes())
    assert len(documents) == 10
    assert documents[0][1] == (
        "<system>Answer in Hungarian.</system><user>The dog sleeps in the yard.</user>"
        "<assistant>A kutya az udvaron alszik.</assistant><user>Thank you!</user><assistant>Szívesen!</assistant>"
    )
