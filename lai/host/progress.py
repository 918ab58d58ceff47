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
    if not console.is_terminal:  # a bar that is only disabled writes an empty line (rich up to 14.1 at least)
        yield lambda done: None
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.update(task, completed=done)
