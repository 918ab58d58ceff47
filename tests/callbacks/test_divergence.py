"""A run whose val/loss is not finite ends, and keeps its last good checkpoint."""

import math

import pytest
from toy_callbacks import THREE_EPOCHS, spoilt

from lai.export.checkpoint import read_checkpoint
from lai.host.errors import UserError
from lai.train import train


def test_a_run_that_diverges_keeps_its_last_good_checkpoint(tmp_path, compose_run, text_file):
    run = spoilt(compose_run(f"data.path={text_file}", *THREE_EPOCHS), 1, math.nan)
    with pytest.raises(UserError, match=r"diverged.*step22\.ckpt"):
        train(run)
    for name in ("last", "step22"):
        weights = read_checkpoint(tmp_path / "run" / "checkpoints" / f"{name}.ckpt").weights
        assert all(bool(weight.isfinite().all()) for weight in weights.values())
