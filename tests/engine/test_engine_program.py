"""The program's options, streams and limits."""

import json
import os
import pty
import re
import resource
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from engine_program import random_network

from lai.data.vocab import Vocab
from lai.export.model_file import write_model
from lai.generation import generate

GREEDY = ("--temp", "0", "--repeat-penalty", "1")


def test_help_and_version_need_no_model(engine):
    assert engine.output("--version") == b"lai 0.1.0\n"
    for option in ("-h", "--help"):
        text = engine.output(option).decode()
        for name in ("--model", "--translate", "--to-en", "--repeat-penalty", "--perplexity", "--tokenize", "--keep"):
            assert name in text
        assert max(len(line) for line in text.splitlines()) <= 90


def test_the_default_model_is_named_when_it_is_missing(engine, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "models/lai-tiny.bin" in engine.error("-p", "hello")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--tmp", "1"], "unknown option --tmp"),
        (["--temp"], "--temp is given without its value"),
        (["--temp", "warm"], "'warm', expected a number from 0 to 100"),
        (["--temp", "nan"], "'nan'"),
        (["--temp", "-1"], "'-1'"),
        (["--tokens", "1.5"], "'1.5', expected a whole number"),
        (["--tokens", "99999999999999999999999"], "expected a whole number"),
        (["--threads", "0"], "'0', expected a whole number from 1"),
        (["--top-p", "1.1"], "'1.1'"),
        (["-p", "a", "-t", "b"], "two prompts"),
        (["-p", "a", "-f", "b"], "expected one of them"),
        (["--raw", "-t", "b"], "expected one of them"),
        (["--info", "--bench"], "two tools are asked for, --info and --bench"),
        (["--perplexity", "a", "--perplexity", "b"], "two tools"),
        (["-f", "a", "-f", "b"], "two files"),
        (["--info", "-p", "a"], "together with --info"),
        (["--bench", "--logits", "a"], "together with --bench"),
        (["--perplexity", "texts.jsonl"], "ends in .jsonl, expected plain text"),
        (["stray"], "unknown option stray"),
        (["-f", "/nonexistent/prompt.txt"], "cannot read /nonexistent/prompt.txt"),
        (["-f", "/"], "cannot read /: "),
        (["--perplexity", "/nonexistent/text.txt"], "cannot read /nonexistent/text.txt"),
        (["--perplexity", "/"], "cannot read /: "),
        (["--tokenize-lines", "/"], "cannot read /: "),
        (["-p", "a", "--logits", "/nonexistent/logits"], "cannot write /nonexistent/logits"),
        (["-p", "a", "--keep", "255"], "--keep is 255, expected at least 2 fewer than the context's 256 tokens"),
    ],
)
def test_wrong_options(engine, make_model, arguments, expected):
    path, _ = make_model()
    assert expected in engine.error("-m", path, *arguments)


def test_logits_do_not_overwrite_another_kind_of_file(engine, make_model, tmp_path):
    path, _ = make_model()
    before = path.read_bytes()
    (tmp_path / "link").symlink_to(path)
    for name in (path, tmp_path / "link"):
        assert "another kind of file" in engine.error("-m", path, "-p", "a", "--logits", name)
    assert path.read_bytes() == before
    (tmp_path / "text").write_text("A text.")
    assert "another kind of file" in engine.error("-m", path, "-f", tmp_path / "text", "--logits", tmp_path / "text")
    for text in ("a", "a long one"):  # other logits may be replaced
        engine.output("-m", path, "-p", text, "--tokens", "0", "--logits", tmp_path / "logits")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_output_that_cannot_be_written_is_an_error(engine, make_model):
    path, _ = make_model()
    for arguments in (("--version",), ("-m", path, "-p", "a", "--tokens", "5"), ("-m", path, "--tokenize", "a")):
        with Path("/dev/full").open("w") as full:
            done = subprocess.run([engine.program, *arguments], stdout=full, stderr=subprocess.PIPE)
        assert done.returncode == 2 and done.stderr == b"error: cannot write to standard output\n"


