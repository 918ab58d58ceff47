"""Python's garbage collector, which programs that import PyTorch keep from looking through what they import.

What is imported lives as long as the program. Looking through its million objects again and again while it is imported,
and once more when the program ends, takes about a quarter of the time of the imports.
"""

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager

_is_deferred = False


def defer_garbage_collection() -> None:
    """Collect no garbage until `collect_garbage_again`; call this before the imports."""
    global _is_deferred
    _is_deferred = True
    gc.disable()
    atexit.register(gc.freeze)  # Python looks for garbage as it ends, though all memory goes back to the system then


def collect_garbage_again() -> None:
    """Collect garbage from now on, among what is made from now on; without effect where it was not deferred."""
    global _is_deferred
    if _is_deferred:
        _is_deferred = False
        gc.freeze()
        gc.enable()


@contextmanager
def garbage_freed() -> Iterator[None]:
    """Free at the end what is made inside and nobody needs; what was there before is not looked through."""
    gc.freeze()
    try:
        yield
    finally:
        gc.collect()
