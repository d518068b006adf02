"""Pictures of the screen that shows a file, compared with those that were found to be good."""

from __future__ import annotations

from pathlib import Path

import pytest

from layerscope.tui.app import LayerscopeApp
from tests import archives
from tests.archives import saved
from tests.tui import fakes
from tests.tui.conftest import Driven
from tests.tui.content.test_content import HOSTILE
from tests.tui.pictures import Before, Look, Picture, Size, looks, sizes
from tests.unit.content.test_kinds import small_elf

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

#: Layer and row of the file, and the keys that follow.
CASES: dict[str, tuple[str, tuple[str, ...]]] = {
    "text": ("count", ()),
    "found": ("count", ("slash", "w", "o", "r", "d", "s", "enter", "n")),
    "hex": ("count", ("0",)),
    "binary": ("tool", ()),
    "hostile": ("evil", ()),
    "save": ("count", ("s",)),
}


def app(folder: Path, theme: str) -> LayerscopeApp:
    file = folder / "image.tar"
    file.write_bytes(saved(*(archives.layer(*layer) for layer in LAYERS)))
    return LayerscopeApp(str(file), connector=fakes.connector(), cache=False, theme=theme)


def looking_at(name: str, keys: tuple[str, ...]) -> Before:
    async def before(ui: Driven) -> None:
        await ui.started()
        await ui.walk("t", "3", "E")
        while name not in ui.current():
            await ui.press("j")
        await ui.walk("v", *keys)

    return before


@sizes((120, 40), (80, 24))
@pytest.mark.parametrize("case", CASES)
def test_content(picture: Picture, tmp_path: Path, case: str, size: Size) -> None:
    picture(app(tmp_path, "layerscope-dark"), size, looking_at(*CASES[case]))


@looks("light", "16", "none")
def test_look(picture: Picture, tmp_path: Path, look: Look) -> None:
    picture(app(tmp_path, look.theme), look.size, looking_at(*CASES["found"]))
