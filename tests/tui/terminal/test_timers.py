"""Timers on a machine that is busy just when they start."""

from __future__ import annotations

from itertools import count

import pytest
from textual import _time
from textual.widget import Widget

from layerscope.tui.terminal import compat


async def test_a_timer_that_ticks_once_is_never_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks: list[int] = []

    async def tick(_: object, *, next_timer: float, count: int) -> None:
        ticks.append(count)

    clock = count(0, 3)
    monkeypatch.setattr(compat.SureTimer, "_tick", tick)
    # Three seconds pass between any two looks at the clock.
    monkeypatch.setattr(_time, "get_time", lambda: float(next(clock)))
    await compat.SureTimer(Widget(), 0.01, repeat=0)._run()
    assert ticks == [1]


async def test_widgets_have_such_timers() -> None:
    assert isinstance(Widget().set_timer(60), compat.SureTimer)
