"""The way back: earlier states of the main screen, with the screens above it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, Generic, TypeVar

from textual import events
from textual.app import App
from textual.screen import Screen

S = TypeVar("S")
_names = count()


@dataclass(frozen=True, slots=True)
class Stop(Generic[S]):
    """A place that the user left for another on the main screen."""

    spot: S  # The state of the main screen.
    screens: list[Screen[Any]]  # The screens above it, the lowest first; they keep working.


class Trail(Generic[S]):
    """The places that the user came from, the latest last."""

    def __init__(self, app: Callable[[], App[Any]]) -> None:
        self.stops: list[Stop[S]] = []
        self._app = app

    @property
    def screens(self) -> Iterator[Screen[Any]]:
        """Yields the screens that are set aside."""
        return (screen for stop in self.stops for screen in stop.screens)

    def leave(self, spot: S) -> None:
        """Sets aside all screens above the main one, to return to them."""
        app = self._app()
        screens = app.screen_stack[1:]
        for screen in reversed(screens):
            # Textual removes a popped screen unless it is installed.
            app.install_screen(screen, f"aside-{next(_names)}")
            app.pop_screen()
        self.stops.append(Stop(spot, screens))

    def back(self) -> S:
        """Restores the screens of the latest place, and returns its spot."""
        app, stop = self._app(), self.stops.pop()
        for screen in stop.screens:
            app.uninstall_screen(screen)
            app.push_screen(screen)
            if screen.size != app.size:
                screen.post_message(events.Resize(app.size, app.size))
        return stop.spot

    def forget(self, number: int) -> None:
        """Forgets the oldest places, and closes their screens."""
        app = self._app()
        for stop in self.stops[:number]:
            for screen in stop.screens:
                app.uninstall_screen(screen)
                screen.remove()
        del self.stops[:number]