def test_info(engine, make_model):
    path, model = make_model("q8_0", n_kv_heads=2)
    info = engine.json("-m", path, "--info")
    for name in ("dim", "hidden_dim", "n_layers", "n_heads", "n_kv_heads", "vocab_size", "max_seq_len", "activation"):
        assert info[name] == getattr(model.config, name)
    assert info["parameters"] == sum(parameter.numel() for parameter in model.build().parameters())
    assert info["dtype"] == "q8_0" and info["tie_embeddings"] is True and info["checksum"] == "correct"
    text = engine.output("-m", path, "--info").decode()
    assert "q8_0" in text and str(info["parameters"]) in text


def test_a_tied_model_is_recognised_in_version_1(engine, make_model):
    for tied in (True, False):
        path, model = make_model(tie_embeddings=tied)
        info = engine.json("-m", path, "--info")
        assert info["tie_embeddings"] is tied
        assert info["parameters"] == sum(parameter.numel() for parameter in model.build().parameters())


def test_prompts_from_files_and_standard_input(engine, make_model, tmp_path):
    path, model = make_model()
    prompt = tmp_path / "prompt.txt"
    prompt.write_bytes(b"hello\nworld\n")
    base = ("-m", path, "--raw", "--tokens", "0")
    expected = [Vocab.BOS, *model.vocab.encode(b"hello\nworld")]
    assert engine.json(*base, "-f", prompt)["prompt_ids"] == expected
    assert engine.json(*base, stdin=prompt.read_bytes())["prompt_ids"] == expected
    assert engine.json(*base, "-f", "-", stdin=prompt.read_bytes())["prompt_ids"] == expected
    assert "empty" in engine.error(*base, stdin=b"\n")
    prompt.write_bytes(b"\xef\xbb\xbfhello\nworld\r\n\r\n")  # as editors on Windows write it
    assert engine.json(*base, "-f", prompt)["prompt_ids"] == expected


def test_text_and_json_agree(engine, make_model):
    path, _ = make_model()
    arguments = ("-m", path, "-p", "hello", "--seed", "7", "--tokens", "60")
    result = engine.json(*arguments)
    assert engine.output(*arguments).decode() == result["text"] + "\n"
    assert len(result["ids"]) == result["timing"]["answer_tokens"] == 60
    assert result["timing"]["prompt_tokens"] == len(result["prompt_ids"])


def test_the_same_seed_gives_the_same_text_at_any_thread_count(engine, make_model):
    path, _ = make_model("q4_0")
    texts = {engine.json("-m", path, "-p", "a", "--seed", "5", "--threads", n)["text"] for n in (1, 2, 3)}
    assert len(texts) == 1
    assert engine.json("-m", path, "-p", "a", "--seed", "6")["text"] not in texts
    first, second = (engine.json("-m", path, "-p", "a") for _ in range(2))
    assert first["seed"] != second["seed"] and first["text"] != second["text"]


def test_streamed_bytes_are_whole_characters_at_every_flush(engine, make_model, tmp_path):
    path, _ = make_model(seed=3)
    # Temperature 3 strews single bytes of characters about.
    read, write = os.pipe()
    process = os.posix_spawn(
        engine.program,
        [str(engine.program), "-m", str(path), "-p", "a", "--temp", "3", "--top-k", "0", "--top-p", "1", "--seed", "1"],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, write, 1), (os.POSIX_SPAWN_CLOSE, read)],
    )
    os.close(write)
    total = b""
    while piece := os.read(read, 1 << 16):
        total += piece
        total.decode("utf-8")
    os.close(read)
    assert os.waitpid(process, 0)[1] == 0
    assert "\ufffd" in total.decode()


