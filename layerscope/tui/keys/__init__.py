"""Keys: the key map, the key bar, help, the palette, jump mode."""

from __future__ import annotations

from layerscope.tui.destinations import Room
from layerscope.tui.keys.key import Keyed


def _keyed() -> tuple[type[Keyed], ...]:
    from layerscope.tui.base_app import BaseApp
    from layerscope.tui.keys.help import HelpRows, HelpScreen
    from layerscope.tui.keys.jump import JumpScreen
    from layerscope.tui.keys.palette import PaletteScreen

    return BaseApp, JumpScreen, PaletteScreen, HelpScreen, HelpRows


ROOM = Room("keys", _keyed)
