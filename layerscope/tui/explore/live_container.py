"""Reads an open container again when it changes, and shows it in place of what was read before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from layerscope.tui.session import Session
from layerscope.tui.work import Work

PERIOD = 2.0  # Seconds between two looks at whether it has changed.

#: Begins to read what a session has read, and calls a function as more is known.
Again = Callable[[Session, Callable[[Session], object]], Session]


@dataclass(eq=False)
class LiveContainer:
    _work: Work
    _open: Callable[[], Session | None]  # What is open, if the user looks at it.
    _again: Again
    _show: Callable[[Session], object]
    _newer: Session | None = None  # The container while it is read again.

    @property
    def _read(self) -> Session | None:
        session = self._open()
        if session is None or not session.source.startswith("container:"):
            return None
        return session if session.ended and session.problem is None else None

    def look(self) -> None:
        """Reads the container again if it has changed."""
        session = self._read
        reader = None if session is None else session.reader
        if reader is None or self._newer is not None or self._work.busy("stale"):
            return

        def read_if(stale: bool) -> None:
            if stale:
                self.read()

        # What cannot be told is not read again.
        self._work.start("stale", lambda _: reader.stale, read_if, failed=bool)

    def read(self) -> None:
        """Reads the container again, if one is open."""
        before = self._read
        if before is None or self._newer is not None:
            return

        def changed(session: Session) -> None:
            if not session.ended or session is not self._newer:
                return
            self._newer = None
            if session.problem is None and self._open() is before:
                self._show(session)
            else:
                session.close()

        self._newer = self._again(before, changed)

    def close(self) -> None:
        if self._newer is not None:
            self._newer.close()