def test_the_context_limit(engine, make_model):
    path, model = make_model(max_seq_len=32)
    text = "xyz" * 14
    assert f"has {1 + len(model.vocab.encode(text))} tokens, the model's context holds 32" in engine.error(
        "-m", path, "--raw", "-p", text
    )
    done = engine.run("-m", path, "--raw", "-p", "hello", *GREEDY)
    assert done.returncode == 0 and b"context of 32 tokens is full" in done.stderr
    result = engine.json("-m", path, "--raw", "-p", "hello", *GREEDY)
    assert result["stop"] == "context"
    # The last token is chosen by the last of the context, and not read itself.
    assert len(result["prompt_ids"]) + len(result["ids"]) == 33


def test_a_sliding_window_goes_on(engine, make_model):
    path, _ = make_model(max_seq_len=32)
    stopped = engine.json("-m", path, "--raw", "-p", "hello", *GREEDY)
    result = engine.json("-m", path, "--raw", "-p", "hello", *GREEDY, "--keep", "4", "--tokens", "200")
    assert len(result["ids"]) == 200 and result["stop"] == "tokens"
    assert result["ids"][: len(stopped["ids"])] == stopped["ids"]


def test_it_stops_at_the_end_of_the_answer(engine, tmp_path, make_model, vocab):
    _, model = make_model()
    weights = random_network(model.config).state_dict()
    for stop, token in (("assistant", vocab.tag_id(b"</assistant>")), ("eos", Vocab.EOS)):
        # Of two opposite rows one is above zero whatever comes; both lead to this token or the next one.
        edited = {name: tensor.clone() for name, tensor in weights.items()}
        edited["token_embed.weight"] *= 1e-3
        edited["token_embed.weight"][token] = 1.0
        write_model(tmp_path / f"{stop}.bin", model.config, edited, vocab)
        seen = {engine.json("-m", tmp_path / f"{stop}.bin", "-p", text, *GREEDY)["stop"] for text in "abcdefgh"}
        assert stop in seen
    raw = {engine.json("-m", tmp_path / "assistant.bin", "--raw", "-p", text, *GREEDY)["stop"] for text in "abcdefgh"}
    assert "assistant" not in raw


class Terminal:
    """The program's chat on a pseudo-terminal."""

    def __init__(self, engine, *arguments):
        self.process, self.descriptor = pty.fork()
        if self.process == 0:
            os.execv(engine.program, [str(engine.program), *map(str, arguments)])

    def read(self, seen=b""):
        ready, _, _ = select.select([self.descriptor], [], [], 30)
        assert ready, f"nothing more came after {seen!r}"
        return os.read(self.descriptor, 1 << 16)

    def read_until(self, text):
        seen = b""
        while text not in seen:
            seen += self.read(seen)
        return seen

    def read_prompt(self):
        """Everything up to the sign that the program waits for a line."""
        seen = b""
        while not seen.endswith(b"\n> "):
            seen += self.read(seen)
        return seen

    def send(self, line):
        os.write(self.descriptor, line.encode() + b"\n")

    def wait(self):
        try:
            while os.read(self.descriptor, 1 << 16):
                pass
        except OSError:
            pass
        os.close(self.descriptor)
        return os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])


def test_the_chat(engine, make_model):
    path, _ = make_model()
    chat = Terminal(engine, "-m", path, "--tokens", "5", "--temp", "0")
    chat.read_until(b"> ")
    for line, answer in (
        ("/help", b"/translate"),
        ("/temp 0.5", b""),
        ("/temp hot", b"'hot'"),
        ("/tokens 3", b""),
        ("hello", b""),
        ("/stats", b"wrote 3 tokens"),
        ("/hu hello", b""),
        ("/en", b""),
        ("/translate", b""),
        ("ház", b""),
        ("/chat", b""),
        ("/reset", b""),
        ("/info", b"parameters"),
        ("/nonsense", b"unknown command"),
    ):
        chat.send(line)
        assert answer in chat.read_prompt()
    chat.send("/quit")
    assert chat.wait() == 0


def test_a_raw_text_is_not_talked_about(engine, make_model):
    terminal = Terminal(engine, "-m", make_model()[0], "--raw")
    terminal.read_until(b"none is given")
    assert terminal.wait() == 2


