"""The chat, on a pseudo-terminal."""

import os
import re
import shutil
import signal
import struct
import sys
import time
from pathlib import Path

import pytest
from engine_program import Terminal

from lai.host.console import visible


def test_chat_commands_answer(engine, make_model):
    path, _ = make_model()
    chat = Terminal(engine, "-m", path, "--tokens", "5", "--temp", "0")
    chat.read_until(b"> ")
    for line, answer in (
        ("/help", b"/translate"),
        ("/temp 0.5 ", b""),
        ("/temp hot", b"'hot'"),
        ("/tokens 3", b""),
        ("hello", b""),
        ("/stats", b"decode 3 tokens"),
        ("/hu hello", b""),
        ("/hu\thello", b""),
        ("/en", b""),
        ("/translate", b""),
        ("ház", b""),
        ("/chat", b""),
        ("/reset now", b"expected no argument"),
        ("/reset", b""),
        (" \t", b""),
        ("/info", b"parameters"),
        ("/nonsense", b"unknown command"),
    ):
        chat.send(line)
        assert answer in chat.read_prompt()
    chat.send("/quit")
    assert chat.wait() == 0


@pytest.mark.parametrize(("steps", "loss"), [(0, 0.0), (10, 5.5), (10, 1.0)])
def test_the_chat_begins_with_the_note_on_an_undertrained_model(engine, make_model, tmp_path, steps, loss):
    data = bytearray(make_model()[0].read_bytes())
    struct.pack_into("<QQff", data, 88, steps, 0, loss, 0.0)
    (tmp_path / "m.bin").write_bytes(data)
    chat = Terminal(engine, "-m", tmp_path / "m.bin")
    header, *notes = chat.read_prompt().decode().splitlines()[:-1]
    assert "/help lists the commands" in header
    assert len(notes) == (loss > 5)
    if notes:
        assert "has trained for 10 steps (val/loss 5.50; guessing scores 5.85)" in notes[0]
    chat.leave()


def test_a_command_with_text_applies_to_that_text_only(engine, make_model):
    path, _ = make_model()
    chat = Terminal(engine, "-m", path, "--tokens", "5", "--temp", "0")
    chat.read_until(b"> ")

    def answer(line):
        chat.send(line)
        return chat.read_prompt().split(b"\r\n", 1)[1]

    translated, talked = answer("/hu hello"), answer("hello")
    assert translated != talked
    answer("/hu")
    assert answer("hello") == translated
    answer("/reset")
    assert answer("/chat hello") == talked
    assert answer("hello") == answer("/translate hello") == translated
    chat.leave()


def test_stats_never_show_more_than_the_whole_context(engine, make_model):
    path, _ = make_model(max_seq_len=32)
    chat = Terminal(engine, "-m", path, "--temp", "0")
    chat.read_until(b"> ")
    chat.send("hello")
    assert b"the context is full" in chat.read_prompt()
    chat.send("/stats")
    assert b" 32 of 32 tokens of context" in chat.read_prompt()
    chat.leave()


def test_a_model_without_chat_tags_is_refused(engine, tmp_path, make_model):
    data = make_model()[0].read_bytes()
    path = tmp_path / "plain.bin"
    path.write_bytes(data.replace(b"<user>", b"<abcd>"))
    terminal = Terminal(engine, "-m", path, "--no-verify")
    terminal.read_until(b"has no chat tags in its vocabulary")
    assert terminal.wait() == 2


@pytest.mark.parametrize("arguments", [("--raw", "-f", "-"), ("--perplexity", "-"), ("--tokenize-lines", "-")])
def test_one_ctrl_d_ends_typed_text(engine, make_model, arguments):
    terminal = Terminal(engine, "-m", make_model()[0], *arguments)
    terminal.send("hello")
    os.write(terminal.descriptor, b"\x04")
    assert terminal.wait() == 0


def test_raw_without_text_opens_no_chat(engine, make_model):
    terminal = Terminal(engine, "-m", make_model()[0], "--raw")
    terminal.read_until(b"none is given")
    assert terminal.wait() == 2


def test_ctrl_c_stops_the_answer_but_not_the_chat(engine, make_model):
    path, _ = make_model(max_seq_len=1 << 16, dim=128, hidden_dim=512)
    chat = Terminal(engine, "-m", path, "--tokens", "60000", "--temp", "0")
    chat.read_until(b"> ")
    chat.send("hello")
    chat.read_until(b"hello\r\n")
    chat.read()  # the answer has begun
    os.kill(chat.process, signal.SIGINT)
    chat.read_until(b"\r\n> ")
    os.kill(chat.process, signal.SIGINT)
    chat.read_until(b"/quit or Ctrl-D leaves")
    chat.send("/stats")
    assert b"decode" in chat.read_until(b"context used")
    chat.leave()


