"""Progress and cancellation of long work. Written by one thread, read by another."""

from __future__ import annotations

import threading

from layerscope.errors import Cancelled


class Progress:
    def __init__(self) -> None:
        self.what = ""  # What is being done, for people.
        self.done = 0  # Bytes that have been read.
        self.total: int | None = None  # Bytes to read, or None while unknown.
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """Asks the work to stop; it raises `Cancelled` at its next step."""
        self._cancelled.set()

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()

    def check(self, _: int = 0) -> None:
        """Raises Cancelled if the work is to stop; can stand for `advance` without a number."""
        self.advance(self.done)

    def advance(self, done: int) -> None:
        """Notes how many bytes have been read; raises Cancelled if the work is to stop."""
        self.done = done
        if self._cancelled.is_set():
            raise Cancelled