def test_ctrl_c_stops_the_answer_and_not_the_chat(engine, make_model):
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
    assert b"wrote" in chat.read_until(b"context used")
    os.write(chat.descriptor, b"\x04")
    assert chat.wait() == 0


@pytest.mark.skipif(sys.platform == "darwin", reason="the terminal takes no such long line")
def test_ctrl_c_stops_the_reading_of_a_prompt(engine, make_model):
    path, _ = make_model(max_seq_len=1 << 13, dim=512, hidden_dim=2048, n_layers=4)
    chat = Terminal(engine, "-m", path, "--tokens", "1", "--temp", "0", "--threads", "1")
    chat.read_until(b"> ")
    chat.send("x" * 4000)
    chat.read_until(b"xxx\r\n")
    os.kill(chat.process, signal.SIGINT)
    chat.read_until(b"\r\n> ")
    chat.send("/stats")
    assert b"wrote 0 tokens" in chat.read_until(b"context used")
    chat.send("hello")  # what was not read is read now
    chat.read_prompt()
    chat.send("/stats")
    assert b"wrote 1 tokens" in chat.read_until(b"context used")
    os.write(chat.descriptor, b"\x04")
    assert chat.wait() == 0


@pytest.mark.skipif(sys.platform == "darwin", reason="the terminal takes no such long line")
def test_a_line_that_the_terminal_has_cut_is_not_answered(engine, make_model):
    path, _ = make_model(max_seq_len=1 << 13)
    chat = Terminal(engine, "-m", path, "--tokens", "1", "--temp", "0")
    chat.read_until(b"> ")
    for length, is_told in ((900, False), (5000, True)):
        chat.send("x" * length)
        assert (b"the terminal cuts lines" in chat.read_prompt()) is is_told
    os.write(chat.descriptor, b"\x04")
    assert chat.wait() == 0


def test_a_diverged_model_is_told(engine, make_model, tmp_path):
    path = tmp_path / "nan.bin"
    path.write_bytes(make_model()[0].read_bytes()[:-4] + b"\xff" * 4)  # its last weight is no number
    (tmp_path / "text").write_text("A text.\n")
    for arguments in (("-p", "a"), ("--perplexity", tmp_path / "text")):
        assert "is not a number" in engine.error("-m", path, "--no-verify", *arguments)


@pytest.mark.parametrize("share", [0, 0.3, 0.6])
def test_a_model_that_is_cut_off_meanwhile_is_told(engine, make_model, tmp_path, share):
    """Whichever thread comes to the missing part first."""
    path = Path(shutil.copy(make_model(dim=128, hidden_dim=512)[0], tmp_path))
    for _ in range(3):
        chat = Terminal(engine, "-m", path, "--tokens", "5", "--threads", "3")
        chat.read_until(b"> ")
        os.truncate(path, 4096 + int(share * path.stat().st_size))
        chat.send("hello")
        chat.read_until(b"error: the model file cannot be read any more")
        assert chat.wait() == 2
        shutil.copy(make_model(dim=128, hidden_dim=512)[0], path)


def test_a_long_chat_keeps_its_first_turn_where_it_is_told_to(engine, make_model):
    path, _ = make_model(max_seq_len=64)

    def answers(*keep):
        chat = Terminal(engine, "-m", path, "--tokens", "8", "--temp", "0", *keep)
        chat.read_until(b"> ")
        seen = []
        for line in ("world", *["hello world hello"] * 6):
            chat.send(line)
            seen.append(chat.read_prompt())
        os.write(chat.descriptor, b"\x04")
        assert chat.wait() == 0
        return seen

    forgetful, keeping = answers(), answers("--keep", "6")
    first = next(turn for turn, seen in enumerate(forgetful) if b"turns are forgotten" in seen)
    assert forgetful[:first] == keeping[:first]
    assert b"turns are forgotten" in keeping[first]
    assert forgetful[first:] != keeping[first:]


