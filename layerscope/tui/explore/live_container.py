"""Rereads an open container when it changes, and updates the screen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from layerscope.tui.session import Session
from layerscope.tui.work import Work

PERIOD = 2.0  # Seconds between checks for changes.

#: Starts to read a session's source again; calls a function whenever more is known.
Again = Callable[[Session, Callable[[Session], object]], Session]


@dataclass(eq=False)
class LiveContainer:
    _work: Work
    _open: Callable[[], Session | None]  # The open session, if the user is looking at it.
    _again: Again
    _show: Callable[[Session], object]
    _newer: Session | None = None  # The new session while it reads.

    @property
    def _read(self) -> Session | None:
        session = self._open()
        if session is None or not session.source.startswith("container:"):
            return None
        return session if session.ended and session.problem is None else None

    def look(self) -> None:
        """Rereads the container if it has changed."""
        session = self._read
        reader = None if session is None else session.reader
        if reader is None or self._newer is not None or self._work.busy("stale"):
            return

        def read_if(stale: bool) -> None:
            if stale:
                self.read()

        # If it is not known whether it changed, does nothing.
        self._work.start("stale", lambda _: reader.stale, read_if, failed=bool)

    def read(self) -> None:
        """Rereads the container, if one is open."""
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
