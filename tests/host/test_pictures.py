"""matplotlib, where it is installed and where it is missing."""

import sys

import pytest

from lai.host.errors import UserError
from lai.host.pictures import pyplot


def test_drawing_needs_no_screen(monkeypatch):
    matplotlib = pytest.importorskip("matplotlib")
    monkeypatch.delenv("DISPLAY", raising=False)
    pyplot()
    assert matplotlib.get_backend().lower() == "agg"


def test_a_missing_matplotlib_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UserError, match=r"^drawing needs matplotlib: pip install matplotlib$"):
        pyplot()
