"""The line at the top: the image at any width, where it is read from, and what runs elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.style import Style

from layerscope.oci.platform import Platform
from layerscope.tui.build.screen import BuildScreen
from layerscope.tui.rows.format import cells, clipped, length, tail
from tests.tui import fakes
from tests.tui.build.build_fakes import FakeBuild
from tests.tui.conftest import Drive

LONG = "registry.example.com:5000/team/api:2024.5.1"


@pytest.mark.parametrize("size", [(30, 12), (40, 12), (60, 20), (80, 24), (120, 40)])
@pytest.mark.parametrize("name", ["hello:latest", LONG])
async def test_the_name_is_shown_at_any_width(
    drive: Drive, name: str, size: tuple[int, int]
) -> None:
    async with drive(name, reader=fakes.FakeReader(fakes.sample_image(name)), size=size) as ui:
        title = ui.lines[0]
        assert cells(title) == size[0]
        if len(name) + 2 <= size[0]:
            assert name in title
        else:
            assert f"…{name[-12:]}" in title or name[-12:] in title
        if size[0] >= 120:
            assert "linux/amd64" in title
            assert "Docker 28.5.1" in title


@pytest.mark.parametrize("size", [(40, 12), (80, 24)])
async def test_the_name_is_shown_while_the_image_is_read(
    drive: Drive, size: tuple[int, int]
) -> None:
    reader = fakes.FakeReader(fakes.sample_image(LONG)).hold()
    async with drive(LONG, reader=reader, size=size, wait=False) as ui:
        await ui.until(lambda: ui.main.session and ui.main.session.image)
        assert LONG[-12:] in ui.lines[0]
        for layer in range(len(reader.gates)):
            reader.release(layer)


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("docker://debian:12", "registry"),
        ("docker-archive:image.tar", "archive"),
        ("oci-archive:image.tar", "OCI archive"),
        ("oci:folder", "OCI layout"),
        ("dir:folder", "folder"),
        ("docker-root:/var/lib/docker:x", "data folder"),
        ("docker-daemon:hello", "Docker 28.5.1"),
        ("container:web", "Docker 28.5.1"),
    ],
)
async def test_the_source_is_named_as_it_is(drive: Drive, source: str, kind: str) -> None:
    image = replace(fakes.sample_image(), source=source)
    async with drive(source, reader=fakes.FakeReader(image)) as ui:
        await ui.until(lambda: ui.lines[0].rstrip().endswith(f"  {kind}"))


async def test_the_number_of_platforms_does_not_read_as_an_ordinal(drive: Drive) -> None:
    platforms = tuple(Platform("linux", "arm", f"v{number}") for number in (7, 6, 5))
    image = replace(fakes.sample_image(), platforms=platforms)
    async with drive("hello:latest", reader=fakes.FakeReader(image)) as ui:
        assert "linux/arm/v7, one of 3 platforms" in ui.lines[0]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr("layerscope.tui.app._LOOK", 0.05)
    return tmp_path


async def test_running_jobs_are_counted_and_their_end_is_announced_anywhere(
    drive: Drive, root: Path
) -> None:
    old = FakeBuild(root, 1)
    old.end()
    first, second = FakeBuild(root, 2, "one:1"), FakeBuild(root, 3, "two:\x1b1")
    async with drive(None) as ui:
        await ui.until(lambda: "2 running · Docker 28.5.1" in ui.lines[0])
        first.end()
        await ui.until(lambda: "1 running" in ui.lines[0])
        assert ui.message == "Build finished: one:1. J shows it."
        # On another screen too.
        await ui.press("f")
        assert ui.app.screen is not ui.main
        assert "1 running" in ui.lines[0]
        second.end(1)
        await ui.until(lambda: "Build failed: two:\\e1. J shows it." in ui.text)
        assert "running" not in ui.lines[0]
        third = FakeBuild(root, 4, "three:1")
        await ui.until(lambda: "1 running" in ui.lines[0])
        third.end(None)
        await ui.until(lambda: "Build died: three:1. J shows it." in ui.text)
        await ui.press("tab", "J")
        await ui.until(lambda: "0 of 4 jobs running" in ui.text)


async def test_a_build_on_the_screen_is_not_announced(drive: Drive, root: Path) -> None:
    build = FakeBuild(root, 1, "one:1")
    async with drive(None) as ui:
        app = ui.app
        await ui.until(lambda: "1 running" in ui.lines[0])
        await ui.press("J")
        await ui.until(lambda: "one:1" in ui.text)
        await ui.press("enter")
        await ui.until(lambda: isinstance(ui.app.screen, BuildScreen))
        assert "1 running" not in ui.lines[0]
        screen = ui.at(BuildScreen)
        build.end()
        await ui.until(lambda: screen.build.ended is not None and not app.running_jobs)
        assert "J shows it" not in ui.text


@given(st.text(max_size=60), st.integers(0, 70))
def test_the_end_of_a_text_fits(text: str, width: int) -> None:
    cut = tail(text, width)
    assert cells(cut) <= max(width, cells(text) if cells(text) <= width else width)
    assert text.endswith(cut.removeprefix("…")) or cut == text


@given(st.lists(st.text(max_size=20), max_size=5), st.integers(0, 70))
def test_a_line_is_clipped_to_its_width(texts: list[str], width: int) -> None:
    line = [(text, Style()) for text in texts]
    cut = clipped(line, width)
    assert length(cut) <= width
    if length(line) <= width:
        assert cut == line
