"""Training and the programs around it, where what Windows does not have or allow is taken away (as_windows.py)."""

import json
import sys
from pathlib import Path

import pytest
from processes import WINDOWS_ENCODINGS, python
from runs import TINY

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "scripts"
TEXT = "<user>Fordítsd magyarra: The old tree {n}.</user><assistant>Az öreg fa {n}. Őszi tűz, hűvös eső.</assistant>"


def as_windows(folder, *programs):
    arguments = json.dumps([list(map(str, program)) for program in programs])
    program = Path(__file__).with_name("as_windows.py")
    environment = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **WINDOWS_ENCODINGS}
    return python("-X", "warn_default_encoding", program, arguments, cwd=folder, text=False, **environment)


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux's /proc tells which files are open")


@on_linux
@pytest.mark.heavy
def test_a_run_trains_resumes_and_answers_without_what_windows_lacks(tmp_path):
    lines = "\n".join(TEXT.format(n=n) for n in range(200)) + "\n"
    (tmp_path / "text.txt").write_text(lines, encoding="utf-8")
    settings = [*TINY, "data=text", "data.path=text.txt", "checkpoint.keep=all", 'model.name="őr"', "export.path=m.bin"]
    checkpoint = "first/checkpoints/last.ckpt"
    done = as_windows(
        tmp_path,
        ["lai"],
        ["lai.train", *settings, "hydra.run.dir=first", "trainer.max_steps=2", "device.num_workers=1"],
        ["lai.train", *settings, "hydra.run.dir=second", "trainer.max_steps=4", f"ckpt_path={checkpoint}"],
        ["lai.train", *settings, "hydra.run.dir=third", "trainer.max_steps=2", "+estimate=true"],
        [SCRIPTS / "export.py", checkpoint, "--output", "m.bin"],
        ["lai.info", "m.bin"],
        ["lai.generate", "-m", "m.bin", "--raw", "-p", "Fordítsd", "--temp", "0", "--tokens", "8"],
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    output = done.stdout.decode("utf-8")
    assert output.count("model file  ") == 2
    assert "estimate    " in output
    assert "model       őr" in (tmp_path / "first" / "train.log").read_text(encoding="utf-8")


@on_linux
@pytest.mark.slow
def test_the_data_programs_run_without_what_windows_lacks(tmp_path):
    generate = [SCRIPTS / "generate_data.py", "--output", "t.txt", "--stories", 5, "--translations", 20]
    done = as_windows(
        tmp_path,
        [*generate, "--sentences", 40],
        [SCRIPTS / "build_vocab.py", "--data", "t.txt", "--vocab_size", 500, "--output", "v.bin"],
        [*generate, "--sentences", 50],  # the file that was there is replaced
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
