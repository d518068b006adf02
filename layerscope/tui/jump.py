"""Places that a letter or two lead to: panes, headings, rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from layerscope.tui.widgets.row_view import RowView

if TYPE_CHECKING:
    from textual.screen import Screen

#: The home row first.
LETTERS = "asdfghjklqwertyuiopzxcvbnm"


@dataclass(frozen=True, slots=True)
class Target:
    """A place.

    Attributes:
        x: Column of the screen where its letters go.
        y: The line.
        go: Goes there.
    """

    x: int
    y: int
    go: Callable[[], object]


def labels(count: int) -> list[str]:
    """Letters for so many places: one where that is enough, none the beginning of another.

    Args:
        count: How many; what is beyond the letters there are gets none.
    """
    size = len(LETTERS)
    # Letters that begin two take one away from those that stand alone.
    first = next((n for n in range(size + 1) if size - n + n * size >= count), size)
    alone = list(LETTERS[: size - first])
    pairs = [one + two for one in LETTERS[size - first :] for two in LETTERS]
    return (alone + pairs)[:count]


def targets(screen: Screen[object]) -> list[Target]:
    """The places of a screen: its panes, then rows and headings, those of the focus first."""
    views = [view for view in screen.query(RowView) if view.display and view.region]
    views.sort(key=lambda view: not view.has_focus)
    found = [Target(view.region.x + 1, view.region.y, _focus(screen, view)) for view in views]
    for view in views:
        content = view.content_region
        found += [
            Target(content.x + heading.start, content.y, _sort(screen, view, heading.key))
            for heading in (view.headings(content.width) if view.row_count else ())
        ]
        if view.HAS_CURSOR:
            first = content.y + view.HEADER_ROWS
            shown = min(view.page_size, view.row_count - view.top)
            found += [
                Target(content.x, first + place, _row(screen, view, view.top + place))
                for place in range(shown)
            ]
    return found


def _focus(screen: Screen[object], view: RowView) -> Callable[[], object]:
    def go() -> None:
        pane = getattr(screen, "go", None)
        if pane is not None:
            pane(view)
        else:
            screen.set_focus(view, scroll_visible=False)

    return go


def _sort(screen: Screen[object], view: RowView, key: str) -> Callable[[], object]:
    def go() -> None:
        _focus(screen, view)()
        view.sort_by(key)

    return go


def _row(screen: Screen[object], view: RowView, row: int) -> Callable[[], object]:
    def go() -> None:
        _focus(screen, view)()
        view.move_to(row)

    return go
