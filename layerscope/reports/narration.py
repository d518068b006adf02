"""Progress of a command, on stderr, for people: only on a terminal, and at most twice a second."""

from __future__ import annotations

import sys
import threading
from types import TracebackType

from layerscope.images.progress import Progress
from layerscope.text import docker_size

_PERIOD = 0.5
#: Work that ends sooner says nothing.
_PATIENCE = 1.0


class Narration:
    """Shows progress while a block runs.

    Attributes:
        progress: What the work reports to.
    """

    def __init__(self) -> None:
        self.progress = Progress()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._width = 0

    def __enter__(self) -> Narration:
        if sys.stderr.isatty():
            self._thread = threading.Thread(target=self._tell, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            if self._width:
                sys.stderr.write("\r" + " " * self._width + "\r")
                sys.stderr.flush()

    def _tell(self) -> None:
        if self._stop.wait(_PATIENCE):
            return
        while not self._stop.wait(_PERIOD):
            progress = self.progress
            line = f"{progress.what or 'Working'}: {docker_size(progress.done)}"
            if progress.total:
                line += f" of {docker_size(progress.total)}"
            sys.stderr.write("\r" + line.ljust(self._width))
            sys.stderr.flush()
            self._width = len(line)
