"""What the tests of the terminal UI share."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from pytest_textual_snapshot import normalize_svg
from textual import events
from textual.cache import LRUCache
from textual.css.stylesheet import Stylesheet
from textual.keys import _character_to_key
from textual.pilot import Pilot
from textual.screen import Screen

from layerscope.images.cache.changesets import ChangesetCache
from layerscope.tui.app import LayerscopeApp
from layerscope.tui.base_screen import AppScreen
from layerscope.tui.explore.screen import MainScreen
from layerscope.tui.terminal.glyphs import Level
from tests.tui import fakes
from tests.tui.pictures import Before, Picture, Size

_rules: dict[frozenset[tuple[str, str]], LRUCache[Any, Any]] = {}
_init, _set_variables = Stylesheet.__init__, Stylesheet.set_variables


@pytest.fixture(scope="session", autouse=True)
def rules_once() -> Iterator[None]:
    """Parses the same rules once for all apps, which is a good part of what a start takes."""

    def share(self: Stylesheet) -> None:
        known = frozenset(self._variables.items())
        self._parse_cache = _rules.setdefault(known, LRUCache(1000))

    def init(self: Stylesheet, *, variables: dict[str, str] | None = None) -> None:
        _init(self, variables=variables)
        share(self)

    def set_variables(self: Stylesheet, variables: dict[str, str]) -> None:
        self._parse_cache = LRUCache(1)  # not the one of all apps: it is cleared
        _set_variables(self, variables)
        share(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stylesheet, "__init__", init)
        patch.setattr(Stylesheet, "set_variables", set_variables)
        yield


LIMIT = 60.0
"""Seconds for which anything is waited for; a busy machine may take a good part of it."""

S = TypeVar("S", bound=Screen[Any])


@dataclass
class Driven:
    """An app that runs without a terminal, and what can be done to it."""

    app: LayerscopeApp
    pilot: Pilot[Any]

    @property
    def main(self) -> MainScreen:
        screen = self.app.screen_stack[0]
        assert isinstance(screen, MainScreen)
        return screen

    def at(self, kind: type[S]) -> S:
        """The screen that is shown, which must be of a kind."""
        screen = self.app.screen
        assert isinstance(screen, kind)
        return screen

    def over(self) -> bool:
        """Whether nothing is being read, and not about to be."""
        session = self.main.session
        return not self.main.exploring or (session is not None and session.ended)

    async def press(self, *keys: str) -> None:
        # What `Pilot.press` does, but for its waiting until the whole process is idle, which takes
        # it some 70 ms a key, and forever on a busy machine.
        for key in keys:
            single = len(key) == 1
            event = events.Key(_character_to_key(key) if single else key, key if single else None)
            self.app.post_message(event)
            await self.pilot._wait_for_screen()
        await self.calm()
        await self.calm()

    async def walk(self, *keys: str) -> None:
        """Presses keys, each once the one before has had all its effects."""
        for key in keys:
            await self.press(key)
            await self.rest()

    async def calm(self) -> None:
        """Waits until all messages are handled, and what they asked for is painted."""
        end = time.monotonic() + LIMIT
        while self.app.is_running and time.monotonic() < end:
            await self.pilot._wait_for_screen()
            await asyncio.sleep(0.005)
            screen = self.app.screen
            if not (
                screen._dirty_widgets
                or screen._callbacks
                or screen._layout_required
                or screen._layout_widgets
                or not screen._message_queue.empty()
            ):
                return

    async def rest(self) -> None:
        """Waits until nothing more comes by itself: no thread works, no timer is about to fire."""
        end = time.monotonic() + LIMIT
        await self.calm()
        while self._works() and time.monotonic() < end:
            await asyncio.sleep(0.01)
            await self.calm()

    def _works(self) -> bool:
        pumps = [self.app, *self.app.screen_stack, *self.app.screen.walk_children()]
        return (
            any(each.name.startswith("layerscope-") for each in threading.enumerate())
            or any(not worker.is_finished for worker in self.app.workers)
            or any(
                timer._repeat == 0
                and timer._interval <= 1
                and timer._task
                and not timer._task.done()
                for pump in pumps
                for timer in list(pump._timers)
            )
        )

    async def until(self, condition: Callable[[], object]) -> None:
        """Waits for what a thread does."""
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            await asyncio.sleep(0.01)
            if condition():
                await self.calm()
                await self.calm()
                return
        raise AssertionError(f"it did not come to that; the screen shows:\n{self.text}")

    @property
    def lines(self) -> list[str]:
        """What the screen shows, line by line."""
        return [strip.text for strip in self.app.screen._compositor.render_strips()]

    @property
    def message(self) -> str:
        """What the nearest screen says that says anything."""
        screens = [each for each in reversed(self.app.screen_stack) if isinstance(each, AppScreen)]
        return next((each.message.text for each in screens if each.message.text), "")

    @property
    def focus(self) -> str:
        """Id of what has the focus."""
        focused = self.app.focused
        return "" if focused is None or focused.id is None else focused.id

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def pane(self, name: str) -> list[str]:
        """What a pane shows, without its border."""
        region = self.app.screen.query_one(f"#{name}").content_region
        return [
            line[region.x : region.right].rstrip() for line in self.lines[region.y : region.bottom]
        ]

    def files(self) -> list[str]:
        """Names in the file tree, with the letter of their change."""
        rows = self.main.files.rows
        if rows is None or not self.main.files.row_count:
            return []
        found = []
        for node in rows.nodes.tolist():
            letter = " AMR"[rows.view.changes[node]]
            found.append(f"{letter} {rows.tree.path(node).decode(errors='replace')}")
        return found

    def current(self) -> str:
        """The path under the cursor of the file tree."""
        rows = self.main.files.rows
        assert rows is not None
        return rows.tree.path(int(rows.nodes[self.main.files.cursor])).decode()

    async def started(self) -> None:
        """Waits until the image has been read, and the images are listed."""
        await self.until(
            lambda: (
                (self.main._source is None or self.over())
                and (self.main.images.total or "Looking" not in str(self.main.images._placeholder))
            )
        )


Drive = Callable[..., AbstractAsyncContextManager[Driven]]


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A cache that has the layers of `hello`."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache = ChangesetCache()
    for layer, changeset in zip(
        fakes.sample_image().layers, fakes.sample_changesets(), strict=True
    ):
        cache.put(layer.diff_id, changeset)


@pytest.fixture(autouse=True)
def no_hadolint(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an editor shows does not hang on what is installed."""
    monkeypatch.setattr("layerscope.dockerfile.checks.tools.find_hadolint", lambda: None)


