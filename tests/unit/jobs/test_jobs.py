"""Jobs outlive the process that started them, and can be followed and stopped from anywhere."""

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
from layerscope.jobs.job import Job, State, read_job
from layerscope.jobs.journal import Journal, ending, events, follow
from layerscope.jobs.launch import cancel, start
from layerscope.jobs.watch import JobWatch
from layerscope.reports.jobs_report import jobs_document, jobs_text

MODULE = "tests.unit.jobs.job_work"


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
    # A later reader gets the same.
    assert texts(job(made.id)) == ["one", "two"]


def test_a_watch_says_what_runs_and_what_has_ended() -> None:
    wait(begin(("say", "old")))
    watch = JobWatch()
    assert watch.look() == ([], [])
    made = begin(("sleep", 600))
    assert watch.look() == ([made], [])
    assert watch.look() == ([made], [])
    short = wait(begin(("say", "short")))
    assert watch.look() == ([made], [short])
    assert cancel(made)
    assert watch.look() == ([], [made])
    assert watch.look() == ([], [])
    shutil.rmtree(made.folder)
    assert watch.look() == ([], [])


def test_an_event_is_seen_as_soon_as_it_is_written() -> None:
    made = begin(("say", "early"), ("sleep", 600))
    first = next(follow(made))
    assert first["text"] == "early"
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
        (
            ("mistake", "x"),
            State.FAILED,
            2,
            "Something unexpected happened (ZeroDivisionError",
        ),
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
    assert said[1:] == [f"The process of job {made.id} was killed."]
    assert made.state is State.DIED
    assert made.exit_code is None


def test_a_job_is_cancelled_from_another_process() -> None:
    made = begin(("say", "here"), ("sleep", 60))
    assert next(follow(made))["text"] == "here"
    code = (
        "import sys; from layerscope.jobs.folder import job; "
        "from layerscope.jobs.launch import cancel; sys.exit(not cancel(job(sys.argv[1])))"
    )
    subprocess.run([sys.executable, "-c", code, made.id], check=True, timeout=120)
    assert made.state is State.CANCELLED
    assert texts(made)[-1] == "Cancelled."
    # Cancelling again is not an error.
    assert cancel(made)


@pytest.mark.parametrize("delay", [0.0, 0.03, 0.1])
def test_a_job_that_is_stopped_while_it_starts_was_cancelled(delay: float) -> None:
    made = begin(("say", "here"), ("sleep", 60))
    time.sleep(delay)
    assert cancel(made)
    assert made.state is State.CANCELLED
    assert texts(made)[-1] == "Cancelled."


STARTS = f"""
import os, signal, sys, threading
from layerscope.jobs.launch import forks, start
sys.here = True
if "thread" in sys.argv:
    threading.Thread(target=threading.Event().wait, daemon=True).start()
do = [("has", "here"), ("sleep", 600)]
with forks():
    made = start("test", "t", {MODULE!r}, {{"do": do}})
print(made.id, flush=True)
os.killpg(0, signal.SIGHUP)
"""


@pytest.mark.parametrize("threads", [0, 1])
def test_a_job_outlives_the_session_that_started_it(threads: int, tmp_path: Path) -> None:
    # A pipe that the shell gave, for example.
    reader, writer = os.pipe()
    ran = subprocess.run(
        [sys.executable, "-c", STARTS, *["thread"] * threads],
        capture_output=True,
        text=True,
        timeout=120,
        process_group=0,
        pass_fds=[writer],
    )
    os.close(writer)
    assert ran.returncode == -signal.SIGHUP, ran.stderr
    made = job(ran.stdout.strip())
    # Only a process without other threads can become a job.
    assert next(follow(made))["text"] == f"here {not threads}"
    # Neither that pipe nor stdout is kept open by the job.
    assert os.read(reader, 1) == b""
    os.close(reader)
    assert made.state is State.RUNNING
    assert cancel(made)
    assert (made.state, texts(made)[-1]) == (State.CANCELLED, "Cancelled.")


def test_a_job_ignores_a_hang_up() -> None:
    made = begin(("say", "here"), ("sleep", 1), ("say", "and there"))
    next(follow(made))
    assert made.process is not None
    os.kill(made.process, signal.SIGHUP)
    assert texts(made) == ["here", "and there"]


def test_the_environment_is_inherited_and_not_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOKEN_OF_SOMEBODY", "hush")
    made = begin(("environment", "TOKEN_OF_SOMEBODY"))
    assert texts(made) == ["hush"]
    assert "hush" not in (made.folder / "job.json").read_text()


