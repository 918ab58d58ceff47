"""The config.yaml of an old run, whose classes have moved since."""

import pytest
from hydra.utils import get_class

from lai.config.targets import MOVED
from lai.train import train


@pytest.mark.parametrize("old", [*MOVED, "lightning.pytorch.loggers.TensorBoardLogger"])
def test_a_run_with_the_old_path_of_a_logger_trains_and_logs(tmp_path, compose_run, text_file, old):
    run = compose_run(f"data.path={text_file}", "trainer.max_steps=1", f"logger.tensorboard._target_={old}")
    train(run)
    assert list((tmp_path / "run").glob("events.out.tfevents.*"))


def test_every_new_path_names_a_class():
    for new in MOVED.values():
        assert get_class(new).__name__ == new.rpartition(".")[2]


def test_other_paths_stay_as_they_are(compose_run):
    run = compose_run("+callbacks.mine._target_=lightning.pytorch.callbacks.LearningRateMonitor")
    assert run.callbacks["mine"]["_target_"] == "lightning.pytorch.callbacks.LearningRateMonitor"
