"""The screen with the differences of one path in two images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from layerscope.tui.diff.screen import DiffScreen
from layerscope.tui.diff.view import SummaryLine
from layerscope.tui.keys import common

if TYPE_CHECKING:
    from layerscope.images.files.version_diff import Side

_TIP = "Show the {} file that differs"


@dataclass(frozen=True, slots=True)
class PathPair:
    path: bytes  # The path, without slash in front.
    old: Side | None  # Its version in the first image.
    new: Side | None  # Its version in the second image.


class PairDiffScreen(DiffScreen):
    KEYS = common.step_keys(
        "another",
        ("pair.previous", "left_square_bracket", -1, "Previous file", _TIP.format("previous")),
        ("pair.next", "right_square_bracket", 1, "Next file", _TIP.format("next")),
    )

    def __init__(
        self, pair: PathPair, names: tuple[str, str], another: Callable[[int], PathPair | None]
    ) -> None:
        super().__init__(pair.path)
        self._pair = pair
        self._names = names  # Of both images; safe to show.
        self._another = another  # Returns the next (1) or previous (-1) path that differs, or None.

    def on_mount(self) -> None:
        self._show_pair(self._pair)

    @property
    def facts(self) -> str:
        return f"{self._names[0]} and {self._names[1]}"

    def _show_pair(self, pair: PathPair) -> None:
        self.path = pair.path
        sides = ("--- A", pair.old, self._names[0]), ("+++ B", pair.new, self._names[1])
        head = [
            SummaryLine(sign, None, name if side is not None else f"{name}: not there")
            for sign, side, name in sides
        ]
        self.compare(pair.old, pair.new, head)

    def action_another(self, step: int) -> None:
        pair = self._another(step)
        if pair is None:
            self.say(f"This is the {'last' if step > 0 else 'first'} file that differs.")
        else:
            self._show_pair(pair)
