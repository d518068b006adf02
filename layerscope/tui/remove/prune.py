"""Shows what pruning would remove, filtered by age or labels, and asks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult

from layerscope.tui.destinations import Place
from layerscope.tui.dialogs.prompt import PromptEntry
from layerscope.tui.keys.key import Key
from layerscope.tui.remove.screen import RemoveScreen

if TYPE_CHECKING:
    from layerscope.images.pruning import PruneRequest


class PruneScreen(RemoveScreen, screen="remove", heading="Pruning"):
    MORE_KEYS: ClassVar = ("/ narrows",)
    KEYS = (
        Key("remove.narrow", "slash", "narrow", "Narrow", "Remove only what is old or has a label"),
    )

    def __init__(self, title: str, place: Place, request: PruneRequest) -> None:
        from layerscope.images.pruning import narrowed

        super().__init__(
            title, place, lambda e: e.prune(narrowed(request, self._words, time.time()))
        )
        self._words = ""
        self._entry = PromptEntry(
            self._typed, id="remove-narrow", placeholder="An age, as 30d; or a label, as NAME=VALUE"
        )

    def body(self) -> ComposeResult:
        yield self._entry
        yield from super().body()

    def action_narrow(self) -> None:
        self._entry.action_end()
        self.set_focus(self._entry)

    def _typed(self, taken: bool) -> None:
        self.set_focus(self._rows)
        if not taken:
            self._entry.value = self._words
        elif not self.work.busy("remove"):
            self._words = self._entry.value
            self._plan = None  # The shown plan is out of date.
            self.plan()
