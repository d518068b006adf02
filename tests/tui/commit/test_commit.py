"""Committing a container: the look first, then the name, then the new layer."""

from __future__ import annotations

import pytest

from layerscope.engines.engine import CommitRequest, ContainerSummary
from layerscope.errors import EngineError
from layerscope.images.answers import Inspected, RootFs
from layerscope.oci.platform import Platform
from layerscope.tui.app import LayerscopeApp
from layerscope.tui.commit.screen import CommitScreen
from tests.tui import fakes
from tests.tui.conftest import Drive, Driven
from tests.tui.fakes import Entry
from tests.tui.pictures import Picture, Size, sizes
from tests.tui.remove.test_remove import HELLO, SLIM, RemovingEngine

NEW = f"sha256:{'ab' * 32}"


class CommittingEngine(RemovingEngine):
    def __init__(self, error: Exception | None = None) -> None:
        super().__init__(error)
        self.commits: list[tuple[str, CommitRequest]] = []

    def containers(self, *, sizes: bool = False) -> list[ContainerSummary]:
        return [ContainerSummary("c1", "web", HELLO, "running", "hello", int(fakes.NOW), 9)]

    def commit(self, container: str, request: CommitRequest) -> str:
        if self.error is not None:
            raise self.error
        self.commits.append((container, request))
        return NEW

    def inspect(self, name: str, platform: Platform | None = None) -> Inspected:
        if name == NEW:
            return Inspected(id=NEW, root=RootFs(("1", "2", "3", "4")))
        return super().inspect(name, platform)


def reader() -> fakes.FakeReader:
    *below, top = fakes.sample_changesets()
    written = fakes.changeset(
        Entry("var/cache/apt/archives/evil\x1b[31m.deb", 400),
        Entry("root/.bash_history", 30),
        Entry("etc/passwd", 20),
        Entry("etc/apt/.wh.sources.list"),
        Entry("srv/app.py", 900),
    )
    assert len(top)
    return fakes.FakeReader(changesets=[*below, written])


async def look(ui: Driven) -> None:
    await ui.started()
    await ui.press("5")
    await ui.until(lambda: ui.main.containers.items)
    await ui.press("K")
    await ui.until(lambda: "/srv/app.py" in ui.text)


async def test_the_look_shows_what_goes_in_and_what_should_not(drive: Drive) -> None:
    engine = CommittingEngine()
    async with drive(None, reader=reader(), engine=engine) as ui:
        await look(ui)
        rows = ui.pane("commit")[1:6]
        assert [row.split()[-1] for row in rows[:1]] == ["/srv/app.py"]
        assert "apt packages" in rows[1]
        assert "shell history" in ui.text
        assert "\x1b" not in ui.text
        assert "R" in rows[-1]
        assert "/etc/apt/sources.list" in rows[-1]
        assert "What it writes until the commit goes in, too." in ui.text
        assert "A Dockerfile can be read, reviewed and built again" in ui.text
        assert engine.commits == []
        await ui.press("escape")
        assert ui.app.screen is ui.main


async def test_the_new_image_opens_at_its_new_layer(drive: Drive) -> None:
    engine = CommittingEngine()
    async with drive(None, reader=reader(), engine=engine) as ui:
        await look(ui)
        await ui.press("enter", *"Web", "enter")
        await ui.until(lambda: "Web is not a name for an image." in ui.text)
        await ui.press(*["backspace"] * 3, *"web:2", "tab", *"fixed", "tab", *"me", "tab")
        await ui.press(*"RUN x", "enter")
        await ui.until(lambda: "A commit cannot apply RUN." in ui.text)
        await ui.press(*["backspace"] * 5, *"USER web", "ctrl+n", *"ENV A=b", "ctrl+r", "enter")
        await ui.until(lambda: ui.app.screen is ui.main and ui.over())
        request = CommitRequest("web:2", "fixed", "me", False, ("USER web", "ENV A=b"))
        assert engine.commits == [("c1", request)]
        await ui.until(lambda: ui.focus == "layers" and ui.main.layer_list.step is not None)
        assert ui.main.layer_list.step is not None
        assert ui.main.layer_list.step.layer == 3


async def test_a_name_that_is_taken_is_asked_about(drive: Drive) -> None:
    engine = CommittingEngine()
    async with drive(None, reader=reader(), engine=engine) as ui:
        await look(ui)
        for letter in ("n", "y"):
            await ui.press("enter", *"debian:bookworm-slim", "enter")
            await ui.until(lambda: f"is the name of image {SLIM[7:19]}" in ui.text)
            assert engine.commits == []
            await ui.press(letter)
        await ui.until(lambda: ui.app.screen is ui.main)
    assert len(engine.commits) == 1


async def test_an_engine_that_refuses_is_quoted(drive: Drive) -> None:
    engine = CommittingEngine(EngineError("The engine answered: no space left.", "Make room."))
    async with drive(None, reader=reader(), engine=engine) as ui:
        await look(ui)
        await ui.press("enter", *"web:2", "enter")
        await ui.until(lambda: "no space left. Make room." in ui.message)
        assert isinstance(ui.app.screen, CommitScreen)


@sizes((80, 24), (120, 40))
@pytest.mark.parametrize("asked", [False, True], ids=["look", "name"])
def test_picture(picture: Picture, size: Size, asked: bool) -> None:
    async def before(ui: Driven) -> None:
        await look(ui)
        if asked:
            await ui.press("enter", *"web:2")

    app = LayerscopeApp(
        None, fakes.opener(reader()), fakes.connector(CommittingEngine()), lambda: fakes.NOW
    )
    picture(app, size, before)
