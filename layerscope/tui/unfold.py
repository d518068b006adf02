"""How much of a tree is open before the user opens or closes anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from layerscope.filesystem.view import View


def unfolded(view: View, room: int) -> npt.NDArray[np.bool_]:
    """Expands as many levels as fit: a small layer shows all its files at once.

    Args:
        view: What is shown.
        room: How many rows can be seen.

    Returns:
        Whether each node is expanded.
    """
    # Not at the top: the screen is painted before numpy is there.
    import numpy as np

    depths = view.stack.tree.depths
    totals = np.cumsum(np.bincount(depths[view.shown], minlength=2))
    # The deepest level up to which everything fits; the first is always shown.
    level = max(1, int(np.searchsorted(totals, room, side="right")) - 1)
    expanded: npt.NDArray[np.bool_] = depths < level
    expanded[0] = True
    return expanded