def test_a_long_chat_forgets_its_oldest_turns(engine, make_model):
    path, _ = make_model(max_seq_len=64)
    chat = Terminal(engine, "-m", path, "--tokens", "12", "--temp", "0")
    chat.read_until(b"> ")
    seen = b""
    for _ in range(8):
        chat.send("hello world hello")
        seen += chat.read_prompt()
    assert b"older turns are forgotten" in seen
    os.write(chat.descriptor, b"\x04")
    assert chat.wait() == 0


def test_a_refused_message_changes_nothing(engine, make_model):
    path, _ = make_model()

    def chat_with(*messages):
        chat = Terminal(engine, "-m", path, "--tokens", "5", "--temp", "0")
        chat.read_until(b"> ")
        for message in messages:
            chat.send(message)
            seen = chat.read_prompt()
            assert (b"context holds 256" in seen) is ("xyz" in message)
        chat.send("/stats")
        stats = chat.read_prompt()
        os.write(chat.descriptor, b"\x04")
        assert chat.wait() == 0
        return re.search(rb"\d+ of 256 tokens of context", stats)[0]

    too_long = "xyz" * 100
    expected = chat_with("hello", "world")
    assert expected != chat_with("world")
    assert chat_with("hello", too_long, "world") == expected  # the conversation so far is remembered
    assert chat_with("hello", "/hu " + too_long, "world") == expected  # and goes on as a conversation


def test_ctrl_c_loses_nothing_where_the_terminal_stands_still(engine, make_model):
    path, _ = make_model(max_seq_len=1 << 12)
    chat = Terminal(engine, "-m", path, "--tokens", "4000", "--temp", "0")
    chat.read_until(b"> ")
    chat.send("hello")
    time.sleep(1)  # nobody reads: the terminal's buffer fills, and the program waits in the middle of writing
    os.kill(chat.process, signal.SIGINT)
    chat.read_until(b"\r\n> ")
    os.write(chat.descriptor, b"\x04")
    assert chat.wait() == 0


def test_the_bench_prints_what_it_measured(engine, make_model):
    path, _ = make_model()
    result = engine.json("-m", path, "--bench", "--threads", "1")
    assert result["read_128"] > 0 and result["write_128"] > 0 and "read_512" not in result
    assert json.dumps(result)


def test_a_context_of_one_token(engine, make_model):
    path, _ = make_model(max_seq_len=1)
    assert engine.json("-m", path, "--bench", "--threads", "1")["write_1"] > 0
    assert len(engine.json("-m", path, "--raw", "-p", "", *GREEDY)["ids"]) == 1
    assert "--keep is 0, expected at least 2 fewer" in engine.error("-m", path, "--raw", "-p", "", "--keep", "0")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the address space cannot be limited elsewhere")
def test_it_runs_with_the_threads_that_it_can_have(engine, make_model):
    path, _ = make_model()
    expected = engine.json("-m", path, "-p", "hello", *GREEDY)

    def three_stacks():
        resource.setrlimit(resource.RLIMIT_STACK, (256 << 20, resource.RLIM_INFINITY))
        resource.setrlimit(resource.RLIMIT_AS, (1000 << 20, 1000 << 20))

    arguments = [engine.program, "-m", path, "-p", "hello", *GREEDY, "--json", "--threads", "8"]
    done = subprocess.run(arguments, capture_output=True, preexec_fn=three_stacks)
    result = json.loads(done.stdout)
    assert 1 <= result["threads"] < 8 and result["ids"] == expected["ids"]


def test_a_seed_draws_the_same_text_in_the_engine_and_in_pytorch(engine, make_model):
    path, model = make_model(seed=2)
    prompt = [Vocab.BOS, *model.vocab.encode("hello")]
    for seed in (0, 7, 2**63 + 11, 2**64 - 1):
        result = engine.json("-m", path, "--raw", "-p", "hello", "--seed", str(seed), "--tokens", "60")
        drawn = list(generate(model.build(), prompt, stop={Vocab.EOS}, tokens=60, seed=seed))
        assert result["ids"] == drawn
