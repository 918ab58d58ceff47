"""Sweeps of toy runs, in copies of a warm Python."""

import os
import sys

import pytest
from processes import WarmPython
from runs import TINY, example_lines


class Sweeps:
    """Runs `lai-train -m` and `lai-report` in a folder that has a text."""

    def __init__(self, folder):
        self.folder = folder
        self._python = WarmPython(folder)
        (folder / "text.txt").write_text("\n".join(example_lines(300)) + "\n", encoding="utf-8")

    def run(self, *overrides, **environment):
        """The exit status, and what is printed."""
        common = [*TINY, "data.path=text.txt", "trainer.max_steps=2", "device.threads=1"]
        return self._python.run(["-m", "lai.train", "-m", *common, *overrides], environment)

    def bare(self, *overrides, **environment):
        """The same without settings of its own."""
        return self._python.run(["-m", "lai.train", *overrides], environment)

    def report(self, folder):
        return self._python.run(["-m", "lai.report", folder], {})

    def close(self):
        self._python.close()


@pytest.fixture(scope="module")
def sweeps(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # runs find the tests' callbacks
        made = Sweeps(tmp_path_factory.mktemp("sweeps"))
        yield made
        made.close()
