"""The progress bar shown while data is prepared."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress


@contextmanager
def progress(title: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Gives a function that shows how much of `total` is done, on a bar that disappears at the end.

    The bar is on standard error; where that is not a terminal, there is none.
    """
    console = Console(stderr=True)
    if not console.is_terminal:  # a disabled bar writes an empty line (rich up to 14.1 at least)
        yield lambda done: None
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.update(task, completed=done)
