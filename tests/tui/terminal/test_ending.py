"""The app ends while a screen opens or closes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from layerscope.tui.app import LayerscopeApp
from tests.tui import fakes

_SCREENS = [
    "?",
    "ctrl+p",
    "ctrl+o",
    "o",
    "y",
    "p",
    "w",
    "P",
    "f",
    "c",
    "D",
    "e",
    "b",
    "J",
    "v",
    "d",
    "/",
    "z",
    "t",
]


@pytest.mark.parametrize("key", _SCREENS)
async def test_it_ends_at_any_turn(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    monkeypatch.chdir(tmp_path)
    for turns in (1, 4, 13, 40):
        app = LayerscopeApp(
            "hello:latest",
            fakes.opener(fakes.FakeReader()),
            fakes.connector(),
            clock=lambda: fakes.NOW,
        )
        async with app.run_test(size=(100, 30)) as pilot:
            await pilot.press("3", "j", "j")
            app.simulate_key(key)
            for _ in range(turns):
                await asyncio.sleep(0)
            if turns % 2:
                app.simulate_key("escape")
            app.exit(return_code=7)
        assert app.return_code == 7, (turns, app.bug)
        assert not app.bug