@pytest.mark.skipif(sys.platform == "darwin", reason="the terminal takes no such long line")
def test_ctrl_c_stops_the_prefill_of_a_prompt(engine, make_model):
    path, _ = make_model(max_seq_len=1 << 13, dim=512, hidden_dim=2048, n_layers=4)
    chat = Terminal(engine, "-m", path, "--tokens", "1", "--temp", "0", "--threads", "1")
    chat.read_until(b"> ")
    chat.send("x" * 4000)
    chat.read_until(b"xxx\r\n")
    os.kill(chat.process, signal.SIGINT)
    chat.read_until(b"\r\n> ")
    chat.send("/stats")
    assert b"decode 0 tokens" in chat.read_until(b"context used")
    chat.send("hello")  # the rest of the prompt is computed now
    chat.read_prompt()
    chat.send("/stats")
    assert b"decode 1 tokens" in chat.read_until(b"context used")
    chat.leave()


@pytest.mark.skipif(sys.platform == "darwin", reason="the terminal takes no such long line")
def test_a_line_cut_by_the_terminal_is_not_answered(engine, make_model):
    path, _ = make_model(max_seq_len=1 << 13)
    chat = Terminal(engine, "-m", path, "--tokens", "1", "--temp", "0")
    chat.read_until(b"> ")
    for length, is_told in ((900, False), (5000, True)):
        chat.send("x" * length)
        assert (b"the terminal cuts lines" in chat.read_prompt()) is is_told
    chat.leave()


@pytest.mark.parametrize("share", [0, 0.3, 0.6])
def test_a_model_file_truncated_in_use_is_one_line(engine, make_model, tmp_path, share):
    """Any thread may be the first to touch the missing part."""
    path = Path(shutil.copy(make_model(dim=128, hidden_dim=512)[0], tmp_path))
    for _ in range(3):
        chat = Terminal(engine, "-m", path, "--tokens", "5", "--threads", "3")
        chat.read_until(b"> ")
        os.truncate(path, 4096 + int(share * path.stat().st_size))
        chat.send("hello")
        chat.read_until(b"error: the model file cannot be read any more")
        assert chat.wait() == 2
        shutil.copy(make_model(dim=128, hidden_dim=512)[0], path)


def test_keep_keeps_the_first_turn_of_a_long_chat(engine, make_model):
    path, _ = make_model(max_seq_len=64, turns=8)

    def answers(*keep):
        chat = Terminal(engine, "-m", path, "--tokens", "8", "--temp", "0", *keep)
        chat.read_until(b"> ")
        seen = []
        for line in ("world", *["hello world hello"] * 6):
            chat.send(line)
            seen.append(chat.read_prompt())
        chat.leave()
        return seen

    forgetful, keeping = answers(), answers("--keep", "6")
    first = next(turn for turn, seen in enumerate(forgetful) if b"turns are forgotten" in seen)
    assert forgetful[:first] == keeping[:first]
    assert b"turns are forgotten" in keeping[first]
    assert forgetful[first:] != keeping[first:]


def test_a_long_chat_forgets_its_oldest_turns(engine, make_model):
    path, _ = make_model(max_seq_len=64, turns=8)
    chat = Terminal(engine, "-m", path, "--tokens", "12", "--temp", "0")
    chat.read_until(b"> ")
    seen = b""
    for _ in range(8):
        chat.send("hello world hello")
        seen += chat.read_prompt()
    assert b"the context is full: older turns are forgotten" in seen
    chat.leave()


def answers_of_chat(engine, *arguments, lines):
    """What the chat prints after each line, without the line itself."""
    chat = Terminal(engine, *arguments)
    chat.read_until(b"> ")
    seen = []
    for line in lines:
        chat.send(line)
        seen.append(chat.read_prompt().replace(b"\r\n", b"\n").split(b"\n", 1)[1].removesuffix(b"\n> "))
    chat.leave()
    return seen


def shown(output: bytes) -> bytes:
    """What a terminal gets of an answer that a pipe gets so."""
    return visible(output.decode()).encode().removesuffix(b"\n")


