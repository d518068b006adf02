"""Jump mode: letters over the panes, headings and rows of a screen; typing one goes there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.app import ComposeResult
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget

from layerscope.tui.base_app import app_of
from layerscope.tui.base_screen import AppModal, AppScreen
from layerscope.tui.keys.key import Key
from layerscope.tui.rows.row_view import RowView

#: The keys of the home row come first.
LETTERS = "asdfghjklqwertyuiopzxcvbnm"


@dataclass(frozen=True, slots=True)
class Target:
    x: int  # The column for its letters.
    y: int
    go: Callable[[], object]  # Goes there.


def labels(count: int) -> list[str]:
    """Returns one or two letters for each place, none a prefix of another; too many get none."""
    size = len(LETTERS)
    # A letter that begins pairs cannot stand alone.
    first = next((n for n in range(size + 1) if size - n + n * size >= count), size)
    alone = list(LETTERS[: size - first])
    pairs = [one + two for one in LETTERS[size - first :] for two in LETTERS]
    return (alone + pairs)[:count]


def targets(screen: Screen[object]) -> list[Target]:
    """Returns the targets on a screen: panes, then rows and headings, the focused pane first."""
    views = [view for view in screen.query(RowView) if view.display and view.region]
    views.sort(key=lambda view: not view.has_focus)

    def target(view: RowView, x: int, y: int, then: Callable[[], object] = lambda: None) -> Target:
        def go() -> None:
            if isinstance(screen, AppScreen):
                screen.go(view)
            then()

        return Target(x, y, go)

    found = [target(view, view.region.x + 1, view.region.y) for view in views]
    for view in views:
        x, y = view.content_region.offset
        headings = view.headings(view.content_region.width) if view.row_count else []
        found += [
            target(view, x + heading.start, y, partial(view.sort_by, heading.key))
            for heading in headings
        ]
        if view.HAS_CURSOR:
            shown = min(view.page_size, view.row_count - view.top)
            found += [
                target(view, x, y + view.header_rows + line, partial(view.move_to, view.top + line))
                for line in range(shown)
            ]
    return found


class _Letters(Widget):
    """Labels in consecutive lines: one widget for all rows of a pane."""

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
        event.stop()
        screen = self.screen
        if isinstance(screen, JumpScreen) and 0 <= event.y < len(self.labels):
            screen.take(self.labels[event.y])

    def fade(self, typed: str) -> None:
        """Fades the labels that do not begin with the typed text."""
        self._typed = typed
        self.refresh()

    def render_line(self, y: int) -> Strip:
        colors = app_of(self).palette
        label = self.labels[y] if y < len(self.labels) else ""
        left = label.startswith(self._typed)
        style = colors.accent + Style(bold=True, reverse=True) if left else colors.faint
        strip = Strip([Segment(label, style)] if label else [])
        return strip.adjust_cell_length(self.size.width, Style()).apply_style(colors.base)


class JumpScreen(AppModal[Target | None], screen="jump", heading="In jump mode"):
    CSS_PATH = "jump.tcss"
    KEYS = (Key("jump.back", "escape", "dismiss(None)", "Back"),)

    def __init__(self, targets: Sequence[Target]) -> None:
        super().__init__()
        names = labels(len(targets))
        self._targets = dict(zip(names, targets, strict=False))
        self._typed = ""

    def compose(self) -> ComposeResult:
        """Creates one widget for labels in consecutive lines."""
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
        """Handles a letter; any other key cancels."""
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
                letters.fade(typed)

    def on_click(self) -> None:
        self.dismiss(None)

    def take(self, name: str) -> None:
        self.dismiss(self._targets[name])
