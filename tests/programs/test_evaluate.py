"""lai.programs.evaluate as a user runs it: PyTorch and the engine give the same answers."""

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from engine_program import Engine
from toy_prompts import LONG, PROMPTS

from lai.data.synthetic import Prompt
from lai.inference.evaluate import answers_of_pytorch, longest_answer, read_prompts, write_prompts

PROGRAM = "lai.programs.evaluate"


def test_pytorch_and_the_engine_give_the_same_answers_and_exact_ones_are_counted(
    engine: Engine, make_model, tmp_path: Path, run
) -> None:
    """A random model answers nonsense. With its own answers as the test set, all are right."""
    path, model = make_model()
    arguments = ("-m", path, "--engine", engine.program, "--tokens", "12", "--json")
    held_out = tmp_path / "held_out.jsonl"
    status, output, error = run(
        PROGRAM, *arguments, "--limit", "8", "--write", held_out, "data.synthetic.lexicon=small"
    )
    assert status == 0, error
    report = json.loads(output)
    assert report["disagreements"] == 0
    assert report["scores"]["pytorch"] == report["scores"]["engine"]
    kinds = [("translation", "en-hu"), ("translation", "hu-en"), ("question", "en"), ("question", "hu")]
    assert report["scores"]["engine"] == [
        {"task": task, "direction": direction, "prompts": 2, "exact": 0} for task, direction in kinds
    ]
    prompts = read_prompts(held_out)
    unlimited = [replace(prompt, answer=b"x" * 99) for prompt in prompts]
    answers = list(answers_of_pytorch(model.build(), model.vocab, unlimited, 12))
    rows = [
        {
            "task": prompt.task,
            "direction": prompt.direction,
            "prompt": prompt.prompt.decode(),
            "answer": answer.decode(),
        }
        for prompt, answer in zip(prompts, answers, strict=True)
    ]
    own = tmp_path / "own.jsonl"
    own.write_text("".join(json.dumps(row) + "\n" for row in rows))
    _, output, _ = run(PROGRAM, *arguments, "--prompts", own)
    report = json.loads(output)
    assert sum(score["exact"] for score in report["scores"]["engine"]) == len(rows) == 8
    rows[0]["task"] = "[/a]"  # rich reads it as markup
    own.write_text("".join(json.dumps(row) + "\n" for row in rows))
    status, output, _ = run(PROGRAM, *arguments[:-1], "--prompts", own, "--limit", "3", "--only", "engine")
    assert status == 0 and "[/a]" in output and output.count("│ 1 ") == 3


def test_an_answer_longer_than_the_right_one_is_wrong_in_pytorch_and_the_engine(
    engine: Engine, make_model, tmp_path: Path, run
) -> None:
    """A random model never stops: its answer is the right one and more."""
    path, model = make_model()
    prompts = [
        Prompt("a", "b", prompt.prompt, answer)
        for prompt, answer in zip(PROMPTS, answers_of_pytorch(model.build(), model.vocab, LONG, 6), strict=True)
    ]
    write_prompts(tmp_path / "own.jsonl", prompts)
    arguments = ("-m", path, "--engine", engine.program, "--prompts", tmp_path / "own.jsonl", "--json")
    for tokens, exact in ((6, 4), (128, 0)):
        status, output, error = run(PROGRAM, *arguments, "--tokens", tokens)
        assert status == 0, error
        report = json.loads(output)
        assert report["disagreements"] == 0 and report["scores"]["engine"] == report["scores"]["pytorch"]
        assert report["scores"]["engine"][0]["exact"] == exact
    for prompt, said in zip(prompts, answers_of_pytorch(model.build(), model.vocab, prompts, 10**6), strict=True):
        assert len(said) > len(prompt.answer) and said.startswith(prompt.answer)
    assert (
        longest_answer(PROMPTS[3].answer, 128) == len("A ló.".encode()) + 1
        and longest_answer(PROMPTS[3].answer, 4) == 4
    )


