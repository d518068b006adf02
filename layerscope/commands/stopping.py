"""Handles signals like ctrl+c, so that a stopped command cleans up."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def as_interrupt(*numbers: signal.Signals) -> Iterator[None]:
    """Handles signals like ctrl+c, unless they are ignored or handled already."""
    changed: list[signal.Signals] = []
    if threading.current_thread() is threading.main_thread():
        changed = [each for each in numbers if signal.getsignal(each) is signal.SIG_DFL]
    for number in changed:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, signal.SIG_DFL)
