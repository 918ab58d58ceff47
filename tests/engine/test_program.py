"""The engine's options, streams and limits."""

import json
import os
import resource
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from engine_program import random_network
from processes import on_terminal, shown_on_terminal

from lai.export.lai_file import read_model, write_model
from lai.host.console import visible
from lai.inference.sampling import Sampling, generate
from lai.tokenizer.vocab import Vocab

GREEDY = ("--temp", "0", "--repeat-penalty", "1")


def test_help_and_version_need_no_model(engine):
    assert engine.output("--version").startswith(b"lai ")
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
        (["--temp"], "--temp lacks its value"),
        (["--temp", "warm"], "'warm', expected a number from 0 to 100"),
        (["--temp", "nan"], "'nan'"),
        (["--temp", "-1"], "'-1'"),
        (["--temp", "0x1"], "'0x1'"),
        (["--temp", " 1"], "' 1'"),
        (["--tokens", "1.5"], "'1.5', expected a whole number"),
        (["--tokens", "99999999999999999999999"], "expected a whole number"),
        (["--threads", "0"], "'0', expected a whole number from 1"),
        (["--top-p", "1.1"], "'1.1'"),
        (["-p", "a", "-t", "b"], "two prompts"),
        (["-t", "a", "-t", "b"], "two prompts"),
        (["--to-en", "a", "-p", "b"], "two prompts"),
        (["-p", "a", "-p", " "], "the prompt is empty"),
        (["-p", "a", "--system", " "], "the system prompt is empty"),
        (["--raw", "-p", "a", "--system", "b"], "--raw and --system"),
        (["--raw", "-p", "a", "-p", "b"], "--raw and several prompts"),
        (["-p", "a", "-p", "b", "--logits", "x"], "--logits and several prompts"),
        (["-p", "a", "-f", "b"], "expected one of them"),
        (["--raw", "-t", "b"], "expected one of them"),
        (["--info", "--bench"], "--info and --bench are given, expected one of them"),
        (["--perplexity", "a", "--perplexity", "b"], "--perplexity and --perplexity are given"),
        (["-f", "a", "-f", "b"], "two prompt files"),
        (["--info", "-p", "a"], "together with --info"),
        (["--bench", "--logits", "a"], "together with --bench"),
        (["--perplexity", "texts.jsonl"], "ends in .jsonl, expected plain text"),
        (["--perplexity", "texts.txt.GZ"], "ends in .gz, expected plain text"),
        (["stray"], "unknown option stray"),
        (["-f", "/nonexistent/prompt.txt"], "cannot read /nonexistent/prompt.txt"),
        (["-f", "/"], "cannot read /: "),
        (["-f", ""], "-f is '', expected the name of a file"),
        (["--perplexity", "/nonexistent/text.txt"], "cannot read /nonexistent/text.txt"),
        (["--perplexity", "/"], "cannot read /: "),
        (["--tokenize-lines", "/"], "cannot read /: "),
        (["-p", "a", "--logits", "/nonexistent/logits"], "cannot write /nonexistent/logits"),
        (["-p", "a", "--keep", "255"], "--keep is 255, expected at least 2 fewer than the context's 256 tokens"),
    ],
)
def test_wrong_options_are_one_line(engine, make_model, arguments, expected):
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


def test_info_shows_the_config(engine, make_model):
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


def test_prompts_come_from_files_and_standard_input(engine, make_model, tmp_path):
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


@pytest.mark.parametrize("text", ["", " ", " \t\n\r\f\v"])
def test_a_blank_prompt_is_refused_from_every_source(engine, make_model, tmp_path, text):
    path, _ = make_model()
    (tmp_path / "prompt.txt").write_text(text)
    for prompt in (("-p", text), ("-t", text), ("--to-en", text), ("-f", tmp_path / "prompt.txt")):
        assert "the prompt is empty" in engine.error("-m", path, *prompt)
    assert "the prompt is empty" in engine.error("-m", path, stdin=text.encode())
    # --raw generates a text from its beginning, or one that begins with white space.
    assert engine.json("-m", path, "--raw", "-p", text, "--tokens", "1")["ids"]


# The test models have 346 tokens: ln(346) is 5.846, and two thirds of it are 3.897.
FAR = [
    ((0, 0, 0.0, 0.0), None),
    ((10, 99, 0.0, 1.0), None),
    ((10, 99, 3.89, 0.0), None),
    ((10, 99, 3.9, 0.0), "has trained for 10 steps (val/loss 3.90; guessing scores 5.85)"),
    ((1, 99, 4.0, 0.0), "has trained for 1 step (val/loss 4.00"),
    ((0, 0, 4.0, 0.0), "is hardly trained (val/loss 4.00"),
    ((10, 99, 1.5, 1.0), None),
    ((10, 99, 1.53125, 1.0), "(val/loss 1.53; the floor is 1.00)"),
    ((10, 99, 3.0, 1.0), "(val/loss 3.00; the floor is 1.00)"),
    ((10, 99, 4.5, 3.5), None),
    ((2**64 - 1, 2**64 - 1, 2.0**127, 2.0**-149), f"{2**64 - 1} steps (val/loss {2**127}.00; the floor is 0.00)"),
    ((10, 99, float("nan"), 1.0), None),
    ((10, 99, 4.0, float("nan")), "guessing scores 5.85"),
    ((10, 99, float("inf"), 1.0), None),
]


