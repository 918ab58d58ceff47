"""lai.generate as a user runs it."""

import os
import struct
import subprocess
import sys
import threading

import pytest
import torch

from lai.export.lai_file import read_model, write_model
from lai.host import files
from lai.inference.conversation import Conversation, turns_note
from lai.inference.sampling import Sampling, generate, stop_ids, stream_text
from lai.model.record import TrainingRecord


def test_the_same_seed_gives_the_same_answer(run, model_file):
    arguments = ("-m", model_file, "-p", "dog", "--tokens", 12, "--seed", 5)
    status, first, _ = run("lai.generate", *arguments)
    assert (status, first) == (0, run("lai.generate", *arguments)[1])
    assert first.strip()
    status, greedy, _ = run("lai.generate", "-m", model_file, "--raw", "-p", "The", "--temp", 0, "--tokens", 5)
    assert status == 0
    assert greedy


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-m", "no/such.bin", "-p", "x"), "no/such.bin"),
        (("-p", "x", "--temp", -1), "--temp is -1"),
        (("-p", "dog " * 200), "context holds 64"),
        (("-f", "no/such.txt"), "no/such.txt"),
        (("-f", os.devnull), "the prompt is empty"),
        (("-p", ""), "the prompt is empty"),
        (("-p", " \t\n\v"), "the prompt is empty"),
        (("-p", "\u00a0\u200b\ufeff"), "the prompt is empty"),
        (("--to-en", "\u00ad\u2003"), "the prompt is empty"),
        (("-t", ""), "the prompt is empty"),
        (("--to-en", "  "), "the prompt is empty"),
        (("-p", "x", "--temp", "inf"), "--temp is inf"),
        (("-p", "x", "--device", "cuda"), "--device cuda"),
        (("-p", "x", "-p", " "), "the prompt is empty"),
        (("-p", "x", "--system", ""), "the system prompt is empty"),
        (("-p", "x", "--system", "dog " * 200), "context holds 64"),
        (("--raw", "-p", "x", "--system", "y"), "leave it out with --system"),
        (("--raw", "-p", "x", "-p", "y"), "2 are given with -p"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(run, model_file, arguments, words):
    if words == "--device cuda" and torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    if "-m" not in arguments:
        arguments = ("-m", model_file, *arguments)
    status, _, error = run("lai.generate", *arguments)
    assert status == 2
    assert error.startswith("error: ")
    assert words in error
    assert error.count("\n") == 1


def test_a_prompt_has_the_same_answer_in_every_form(run, model_file, tmp_path):
    file = tmp_path / "prompt.txt"
    file.write_bytes("\ufeffThe\u00addog\u00a0alma\u0301t \r\n".encode())
    expected = run("lai.generate", "-m", model_file, "--seed", 1, "--tokens", 12, "-p", "Thedog almát")
    assert expected[0] == 0
    for prompt in (("-f", file), ("-p", "The\u200bdog  alma\u0301t"), ("-p", "\u200eThedog\talmát\n")):
        assert run("lai.generate", "-m", model_file, "--seed", 1, "--tokens", 12, *prompt) == expected


def test_several_prompts_are_turns_of_one_conversation(run, tmp_path, small_vocab, model_file):
    model = read_model(model_file)
    path = tmp_path / "turns.bin"
    write_model(path, model.config, model.build().state_dict(), small_vocab, training=TrainingRecord(turns=2))
    arguments = ("--tokens", 2, "--temp", 0, "-p", "dog", "-p", "cat", "-p", "dog")
    status, output, error = run("lai.generate", "-m", path, *arguments)
    assert status == 0 and error.splitlines() == [f"note: {turns_note(2)}"]
    chat, answers = Conversation(small_vocab, 64, TrainingRecord(turns=2), 2), []
    for text in (b"dog", b"cat", b"dog"):
        stop, greedy = stop_ids(small_vocab, raw=False), Sampling(temperature=0)
        ids = list(generate(model.build(), chat.ask(text)[0], stop=stop, tokens=2, sampling=greedy))
        chat.answered(ids)
        answers.append("".join(stream_text(small_vocab, iter(ids))))
    assert output == "".join(f"{answer}\n" for answer in answers)
    _, alone, error = run("lai.generate", "-m", model_file, *arguments)  # this file tells no turns
    assert error.splitlines() == [f"note: {turns_note(0)}"]
    assert alone == "".join(
        run("lai.generate", "-m", path, *arguments[:4], "-p", text)[1] for text in ("dog", "cat", "dog")
    )


def test_raw_mode_accepts_an_empty_prompt(run, model_file):
    status, output, _ = run("lai.generate", "-m", model_file, "--raw", "-p", "", "--tokens", 5, "--seed", 1)
    assert status == 0 and output.strip()


def test_closed_stdout_prints_no_error(model_file):
    for shell in ("exec %s >&-", "exec %s | true"):
        command = shell % f"'{sys.executable}' -m lai.generate -m '{model_file}' -p dog --tokens 3"
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
        assert done.stderr == ""


def test_a_header_that_claims_a_long_context_changes_no_answer(run, tmp_path, model_file):
    data = bytearray(model_file.read_bytes())
    data[65:77] = bytes(12)
    struct.pack_into("<i", data, 32, 1 << 16)
    (tmp_path / "long.bin").write_bytes(data)
    arguments = ("-p", "dog", "--tokens", 8, "--seed", 3)
    expected = run("lai.generate", "-m", model_file, *arguments)
    assert run("lai.generate", "-m", tmp_path / "long.bin", *arguments) == expected


def test_a_prompt_may_come_from_a_pipe_a_model_may_not(run, tmp_path, model_file):
    os.mkfifo(tmp_path / "pipe")
    status, _, error = run("lai.generate", "-m", tmp_path / "pipe", "-p", "dog")
    assert (status, error.count("\n")) == (2, 1)
    assert "pipe: it is a named pipe; expected a regular file" in error
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(b"dog\n",))
    writer.start()
    answer = run("lai.generate", "-m", model_file, "-f", tmp_path / "pipe", "--seed", 1)
    writer.join()
    assert answer == run("lai.generate", "-m", model_file, "-p", "dog", "--seed", 1)


def test_an_endless_prompt_is_refused(run, monkeypatch, model_file):
    monkeypatch.setattr(files, "MAX_TEXT", 1_000_000)
    status, _, error = run("lai.generate", "-m", model_file, "-f", "/dev/zero")
    assert (status, error) == (2, "error: cannot read /dev/zero: it has more than 1 MB; expected a shorter text\n")
