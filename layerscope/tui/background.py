"""Work beside the screen."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_guard = threading.Lock()
_undisturbed = 0


def run_beside(name: str, work: Callable[[], None]) -> threading.Thread:
    """Runs work in a thread that does not keep the program from ending.

    Textual's thread workers are waited for at the end, and one that waits for an engine that does
    not answer would hold up a user who only wants to leave.

    Args:
        name: What the thread is called.
        work: What to do; it must not raise.
    """
    thread = threading.Thread(target=work, name=f"layerscope-{name}", daemon=True)
    thread.start()
    return thread


@contextmanager
def uncollected() -> Iterator[None]:
    """For work that makes a great many objects that stay: no garbage is looked for meanwhile.

    Each look would go through all of them, and hold up the keys for as long. What is there at the
    end is left out of later looks, until `collect_again`.
    """
    global _undisturbed
    with _guard:
        if not _undisturbed:
            # What is garbage now is not to stay with the rest.
            gc.collect(1)
            gc.disable()
        _undisturbed += 1
    try:
        yield
    finally:
        with _guard:
            _undisturbed -= 1
            gc.freeze()
            if not _undisturbed:
                gc.enable()


def collect_again() -> None:
    """Looks through all that was left out, once it is needed no more."""
    with _guard:
        gc.unfreeze()
        gc.collect()
        gc.freeze()
