"""Overrides to the settings of a run, from Python."""

import pytest

from lai.config.compose import compose_run
from lai.host.errors import UserError


def test_overrides_give_the_run_that_lai_train_would_do():
    run = compose_run(["model=nano", "optimizer=muon", "optimizer.momentum=0.9"])
    assert (run.model.dim, run.optimizer.name, run.optimizer.momentum) == (128, "muon", 0.9)


def test_a_wrong_override_is_one_line():
    with pytest.raises(UserError, match=r"^there is no config key optimizer\.lrr; did you mean optimizer\.lr=1\?$"):
        compose_run(["+optimizer.lrr=1"])
