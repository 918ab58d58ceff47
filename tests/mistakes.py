"""What `lai-train` says about wrong settings."""

import pytest
from runs import composed

from lai.config.hydra_errors import explain
from lai.config.load import load_run_config

OUTPUT = "output_dir=unused"


def mistake(*overrides: str) -> str:
    """The line that `lai-train` prints for these overrides."""
    try:
        load_run_config(composed(OUTPUT, *overrides), overrides)
    except Exception as error:
        found = explain(error, list(overrides))
        assert found is not None, f"not recognised as a mistake of the user's: {error!r}"
        assert "\n" not in str(found)
        return str(found)
    pytest.fail(f"{overrides} was accepted")
