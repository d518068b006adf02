"""Stages beside each other: their order, their reports, and what one failure does."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from layerscope.build.embedded.stages import InOrder, build_stages
from tests.unit.build.embedded.building import Workshop


def test_stages_that_need_nothing_of_each_other_meet() -> None:
    meeting = threading.Barrier(2, timeout=30)
    done: list[int] = []

    def build(index: int) -> None:
        if index in (0, 2):
            meeting.wait()
        done.append(index)

    build_stages({0: set(), 1: {0}, 2: set(), 3: {1, 2}}, build, lambda: None)
    assert sorted(done) == [0, 1, 2, 3]
    assert done[-1] == 3
    assert done.index(0) < done.index(1)


def test_a_failure_stops_the_others_and_is_the_one_that_is_raised() -> None:
    stopped, started = threading.Event(), threading.Event()
    done: list[int] = []

    def build(index: int) -> None:
        if index == 0:
            started.set()
            assert stopped.wait(30)
            raise RuntimeError("stopped")
        if index == 1:
            assert started.wait(30)
            raise ValueError("first")
        done.append(index)

    with pytest.raises(ValueError, match="first"):
        build_stages({0: set(), 1: set(), 2: set(), 3: {0}}, build, stopped.set)
    assert not done


def test_reports_come_in_the_order_of_stages() -> None:
    said: list[str] = []
    order = InOrder([0, 1, 2])
    for stage in (2, 1, 0, 1):
        order.report(stage, lambda stage=stage: said.append(str(stage)))  # type: ignore[misc]
    assert said == ["0"]
    order.end(1)
    order.end(0)
    assert said == ["0", "1", "1", "2"]
    order.report(2, lambda: said.append("last"))
    assert said[-1] == "last"


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop.at(tmp_path)


STAGES = """\
FROM scratch AS a
COPY a /a
COPY a /aa
FROM scratch AS b
COPY b /b
FROM a AS target
COPY --from=b /b /c
FROM a AS unused
COPY missing /
"""


def test_a_build_of_several_stages_is_reported_by_steps(workshop: Workshop) -> None:
    workshop.write({"a": "1", "b": "2"})
    built = workshop.built(STAGES, target="target")
    files = workshop.files(built.image)
    assert {path: each[4] for path, each in files.items()} == {
        "/a": b"1",
        "/aa": b"1",
        "/c": b"2",
    }
    events = [e for e in built.events if e["event"] in ("step_committed", "step_cached")]
    steps = [each["step"] for each in events]
    assert steps == [1, 2, 3, 4, 5, 6, 7]
    assert [each["step"] for each in events if each.get("added")] == [2, 3, 5, 7]


def test_a_failure_in_one_stage_is_the_end_of_all(workshop: Workshop) -> None:
    workshop.write({"a": "1"})
    text = "FROM scratch AS a\nCOPY a /a\nCOPY a /b\nFROM scratch\nCOPY --from=a /x /\n"
    built = workshop.build(text)
    assert built.failed == 5
    reported = [each["step"] for each in built.events if each["event"] == "step_committed"]
    assert reported == [1, 2, 3, 4]
    assert built.events[-1]["event"] == "step_failed"
    assert not list(workshop.store.folder.glob("leases/*"))
