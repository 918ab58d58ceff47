"""Scores, test sets, losses by task, and answers of PyTorch."""

import json
from pathlib import Path

import pytest
from engine_program import Engine
from toy_prompts import LONG, PROMPTS

from lai.data.synthetic import Prompt, SyntheticConfig, draw
from lai.host.errors import UserError
from lai.inference.evaluate import Score, answers_of_pytorch, is_right, read_prompts, scores, task_losses, write_prompts
from lai.tokenizer.chat import to_line


def test_scores_count_exact_answers_by_task_and_direction() -> None:
    assert scores(PROMPTS, [b"a kutya", b"the horse ", b"a macska", b""]) == [
        Score("translation", "en-hu", 2, 2), Score("translation", "hu-en", 1, 0), Score("question", "hu", 1, 0),
    ]  # fmt: skip


def test_the_folded_form_of_the_right_answer_is_right() -> None:
    for answer, right in (("„A\u0301” ", True), ('"Á"', True), ("„Á”", False), ("", False)):
        assert is_right("„A\u0301” ".encode(), answer.encode()) is right


def test_a_test_set_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_prompts(tmp_path / "test.jsonl", PROMPTS)
    assert read_prompts(tmp_path / "test.jsonl") == PROMPTS
    (tmp_path / "own.jsonl").write_text('{"prompt": "a", "answer": "b"}\n\n')
    assert read_prompts(tmp_path / "own.jsonl") == [Prompt("", "", b"a", b"b")]


def test_a_chat_of_one_question_is_a_prompt_and_its_answer(tmp_path: Path) -> None:
    question, answer = {"role": "user", "content": "Ki vagy?"}, {"role": "assistant", "content": "LAi."}
    path = tmp_path / "chats.jsonl"
    path.write_text(json.dumps({"messages": [question, answer]}), encoding="utf-8")
    assert read_prompts(path) == [Prompt("", "", b"Ki vagy?", b"LAi.")]
    for messages in ([question], [answer, question], [question, answer, question, answer]):
        path.write_text(json.dumps({"messages": messages}), encoding="utf-8")
        with pytest.raises(UserError, match="messages of one question and its answer"):
            read_prompts(path)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"prompt": "a"}', '{"prompt": 1, "answer": "b"}', '{"prompt": "", "answer": "b"}']
)
def test_a_wrong_test_set_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "test.jsonl").write_text(text)
    with pytest.raises(UserError, match=r"test\.jsonl.*expected an object"):
        read_prompts(tmp_path / "test.jsonl")


def test_losses_by_task_equal_the_engines(engine: Engine, make_model, tmp_path: Path) -> None:
    path, model = make_model(max_seq_len=1024)
    examples = list(draw(SyntheticConfig(), 80, seed=0))
    losses = task_losses(model.build(), model.vocab, examples)
    assert len(losses) > 4 and sum(row.documents for row in losses) == 80
    for row in losses:
        of_task = [example for example in examples if example.task == row.task]
        file = tmp_path / "task.txt"
        file.write_bytes(b"".join(to_line(example.document) + b"\n" for example in of_task))
        engines = engine.json("-m", path, "--perplexity", file)
        assert row.documents == engines["documents"] == len(of_task)
        assert row.loss == pytest.approx(engines["nats_per_token"] * engines["tokens"] / len(of_task), rel=1e-5)
        assert row.floor == pytest.approx(-sum(example.log_prob for example in of_task) / len(of_task))


def test_many_prompts_share_one_forward_pass(make_model) -> None:
    _, model = make_model()
    network = model.build()
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    network.register_forward_hook(count)
    assert len(list(answers_of_pytorch(network, model.vocab, LONG * 4, 10))) == 16
    assert calls < 60  # 160 passes where each prompt is answered by itself
