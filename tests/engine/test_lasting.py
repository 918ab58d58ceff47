"""An engine that runs for long: it needs no more memory, and other engines and new files do not change its answers."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from engine_program import Terminal

CHAT = ("--tokens", "6", "--temp", "0", "--threads", "1")


def begun(engine, path, *arguments) -> Terminal:
    chat = Terminal(engine, "-m", path, *CHAT, *arguments)
    chat.read_until(b"> ")
    return chat


def answer(chat: Terminal, question: str) -> bytes:
    chat.send(question)
    return chat.read_prompt().split(b"\r\n", 1)[1]


def resident(process: int) -> int:
    """The pages of its memory."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc says how much memory a process has")
def test_a_thousand_chats_are_answered_alike_in_the_memory_of_a_hundred(engine, make_model):
    chat = begun(engine, make_model(turns=8)[0])
    pages, expected = [], None
    for _ in range(10):
        for _ in range(100):
            turns = [answer(chat, "hello"), answer(chat, "the world"), answer(chat, "/reset")]
            expected = expected or turns
            assert turns == expected
        pages.append(resident(chat.process))
    assert expected[0] != expected[1]
    assert pages[-1] - pages[1] < 64, pages  # 256 kB: less than a hundred bytes a question
    chat.leave()


def test_two_engines_at_once_on_one_file_answer_as_one_alone(engine, make_model):
    path, _ = make_model("q8_0", turns=8)
    texts = ["hello", "the world", "ház"] * 8
    command = [engine.program, "-m", path, "--tokens", "40", "--seed", "3", "--json"]
    command += [part for text in texts for part in ("-p", text)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    alone = subprocess.run(command, stdout=subprocess.PIPE, timeout=120)

    def ids(output: bytes) -> list[list[int]]:
        return [json.loads(line)["ids"] for line in output.splitlines()]

    assert len(ids(alone.stdout)) == len(texts)
    assert [ids(process.communicate(timeout=120)[0]) for process in both] == [ids(alone.stdout)] * 2


def test_an_engine_answers_as_before_once_its_file_is_replaced(engine, make_model, tmp_path):
    path, other = tmp_path / "m.bin", tmp_path / "other.bin"
    path.write_bytes(make_model()[0].read_bytes())
    other.write_bytes(make_model(seed=1)[0].read_bytes())
    chat = begun(engine, path)
    before = answer(chat, "hello")
    other.replace(path)
    answer(chat, "/reset")
    assert answer(chat, "hello") == before
    newer = begun(engine, path)
    assert answer(newer, "hello") != before
    chat.leave()
    newer.leave()
