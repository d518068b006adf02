"""Signals that stop a command as ctrl+c does, so that nothing is left half done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def as_interrupt(*numbers: signal.Signals) -> Iterator[None]:
    """Makes signals do what ctrl+c does, unless they are ignored or handled already."""
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
