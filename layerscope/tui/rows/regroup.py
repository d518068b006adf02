"""Computes the rows of the file tree, in the background if that is slow."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from layerscope.filesystem.change import Change

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from layerscope.filesystem.rows import SortKey, TreeRows
    from layerscope.filesystem.view import View
    from layerscope.patterns import PathPattern


@dataclass(slots=True)
class Wanted:
    """What the file tree should show next."""

    rows: TreeRows | None  # The current rows, or a copy; None at first.
    hidden: set[Change]  # Kinds of changes not shown.
    pattern: PathPattern | None  # The filter.
    #: The sort key, and whether it is reversed; None for the default.
    order: tuple[SortKey, bool] | None
    make: Callable[[], View] | None = None  # Returns the new view, if there is one.
    #: Expands as many levels as fit into this number of rows; None changes nothing.
    room: int | None = None

    def made(self, stop: Callable[[], None] = lambda: None) -> TreeRows:
        """Computes the rows; `stop` may raise `Cancelled`."""
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


def unfolded(view: View, room: int, hidden: Collection[Change] = ()) -> npt.NDArray[np.bool_]:
    """Returns the nodes to expand: as many levels as fit, so a small layer shows all its files."""
    # Not at the top: the first paint does not wait for numpy.
    import numpy as np

    depths = view.stack.tree.depths
    shown = view.shown
    if hidden:
        kept = shown & ~np.isin(view.changes, [int(change) for change in hidden])
        shown = kept | (shown & (view.stack.tree.below(kept) > 0))
    totals = np.cumsum(np.bincount(depths[shown], minlength=2))
    # The deepest level that fits; the first is always shown.
    level = max(1, int(np.searchsorted(totals, room, side="right")) - 1)
    expanded: npt.NDArray[np.bool_] = depths < level
    expanded[0] = True
    return expanded
