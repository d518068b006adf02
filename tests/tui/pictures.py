"""Pictures of screens: the looks and sizes that they are taken in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from layerscope.tui.terminal.glyphs import Level

if TYPE_CHECKING:
    from layerscope.tui.app import LayerscopeApp
    from tests.tui.conftest import Driven

Size = tuple[int, int]
Before = Callable[["Driven"], Awaitable[None]]
Picture = Callable[["LayerscopeApp", Size, Before], None]
"""Runs an app in a size, does something with it, and compares what it shows with the snapshot."""


@dataclass(frozen=True)
class Look:
    theme: str
    size: Size
    glyphs: Level = Level.UNICODE


LOOKS = {
    "dark": Look("layerscope-dark", (120, 40)),
    "light": Look("layerscope-light", (120, 40)),
    "wide": Look("layerscope-dark", (200, 60)),
    "16": Look("layerscope-terminal", (80, 24)),
    "none": Look("layerscope-plain", (80, 24)),
    "ascii": Look("layerscope-plain", (80, 24), Level.ASCII),
}


def looks(*names: str) -> pytest.MarkDecorator:
    """Take a picture in these looks, or in all of them."""
    chosen = names or tuple(LOOKS)
    return pytest.mark.parametrize("look", [LOOKS[name] for name in chosen], ids=chosen)


def sizes(*chosen: Size) -> pytest.MarkDecorator:
    """Run a test in these sizes, or in a small, a usual and a large one."""
    chosen = chosen or ((80, 24), (120, 40), (200, 60))
    return pytest.mark.parametrize("size", chosen, ids=[f"{x}x{y}" for x, y in chosen])
