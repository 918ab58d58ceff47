"""Data from a file against its description: the first entry that differs is named, on one short line."""

import pytest

from lai.host.plain_data import (
    ANY,
    COUNT,
    FLAG,
    NOTHING,
    NUMBER,
    SHARE,
    TEXT,
    WHOLE,
    Items,
    Record,
    Table,
    Unexpected,
    check,
    choice,
    like,
    nullable,
)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (0, COUNT),
        (2**53, COUNT),
        (-1, WHOLE),
        (False, FLAG),
        ("", TEXT),
        (1, NUMBER),
        (-1.5, NUMBER),
        (0.999, SHARE),
        (None, nullable(COUNT)),
        ("b", choice("a", "b")),
        ({}, NOTHING),
        ([1, (2, 3)], Items(ANY, 2)),
        ({"a": 1, "more": "x"}, Record({"a": COUNT}, rest=TEXT)),
        ({"a": 1}, Record({"a": COUNT}, {"b": COUNT})),
        ({"x": 1, "y": 2}, Table(TEXT, COUNT)),
        ({"a": {"b": 7}, "c": True}, like({"a": {"b": 0}, "c": False})),
    ],
)
def test_what_is_as_described_is_accepted(value, kind):
    check(value, kind, "it")


@pytest.mark.parametrize(
    ("value", "kind", "line"),
    [
        (True, COUNT, "it is True, expected a whole number from 0"),
        (2**53 + 1, COUNT, "it is 9007199254740993, expected a whole number from 0"),
        (1, FLAG, "it is 1, expected true or false"),
        (float("nan"), NUMBER, "it is nan, expected a finite number"),
        (1, SHARE, "it is 1, expected a number from 0 to less than 1"),
        (1, choice(True), "it is 1, expected True"),
        ("x" * 99, COUNT, f"it is {repr('x' * 99)[:37]}…, expected a whole number from 0"),
        ([1], Items(COUNT, 2), "it has 1 items, expected 2"),
        ([1, "x"], Items(COUNT), "it.1 is 'x', expected a whole number from 0"),
        ("text", Items(ANY), "it is 'text', expected a list"),
        ([], Table(TEXT, ANY), "it is list, expected names with values"),
        ({1: 1}, Table(TEXT, ANY), "a name in it is 1, expected text"),
        ({"a": {"b": "x"}}, Table(TEXT, Table(TEXT, COUNT)), "it.a.b is 'x', expected a whole number from 0"),
        ({}, Record({"a": COUNT}), "it.a is missing"),
        ({"b\nc": 1}, Record(), "it.b?c is unknown"),
        ({"a": 1.0}, like({"a": 0}), "it.a is 1.0, expected a whole number from 0"),
        ({"a": [1]}, like({"a": {}}), "it.a is list, expected names with values"),
    ],
)
def test_what_is_not_is_one_line_that_names_the_entry(value, kind, line):
    with pytest.raises(Unexpected) as raised:
        check(value, kind, "it")
    assert str(raised.value) == line
