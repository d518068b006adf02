"""Reports that an engine is slow to answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from layerscope.text import visible

_PATIENCE = 3.0  # Seconds after which the wait is reported.

Listener = Callable[[str], None]  # Receives a sentence, in any thread.

_listeners: list[Listener] = []


@contextmanager
def waits_reported(listener: Listener) -> Iterator[None]:
    """Calls a function whenever an engine is slow to answer within the block."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


@contextmanager
def patiently(whom: str) -> Iterator[None]:
    """Reports that the block is slow; `whom` is what it waits for, such as `the engine at …`."""
    if not _listeners:
        yield
        return
    timer = threading.Timer(_PATIENCE, _report, [whom])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _report(whom: str) -> None:
    for listener in _listeners:
        listener(f"Waiting for {visible(whom)}…")
