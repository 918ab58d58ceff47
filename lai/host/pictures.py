"""matplotlib, which only the programs that draw need."""

from typing import Any

from lai.host.errors import UserError


def pyplot() -> Any:
    """`matplotlib.pyplot`, drawing to files alone: no screen is needed.

    Raises:
        UserError: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError:
        raise UserError("drawing needs matplotlib: pip install matplotlib") from None
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt
