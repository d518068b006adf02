"""Pictures of the screens that show what differs."""

from __future__ import annotations

from pathlib import Path

import pytest

from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader
from layerscope.tui.app import LayerscopeApp
from tests.tui import fakes, real_images
from tests.tui.conftest import Driven
from tests.tui.pictures import Before, Look, Picture, Size, looks, sizes


def app(tmp_path: Path, theme: str = "layerscope-dark") -> LayerscopeApp:
    return LayerscopeApp(
        "app.tar", **fakes.parts(real_images.opened(tmp_path)), theme=theme, cache=False
    )


def versions_of(path: str, *keys: str) -> Before:
    """Goes to the versions of a path, and presses keys."""

    async def before(ui: Driven) -> None:
        await ui.started()
        await ui.walk("t", "3", "E")
        rows = ui.main.files.rows
        assert rows is not None
        node = rows.tree.find(path.encode())
        assert node is not None
        ui.main.files.move_to(rows.row_of(node) or 0)
        await ui.walk("d", *keys)

    return before


CASES = {
    "program": ("app/main.py", ("j",)),
    "owner": ("etc/moved", ()),
    "removed": ("etc/app.conf", ("j", "enter")),
    "binary": ("app/data.bin", ()),
    "hostile": ("etc/hostile", ("enter",)),
    "once": ("etc/once", ()),
}


@sizes((120, 40), (80, 24))
@pytest.mark.parametrize("case", CASES)
def test_versions(picture: Picture, tmp_path: Path, case: str, size: Size) -> None:
    path, keys = CASES[case]
    picture(app(tmp_path), size, versions_of(path, *keys))


@looks("light", "wide", "16", "none")
def test_look(picture: Picture, tmp_path: Path, look: Look) -> None:
    picture(app(tmp_path, look.theme), look.size, versions_of("app/main.py", "j", "enter"))


def compared(*keys: str) -> Before:
    """Compares with another image, and presses keys."""

    async def before(ui: Driven) -> None:
        await ui.started()
        await ui.walk("c", *"other.tar", "enter", *keys)

    return before


def two(tmp_path: Path, theme: str = "layerscope-dark") -> LayerscopeApp:
    def opener(source: str, progress: Progress, platform: str | None = None) -> ImageReader:
        if source == "app.tar":
            return real_images.opened(tmp_path / "one")
        return real_images.opened(tmp_path / "two", real_images.OTHER, "example.test/app:2")

    return LayerscopeApp(
        "app.tar",
        opener,
        fakes.connector(fakes.FakeEngine([])),
        clock=lambda: fakes.NOW,
        theme=theme,
        cache=False,
    )


COMPARED = {"files": ("E", "j"), "path": ("E", *"jj", "enter"), "zoom": ("2", "z")}


@sizes((120, 40), (80, 24))
@pytest.mark.parametrize("case", COMPARED)
def test_two_images(picture: Picture, tmp_path: Path, case: str, size: Size) -> None:
    picture(two(tmp_path), size, compared(*COMPARED[case]))


@looks("light", "wide", "16", "none")
def test_two_images_look(picture: Picture, tmp_path: Path, look: Look) -> None:
    picture(two(tmp_path, look.theme), look.size, compared("E", "j"))
