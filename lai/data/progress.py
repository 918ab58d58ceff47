"""The progress bar of preparing data."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress


@contextmanager
def progress(title: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A function that shows how much of `total` is done, on a bar that vanishes at the end.

    The bar is on standard error, and nowhere where that is not a terminal.
    """
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.update(task, completed=done)
