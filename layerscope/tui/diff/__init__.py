"""The diff of two versions, shared by several rooms."""

from __future__ import annotations

from layerscope.tui.destinations import Room
from layerscope.tui.keys.key import Keyed


def _keyed() -> tuple[type[Keyed], ...]:
    from layerscope.tui.diff.screen import DiffScreen
    from layerscope.tui.diff.view import DiffView

    return DiffScreen, DiffView


ROOM = Room("diff", _keyed)