@pytest.mark.parametrize(
    ("turns", "note"),
    [(0, b"(the model file does not say how many turns"), (1, b"(the training text has one question")],
)
def test_a_model_of_single_questions_answers_each_as_if_asked_alone(engine, make_model, turns, note):
    path, _ = make_model(turns=turns)
    arguments = ("-m", path, "--tokens", "8", "--temp", "0")
    first, second, third = answers_of_chat(engine, *arguments, lines=["hello", "the world", "the world"])
    alone = shown(engine.output(*arguments, "-p", "the world"))
    assert first == shown(engine.output(*arguments, "-p", "hello"))
    said, second = second.split(b"\n", 1)
    assert said.startswith(note) and said.endswith(b": each question is answered alone)")
    assert second == third == alone  # and it is said once


def test_a_chat_forgets_turns_beyond_those_of_the_training_text(engine, make_model):
    path, _ = make_model(turns=3)
    arguments = ("-m", path, "--tokens", "6", "--temp", "0")
    lines = ["hello", "the world", "a", "hello the", "a world", "hello"]
    seen = answers_of_chat(engine, *arguments, lines=lines)
    notes = [b"(the training text has conversations of up to 3 questions" in one for one in seen]
    assert notes == [False, False, False, True, False, False]
    longer = answers_of_chat(engine, "-m", make_model(turns=8)[0], *arguments[2:], lines=lines)
    assert seen[:3] == longer[:3] and seen[3:] != longer[3:]


def test_a_system_prompt_begins_the_chat_anew_and_outlives_a_reset(engine, make_model):
    path, _ = make_model(turns=8)
    arguments = ("-m", path, "--tokens", "6", "--temp", "0")
    system = ("--system", "the world")
    without = shown(engine.output(*arguments, "-p", "hello"))
    within = shown(engine.output(*arguments, *system, "-p", "hello"))
    translated = shown(engine.output(*arguments, *system, "-t", "hello"))
    assert without != within
    lines = ["hello", "/system the world", "hello", "/reset", "hello", "/hu hello", "/system", "hello"]
    seen = answers_of_chat(engine, *arguments, lines=lines)
    assert [seen[index] for index in (0, 2, 4, 5, 7)] == [without, within, within, translated, without]
    assert answers_of_chat(engine, *arguments, *system, lines=["hello"]) == [within]


def test_a_window_that_slides_in_a_chat_is_told(engine, make_model):
    path, _ = make_model(max_seq_len=32, turns=8)
    (seen,) = answers_of_chat(engine, "-m", path, "--temp", "0", "--tokens", "60", "--keep", "4", lines=["hello"])
    assert seen.endswith(b"(the context is full: older tokens are forgotten)")


def test_a_refused_message_changes_nothing(engine, make_model):
    path, _ = make_model(turns=8)

    def chat_with(*messages):
        chat = Terminal(engine, "-m", path, "--tokens", "5", "--temp", "0")
        chat.read_until(b"> ")
        for message in messages:
            chat.send(message)
            seen = chat.read_prompt()
            assert (b"context holds 256" in seen) is ("xyz" in message)
        chat.send("/stats")
        stats = chat.read_prompt()
        chat.leave()
        return re.search(rb"\d+ of 256 tokens of context", stats)[0]

    too_long = "xyz" * 100
    expected = chat_with("hello", "world")
    assert expected != chat_with("world")
    assert chat_with("hello", too_long, "world") == expected  # the conversation so far is remembered
    assert chat_with("hello", "/hu " + too_long, "world") == expected  # and the conversation continues


def test_ctrl_c_loses_no_output_on_a_stopped_terminal(engine, make_model):
    # A small model that never ends its answer of 300 KB. A terminal buffers about 20 KB.
    tiny = {"dim": 16, "hidden_dim": 16, "n_layers": 1, "n_heads": 1, "n_kv_heads": 1, "max_seq_len": 1 << 15}
    path, _ = make_model(seed=6, **tiny)
    arguments = ("-m", path, "--tokens", "30000", "--temp", "0")
    whole = engine.output(*arguments, "-p", "hello").replace(b"\n", b"\r\n")
    assert len(whole) > 200_000
    chat = Terminal(engine, *arguments)
    chat.read_until(b"> ")
    chat.send("hello")
    time.sleep(1)  # nobody reads: the terminal's buffer is full and the program blocks in a write
    os.kill(chat.process, signal.SIGINT)
    answer = chat.read_prompt().removeprefix(b"hello\r\n").removesuffix(b"\r\n> ")
    assert 4000 < len(answer) < len(whole)
    assert whole.startswith(answer)
    chat.leave()