def test_ctrl_c_shows_the_scores_of_the_prompts_answered_so_far(
    make_model, run, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = make_model()
    answered = 3

    def stopped(*_: object) -> Iterator[bytes]:
        yield from [b"x"] * answered
        raise KeyboardInterrupt

    monkeypatch.setattr("lai.inference.evaluate.answers_of_pytorch", stopped)
    arguments = (PROGRAM, "-m", path, "--only", "pytorch", "--limit", "8", "data.synthetic.lexicon=small")
    status, output, error = run(*arguments, "--json")
    report = json.loads(output)
    assert status == 130 and "interrupted: scores of the first 3 of 8 prompts" in error
    assert (report["answered"], report["prompts"]) == (3, 8)
    assert sum(score["prompts"] for score in report["scores"]["pytorch"]) == 3
    answered = 0
    status, output, error = run(*arguments)
    assert (status, output, error) == (130, "", "interrupted\n")


def test_progress_is_a_line_every_ten_seconds_without_a_terminal(
    make_model, run, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = make_model()
    seconds = itertools.count(step=6)
    monkeypatch.setattr("time.monotonic", lambda: next(seconds))
    arguments = ("-m", path, "--only", "pytorch", "--limit", "6", "--tokens", "2", "data.synthetic.lexicon=small")
    status, _, error = run(PROGRAM, *arguments)
    assert status == 0
    assert re.findall(r"answered (\d) of 6 prompts after \d+ s", error) == ["2", "4", "6"]


def test_losses_are_shown_against_the_generators(make_model, run) -> None:
    path, _ = make_model(max_seq_len=1024)
    arguments = (PROGRAM, "-m", path, "--only", "pytorch", "--limit", "1", "--tokens", "1", "--losses", "60")
    status, output, error = run(*arguments, "--json")
    assert status == 0, error
    losses = json.loads(output)["losses"]
    floor = sum(row["documents"] * row["floor"] for row in losses)
    above = sum(row["documents"] * row["loss"] for row in losses) / floor - 1
    _, output, _ = run(*arguments)
    last = output.splitlines()[-2]
    assert "all" in last and "60" in last and f"{above:.2%}" in last


def test_mistakes_are_one_line(make_model, tmp_path: Path, run) -> None:
    path, _ = make_model()
    own = tmp_path / "own.jsonl"
    write_prompts(own, PROMPTS)
    for arguments, words in (
        (("-m", tmp_path / "none.bin"), "none.bin"),
        (("-m", path, "--engine", tmp_path / "none", "--only", "engine", "--limit", "2"), "make release"),
        (("-m", path, "data=text", "--limit", "3", "data.path=x"), "--prompts FILE"),
        (("-m", path, "data.synthetic.lexikon=small"), "did you mean data.synthetic.lexicon"),
        (("-m", path, "--prompts", tmp_path / "none.jsonl"), "none.jsonl"),
        (("-m", path, "--losses", "9", "--prompts", own, "data=text", "data.path=x"), "leave out --losses"),
        (("-m", path, "--prompts", own, "--write", path), "another kind of file"),
        (("-m", path, "--losses", "999"), "the model's context, 256"),
        (("-m", path, "data.synthetic.held_out=0"), "no combination of words is held out"),
        (("-m", path, "data.synthetic.templates=[possession]"), "no combination of words is held out"),
    ):
        status, _, error = run(PROGRAM, *arguments)
        assert status == 2 and error.count("\n") == 1 and words in error, error


def test_a_model_of_conversations_is_scored_by_turn(engine: Engine, make_model, run) -> None:
    path, _ = make_model(turns=8)
    settings = ("data.synthetic.lexicon=small", "data.synthetic.conversations=9")
    arguments = ("-m", path, "--engine", engine.program, "--tokens", "6", "--limit", "4", *settings)
    mix = "data.synthetic.instruction_mix={translate: 1, small_talk: 1}"
    status, output, error = run(PROGRAM, *arguments, mix, "--conversations", "3", "--json")
    assert status == 0, error
    report = json.loads(output)
    assert report["disagreements"] == 0
    assert report["turns"]["pytorch"] == report["turns"]["engine"]
    assert report["turns"]["engine"] == [{"turn": turn, "conversations": 3, "exact": 0} for turn in (1, 2, 4, 8)]
    status, output, _ = run(PROGRAM, *arguments, mix, "--conversations", "2", "--only", "engine")
    assert status == 0 and "conversations" in output and re.search(r"│ 8 +│ 2 +│", output)
    assert json.loads(run(PROGRAM, *arguments, mix, "--conversations", "0", "--json")[1])["turns"] == {}
