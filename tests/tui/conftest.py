"""What the tests of the terminal UI share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from textual import events
from textual.keys import _character_to_key
from textual.pilot import Pilot

from layerscope.tui.app import LayerscopeApp
from layerscope.tui.glyphs import Level
from layerscope.tui.screens.main import MainScreen
from tests.tui import fakes


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

    def over(self) -> bool:
        """Whether nothing is being read, and not about to be."""
        session = self.main.session
        return not self.main.exploring or (session is not None and session.ended)

    async def press(self, *keys: str) -> None:
        # What `Pilot.press` does, but for its waiting until the whole process is idle, which takes
        # it some 70 ms a key, and for ever on a machine with other work to do.
        for key in keys:
            single = len(key) == 1
            event = events.Key(_character_to_key(key) if single else key, key if single else None)
            self.app.post_message(event)
            await self.pilot._wait_for_screen()
        await self.calm()
        await self.calm()

    async def calm(self) -> None:
        """Waits until all messages are handled, and what they asked for is painted."""
        for _ in range(200):
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

    async def until(self, condition: Callable[[], object], seconds: float = 5.0) -> None:
        """Waits for what a thread does."""
        for _ in range(int(seconds / 0.01)):
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


Drive = Callable[..., AbstractAsyncContextManager[Driven]]


@pytest.fixture(autouse=True)
def no_hadolint(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an editor shows does not hang on what is installed."""
    monkeypatch.setattr("layerscope.dockerfile.tools.find_hadolint", lambda: None)


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
        notice: str = "",
    ) -> AsyncIterator[Driven]:
        app = LayerscopeApp(
            source,
            fakes.opener(reader or fakes.FakeReader()),
            fakes.connector(engine),
            clock=lambda: fakes.NOW,
            glyphs=glyphs,
            keymap=keymap,
            notice=notice,
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
