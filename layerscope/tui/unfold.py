"""How much of a tree is open before the user opens or closes anything."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from layerscope.filesystem.change import Change

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from layerscope.filesystem.view import View


def unfolded(view: View, room: int, hidden: Collection[Change] = ()) -> npt.NDArray[np.bool_]:
    """Expands as many levels as fit: a small layer shows all its files at once.

    Args:
        view: What is shown.
        room: How many rows can be seen.
        hidden: Changes that are not shown, except where something below them is.

    Returns:
        Whether each node is expanded.
    """
    # Not at the top: the screen is painted before numpy is there.
    import numpy as np

    depths = view.stack.tree.depths
    shown = view.shown
    if hidden:
        kept = shown & ~np.isin(view.changes, [int(change) for change in hidden])
        shown = kept | (shown & (view.stack.tree.below(kept) > 0))
    totals = np.cumsum(np.bincount(depths[shown], minlength=2))
    # The deepest level up to which everything fits; the first is always shown.
    level = max(1, int(np.searchsorted(totals, room, side="right")) - 1)
    expanded: npt.NDArray[np.bool_] = depths < level
    expanded[0] = True
    return expanded
