"""Says so where an engine lets one wait for an answer that should take no time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from layerscope.text import visible

#: Seconds after which something is said.
_PATIENCE = 3.0

#: Takes a sentence, from any thread.
Listener = Callable[[str], None]

_listeners: list[Listener] = []


@contextmanager
def waiting_told(listener: Listener) -> Iterator[None]:
    """Has a function told whenever an engine lets one wait, as long as the block runs."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


@contextmanager
def patiently(whom: str) -> Iterator[None]:
    """Around a question that may have to wait.

    Args:
        whom: Whom it is for, such as `the engine at …`.
    """
    if not _listeners:
        yield
        return
    timer = threading.Timer(_PATIENCE, _tell, [whom])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _tell(whom: str) -> None:
    for listener in _listeners:
        listener(f"Waiting for {visible(whom)}…")
