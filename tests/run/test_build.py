"""From settings to Lightning's Trainer: what it gets, and how a refused setting is told."""

import pytest
from lightning.pytorch.callbacks import ModelCheckpoint, Timer

from lai.callbacks.export import ExportModel
from lai.host.errors import UserError
from lai.run.build import build_trainer
from lai.run.checkpoint_io import AtomicCheckpointIO
from lai.run.loggers import LogExported, TensorBoard


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("trainer.strategy=nothing", r"trainer: .*nothing"),
        ("+callbacks.late={_target_: lightning.pytorch.callbacks.EarlyStopping, monitor: x, mode: up}", r"\.late: "),
        ("logger.csv.version=[1]", r"logger\.csv"),
    ],
)
def test_a_refused_argument_is_one_line_that_names_its_group(compose_run, override, words):
    with pytest.raises(UserError, match=words) as raised:
        build_trainer(compose_run(override), [])
    assert "\n" not in str(raised.value)


def test_checkpoints_are_written_atomically(compose_run):
    assert type(build_trainer(compose_run(), []).strategy.checkpoint_io) is AtomicCheckpointIO


def test_own_callbacks_act_in_order_between_the_configured_ones_and_checkpoints(tmp_path, compose_run):
    export = ExportModel(tmp_path / "m.bin")
    run = compose_run(
        "+callbacks.mine._target_=lightning.pytorch.callbacks.LearningRateMonitor", "trainer.max_time=00:00:01:00"
    )
    callbacks = build_trainer(run, export.callbacks).callbacks
    assert isinstance(callbacks[0], Timer)  # what it ends has to be known to those behind it
    places = [callbacks.index(callback) for callback in export.callbacks[1:]]
    assert places == sorted(places)
    assert any(type(callback).__name__ == "LearningRateMonitor" for callback in callbacks[: places[0]])
    assert isinstance(callbacks[places[-1] + 1], LogExported)
    checkpoints = [place for place, callback in enumerate(callbacks) if isinstance(callback, ModelCheckpoint)]
    assert len(checkpoints) == 2 and min(checkpoints) > places[-1]


def test_lightnings_tensorboard_logger_is_replaced_by_the_one_whose_curves_are_whole(compose_run):
    run = compose_run("logger.tensorboard._target_=lightning.pytorch.loggers.TensorBoardLogger")
    assert TensorBoard in {type(logger) for logger in build_trainer(run, []).loggers}
