"""The picture of the documents' lengths."""

import pytest

from lai.data.quality.histogram import draw_histogram


@pytest.mark.parametrize("lengths", [[0, 2, 5, 1], [0] * 4000 + [3], [7], []])
def test_any_lengths_become_a_png(tmp_path, lengths):
    pytest.importorskip("matplotlib")
    draw_histogram(lengths, tmp_path / "lengths.png")
    assert (tmp_path / "lengths.png").read_bytes().startswith(b"\x89PNG")
