"""Background work: newest wins, cancel, progress, errors."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from layerscope import logs
from layerscope.errors import Cancelled, EngineError
from layerscope.tui.work import Problem, Task, Work


class Loop:
    """Stands for the thread of a screen: runs what is delivered when a test says so."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], object]] = []
        self.problems: list[Problem] = []
        self.work = Work(self.deliver, self.problems.append)
        self._came = threading.Event()

    def deliver(self, call: Callable[..., object], *arguments: object) -> None:
        self.calls.append(lambda: call(*arguments))
        self._came.set()

    def turn(self) -> None:
        """Waits for something to be delivered, and runs all that was."""
        assert self._came.wait(30)
        self._came.clear()
        while self.calls:
            self.calls.pop(0)()


def test_a_result_comes_back() -> None:
    loop, found = Loop(), list[int]()
    loop.work.start("a", lambda task: 6 * 7, found.append)
    assert loop.work.busy("a")
    assert found == []
    loop.turn()
    assert found == [42]
    assert not loop.work.busy("a")


def start_both(loop: Loop, waits: Callable[[Task[Any]], str], group: str, found: list[str]) -> None:
    """Starts work that waits in group "a", and then some in a group that ends at once."""
    loop.work.start("a", waits, found.append)
    loop.work.start(group, lambda task: "second", found.append)
    loop.turn()
    assert found == ["second"]


def test_the_newest_wins() -> None:
    loop, found = Loop(), list[str]()
    gone, stopped = threading.Event(), threading.Event()

    def old(task: Task[Any]) -> str:
        gone.wait(30)
        try:
            task.check()
        except Cancelled:
            stopped.set()
            raise
        return "old"

    start_both(loop, old, "a", found)
    gone.set()
    assert stopped.wait(30)
    while loop.calls:
        loop.calls.pop(0)()
    assert found == ["second"]
    assert loop.problems == []


def test_groups_do_not_disturb_each_other() -> None:
    loop, found = Loop(), list[str]()
    go = threading.Event()

    def slow(task: Task[Any]) -> str:
        go.wait(30)
        return "a"

    start_both(loop, slow, "b", found)
    go.set()
    loop.turn()
    assert found == ["second", "a"]


def test_cancelled_work_says_so() -> None:
    loop = Loop()

    def work(task: Task[Any]) -> None:
        while True:
            task.wait(0.001)

    task = loop.work.start("a", work)
    loop.work.cancel("a")
    loop.turn()
    assert [problem.cancelled for problem in loop.problems] == [True]
    assert not task.running


def test_only_the_newest_report_is_shown_and_before_the_result() -> None:
    loop, seen = Loop(), list[object]()
    reported = threading.Event()

    def work(task: Task[int]) -> str:
        for number in range(100):
            task.report(number)
        reported.set()
        return "end"

    loop.work.start("a", work, seen.append, report=seen.append)
    assert reported.wait(30)
    while "end" not in seen:
        loop.turn()
    assert seen == [99, "end"]


def test_an_error_becomes_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[BaseException] = []

    def unexpected(error: BaseException, where: str) -> str:
        logged.append(error)
        return "a hint"

    monkeypatch.setattr(logs, "unexpected", unexpected)
    loop = Loop()

    def fail(error: Exception) -> Callable[[Task[Any]], None]:
        def work(task: Task[Any]) -> None:
            raise error

        return work

    loop.work.start("a", fail(EngineError("It is gone.", "Start it.")))
    loop.turn()
    assert loop.problems == [Problem("It is gone.", "Start it.")]
    assert logged == []
    loop.work.start("a", fail(ZeroDivisionError("by 0")))
    loop.turn()
    assert loop.problems[1].message == "Something unexpected happened (ZeroDivisionError: by 0)."
    assert loop.problems[1].hint == "a hint"
    assert len(logged) == 1


def test_left_work_is_not_heard_of() -> None:
    loop, found = Loop(), list[int]()
    go, over = threading.Event(), threading.Event()

    def work(task: Task[Any]) -> int:
        go.wait(30)
        over.set()
        return 1

    loop.work.start("a", work, found.append)
    loop.work.leave()
    go.set()
    assert over.wait(30)
    loop.turn()
    assert found == []


def test_a_closed_loop_is_no_error() -> None:
    over = threading.Event()

    def closed(call: Callable[..., object], *arguments: object) -> None:
        over.set()
        raise RuntimeError("Event loop is closed")

    work = Work(closed, lambda problem: None)
    work.start("a", lambda task: 1)
    assert over.wait(30)


def test_queued_work_waits_for_its_turn_and_only_the_newest_is_run() -> None:
    loop, found, gate = Loop(), list[str](), threading.Event()
    loop.work.queue("a", lambda task: gate.wait(30), lambda _: found.append("first"))
    loop.work.queue("a", lambda task: "second", found.append)
    loop.work.queue("a", lambda task: "third", found.append)
    gate.set()
    while loop.work.busy("a"):
        loop.turn()
    assert found == ["first", "third"]


def test_cancelled_work_has_nothing_queued() -> None:
    loop, found = Loop(), list[str]()

    def run(task: Task[Any]) -> None:
        while True:
            task.wait(0.01)

    loop.work.queue("a", run)
    loop.work.queue("a", lambda task: "second", found.append)
    loop.work.cancel("a")
    loop.turn()
    assert not loop.work.busy("a")
    assert [problem.cancelled for problem in loop.problems] == [True]
    assert found == []
