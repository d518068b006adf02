"""The screen with what differs in one path of two images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType

from layerscope.tui.screens.diff import DiffScreen
from layerscope.tui.told import Told

if TYPE_CHECKING:
    from layerscope.images.version_diff import Side


@dataclass(frozen=True, slots=True)
class Compared:
    """A path of two images.

    Attributes:
        path: The path, without slash in front.
        old: What the first image has there; None if nothing.
        new: What the second has; likewise.
    """

    path: bytes
    old: Side | None
    new: Side | None


class PairDiffScreen(DiffScreen):
    """What differs in a path, and in the next one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "left_square_bracket",
            "another(-1)",
            "Previous file",
            key_display="[",
            tooltip="Show the file before, of those that differ",
            id="pair.previous",
        ),
        Binding(
            "right_square_bracket",
            "another(1)",
            "Next file",
            key_display="]",
            tooltip="Show the next file that differs",
            id="pair.next",
        ),
    ]

    def __init__(
        self,
        compared: Compared,
        names: tuple[str, str],
        another: Callable[[int], Compared | None],
    ) -> None:
        """Makes the screen.

        Args:
            compared: What to show.
            names: What both images are called; safe to show.
            another: Gives the next or the previous path that differs, or None.
        """
        super().__init__(compared.path)
        self._compared = compared
        self._names = names
        self._another = another

    def on_mount(self) -> None:
        """Begins to compare."""
        self._show(self._compared)

    @property
    def facts(self) -> str:
        """The images."""
        return f"{self._names[0]} and {self._names[1]}"

    def _show(self, compared: Compared) -> None:
        self.path = compared.path
        sides = (("--- A", compared.old), ("+++ B", compared.new))
        head = [
            Told(sign, None, name if side is not None else f"{name}: not there")
            for (sign, side), name in zip(sides, self._names, strict=True)
        ]
        self.compare(compared.old, compared.new, head)

    def action_another(self, step: int) -> None:
        """Shows the next or the previous path that differs."""
        compared = self._another(step)
        if compared is None:
            self.say(f"This is the {'last' if step > 0 else 'first'} file that differs.")
        else:
            self._show(compared)
