"""Several images in an archive, several platforms of an image: what is meant is chosen."""

from __future__ import annotations

import json
import tarfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import cast

import pytest
from textual.screen import Screen

from layerscope.oci.platform import host_platform
from layerscope.tui.app import LayerscopeApp
from layerscope.tui.dialogs.choice import ChoiceScreen
from layerscope.tui.keys.palette import commands
from tests.archives import docker_archive, layer_tar, text
from tests.tui import fakes
from tests.tui.conftest import Driven
from tests.unit.images.platform_layouts import layout_for


@pytest.fixture
def two_images(tmp_path: Path) -> Path:
    """An archive of two images, as `docker save one two` writes it."""
    path = tmp_path / "two.tar"
    entries: dict[str, bytes] = {}
    manifest = []
    for number, tag in enumerate(("example.test/one:1", "example.test/two:2")):
        single = docker_archive([layer_tar([text(f"file-of-{number + 1}")])], tag)
        with tarfile.open(fileobj=BytesIO(single)) as tar:
            for member in tar:
                file = tar.extractfile(member)
                assert file is not None
                name = member.name.replace("0/layer.tar", f"{number}/layer.tar")
                entries[name] = file.read()
        saved = json.loads(entries.pop("manifest.json"))
        manifest += json.loads(json.dumps(saved).replace("0/layer.tar", f"{number}/layer.tar"))
    entries["manifest.json"] = json.dumps(manifest).encode()
    with tarfile.open(path, "w") as tar:
        for name, content in entries.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, BytesIO(content))
    return path


async def test_one_of_several_images_is_chosen(two_images: Path) -> None:
    app = LayerscopeApp(str(two_images))
    async with app.run_test(size=(100, 30)) as pilot:
        ui = Driven(app, pilot)
        await ui.until(lambda: isinstance(app.screen, ChoiceScreen))
        await ui.press("j", "enter")
        await ui.until(lambda: "file-of-2" in ui.text)
        assert "example.test/two:2" in ui.text
        assert "file-of-1" not in ui.text


# --- platforms ---

HOST = str(host_platform())
OTHER = "linux/arm64/v8" if HOST == "linux/amd64" else "linux/amd64"


def only(platform: str) -> str:
    """The file that the image for a platform holds."""
    return f"only-{platform.replace('/', '-')}"


@pytest.fixture
def archive(tmp_path: Path) -> Callable[..., str]:
    def write(*platforms: str) -> str:
        path = tmp_path / "platforms.tar"
        path.write_bytes(layout_for(*platforms).archive())
        return str(path)

    return write


@asynccontextmanager
async def opened(source: str, platform: str | None = None) -> AsyncIterator[Driven]:
    app = LayerscopeApp(source, connector=fakes.connector(), platform=platform)
    async with app.run_test(size=(120, 30)) as pilot:
        yield Driven(app, pilot)


def offered(ui: Driven) -> str | None:
    """Why the palette does not offer another platform; empty if it does."""
    for command in commands(ui.app, cast("Screen[object]", ui.main)):
        if command.text == "Show the image for another platform":
            return command.problem
    return None


async def test_another_platform_is_chosen(archive: Callable[..., str]) -> None:
    async with opened(archive(OTHER, HOST)) as ui:
        await ui.until(lambda: only(HOST) in ui.text)
        assert f"{HOST}, one of 2 platforms" in ui.lines[0]
        assert "p Platform" in ui.lines[-1]
        rows = ("".join(text for text, _ in line) for line in ui.main.details.lines(60))
        assert any(row.split() == ["Also", "for", OTHER] for row in rows)
        await ui.press("p")
        assert isinstance(ui.app.screen, ChoiceScreen)
        assert [line.strip(" │") for line in ui.lines if "linux/" in line][-2:] == [HOST, OTHER]
        await ui.press("j", "enter")
        await ui.until(lambda: only(OTHER) in ui.text)
        assert f"{OTHER}, one of 2 platforms" in ui.lines[0]
        assert only(HOST) not in ui.text
        assert offered(ui) == ""


async def test_a_choice_of_platform_is_left_as_it_was(archive: Callable[..., str]) -> None:
    async with opened(archive(OTHER, HOST)) as ui:
        await ui.until(lambda: only(HOST) in ui.text)
        session = ui.main.session
        await ui.press("p", "j", "escape")
        assert ui.main.session is session
        assert only(HOST) in ui.text


async def test_where_the_host_s_platform_is_not_there_it_is_asked(
    archive: Callable[..., str],
) -> None:
    async with opened(archive(OTHER, "linux/s390x")) as ui:
        await ui.until(lambda: isinstance(ui.app.screen, ChoiceScreen))
        assert f"has no image for {HOST}" in ui.text
        await ui.press("j", "enter")
        await ui.until(lambda: only("linux/s390x") in ui.text)


async def test_the_platform_of_the_command_line_is_opened(archive: Callable[..., str]) -> None:
    async with opened(archive(HOST, OTHER), platform=OTHER) as ui:
        await ui.until(lambda: only(OTHER) in ui.text)


async def test_there_is_no_choice_where_there_is_one_platform(archive: Callable[..., str]) -> None:
    async with opened(archive(HOST)) as ui:
        await ui.until(lambda: only(HOST) in ui.text)
        assert "1 of" not in ui.lines[0]
        assert "Platform" not in ui.message
        await ui.press("p")
        assert not isinstance(ui.app.screen, ChoiceScreen)
        assert offered(ui) == "This image is there for one platform only."
