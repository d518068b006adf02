"""Which images are behind their registries: only asked when a user wants to know it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from layerscope.tui.work import Task

if TYPE_CHECKING:
    from layerscope.engines.drift import Drift
    from layerscope.tui.session import Connector

#: The name and the id of an image.
Named = tuple[str, str]


class Drifts:
    """The last answers of the registries."""

    def __init__(self, connector: Connector, changed: Callable[[Drifts], object]) -> None:
        self._connector = connector
        self._changed = changed
        self.known: dict[Named, Drift] = {}
        self.names: Sequence[Named] = ()  # The images that were asked about last.
        self.asking = False

    @property
    def waiting(self) -> set[Named]:
        """The images that a registry is being asked about."""
        return {*self.names} - {*self.known} if self.asking else set()

    def ask(self, names: Sequence[str], task: Task[None], *, insecure: bool) -> None:
        """Asks about images with some names, or about all; reports whenever more is known.

        For background work. Raises LayerscopeError.
        """
        from layerscope.engines.drift import DriftFinder

        finder = DriftFinder(self._connector(), names)
        self.known, self.asking = {}, True
        self.names = [(each.name, each.id) for each in finder.images]
        task.report(None)
        for drift in finder.compare(insecure=insecure, check=task.check):
            self.known[drift.reference, drift.id] = drift
            task.report(None)

    def end(self) -> None:
        """To be called when asking has ended, or is given up."""
        self.asking = False
        self.show()

    def show(self) -> None:
        """Shows what is known now, where images are listed; in the thread of the screen."""
        self._changed(self)
