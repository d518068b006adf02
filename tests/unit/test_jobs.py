"""Jobs: they outlive whoever started them, tell everything, and can be stopped from anywhere."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from layerscope.errors import LayerscopeError, NotFoundError
from layerscope.jobs import folder as jobs_folder
from layerscope.jobs.folder import all_jobs, forget_old, job
from layerscope.jobs.job import Job, State
from layerscope.jobs.journal import Journal, events, follow
from layerscope.jobs.launch import cancel, start
from layerscope.reports.jobs_report import jobs_document, jobs_text

MODULE = "tests.unit.job_work"


@pytest.fixture(autouse=True)
def state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


def begin(*do: tuple[str, Any]) -> Job:
    return start("test", "some work", MODULE, {"do": do})


def texts(of: Job) -> list[str]:
    return [str(event.get("text")) for event in follow(of)]


def wait(of: Job) -> Job:
    for _ in follow(of):
        pass
    return of


def test_a_job_is_followed_from_its_first_line_to_its_end() -> None:
    made = begin(("say", "one"), ("sleep", 0.3), ("say", "two"))
    assert made.locked()
    assert [each.state.value for each in all_jobs()] == ["running"]
    assert texts(made) == ["one", "two"]
    assert made.state is State.FINISHED
    assert made.exit_code == 0
    assert made.ended is not None
    assert made.ended >= made.started
    # Whoever comes later reads the same.
    assert texts(job(made.id)) == ["one", "two"]


def test_an_event_is_seen_as_soon_as_it_is_written() -> None:
    made = begin(("say", "early"), ("sleep", 30))
    begun = time.monotonic()
    first = next(follow(made))
    assert first["text"] == "early"
    assert time.monotonic() - begun < 10
    assert cancel(made)


def test_jobs_are_listed_newest_first_and_found_by_number() -> None:
    made = [wait(begin(("say", "x"))) for _ in range(3)]
    assert [each.id for each in all_jobs()] == [each.id for each in reversed(made)]
    assert job(made[1].id) == made[1]
    for wrong in ("99", "", "x", "../1", "١"):
        with pytest.raises(NotFoundError):
            job(wrong)


@pytest.mark.parametrize(
    ("do", "state", "code", "said"),
    [
        (("exit", 1), State.FAILED, 1, None),
        (("fail", "It broke."), State.FAILED, 2, "It broke. Try again."),
        (("mistake", "x"), State.FAILED, 2, "Something unexpected happened (ZeroDivisionError)."),
    ],
)
def test_how_a_job_ended(do: tuple[str, Any], state: State, code: int, said: str | None) -> None:
    made = begin(do)
    found = texts(made)
    assert (made.state, made.exit_code) == (state, code)
    assert said is None or found[-1].startswith(said)


def test_a_job_that_was_killed_has_died() -> None:
    made = begin(("say", "last words"), ("die", None))
    said = texts(made)
    assert said[0] == "last words"
    assert said[1:] == [f"The process of job {made.id} was killed: it ended without a word."]
    assert made.state is State.DIED
    assert made.exit_code is None


def test_a_job_is_cancelled_from_another_process() -> None:
    made = begin(("say", "here"), ("sleep", 60))
    assert next(follow(made))["text"] == "here"
    code = (
        "import sys; from layerscope.jobs.folder import job; "
        "from layerscope.jobs.launch import cancel; sys.exit(not cancel(job(sys.argv[1])))"
    )
    subprocess.run([sys.executable, "-c", code, made.id], check=True, timeout=30)
    assert made.state is State.CANCELLED
    assert texts(made)[-1] == "Cancelled."
    # Once more is no error.
    assert cancel(made)


@pytest.mark.parametrize("delay", [0.0, 0.03, 0.1])
def test_a_job_that_is_stopped_while_it_starts_was_cancelled(delay: float) -> None:
    made = begin(("say", "here"), ("sleep", 60))
    time.sleep(delay)
    assert cancel(made)
    assert made.state is State.CANCELLED
    assert texts(made)[-1] == "Cancelled."


def test_a_job_outlives_the_session_that_started_it(tmp_path: Path) -> None:
    code = (
        "import sys, os, signal; from layerscope.jobs.launch import start; "
        "do = [('sleep', 1.5), ('say', 'still here')]; "
        f"made = start('test', 't', {MODULE!r}, {{'do': do}}); "
        "print(made.id, flush=True); os.killpg(0, signal.SIGHUP)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, process_group=0
    )
    assert ran.returncode == -signal.SIGHUP
    made = job(ran.stdout.strip())
    assert made.locked()
    assert texts(made) == ["still here"]
    assert made.state is State.FINISHED


def test_a_hang_up_means_nothing_to_a_job() -> None:
    made = begin(("say", "here"), ("sleep", 1), ("say", "and there"))
    next(follow(made))
    assert made.process is not None
    os.kill(made.process, signal.SIGHUP)
    assert texts(made) == ["here", "and there"]


def test_the_environment_is_inherited_and_not_written_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOKEN_OF_SOMEBODY", "hush")
    made = begin(("environment", "TOKEN_OF_SOMEBODY"))
    assert texts(made) == ["hush"]
    assert "hush" not in (made.folder / "job.json").read_text()


def test_nobody_else_reads_a_job() -> None:
    made = wait(begin(("say", "x")))
    assert made.folder.stat().st_mode & 0o077 == 0
    assert made.journal.stat().st_mode & 0o077 == 0


def test_a_long_journal_is_whole_for_several_readers() -> None:
    made = begin(("many", 20_000), ("say", "end"))
    found: list[list[str]] = []
    readers = [threading.Thread(target=lambda: found.append(texts(made))) for _ in range(3)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(60)
    expected = [*(f"line {number}" for number in range(20_000)), "end"]
    assert found == [expected] * 3


def test_a_full_disk_ends_a_job_and_leaves_whole_lines() -> None:
    made = begin(("full", 5_000), ("many", 20_000))
    *found, last = texts(made)
    assert found == [f"line {number}" for number in range(len(found))]
    assert 10 < len(found) < 20_000
    # Not even room for the last event: the result tells what it would have said.
    assert list(events(made.journal))[-1]["text"] == found[-1]
    assert last.startswith("What the test says cannot be kept in ")
    assert "(File too large), so it was stopped. Make room there, or set XDG_STATE_HOME" in last
    assert (made.state, made.exit_code) == (State.FAILED, 2)
    assert any(last in line for line in jobs_text([job(made.id)], time.time()))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system")
@pytest.mark.parametrize("when", ["read only", "before", "at once", "later"])
def test_a_file_system_without_room(
    when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", small])
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    monkeypatch.setenv("XDG_STATE_HOME", str(small))
    try:
        if when == "read only":
            subprocess.run(["mount", "-o", "remount,ro", small], check=True)
            with pytest.raises(LayerscopeError, match=r"\(?Read-only file system") as caught:
                begin(("say", "x"))
            assert str(small) in str(caught.value)
            assert "Set XDG_STATE_HOME to a folder that can be written." in str(caught.value)
            return
        if when == "before":
            (small / "ballast").write_bytes(bytes(80 << 10))
            with pytest.raises(LayerscopeError, match=f"Make room in {small}/layerscope/jobs, or"):
                begin(("say", "x"))
            assert all_jobs() == []
            return
        if when == "later":
            made = begin(("many", 20_000))
        else:
            made = begin(("sleep", 1.5), ("many", 20_000))
            with (small / "ballast").open("wb") as ballast, suppress(OSError):
                ballast.write(bytes(1 << 20))
        *found, last = texts(made)
        assert found == [f"line {number}" for number in range(len(found))]
        assert "(No space left on device), so it was stopped." in last
        # All that is read is whole, and what comes last stands in the journal itself.
        assert json.loads(made.journal.read_bytes().splitlines()[-1])["text"] == last
        assert (made.state, made.exit_code) == (State.FAILED, 2)
        assert made.ended is not None
    finally:
        subprocess.run(["umount", "-l", small], check=True)


def test_a_folder_that_is_removed_ends_its_job() -> None:
    made = begin(("say", "here"), ("sleep", 2), ("many", 1), ("sleep", 60))
    process = made.process
    assert process is not None
    reader = follow(made)
    assert next(reader)["text"] == "here"
    shutil.rmtree(made.folder)
    (last,) = reader
    assert last["text"] == f"The folder of job {made.id} was removed, and with it what it tells."
    until = time.monotonic() + 10
    while Path(f"/proc/{process}").exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not Path(f"/proc/{process}").exists()


def test_work_that_does_not_stop_is_left_behind() -> None:
    made = begin(("say", "here"), ("hang", "The engine"))
    assert next(follow(made))["text"] == "here"
    begun = time.monotonic()
    assert cancel(made)
    assert time.monotonic() - begun < 8
    assert made.state is State.CANCELLED
    assert texts(made)[-1] == "Cancelled. The engine did not answer; what it began may go on."


def test_several_who_follow_see_a_cancel_at_once_and_one_that_sleeps_holds_up_nobody() -> None:
    made = begin(("many", 30_000), ("say", "here"), ("sleep", 60))
    code = (
        "import sys; from layerscope.jobs.folder import job; "
        "from layerscope.jobs.journal import follow; "
        "[print(e['text'], flush=True) for e in follow(job(sys.argv[1]))]"
    )
    followers = [
        subprocess.Popen([sys.executable, "-c", code, made.id], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    os.kill(followers[2].pid, signal.SIGSTOP)
    for follower in followers[:2]:
        assert follower.stdout is not None
        assert any(line == "here\n" for line in follower.stdout)
    begun = time.monotonic()
    assert cancel(made)
    for follower in followers[:2]:
        assert follower.communicate(timeout=10)[0] == "Cancelled.\n"
    assert time.monotonic() - begun < 5
    os.kill(followers[2].pid, signal.SIGCONT)
    # Whoever slept has missed nothing.
    lines = followers[2].communicate(timeout=60)[0].splitlines()
    assert lines[-2:] == ["here", "Cancelled."]
    assert len(lines) == 30_002


def test_a_state_folder_that_cannot_be_written_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(LayerscopeError, match="Jobs cannot be kept in"):
        begin(("say", "x"))
    assert all_jobs() == []


def test_old_jobs_go_and_running_ones_stay() -> None:
    running = begin(("sleep", 60))
    ended = [wait(begin(("say", "x"))) for _ in range(4)]
    forget_old(kept=2)
    assert [each.id for each in all_jobs()] == [ended[3].id, ended[2].id, running.id]
    assert cancel(running)


def test_what_jobs_take_on_the_disk_has_a_limit(tmp_path: Path) -> None:
    ended = [wait(begin(("many", 2_000))) for _ in range(3)]
    forget_old(most=150 << 10)
    assert [each.id for each in all_jobs()] == [ended[2].id]
    # The newest stays, however much it takes.
    forget_old(most=1)
    assert [each.id for each in all_jobs()] == [ended[2].id]


def test_folders_of_jobs_that_never_began_go(tmp_path: Path) -> None:
    root = tmp_path / "layerscope/jobs"
    for name in ("1", "2", "notes"):
        (root / name).mkdir(parents=True)
    for name in ("1", "notes"):
        os.utime(root / name, (0, 0))
    forget_old()
    assert sorted(path.name for path in root.iterdir()) == ["2", "notes"]


def test_numbers_are_not_given_twice_at_once() -> None:
    made: list[Path] = []
    threads = [
        threading.Thread(target=lambda: made.append(jobs_folder.new_folder())) for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 20


def test_damaged_lines_and_folders_are_passed_over(tmp_path: Path) -> None:
    made = wait(begin(("say", "x")))
    with made.journal.open("ab") as file:
        file.write(b"{broken\n[1]\n\xff\xfe\n" + json.dumps({"event": "log"}).encode() + b"\n{half")
    assert [event.get("event") for event in events(made.journal)] == ["log", "log"]
    (made.folder.parent / "77").mkdir()
    (made.folder.parent / "\u00b2").mkdir()
    (made.folder.parent / "78").mkdir()
    (made.folder.parent / "78" / "job.json").write_text('{"kind": 1}')
    assert [each.id for each in all_jobs()] == [made.id]
    forget_old()
    assert jobs_folder.new_folder().name == "79"


def test_a_write_that_fails_leaves_no_half_line(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal(path) as journal:
        journal.write({"text": "a\nb\ud800"})
    assert path.read_bytes().count(b"\n") == 1
    assert list(events(path)) == [{"text": "a\nb\ud800"}]


def test_the_list_is_aligned_from_the_first_second_on() -> None:
    made = wait(begin(("say", "one")))
    for later in (0.2, 75.0, 90_000.0):
        header, row = jobs_text([made], made.started + later)
        assert row.index("some work") == header.index("TITLE")
        assert row.index("finished") == header.index("STATE")


def test_the_document_tells_times_as_other_documents_do() -> None:
    made = wait(begin(("say", "one")))
    (told,) = jobs_document([made])["jobs"]
    assert told["started"].endswith("Z")
    assert datetime.fromisoformat(told["started"]).timestamp() == pytest.approx(
        made.started, abs=2e-3
    )
    assert datetime.fromisoformat(told["ended"]) >= datetime.fromisoformat(told["started"])
