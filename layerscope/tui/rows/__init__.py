"""Rows with a cursor: lists and trees that render only what is visible."""

from __future__ import annotations

from layerscope.tui.destinations import Room
from layerscope.tui.keys.key import Keyed


def _keyed() -> tuple[type[Keyed], ...]:
    from layerscope.tui.rows.file_tree import FileTree
    from layerscope.tui.rows.row_view import RowView

    return RowView, FileTree


ROOM = Room("rows", _keyed)