@pytest.fixture(autouse=True)
def no_buildx(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor do the builders that a form offers."""
    for name in ("known_instances", "instance_states"):
        monkeypatch.setattr(f"layerscope.build.instances.{name}", list)


def _pictured(app: LayerscopeApp) -> str:
    shown: str = normalize_svg(app.export_screenshot(title=app.title, simplify=True))
    return shown


@pytest.fixture
def picture(snap_compare: Callable[..., bool], request: pytest.FixtureRequest) -> Picture:
    """Compares a screen with its snapshot, once it has come to look like that."""
    folder = request.path.parent / "__snapshots__" / request.path.stem
    good = folder / f"{request.node.name}.svg"
    updated = request.config.getoption("update_snapshots") or not good.exists()

    async def resemble(app: LayerscopeApp, wanted: str) -> None:
        """Waits until the screen shows what is wanted; or, for a new snapshot, nothing new."""
        end = time.monotonic() + LIMIT / 2
        while (shown := _pictured(app)) != wanted:
            if time.monotonic() > end:
                return  # The comparison reports the difference.
            await asyncio.sleep(1 if updated else 0.02)
            if updated:
                wanted = shown

    def compare(app: LayerscopeApp, size: Size, before: Before) -> None:
        async def run(pilot: Pilot[Any]) -> None:
            ui = Driven(app, pilot)
            await before(ui)
            await ui.calm()
            await resemble(app, "" if updated else normalize_svg(good.read_text()))

        assert snap_compare(app, terminal_size=size, run_before=run)

    return compare


@pytest.fixture
def drive() -> Drive:
    """Runs an app: `async with drive("hello:latest") as ui`."""

    @asynccontextmanager
    async def driven(
        source: str | None = "hello:latest",
        *,
        reader: fakes.FakeReader | Exception | None = None,
        engine: fakes.FakeEngine | Exception | None = None,
        size: tuple[int, int] = (120, 40),
        wait: bool = True,
        glyphs: Level = Level.UNICODE,
        keymap: dict[str, str] | None = None,
        **options: Any,
    ) -> AsyncIterator[Driven]:
        app = LayerscopeApp(
            source, **fakes.parts(reader, engine), glyphs=glyphs, keymap=keymap, **options
        )
        async with app.run_test(size=size) as pilot:
            ui = Driven(app, pilot)
            if wait and source is None:
                await ui.until(lambda: "Looking for an engine" not in ui.text)
            elif wait:
                await ui.until(
                    lambda: not ui.main.exploring or (ui.main.session and ui.main.session.ended)
                )
            yield ui

    return driven
