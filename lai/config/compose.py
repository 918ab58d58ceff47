"""Overrides, as on the command line, to the settings of a run; for programs and notebooks."""

from collections.abc import Sequence

from hydra import compose, initialize_config_dir

from lai.config.hydra_errors import explain
from lai.config.load import CONF_DIR, Follow, load_run_config
from lai.config.schema import RunConfig


def compose_run(overrides: Sequence[str], follow: Follow | None = None) -> RunConfig:
    """The run that `lai-train` makes of these overrides: `compose_run(["model=nano", "optimizer.lr=1e-3"])`.

    Args:
        follow: for `init_from`: `lai.run.follow.follow_initial`.

    Raises:
        UserError: as `load_run_config`, or an override that Hydra refuses.
    """
    try:
        with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
            return load_run_config(compose("train", overrides=["output_dir=outputs", *overrides]), overrides, follow)
    except Exception as error:
        mistake = explain(error, overrides)
        if mistake is None:
            raise
        raise mistake from None
