"""The loss curves in a run's metrics.csv."""

import pytest

from lai.host.errors import UserError
from lai.run.curves import draw_curves, read_curves

TABLE = "epoch,step,train/loss,val/loss,val/loss_floor\n0,9,3.5,,\n0,19,2.5,,\n0,19,,2.75,1.5\n"


def test_each_curve_has_the_steps_at_which_it_is_logged(tmp_path):
    (tmp_path / "metrics.csv").write_text(TABLE)
    curves = {"train/loss": [(9, 3.5), (19, 2.5)], "val/loss": [(19, 2.75)], "val/loss_floor": [(19, 1.5)]}
    assert read_curves(tmp_path) == read_curves(tmp_path / "metrics.csv") == curves


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("epoch,step,train/loss\n", "holds no losses"),
        ("step,train/loss\n1,3,4\n,2\n", "is damaged"),
        ("epoch,train/loss\n1,2\n", "is not the metrics.csv of a run"),
    ],
)
def test_a_table_without_losses_or_steps_is_refused(tmp_path, table, message):
    (tmp_path / "metrics.csv").write_text(table)
    with pytest.raises(UserError, match=message):
        read_curves(tmp_path)


def test_a_run_without_metrics_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*metrics\.csv: No such file"):
        read_curves(tmp_path)


def test_several_runs_are_drawn_in_the_format_of_the_ending(tmp_path):
    pytest.importorskip("matplotlib")
    (tmp_path / "metrics.csv").write_text(TABLE)
    curves = read_curves(tmp_path)
    draw_curves({tmp_path: curves, tmp_path / "b": curves}, tmp_path / "new" / "loss.svg")
    picture = (tmp_path / "new" / "loss.svg").read_text(encoding="utf-8")
    assert picture.startswith("<?xml") and f"val/loss {tmp_path / 'b'}" in picture
