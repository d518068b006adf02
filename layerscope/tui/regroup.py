"""Makes the rows of the file tree anew, beside the screen where that takes long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from layerscope.errors import Cancelled
from layerscope.tui.unfold import unfolded

if TYPE_CHECKING:
    import re

    from layerscope.filesystem.change import Change
    from layerscope.filesystem.rows import SortKey, TreeRows
    from layerscope.filesystem.view import View


@dataclass(slots=True)
class Wanted:
    """What the file tree is to show next.

    Attributes:
        rows: What it shows now, or a copy of that; None if it has shown nothing yet.
        hidden: Changes that are not shown.
        pattern: The filter, or None.
        order: What rows are sorted by, and whether that is turned round; None for the usual.
        make: Makes another view, if it is to be another one.
        room: If not None, so many rows are there to be filled with as many levels as fit.
    """

    rows: TreeRows | None
    hidden: set[Change]
    pattern: re.Pattern[bytes] | None
    order: tuple[SortKey, bool] | None
    make: Callable[[], View] | None = None
    room: int | None = None

    def made(self, stop: Callable[[], None] = lambda: None) -> TreeRows:
        """The rows.

        Args:
            stop: Called now and then; raises `Cancelled` if nobody wants them any more.
        """
        from layerscope.filesystem.rows import TreeRows

        view = self.make() if self.make is not None else None
        stop()
        rows = self.rows
        another = rows is not None and view is not None and view.stack is not rows.view.stack
        if rows is None or (self.room is not None and another):
            assert view is not None  # noqa: S101
            rows = TreeRows(view)
        rows.hidden = set(self.hidden)
        if rows.pattern is not self.pattern:
            rows.pattern = self.pattern
        if self.order is not None:
            rows.sort, rows.reverse = self.order
        if view is not None and self.room is not None:
            rows.expanded = unfolded(view, self.room, self.hidden)
            rows.view = view
        if view is not None:
            rows.show(view, stop)
        else:
            rows.update(stop)
        return rows


def attempt(wanted: Wanted, stop: Callable[[], None]) -> TreeRows | Exception | None:
    """The rows, what kept them from being made, or None if they are not wanted any more."""
    try:
        return wanted.made(stop)
    except Cancelled:
        return None
    except Exception as error:
        return error
