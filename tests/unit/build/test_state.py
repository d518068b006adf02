"""The state of a build from its journal."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from layerscope.build.events import Kind
from layerscope.build.request import BUILD
from layerscope.build.state import BuildState, StepState
from layerscope.reports.build_report import BuildText


def write(path: Path, *events: dict[str, Any], end: str = "\n") -> None:
    with path.open("a") as file:
        file.write("\n".join(json.dumps(event) for event in events) + end)


def started(step: int, **more: Any) -> dict[str, Any]:
    return {"event": "step_started", "step": step, "steps": 3, "instruction": f"RUN {step}", **more}


def said(step: int | None, text: str) -> dict[str, Any]:
    return {"event": "log", "text": text} | ({} if step is None else {"step": step})


def test_the_state_of_steps_follows_events(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    write(
        path,
        started(1, line=4, time=100.0),
        {"event": "step_cached", "step": 1, "image": "sha256:a", "seconds": 0.1},
        started(2),
        {"event": "step_done", "step": 2, "seconds": 2.5},
        started(3),
    )
    state = BuildState(path)
    assert state.read()
    assert not state.read()
    assert [s.state for s in state.steps.values()] == [
        StepState.CACHED,
        StepState.DONE,
        StepState.RUNNING,
    ]
    assert (state.steps[1].line, state.steps[1].begun, state.total) == (4, 100.0, 3)
    assert state.running is state.steps[3]
    assert state.last_image == "sha256:a"
    committed = {"event": "step_committed", "step": 2, "diff_id": "sha256:d", "size": 7}
    failed = {"event": "step_failed", "step": 3, "exit_code": 9, "text": "No."}
    write(path, committed, failed, {"event": "failed", "text": "No.", "image": "sha256:a"})
    assert state.read()
    assert state.steps[2].state is StepState.COMMITTED
    assert state.steps[2].seconds == 2.5
    assert state.steps[2].has_layer
    assert state.failed is state.steps[3]
    assert state.running is None
    assert state.end is not None
    assert state.end.text == "No."


def test_running_steps_are_stopped_when_the_build_ends(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    write(path, started(1), started(2), {"event": "failed", "text": "Cancelled."})
    state = BuildState(path)
    state.read()
    assert [s.state for s in state.steps.values()] == [StepState.STOPPED] * 2


def test_logs_are_read_from_the_journal_by_line(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    write(path, said(None, "pulling"), started(1), *(said(1, f"line {n}") for n in range(1000)))
    write(path, started(2), said(2, "two"), said(1, "late\x1b[31m"), said(2, "x" * 60_000))
    state = BuildState(path)
    state.read()
    assert list(state.log_lines.lines(state.steps[1].log, 998, 1001)) == [
        "line 998",
        "line 999",
        "late\x1b[31m",
    ]
    assert [len(text) for text in state.log_lines.lines(state.steps[2].log, 0, 9)] == [3, 60_000]
    assert len(state.log) == 1004
    assert list(state.log_lines.lines(state.log, 0, 1)) == ["pulling"]


def test_partial_lines_wait_and_damaged_ones_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    write(path, started(1))
    whole = json.dumps(said(1, "whole"))
    with path.open("a") as file:
        file.write('[]\n{"event": 3}\nnothing\n' + whole[:10])
    state = BuildState(path)
    state.read()
    assert not state.read()
    with path.open("a") as file:
        file.write(whole[10:] + "\n")
    assert state.read()
    assert list(state.log_lines.lines(state.steps[1].log, 0, 5)) == ["whole"]


def test_planned_steps_exist_before_they_start(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    plan = [[1, 1, "FROM a"], [2, 2, "RUN b"], [3, None, "LABEL x=y"]]
    write(path, {"event": "plan", "steps": 3, "plan": plan}, started(2, time=5.0))
    state = BuildState(path)
    state.read()
    assert [(s.number, s.state.value, s.line) for s in state.steps.values()] == [
        (1, "waiting", 1),
        (2, "running", None),
        (3, "waiting", None),
    ]
    assert state.total == 3
    write(path, {"event": "failed", "text": "No."})
    state.read()
    assert [s.state.value for s in state.steps.values()] == ["not run", "stopped", "not run"]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)
_EVENT = st.fixed_dictionaries(
    {"event": st.sampled_from([*get_args(Kind), "other"])},
    optional={
        name: _JSON if name in ("hidden", "largest", "plan", "chain", "tags") else _JSON | values
        for name, values in {
            **dict.fromkeys(("step", "steps", "trigger", "line", "size"), st.integers(0, 3)),
            **dict.fromkeys(("seconds", "time"), st.floats(0, 9)),
            **dict.fromkeys(("text", "image", "diff_id", "instruction"), st.text(max_size=5)),
            **dict.fromkeys(("hidden", "largest", "plan", "chain", "tags"), st.nothing()),
        }.items()
    },
)


@settings(max_examples=50, deadline=None)
@given(st.lists(_EVENT, max_size=8))
def test_a_hostile_journal_never_has_wrong_types(documents: list[dict[str, Any]]) -> None:
    with TemporaryDirectory() as folder:
        journal = Path(folder) / "events.jsonl"
        lines = [json.dumps(document).encode() for document in documents]
        journal.write_bytes(b"".join(line + b"\n" for line in lines))
        state = BuildState(journal)
        state.read()
        assert isinstance(state.last_image, str | None)
        assert all(isinstance(step.label, str) for step in state.all_steps)
        assert len(list(state.log_lines.lines(state.log, 0, 8))) == len(state.log)
        text = BuildText()
        for event in filter(None, map(BUILD.parse_event, lines)):
            assert "\x1b" not in "".join([*text.lines(event), text.status()])
