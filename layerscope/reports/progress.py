"""Progress of a command on stderr: only on a terminal, after a second, at most twice a second."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from layerscope.images.progress import Progress
from layerscope.status_line import PERIOD, StatusLine
from layerscope.text import docker_size, visible

_PATIENCE = 1.0  # Shorter work shows nothing.

_work: list[Progress] = []  # Current work; the newest is part of the others, and is shown.


@contextmanager
def shown_progress(what: str = "") -> Iterator[Progress]:
    """Shows the work that the block reports to the `Progress`; at first, `what`."""
    progress = Progress()
    progress.what = what
    if sys.stderr is None or not sys.stderr.isatty():
        yield progress
        return
    _work.append(progress)
    try:
        if len(_work) > 1:
            yield progress
        else:
            with _painted():
                yield progress
    finally:
        _work.remove(progress)


@contextmanager
def _painted() -> Iterator[None]:
    stop = threading.Event()

    def paint() -> None:
        if stop.wait(_PATIENCE):
            return
        with StatusLine() as line:
            while not stop.wait(PERIOD):
                for progress in _work[-1:]:
                    line.show(_text(progress))

    thread = threading.Thread(target=paint, name="layerscope-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _text(progress: Progress) -> str:
    what = visible(progress.what or "Working")
    if progress.total:
        return f"{what}: {docker_size(progress.done)} of {docker_size(progress.total)}"
    return f"{what}: {docker_size(progress.done)}" if progress.done else f"{what}…"
