"""What goes to the terminal: only cells that change, and nothing while nothing happens."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from rich.color import ColorSystem
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.screen import Screen

from layerscope.filesystem.changeset import Changeset
from layerscope.tui._textual_compat import paint
from layerscope.tui.app import LayerscopeApp
from layerscope.tui.cells.grid import CellOutput
from layerscope.tui.cells.path import Abilities
from tests.tui import fakes


class Counting(LayerscopeApp):
    """Adds up what would be written to a terminal with 256 colours."""

    written = 0
    output: CellOutput | None = None

    def _display(self, screen: Screen[Any], renderable: Any) -> None:
        super()._display(screen, renderable)
        if isinstance(renderable, LayoutUpdate | ChopsUpdate):
            if self.output is None:
                self.output = CellOutput(Abilities(), ColorSystem.EIGHT_BIT)
            paint(self.output, renderable)
            self.written += len(self.output.flush().encode())


def many_files(folders: int, files: int) -> Changeset:
    paths = []
    for folder in range(folders):
        paths.append(f"folder-{folder:05d}")
        paths += [f"folder-{folder:05d}/file-{file:03d}.txt" for file in range(files)]
    kinds = np.array([3 if "/" not in path else 0 for path in paths], np.uint8)
    zero = np.zeros(len(paths), np.int64)
    sizes = np.where(kinds == 0, (np.arange(len(paths)) * 7919) % 100_000, 0)
    modes = np.full(len(paths), 0o755, np.uint16)
    return Changeset(
        "\0".join(paths).encode(),
        kinds,
        modes,
        zero,
        zero,
        sizes,
        zero + int(fakes.NOW),
        zero,
        zero,
    )


@pytest.fixture(scope="module")
def big() -> list[Changeset]:
    return [
        many_files(300, 40),
        many_files(500, 40),
        fakes.changeset(*fakes.CLEAN),
        fakes.changeset(*fakes.HELLO),
    ]


async def settle(app: Counting) -> int:
    """Waits until nothing has been written for a while, and says how much was."""
    while True:
        before = app.written
        await asyncio.sleep(0.12)
        if app.written == before:
            app.written = 0
            return before


async def test_bytes_per_key(big: list[Changeset]) -> None:
    app = Counting(
        "big:latest",
        fakes.opener(fakes.FakeReader(changesets=big)),
        fakes.connector(),
        clock=lambda: fakes.NOW,
    )
    async with app.run_test(size=(120, 40)):
        while app._main.session is None or not app._main.session.ended:
            await asyncio.sleep(0.02)
        await settle(app)
        spent = {}
        for name, keys in (
            ("layer", ["j"]),
            ("files", ["G", "3", "E"]),
            ("down", ["j"]),
            ("page", ["pagedown"]),
            ("end", ["G"]),
            ("up", ["k"]),
        ):
            for key in keys:
                app.simulate_key(key)
            spent[name] = await settle(app)
        # What the design allows is 170, 700 and 2,700; this is what dive needs, halved.
        assert spent["down"] <= 100
        assert spent["up"] <= 100
        assert spent["layer"] <= 700
        assert spent["page"] <= 1_300
        await asyncio.sleep(1.2)
        assert app.written == 0
        # Lines that move over the whole width are scrolled.
        for key in ("z", "G"):
            app.simulate_key(key)
            await settle(app)
        for _ in range(app._main.files.page_size):
            app.simulate_key("k")
        await settle(app)
        app.simulate_key("k")
        assert await settle(app) <= 300


async def test_queued_keys_cost_less_than_one_by_one(big: list[Changeset]) -> None:
    app = Counting(
        "big:latest",
        fakes.opener(fakes.FakeReader(changesets=big)),
        fakes.connector(),
        clock=lambda: fakes.NOW,
    )
    async with app.run_test(size=(120, 40)):
        while app._main.session is None or not app._main.session.ended:
            await asyncio.sleep(0.02)
        for key in ("G", "3", "E"):
            app.simulate_key(key)
        await settle(app)
        for _ in range(20):
            app.simulate_key("j")
        assert await settle(app) <= 20 * 100
