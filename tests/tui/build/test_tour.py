"""The tour of the demo, from `--demo` to its image."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from layerscope.tui.build.tour import STOPS, TourScreen
from tests.tui.conftest import Drive, Driven


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("LAYERSCOPE_STORE", str(tmp_path / "store"))


def shows(ui: Driven, text: str) -> bool:
    return text in ui.text


async def begun(ui: Driven) -> TourScreen:
    """The tour, at its first stop."""
    await ui.until(partial(shows, ui, "1 of 7"))
    return ui.at(TourScreen)


async def test_enter_goes_through_all_stops(drive: Drive) -> None:
    async with drive(None, demo=True, wait=False) as ui:
        screen = await begun(ui)
        assert "i opens the image with both" in " ".join(ui.text.split())
        for number, (step, text) in enumerate(STOPS, 1):
            await ui.until(partial(shows, ui, f"{number} of 7"))
            assert text.split(":")[0][:40] in " ".join(ui.text.split())
            assert "enter Next stop" in ui.lines[-1]
            assert screen.steps.step is not None
            assert screen.steps.step.number == step
            assert ui.focus == "steps"
            await ui.press("enter")
        assert "of 7" not in ui.text
        assert "i opens this image" in ui.message
        assert "enter Look" in ui.lines[-1]
        # The tour is over: enter goes to the files, as in any build.
        await ui.press("enter")
        assert ui.focus == "files"


async def test_esc_leaves_the_tour_and_then_the_build(drive: Drive) -> None:
    async with drive(None, demo=True, wait=False, size=(80, 24)) as ui:
        await begun(ui)
        await ui.press("enter")
        await ui.until(lambda: "2 of 7" in ui.text)
        await ui.press("escape")
        assert "of 7" not in ui.text
        ui.at(TourScreen)
        await ui.press("escape")
        await ui.until(lambda: ui.app.screen is ui.main)
