"""Which images are out of date; checked only on request."""

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
        self.names: Sequence[Named] = ()  # The images of the last check.
        self.asking = False

    @property
    def waiting(self) -> set[Named]:
        """Returns the images whose registry has not answered yet."""
        return {*self.names} - {*self.known} if self.asking else set()

    def ask(self, names: Sequence[str], task: Task[None], *, insecure: bool) -> None:
        """Checks images with some names, or all; reports each answer.

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
        """Must be called when the check has ended or is abandoned."""
        self.asking = False
        self.show()

    def show(self) -> None:
        """Updates the list of images; call it in the screen's thread."""
        self._changed(self)
