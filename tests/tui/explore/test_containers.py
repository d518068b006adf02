"""Pane 5: the containers of an engine."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import pytest

from layerscope.engines.engine import ContainerSummary
from layerscope.images.answers import ListedImage
from layerscope.tui.app import LayerscopeApp
from layerscope.tui.dialogs.path_completion import completed
from tests.tui import fakes
from tests.tui.conftest import Drive, Driven
from tests.tui.fakes import Entry
from tests.tui.pictures import Picture, Size, sizes

CONTAINERS = [
    ContainerSummary("c" * 64, "web", fakes.IMAGES[0].id, "running", "hello:latest", 5),
    ContainerSummary("d" * 64, "old\x1b", fakes.IMAGES[1].id, "exited", fakes.IMAGES[1].id, 4),
]


class Running(fakes.FakeEngine):
    """An engine with containers; the sizes of their layers take long."""

    asked = 0

    def containers(self, *, sizes: bool = False) -> list[ContainerSummary]:
        self.asked += sizes
        return [replace(each, size=12_000 if sizes else None) for each in CONTAINERS]


async def test_tab_shows_containers_beside_images(drive: Drive) -> None:
    engine = Running()
    async with drive(None, engine=engine) as ui:
        await ui.until(lambda: ui.main.containers.total)
        assert not engine.asked
        await ui.press("tab")
        assert ui.focus == "containers"
        await ui.until(lambda: "12kB" in ui.text)
        header, web, old = ui.pane("containers")[:3]
        assert header.split() == ["NAME", "IMAGE", "STATE", "CREATED", "▾", "WRITTEN"]
        assert web.split()[:3] == ["web", "hello:latest", "running"]
        assert old.split()[:3] == ["old\\e", "5d5d5d5d5d5d", "exited"]
        assert "2 containers" in ui.text
        await ui.press("tab")
        assert ui.focus == "images"
        await ui.press("5", "escape")
        assert ui.focus == "images"


async def test_enter_opens_a_container(drive: Drive) -> None:
    async with drive(None, engine=Running()) as ui:
        await ui.until(lambda: ui.main.containers.total)
        await ui.press("5", "enter")
        await ui.until(ui.over)
        assert ui.main.session is not None
        assert ui.main.session.source == "container:web"
        assert ui.focus == "layers"
        await ui.press("5")
        assert ui.focus == "containers"
        assert "WRITTEN" in ui.text


class Live(fakes.FakeReader):
    """A container that somebody works in."""

    changed = False

    @property
    def stale(self) -> bool:
        return self.changed


async def test_an_open_container_is_read_again_when_it_changes(
    drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("layerscope.tui.explore.screen.PERIOD", 0.05)
    *below, _ = fakes.sample_changesets()
    written = [fakes.changeset(Entry(f"srv/{name}", 9)) for name in ("old", "new")]
    reader = Live(changesets=[*below, written[0]])
    async with drive("container:web", reader=reader, engine=Running()) as ui:
        await ui.until(ui.over)
        await ui.walk("3")
        await ui.until(lambda: "old" in ui.text)
        reader._changesets = [*below, written[1]]
        reader.changed = True
        await ui.until(lambda: "new" in ui.text and "old" not in ui.text)
        reader.changed = False
        assert ui.focus == "files"
        # A key does the same for what cannot be seen to have changed.
        reader._changesets = [*below, written[0]]
        await ui.press("R")
        await ui.until(lambda: "old" in ui.text)


async def test_a_container_is_removed_with_what_it_has_written(drive: Drive) -> None:
    class Removing(Running):
        removed: ClassVar[list[str]] = []

        def remove_container(self, identifier: str) -> None:
            self.removed.append(identifier)

        def layers_size(self) -> int:
            return 0

        def all_images(self) -> list[ListedImage]:
            return []

    async with drive(None, engine=Removing()) as ui:
        await ui.until(lambda: ui.main.containers.total)
        await ui.press("5", "D")
        await ui.until(lambda: "Container web is running." in ui.text)
        await ui.press("escape", "j", "D")
        await ui.until(lambda: "frees 12kB" in ui.text)
        assert "container old" in ui.text
        await ui.press("y")
        await ui.until(lambda: Removing.removed == ["d" * 64])
        await ui.until(lambda: "Removed 1 container, freed 12kB" in ui.message)


async def test_containers_are_filtered_and_sorted(drive: Drive) -> None:
    async with drive(None, engine=Running()) as ui:
        await ui.until(lambda: ui.main.containers.total)
        await ui.press("5", "slash", *"exi", "enter")
        await ui.until(lambda: "1 of 2 containers" in ui.text)
        await ui.press("escape")
        assert "2 containers" in ui.text
        await ui.press("slash", *"zzz", "enter")
        await ui.until(lambda: "No container matches zzz." in ui.text)
        await ui.press("escape", "s", "s")
        assert ui.pane("containers")[1].split()[0] == "old\\e"


async def test_an_engine_without_containers_says_so(drive: Drive) -> None:
    async with drive(None) as ui:
        await ui.press("tab")
        assert ui.focus == "images"
        await ui.press("5")
        await ui.until(lambda: "The engine has no containers." in ui.text)
        await ui.press("enter")
        assert "There is no container here to open." in ui.message


async def test_names_are_completed_when_a_source_is_typed(drive: Drive) -> None:
    async with drive(None, engine=Running()) as ui:
        await ui.until(lambda: ui.main.containers.total)
        await ui.press("o", *"container:w")
        await ui.until(lambda: "container:web" in ui.text)
        await ui.press("tab", "enter")
        await ui.until(ui.over)
        assert ui.main.session is not None
        assert ui.main.session.source == "container:web"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("deb", "debian:12"),
        ("container:", "container:db"),
        ("container:w", "container:web"),
        ("container:x", None),
        ("", None),
        ("debian:12", "debian:12"),
        ("bad", None),
    ],
)
def test_a_source_is_completed(text: str, found: str | None) -> None:
    names = ["debian:12", "debian:12-slim", "container:web", "container:db", "bad\x1b"]
    assert completed(text, names) == found


@sizes()
def test_picture(picture: Picture, size: Size) -> None:
    async def before(ui: Driven) -> None:
        await ui.until(lambda: ui.main.containers.total)
        await ui.walk("5")
        await ui.until(lambda: "12kB" in ui.text)

    app = LayerscopeApp(
        None, fakes.opener(fakes.FakeReader()), fakes.connector(Running()), lambda: fakes.NOW
    )
    picture(app, size, before)
