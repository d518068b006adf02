"""Work beside the screen."""

from __future__ import annotations

import threading
from collections.abc import Callable


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
