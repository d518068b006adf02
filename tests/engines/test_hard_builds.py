"""Builds whose engine hangs, whose process is killed, whose disk is full."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.engines.builds import BUILDERS, Site
from tests.engines.fixtures import running_engine
from tests.engines.harness import Engine
from tests.engines.images import busybox_base

pytestmark = pytest.mark.usefixtures("engines")

#: One engine for each builder.
each_builder = pytest.mark.parametrize("site", BUILDERS, indirect=True, ids="-".join)


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    """A build context for an engine and a builder."""
    name, builder = request.param
    return Site(running_engine(name), builder, tmp_path)


@contextmanager
def hung(engine: Engine) -> Iterator[None]:
    """An engine that does not answer while the block runs."""
    assert engine.process is not None
    os.kill(engine.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(engine.process.pid, signal.SIGCONT)


def sleeping(site: Site, seconds: int) -> str:
    """Write a Dockerfile whose last step sleeps; return what its command line has."""
    base = busybox_base(site.engine)
    site.write(f"FROM {base}\nRUN echo {time.time_ns()} > /x\nRUN echo begun; sleep {seconds}\n")
    return f"sleep {seconds}"


def gone(site: Site, command: str) -> bool:
    """Tell whether a command ends within some seconds."""
    until = time.monotonic() + 15
    while site.runs(command):
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


def jobs(site: Site) -> list[tuple[str, int | None]]:
    """Return how each job ended, the newest first."""
    listed = json.loads(site.run("jobs", "list", "--json").stdout)["jobs"]
    return [(job["state"], job["exit_code"]) for job in listed]


@each_builder
def test_a_build_is_stopped_though_its_engine_hangs(site: Site) -> None:
    command = sleeping(site, 618)
    before = site.left()[1]
    with site.begun("begun") as process, hung(site.engine):
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        attached = site.run("jobs", "attach", "1", "--json-lines")
        last = json.loads(attached.stdout.splitlines()[-1])
        assert last["event"] == "failed"
        assert last["text"].startswith("Cancelled. The engine at ")
        assert " did not answer; " in last["text"]
    assert jobs(site) == [("cancelled", 130)]
    # The next build takes away what the engine has not.
    site.write(f"FROM {busybox_base(site.engine)}\nRUN echo {time.time_ns()} > /y\n")
    assert site.build().code == 0
    assert gone(site, command)
    assert site.left()[1] == before
    assert not (site.folder / "state/layerscope/jobs/1/left.json").exists()


@pytest.mark.parametrize("site", [BUILDERS[0], BUILDERS[1]], indirect=True, ids="-".join)
def test_a_build_that_has_not_begun_is_stopped_though_its_engine_hangs(site: Site) -> None:
    sleeping(site, 619)
    with (
        hung(site.engine),
        subprocess.Popen(
            site.build_command(),
            env=site.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        assert said["event"] == "warning"
        assert said["text"] == f"Waiting for the engine at {site.engine.host}…"
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert time.monotonic() - begun < 4


@pytest.mark.parametrize(
    ("site", "how"),
    [
        (BUILDERS[0], "next"),
        (BUILDERS[1], "cancel"),
        (BUILDERS[2], "next"),
        (BUILDERS[2], "cancel"),
    ],
    indirect=["site"],
    ids=["classic-next", "buildkit-cancel", "podman-next", "podman-cancel"],
)
def test_what_a_killed_build_leaves_is_taken_away(site: Site, how: str) -> None:
    command = sleeping(site, 620)
    before = site.left()[1]
    with site.begun("begun") as process:
        lock = site.folder / "state/layerscope/jobs/1/lock"
        with subprocess.Popen(
            site.command("jobs", "attach", "1"), env=site.environment, stderr=subprocess.PIPE
        ) as attached:
            time.sleep(0.5)
            begun = time.monotonic()
            os.kill(int(lock.read_text()), signal.SIGKILL)
            said = attached.communicate(timeout=20)[1].decode()
            assert attached.returncode == 2
            assert process.wait(20) == 2
            assert time.monotonic() - begun < 4
    assert "The process of job 1 was killed." in said
    assert jobs(site) == [("died", None)]
    assert "was killed." in site.run("jobs").stdout
    left = "removes what it left" in said
    # What buildx has begun ends with it.
    assert left == (site.builder != "buildkit")
    if how == "next":
        site.write(f"FROM {busybox_base(site.engine)}\nRUN echo {time.time_ns()} > /y\n")
        built = site.build()
        assert built.code == 0
        if site.builder == "podman":
            texts = [event["text"] for event in built.of("warning")]
            assert "Removed 2 containers that job 1 had left in the engine." in texts
    else:
        cancelled = site.run("jobs", "cancel", "1")
        assert (cancelled.returncode, cancelled.stdout) == (0 if left else 1, "")
        assert (
            "Job 1 had already ended" in cancelled.stderr or "has already ended" in cancelled.stderr
        )
    assert gone(site, command)
    assert site.left()[1] == before
    assert site.run("jobs", "cancel", "1").returncode == 1


@each_builder
def test_a_disk_that_is_full_ends_a_build_and_is_told(site: Site) -> None:
    state = site.folder / "state"
    state.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(state)]
    if subprocess.run(mount, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        base = busybox_base(site.engine)
        count = "i=0; while [ $i -lt 50000 ]; do echo line $i of many; i=$((i+1)); done"
        site.write(f"FROM {base}\nRUN echo {time.time_ns()}; {count}; sleep 621\n")
        before = site.left()[1]
        begun = time.monotonic()
        built = site.build()
        assert time.monotonic() - begun < 30
        assert built.code == 2
        assert built.events[-1]["event"] == "failed"
        said = f"The log of the build cannot be kept in {state}/layerscope/jobs (No space left on "
        assert built.events[-1]["text"].startswith(said)
        assert said in built.errors
        assert jobs(site) == [("failed", 2)]
        assert said in site.run("jobs").stdout
        # Whoever attaches reads whole lines, and the same end.
        attached = site.run("jobs", "attach", "1", "--json-lines")
        assert [json.loads(line) for line in attached.stdout.splitlines()] == built.events
        assert gone(site, "sleep 621")
        assert site.left()[1] == before
    finally:
        subprocess.run(["umount", "-l", state], check=True)
