import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from runs import composed

from lai import Vocab
from lai.config.load import load_run_config
from lai.tokenizer.train import learn_vocab

ROOT = Path(__file__).parents[2]


def build_vocab(*arguments):
    command = [sys.executable, "-m", "lai.programs.build_vocab", *map(str, arguments)]
    environment = {**os.environ, "COLUMNS": "120", "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "text.txt"
    lines = ["<user>Hol van a kutya?</user><assistant>A kutya a házban van.</assistant>", "The dog is in the house."]
    path.write_text("\n".join(lines * 20), encoding="utf-8")
    return path


def test_a_vocabulary_is_written_and_summarized(data, tmp_path):
    output = tmp_path / "new" / "vocab.bin"
    result = build_vocab("--data", data, "--vocab_size", 500, "--output", output)
    assert result.returncode == 0, result.stderr
    vocab = Vocab.load(output)
    contents = ["Hol van a kutya?", "A kutya a házban van.", "The dog is in the house."]
    assert vocab.to_bytes() == learn_vocab([text.encode() for text in contents * 20], 500).to_bytes()
    for expected in (
        "40",
        f"{len(vocab)}, of these {len(vocab) - 305} learned",
        f"{500 - len(vocab)} tokens: the text",
    ):
        assert expected in result.stdout
    assert f"python -m lai.train data.path={data} data.vocab_path={output}\n" in result.stdout
    (tmp_path / "my text").mkdir()
    for name in ("a", "b"):
        (tmp_path / "my text" / f"{name}.txt").write_bytes(data.read_bytes())
    result = build_vocab("--data", *(tmp_path / "my text").iterdir(), "--output", output)
    command = next(line for line in result.stdout.splitlines() if line.startswith("Train with it:"))
    run = load_run_config(composed("output_dir=unused", *shlex.split(command)[6:]))
    assert set(map(Path, run.data.path)) == set((tmp_path / "my text").iterdir())
    assert run.data.vocab_path == str(output)


def test_the_text_is_folded_unless_it_is_not_to_be_normalized(data, tmp_path):
    data.write_text("„alma\u0301t”\u00a0eszik\n" * 20, encoding="utf-8")
    output = tmp_path / "vocab.bin"
    for option, text in ((["--normalize"], '"almát" eszik'), ([], '"almát" eszik'), (["--no-normalize"], None)):
        result = build_vocab("--data", data, "--vocab_size", 500, "--output", output, *option)
        assert result.returncode == 0, result.stderr
        learned = (text or data.read_text(encoding="utf-8").split("\n")[0]).encode()
        assert Vocab.load(output).to_bytes() == learn_vocab([learned] * 20, 500).to_bytes()
        assert ("data.normalize=false" in result.stdout) == (text is None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--data", "missing.txt"), "missing.txt"),
        (("--data", "missing.txt", "--data", "{data}"), "missing.txt"),
        (("--data", "{data}", "--vocab_size", "10"), "vocab_size is 10"),
        (("--data", "{data}", "--min_freq", "0"), "min_freq is 0"),
        (("--data", "{empty}"), "no document found"),
        (("--data", ""), "no data files are given"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(data, tmp_path, arguments, message):
    empty = tmp_path / "empty.txt"
    empty.write_text("\n\n")
    output = tmp_path / "vocab.bin"
    result = build_vocab(*(text.format(data=data, empty=empty) for text in arguments), "--output", output)
    assert result.returncode == 2
    assert result.stderr.strip().splitlines()[-1].startswith("error: ")
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not output.exists()


def test_the_vocabulary_does_not_replace_the_text(data):
    before = data.read_bytes()
    result = build_vocab("--data", data, "--output", data)
    assert result.returncode == 2
    assert "another kind of file" in result.stderr
    assert data.read_bytes() == before
