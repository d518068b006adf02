"""`layerscope jobs attach`: a job's events and end; a job survives its followers."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from layerscope.jobs.job import Job, State
from layerscope.jobs.journal import follow
from layerscope.jobs.launch import cancel, start
from tests.command import environment, run

FAILURE: tuple[tuple[str, Any], ...] = (
    ("tell", {"event": "step_started", "step": 1, "steps": 1, "instruction": "RUN x"}),
    ("tell", {"event": "step_failed", "step": 1, "text": "It broke.", "exit_code": 3}),
    ("tell", {"event": "failed", "text": "The build failed: It broke."}),
    ("exit", 1),
)


@pytest.fixture(autouse=True)
def state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def begin(*do: tuple[str, Any]) -> Job:
    return start("build", "some work", "tests.unit.jobs.job_work", {"do": do})


def ended(*do: tuple[str, Any]) -> Job:
    made = begin(*do)
    for _ in follow(made):
        pass
    return made


def test_why_a_build_failed_is_one_sentence_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    made = ended(*FAILURE)
    text = run(capsys, "jobs", "attach", made.id)
    assert text.code == 1
    assert text.out == "[1/1] RUN x\n[1/1] failed with exit code 3: It broke.\n\n"
    assert text.err == "layerscope: The build failed at step 1 of 1.\n"
    lines = run(capsys, "jobs", "attach", made.id, "--json-lines")
    assert lines.code == 1
    kinds = [json.loads(line)["event"] for line in lines.out.splitlines()]
    assert kinds == ["step_started", "step_failed", "failed"]
    assert lines.err == "layerscope: The build failed: It broke.\n"


def test_a_stopped_build_is_reported_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    made = begin(("tell", {"event": "log", "text": "one"}), ("sleep", 60))
    assert cancel(made)
    for flags in ([], ["--json-lines"]):
        outcome = run(capsys, "jobs", "attach", made.id, *flags)
        assert (outcome.code, outcome.err) == (130, "layerscope: Cancelled.\n")


@pytest.mark.parametrize("flags", [[], ["--json-lines"]])
def test_damaged_lines_of_a_journal_are_skipped(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    made = ended(
        ("tell", {"event": "log", "text": 5}),
        ("tell", {"event": ["log"], "text": "a"}),
        ("tell", {"event": "step_committed", "step": "1"}),
        ("tell", {"event": "log", "step": 1, "text": ["x"]}),
        ("tell", {"event": "plan", "plan": [[1, 2]]}),
        ("tell", {"event": "context", "size": 1, "files": 1, "largest": [5]}),
        ("tell", {"event": "finished", "image": "sha256:1", "tags": 1}),
        ("tell", {"event": "log", "text": "whole"}),
    )
    outcome = run(capsys, "jobs", "attach", made.id, *flags)
    assert outcome.code == 0
    assert [line for line in outcome.out.splitlines() if line] == [
        json.dumps({"event": "log", "text": "whole"}) if flags else "   | whole"
    ]
    # It ended well, and nobody can say with what.
    assert outcome.err == f"layerscope: The last events of job {made.id} are lost.\n"


@pytest.mark.parametrize("words", [["list", "--json"], ["--json"], ["--json", "list"]])
def test_jobs_are_listed_as_json_with_and_without_the_word(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    made = ended(("say", "one"))
    (listed,) = json.loads(run(capsys, "jobs", *words).out)["jobs"]
    assert (listed["id"], listed["state"], listed["exit_code"]) == (made.id, "finished", 0)


def attached(made: Job, **streams: Any) -> subprocess.Popen[bytes]:
    """`jobs attach` in a process of its own, which takes ctrl+c as in a terminal."""
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from layerscope.cli import main; sys.exit(main())"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, "jobs", "attach", made.id],
        env=environment(),
        stderr=subprocess.PIPE,
        **streams,
    )


def test_leaving_a_job_says_that_it_continues() -> None:
    made = begin(("say", "here"), ("sleep", 60))
    try:
        with attached(made, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert b"here" in process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=120)
        assert process.returncode == 130
        assert errors.decode() == (
            f"The build continues as job {made.id}. `layerscope jobs attach {made.id}` shows it, "
            f"`layerscope jobs cancel {made.id}` stops it.\n"
        )
        assert made.state is State.RUNNING
    finally:
        cancel(made)


def test_a_full_stdout_does_not_end_the_job() -> None:
    made = begin(("say", "here"), ("sleep", 60))
    try:
        with Path("/dev/full").open("wb") as full, attached(made, stdout=full) as process:
            _, errors = process.communicate(timeout=120)
        assert process.returncode == 2
        first, second = errors.decode().splitlines()
        assert first.startswith(f"The build continues as job {made.id}.")
        assert second == "layerscope: Standard output: No space left on device."
        assert made.state is State.RUNNING
    finally:
        cancel(made)


def test_a_closed_pipe_is_reported_on_stderr() -> None:
    made = begin(*[("say", "here"), ("sleep", 0.2)] * 20, ("sleep", 60))
    try:
        with attached(made, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            process.stdout.close()
            assert process.stderr is not None
            assert process.stderr.read().startswith(b"The build continues as job")
            assert process.wait(120) == 128 + signal.SIGPIPE
    finally:
        cancel(made)
