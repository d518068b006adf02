"""Letters over the places of a screen; typing them goes there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.widget import Widget

from layerscope.tui.jump import Target, labels
from layerscope.tui.theme import palette


class _Letters(Widget):
    """Labels below each other, so that the rows of a pane take one widget."""

    ALLOW_SELECT = False

    def __init__(self, x: int, y: int, labels: list[str]) -> None:
        super().__init__()
        self.labels = labels
        self._typed = ""
        self.styles.position = "absolute"
        self.styles.offset = (x, y)
        self.styles.width = max(map(len, labels))
        self.styles.height = len(labels)

    def on_click(self, event: events.Click) -> None:
        """A click on letters goes where they lead."""
        event.stop()
        screen = self.screen
        if isinstance(screen, JumpScreen) and 0 <= event.y < len(self.labels):
            screen.take(self.labels[event.y])

    def tell(self, typed: str) -> None:
        """Fades what does not begin with what was typed."""
        self._typed = typed
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """A label."""
        colors = palette(self.app)
        label = self.labels[y] if y < len(self.labels) else ""
        left = label.startswith(self._typed)
        style = colors.accent + Style(bold=True, reverse=True) if left else colors.faint
        strip = Strip([Segment(label, style)] if label else [])
        return strip.adjust_cell_length(self.size.width, Style()).apply_style(colors.base)


class JumpScreen(ModalScreen[Target | None], inherit_bindings=False):
    """Asks for a place; gives it."""

    CSS_PATH = "jump.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Back", id="jump.back"),
    ]

    def __init__(self, targets: Sequence[Target]) -> None:
        """Makes the letters.

        Args:
            targets: The places, the more likely first: they get single letters.
        """
        super().__init__()
        names = labels(len(targets))
        self._targets = dict(zip(names, targets, strict=False))
        self._typed = ""

    def compose(self) -> ComposeResult:
        """A widget for all letters that are right below each other."""
        columns: list[tuple[Target, list[str]]] = []
        for name, target in self._targets.items():
            if columns:
                first, names = columns[-1]
                if (target.x, target.y) == (first.x, first.y + len(names)):
                    names.append(name)
                    continue
            columns.append((target, [name]))
        for target, names in columns:
            yield _Letters(target.x, target.y, names)

    def on_key(self, event: events.Key) -> None:
        """Types a letter; a key that leads nowhere goes back."""
        if event.key == "escape":
            return
        event.stop()
        event.prevent_default()
        if event.key == "backspace":
            typed = self._typed[:-1]
        else:
            typed = self._typed + (event.character or " ")
        if typed in self._targets:
            self.dismiss(self._targets[typed])
        elif not any(name.startswith(typed) for name in self._targets):
            self.dismiss(None)
        else:
            self._typed = typed
            for letters in self.query(_Letters):
                letters.tell(typed)

    def on_click(self) -> None:
        """A click beside the letters goes back."""
        self.dismiss(None)

    def take(self, name: str) -> None:
        """Gives the place that letters lead to."""
        self.dismiss(self._targets[name])