@pytest.mark.parametrize(("training", "expected"), FAR)
def test_engine_and_python_give_the_same_note_on_undertrained_models(engine, make_model, tmp_path, training, expected):
    path, model = make_model()
    assert model.config.vocab_size == 346
    data = bytearray(path.read_bytes())
    struct.pack_into("<QQff", data, 88, *training)
    (tmp_path / "m.bin").write_bytes(data)
    note = read_model(tmp_path / "m.bin").training.note(model.config.vocab_size)
    command = [engine.program, "-m", tmp_path / "m.bin", "-p", "a", "--tokens", "3", "--seed", "1"]
    output, errors = on_terminal(command)
    assert errors == (f"{note}\n" if note else "")
    assert expected in note if expected else note is None
    assert output == engine.output(*command[1:])
    assert engine.run(*command[1:]).stderr == b""  # no note unless stderr is a terminal
    assert on_terminal([*command, "--json"])[1] == ""


def test_lai_generate_gives_the_same_note_on_an_undertrained_model(engine, make_model, tmp_path):
    data = bytearray(make_model()[0].read_bytes())
    struct.pack_into("<QQff", data, 88, 10, 99, 4.0, 0.0)
    (tmp_path / "m.bin").write_bytes(data)
    arguments = ["-m", str(tmp_path / "m.bin"), "-p", "a", "--tokens", "3", "--seed", "1"]
    expected = on_terminal([engine.program, *arguments])
    assert "10 steps" in expected[1]
    assert on_terminal([sys.executable, "-m", "lai.generate", *arguments]) == expected


def test_text_and_json_agree(engine, make_model):
    path, _ = make_model()
    arguments = ("-m", path, "-p", "hello", "--seed", "7", "--tokens", "60")
    result = engine.json(*arguments)
    assert engine.output(*arguments).decode() == result["text"] + "\n"
    assert len(result["ids"]) == result["timing"]["answer_tokens"] == 60
    assert result["timing"]["prompt_tokens"] == len(result["prompt_ids"])


def test_a_seed_gives_the_same_text_with_any_number_of_threads(engine, make_model):
    path, _ = make_model("q4_0")
    texts = {engine.json("-m", path, "-p", "a", "--seed", "5", "--threads", n)["text"] for n in (1, 2, 3)}
    assert len(texts) == 1
    assert engine.json("-m", path, "-p", "a", "--seed", "6")["text"] not in texts
    first, second = (engine.json("-m", path, "-p", "a") for _ in range(2))
    assert first["seed"] != second["seed"] and first["text"] != second["text"]


def test_streamed_bytes_are_whole_characters_at_every_flush(engine, make_model, tmp_path):
    path, _ = make_model(seed=3)
    # Temperature 3 samples many single bytes of characters.
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


def test_the_context_limits_prompt_and_answer(engine, make_model):
    path, model = make_model(max_seq_len=32)
    text = "xyz" * 14
    assert f"has {1 + len(model.vocab.encode(text))} tokens, the model's context holds 32" in engine.error(
        "-m", path, "--raw", "-p", text
    )
    # A text too long for any encoding is refused by its length in bytes.
    longest = max(map(len, model.vocab.tokens))
    raw = ("-m", path, "--raw")
    assert f"has {32 * longest + 1} tokens" in engine.error(*raw, stdin=b"\xff" * 32 * longest)
    assert f"has {33 * longest} bytes" in engine.error(*raw, stdin=b"\xff" * 33 * longest)
    done = engine.run("-m", path, "--raw", "-p", "hello", *GREEDY)
    assert done.returncode == 0 and b"context of 32 tokens is full" in done.stderr
    result = engine.json("-m", path, "--raw", "-p", "hello", *GREEDY)
    assert result["stop"] == "context"
    # The logits of the last position give one more token, which is not computed itself.
    assert len(result["prompt_ids"]) + len(result["ids"]) == 33


