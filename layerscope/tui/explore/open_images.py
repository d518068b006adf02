"""The open images: the one on the screen, and those that the user can return to."""

from __future__ import annotations

from dataclasses import dataclass

from layerscope.tui.explore.explorer import ExplorerSpot
from layerscope.tui.rows.row_view import RowView
from layerscope.tui.session import Session
from layerscope.tui.trail import Trail

#: The most places to go back to, and the most open images for them.
_MOST_PLACES, _MOST_IMAGES = 20, 3


@dataclass(frozen=True, slots=True)
class Spot:
    """The state of the main screen when the user left it."""

    source: str | None
    session: Session | None
    pane: RowView
    came: tuple[RowView, ...]
    zoomed: RowView | None
    explored: ExplorerSpot


class OpenImages:
    def __init__(self, trail: Trail[Spot]) -> None:
        self._trail = trail
        self._sessions: list[Session] = []

    def add(self, session: Session) -> None:
        self._sessions.append(session)

    def close_others(self, shown: Session | None) -> None:
        """Closes the images that the user cannot return to, and all but a few of the others."""
        stops = self._trail.stops
        while len(stops) > _MOST_PLACES or len(self._kept()) > _MOST_IMAGES:
            self._trail.forget(1)
        kept = [shown, *self._kept()]
        for session in self._sessions:
            if session not in kept:
                session.close()
        self._sessions = [session for session in self._sessions if session in kept]

    def _kept(self) -> list[Session]:
        spots = [stop.spot.session for stop in self._trail.stops]
        return [session for session in self._sessions if session in spots]

    def close(self) -> None:
        for session in self._sessions:
            session.close()
