"""Packages of other programs, which need not be installed."""

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from lai.host.errors import UserError


def needed(package: str) -> None:
    """Refuse to go further without a package of the extra `export`.

    Raises:
        UserError: it is not installed.
    """
    if find_spec(package) is None:
        raise UserError(f"the package {package} is not installed; pip install 'lai[export]'")


def installed(package: str) -> str | None:
    """The version of a package; None where it is not installed."""
    if find_spec(package) is None:
        return None
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