def test_other_users_cannot_read_a_job() -> None:
    made = wait(begin(("say", "x")))
    assert made.folder.stat().st_mode & 0o077 == 0
    assert made.journal.stat().st_mode & 0o077 == 0


def test_several_readers_get_a_whole_journal() -> None:
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
    # There was no room for the last event: its text is in the result.
    assert list(events(made.journal))[-1]["text"] == found[-1]
    assert last.startswith("The log of the test cannot be kept in ")
    assert "(File too large), so it was stopped. Make room there, or set XDG_STATE_HOME" in last
    assert (made.state, made.exit_code) == (State.FAILED, 2)
    assert any(last in line for line in jobs_text([job(made.id)]))


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
            assert "Set HOME or XDG_STATE_HOME to a folder that can be written." in str(
                caught.value
            )
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
        # All lines are whole, and the last event is in the journal itself.
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
    assert last["text"] == f"The folder of job {made.id} was removed, and its journal with it."
    until = time.monotonic() + 60
    while Path(f"/proc/{process}").exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not Path(f"/proc/{process}").exists()


def test_work_that_does_not_stop_is_left_behind() -> None:
    made = begin(("say", "here"), ("hang", "The engine"))
    assert next(follow(made))["text"] == "here"
    assert cancel(made)
    assert made.state is State.CANCELLED
    assert texts(made)[-1] == "Cancelled. The engine did not answer; what it began may go on."


def test_a_stopped_reader_does_not_delay_the_others() -> None:
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
    assert cancel(made)
    for follower in followers[:2]:
        assert follower.communicate(timeout=120)[0] == "Cancelled.\n"
    os.kill(followers[2].pid, signal.SIGCONT)
    # The stopped reader has missed nothing.
    lines = followers[2].communicate(timeout=60)[0].splitlines()
    assert lines[-2:] == ["here", "Cancelled."]
    assert len(lines) == 30_002


def test_a_state_folder_that_cannot_be_written_is_reported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(LayerscopeError, match="Jobs cannot be kept in"):
        begin(("say", "x"))
    assert all_jobs() == []


def test_old_jobs_are_removed_and_running_ones_stay() -> None:
    running = begin(("sleep", 60))
    ended = [wait(begin(("say", "x"))) for _ in range(4)]
    forget_old(kept=2)
    assert [each.id for each in all_jobs()] == [ended[3].id, ended[2].id, running.id]
    assert cancel(running)


def test_the_disk_usage_of_jobs_is_limited(tmp_path: Path) -> None:
    ended = [wait(begin(("many", 2_000))) for _ in range(3)]
    forget_old(most=150 << 10)
    assert [each.id for each in all_jobs()] == [ended[2].id]
    # The newest stays, whatever its size.
    forget_old(most=1)
    assert [each.id for each in all_jobs()] == [ended[2].id]


def test_folders_of_interrupted_starts_are_removed(tmp_path: Path) -> None:
    root = tmp_path / "layerscope/jobs"
    for name in ("1", "2", "notes"):
        (root / name).mkdir(parents=True)
    for name in ("1", "notes"):
        os.utime(root / name, (0, 0))
    forget_old()
    assert sorted(path.name for path in root.iterdir()) == ["2", "notes"]


