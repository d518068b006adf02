"""Pictures of the screen that shows a file, compared with those that were found to be good."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from layerscope.tui.app import LayerscopeApp
from layerscope.tui.screens.content import ContentScreen
from layerscope.tui.screens.main import MainScreen
from tests.archives import saved
from tests.tui import fakes
from tests.tui.test_content import HOSTILE
from tests.unit import archives
from tests.unit.test_content_kinds import small_elf

PROGRAM = b'''#!/usr/bin/env python3
"""Counts words."""

import sys
from collections import Counter

LIMIT = 10  # of the most frequent


class Words(Counter[str]):
    """Words, and how often each is there."""

    @property
    def most(self) -> list[str]:
        return [f"{word}\\t{count}" for word, count in self.most_common(LIMIT)]


def main() -> int:
    words = Words(sys.stdin.read().lower().split())
    for line in words.most:
        print(line)
    return 0 if words else 1


if __name__ == "__main__":
    sys.exit(main())
'''
OLDER = PROGRAM.replace(b"LIMIT = 10", b"LIMIT = 5")
LAYERS = [
    [("usr/bin/count", OLDER), ("usr/bin/tool", small_elf()), ("usr/evil", HOSTILE)],
    [("usr/bin/count", PROGRAM)],
]
Compare = Callable[..., bool]

#: Layer and row of the file, and the keys that follow.
CASES: dict[str, tuple[str, tuple[str, ...]]] = {
    "text": ("count", ()),
    "found": ("count", ("slash", "w", "o", "r", "d", "s", "enter", "n")),
    "hex": ("count", ("x",)),
    "binary": ("tool", ()),
    "hostile": ("evil", ()),
    "save": ("count", ("s",)),
}


def app(folder: Path, theme: str) -> LayerscopeApp:
    file = folder / "image.tar"
    file.write_bytes(saved(*(archives.layer(*layer) for layer in LAYERS)))
    return LayerscopeApp(str(file), connector=fakes.connector(), cache=False, theme=theme)


def looking_at(name: str, keys: tuple[str, ...]) -> Callable[[Pilot[Any]], Any]:
    async def until(condition: Callable[[], object]) -> None:
        for _ in range(500):
            if condition():
                return
            await asyncio.sleep(0.01)

    async def before(pilot: Pilot[Any]) -> None:
        main = pilot.app.screen_stack[0]
        assert isinstance(main, MainScreen)
        await until(lambda: main.session and main.session.ended)
        await pilot.pause()
        await pilot.press("t", "3", "E")
        while main.files.rows and name.encode() not in main.files.rows.tree.path(
            main.files.node or 0
        ):
            await pilot.press("j")
        await pilot.press("v")
        screen = pilot.app.screen
        assert isinstance(screen, ContentScreen)
        await until(lambda: screen.job and screen.job.description)
        job = screen.job
        assert job is not None
        if name == "count":
            await until(lambda: job.text and job.text.spans)
        await pilot.press(*keys)
        await until(lambda: job.search_ended)
        await pilot.pause(0.3)

    return before


@pytest.mark.parametrize("size", [(120, 40), (80, 24)], ids=["120x40", "80x24"])
@pytest.mark.parametrize("case", CASES)
def test_content(snap_compare: Compare, tmp_path: Path, case: str, size: tuple[int, int]) -> None:
    made = app(tmp_path, "layerscope-dark")
    assert snap_compare(made, terminal_size=size, run_before=looking_at(*CASES[case]))


@pytest.mark.parametrize("theme", ["layerscope-light", "layerscope-terminal", "layerscope-plain"])
def test_content_in_themes(snap_compare: Compare, tmp_path: Path, theme: str) -> None:
    made = app(tmp_path, theme)
    assert snap_compare(made, terminal_size=(80, 24), run_before=looking_at(*CASES["found"]))
