"""`layerscope jobs attach`: what a job said, how it ended, and that it goes on when one leaves."""

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
from tests.unit.command import environment, run

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
    return start("build", "some work", "tests.unit.job_work", {"do": do})


def ended(*do: tuple[str, Any]) -> Job:
    made = begin(*do)
    for _ in follow(made):
        pass
    return made


def test_how_a_build_failed_is_one_sentence_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
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


def test_that_it_was_stopped_is_said_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    made = begin(("tell", {"event": "log", "text": "one"}), ("sleep", 60))
    assert cancel(made)
    for flags in ([], ["--json-lines"]):
        outcome = run(capsys, "jobs", "attach", made.id, *flags)
        assert (outcome.code, outcome.err) == (130, "layerscope: Cancelled.\n")


@pytest.mark.parametrize("flags", [[], ["--json-lines"]])
def test_what_is_damaged_in_a_journal_is_passed_over(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    made = ended(
        ("tell", {"event": "log", "text": 5}),
        ("tell", {"event": ["log"], "text": "a"}),
        ("tell", {"event": "step_committed", "step": "1"}),
        ("tell", {"event": "log", "step": 1, "text": None}),
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
    assert outcome.err == f"layerscope: The end of what job {made.id} said is lost.\n"


@pytest.mark.parametrize("words", [["list", "--json"], ["--json"], ["--json", "list"]])
def test_jobs_are_listed_as_json_with_and_without_the_word(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    made = ended(("say", "one"))
    (told,) = json.loads(run(capsys, "jobs", *words).out)["jobs"]
    assert (told["id"], told["state"], told["exit_code"]) == (made.id, "finished", 0)


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


def test_leaving_a_job_says_that_it_goes_on() -> None:
    made = begin(("say", "here"), ("sleep", 60))
    try:
        with attached(made, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert b"here" in process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=30)
        assert process.returncode == 130
        assert errors.decode() == (
            f"The build goes on as job {made.id}. `layerscope jobs attach {made.id}` shows it, "
            f"`layerscope jobs cancel {made.id}` stops it.\n"
        )
        assert made.state is State.RUNNING
    finally:
        cancel(made)


def test_a_stdout_that_takes_no_more_ends_the_telling_and_not_the_job() -> None:
    made = begin(("say", "here"), ("sleep", 60))
    try:
        with Path("/dev/full").open("wb") as full, attached(made, stdout=full) as process:
            _, errors = process.communicate(timeout=30)
        assert process.returncode == 2
        first, second = errors.decode().splitlines()
        assert first.startswith(f"The build goes on as job {made.id}.")
        assert second == "layerscope: Standard output: No space left on device."
        assert made.state is State.RUNNING
    finally:
        cancel(made)


def test_a_reader_that_goes_away_is_told_of_on_stderr() -> None:
    made = begin(*[("say", "here"), ("sleep", 0.2)] * 20, ("sleep", 60))
    try:
        with attached(made, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            process.stdout.close()
            assert process.stderr is not None
            assert process.stderr.read().startswith(b"The build goes on as job")
            assert process.wait(30) == 128 + signal.SIGPIPE
    finally:
        cancel(made)