def test_numbers_are_unique_if_jobs_start_at_once() -> None:
    made: list[Path] = []
    threads = [
        threading.Thread(target=lambda: made.append(jobs_folder.new_folder())) for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 20


def test_damaged_lines_and_folders_are_skipped(tmp_path: Path) -> None:
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


JOB = {"kind": "test", "title": "x", "started": 1.0, "directory": "/", "spec": {}}
DEEP = "[" * 100_000


@pytest.mark.parametrize(
    "text",
    [
        *(json.dumps(JOB | {name: None}) for name in JOB),
        json.dumps(JOB).replace("1.0", "1e999"),
        json.dumps(JOB).replace("1.0", "NaN"),
        json.dumps(JOB).replace("1.0", "true"),
        json.dumps(JOB).replace("{}", DEEP),
        "[]",
        "",
    ],
    ids=[*JOB, "infinite", "not a number", "boolean", "deep", "array", "empty"],
)
def test_a_damaged_job_is_skipped(text: str, tmp_path: Path) -> None:
    folder = tmp_path / "layerscope/jobs/1"
    folder.mkdir(parents=True)
    (folder / "job.json").write_text(json.dumps(JOB))
    assert [each.id for each in all_jobs()] == ["1"]
    (folder / "job.json").write_text(text)
    assert all_jobs() == []


@pytest.mark.parametrize(
    "text",
    ['{"exit_code": "0"}', '{"exit_code": 1e999}', '{"exit_code": 0, "ended": 1e999}', "[]", DEEP],
    ids=["text", "infinite code", "infinite time", "array", "deep"],
)
def test_a_job_with_a_damaged_result_has_died(text: str, tmp_path: Path) -> None:
    folder = tmp_path / "layerscope/jobs/1"
    folder.mkdir(parents=True)
    (folder / "job.json").write_text(json.dumps(JOB))
    (folder / "result.json").write_text(text)
    (folder / "events.jsonl").write_text(f"{DEEP}\n")
    made = job("1")
    assert (made.state, made.exit_code, made.ended) == (State.DIED, None, None)
    assert texts(made) == ["The process of job 1 was killed."]
    assert any("died" in line for line in jobs_text([made]))


def test_jobs_are_listed_without_numpy() -> None:
    code = "import sys, layerscope.commands.building, layerscope.jobs.kind; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "docker", "textual"} & set(done.stdout.split())


@pytest.mark.parametrize("text", ["-1", "0", "x", "9" * 30])
def test_a_damaged_process_id_names_no_process(text: str, tmp_path: Path) -> None:
    (tmp_path / "lock").write_text(text)
    assert Job("1", tmp_path, "test", "", 0.0, "/", {}).process is None


def test_a_line_has_no_raw_line_break(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal(path) as journal:
        journal.write({"text": "a\nb\ud800"})
    assert path.read_bytes().count(b"\n") == 1
    assert list(events(path)) == [{"text": "a\nb\ud800"}]


@pytest.mark.parametrize("later", [0.2, 75.0, 90_000.0])
def test_the_list_is_aligned_from_the_first_second_on(
    monkeypatch: pytest.MonkeyPatch, later: float
) -> None:
    made = wait(begin(("say", "one")))
    monkeypatch.setattr(time, "time", lambda: made.started + later)
    header, row = jobs_text([made])
    assert row.index("some work") == header.index("TITLE")
    assert row.index("finished") == header.index("STATE")


def test_times_in_json_are_rfc_3339() -> None:
    made = wait(begin(("say", "one")))
    (reported,) = jobs_document([made])["jobs"]
    assert reported["started"].endswith("Z")
    assert datetime.fromisoformat(reported["started"]).timestamp() == pytest.approx(
        made.started, abs=2e-3
    )
    assert datetime.fromisoformat(reported["ended"]) >= datetime.fromisoformat(reported["started"])


@pytest.mark.parametrize(
    ("last", "code", "why"),
    [
        ({"event": "failed", "text": "It is \x1b[31mred.\nTry another."}, 1, "red.\nTry another."),
        ({"event": "failed", "text": "x" * 100_000}, 2, "x" * 100_000),
        ({"event": "failed", "text": "Cancelled."}, 130, ""),
        ({"event": "finished", "text": "Not this.", "seconds": 0.4}, 0, ""),
        ({"event": "failed"}, 1, ""),
        (None, 1, ""),
    ],
)
def test_why_a_job_failed_is_in_the_list(
    tmp_path: Path, last: dict[str, Any] | None, code: int, why: str
) -> None:
    folder = tmp_path / "7"
    folder.mkdir()
    record = {"kind": "build", "title": "x", "started": 1.0, "directory": "/", "spec": {}}
    (folder / "job.json").write_text(json.dumps(record))
    (folder / "result.json").write_text(json.dumps({"exit_code": code, "ended": 2.0}))
    lines = [json.dumps({"event": "log", "text": "a line"}), *([json.dumps(last)] if last else [])]
    (folder / "events.jsonl").write_text("".join(f"{line}\n" for line in lines))
    made = read_job(folder)
    assert made is not None
    assert ending(made).why.endswith(why)
    assert bool(ending(made).why) == bool(why)
    reason = jobs_document([made])["jobs"][0]["reason"]
    assert reason == (ending(made).why or None)
    text = "\n".join(jobs_text([made]))
    assert "\x1b" not in text
    # As long as its own screen says, without its start and end.
    assert f" {'0.4s' if code == 0 else '1.0s'}  x" in text
    assert (" ".join(why.split()) in text) if why else len(text.splitlines()) == 2