@pytest.mark.parametrize("keep", [0, 4, 30])
def test_keep_slides_the_context_window(engine, make_model, keep):
    """PyTorch computes each window afresh: the first tokens and the later half of the others."""
    path, model = make_model(max_seq_len=32)
    result = engine.json("-m", path, "--raw", "-p", "hello world", *GREEDY, "--keep", keep, "--tokens", "100")
    window, expected = result["prompt_ids"], []
    while len(expected) < 100:
        chosen = [*generate(model.build(), window, stop=set(), sampling=Sampling(temperature=0, repeat_penalty=1))]
        expected += chosen  # up to the end of the context, and one more
        window = [*window, *chosen]
        window = window[:keep] + window[-((len(window) - keep) // 2) :]
    assert result["ids"] == expected[:100]
    assert result["stop"] == "tokens"


def test_generation_stops_at_assistant_end_and_eos(engine, tmp_path, make_model, vocab):
    _, model = make_model()
    weights = random_network(model.config).state_dict()
    for stop, token in (("assistant", vocab.tag_id(b"</assistant>")), ("eos", Vocab.EOS)):
        # The logit of this row is positive for about half of the prompts.
        edited = {name: tensor.clone() for name, tensor in weights.items()}
        edited["token_embed.weight"] *= 1e-3
        edited["token_embed.weight"][token] = 1.0
        write_model(tmp_path / f"{stop}.bin", model.config, edited, vocab)
        seen = {engine.json("-m", tmp_path / f"{stop}.bin", "-p", text, *GREEDY)["stop"] for text in "abcdefgh"}
        assert stop in seen
    raw = {engine.json("-m", tmp_path / "assistant.bin", "--raw", "-p", text, *GREEDY)["stop"] for text in "abcdefgh"}
    assert "assistant" not in raw


def test_a_diverged_model_is_one_line(engine, make_model, tmp_path):
    path = tmp_path / "nan.bin"
    path.write_bytes(make_model()[0].read_bytes()[:-4] + b"\xff" * 4)  # its last weight is NaN
    (tmp_path / "text").write_text("A text.\n")
    for arguments in (("-p", "a"), ("--perplexity", tmp_path / "text")):
        assert "is not a number" in engine.error("-m", path, "--no-verify", *arguments)


def test_bench_prints_prefill_decode_and_ceiling(engine, make_model):
    path, _ = make_model()
    result = engine.json("-m", path, "--bench", "--threads", "1")
    assert result["prefill_128"] > 0 and result["decode_128"] > 0 and "prefill_512" not in result
    assert result["bandwidth_ceiling"] > 0
    assert json.dumps(result)


def test_a_context_of_one_token_works(engine, make_model):
    path, _ = make_model(max_seq_len=1)
    assert engine.json("-m", path, "--bench", "--threads", "1")["decode_1"] > 0
    assert len(engine.json("-m", path, "--raw", "-p", "", *GREEDY)["ids"]) == 1
    assert "--keep is 0, expected at least 2 fewer" in engine.error("-m", path, "--raw", "-p", "", "--keep", "0")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the address space cannot be limited elsewhere")
def test_the_engine_runs_with_fewer_threads_if_the_system_refuses_more(engine, make_model):
    path, _ = make_model()
    expected = engine.json("-m", path, "-p", "hello", *GREEDY)

    def three_stacks():
        resource.setrlimit(resource.RLIMIT_STACK, (256 << 20, resource.RLIM_INFINITY))
        resource.setrlimit(resource.RLIMIT_AS, (1000 << 20, 1000 << 20))

    arguments = [engine.program, "-m", path, "-p", "hello", *GREEDY, "--json", "--threads", "8"]
    done = subprocess.run(arguments, capture_output=True, preexec_fn=three_stacks)
    result = json.loads(done.stdout)
    assert 1 <= result["threads"] < 8 and result["ids"] == expected["ids"]


def test_a_seed_samples_the_same_text_in_engine_and_pytorch(engine, make_model):
    path, model = make_model(seed=2)
    prompt = [Vocab.BOS, *model.vocab.encode("hello")]
    for seed in (0, 7, 2**63 + 11, 2**64 - 1):
        result = engine.json("-m", path, "--raw", "-p", "hello", "--seed", str(seed), "--tokens", "60")
        drawn = list(generate(model.build(), prompt, stop={Vocab.EOS}, tokens=60, seed=seed))
        assert result["ids"] == drawn


def test_a_terminal_gets_no_control_sequences_of_a_model_a_pipe_gets_all_bytes(engine, make_model):
    path, _ = make_model()
    ids = " ".join(str(4 + byte) for byte in b"a\x1b[2J\r\x9b\xc2\x9b\x07\n")
    assert engine.output("-m", path, "--detokenize", ids) == b"a\x1b[2J\r\x9b\xc2\x9b\x07\n"
    shown = shown_on_terminal([engine.program, "-m", path, "--detokenize", ids])
    assert shown == "a\u241b[2J\u240d\ufffd\ufffd\u2407\n"
    arguments = ["-m", path, "--raw", "-p", "a", "--seed", "3", "--tokens", "200", "--temp", "5", "--top-k", "0"]
    written = engine.output(*arguments).decode()
    assert visible(written) != written
    assert shown_on_terminal([engine.program, *arguments]) == visible(written)
    assert shown_on_terminal([sys.executable, "-m", "lai.generate", *arguments]) == visible(written)


def test_a_terminal_gets_no_control_sequences_of_names(engine, make_model, tmp_path):
    path = tmp_path / "m\x1b[31m.bin"
    path.write_bytes(make_model()[0].read_bytes())
    for arguments in (["-m", path, "--info"], ["-m", f"{path}.none", "--info"]):
        shown = shown_on_terminal([engine.program, *arguments])
        assert "m\u241b[31m.bin" in shown and "\x1b" not in shown
    for arguments in (["lai.info", f"{path}.none"], ["lai.generate", "-m", f"{path}.none", "-p", "a"]):
        shown = shown_on_terminal([sys.executable, "-m", *arguments])
        assert "m\u241b[31m.bin" in shown and "\x1b" not in shown
