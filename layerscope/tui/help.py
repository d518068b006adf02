"""The groups of the help page, from the bindings of the panes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerscope.tui.screens.help import Group, group
from layerscope.tui.screens.main import MainScreen
from layerscope.tui.widgets.file_tree import FileTree
from layerscope.tui.widgets.image_list import ImageList
from layerscope.tui.widgets.layer_list import LayerList
from layerscope.tui.widgets.row_view import RowView

if TYPE_CHECKING:
    from layerscope.tui.app import LayerscopeApp


def help_groups(app: LayerscopeApp) -> list[Group]:
    """What the help page shows."""
    display = app.get_key_display
    return [
        group("Everywhere", [*MainScreen.BINDINGS, *app.BINDINGS], display),
        group("In lists", RowView.BINDINGS, display),
        group("1 Images", ImageList.BINDINGS, display),
        group("2 Layers", LayerList.BINDINGS, display),
        group("3 Files", FileTree.BINDINGS, display),
    ]
