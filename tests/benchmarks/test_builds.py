"""Builds: what watching costs, what a long log holds, and what a fast one writes to a terminal."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from layerscope.jobs.job import read_result
from tests.benchmarks.budgets import Table
from tests.benchmarks.measure import compare, environment, layerscope, run
from tests.benchmarks.terminal import Terminal, terminal_environment
from tests.engines.docker_daemon import DockerDaemon
from tests.engines.harness import EngineUnavailable
from tests.engines.images import busybox_base, debian_base
from tests.tui.build.build_fakes import FakeBuild

_WRITES = (
    "mkdir -p /data/{n} && for i in $(seq 1 400); do seq $i 400 > /data/{n}/$i; done"
    " && head -c 60000000 /dev/urandom > /data/{n}/blob && sha256sum /data/{n}/blob && sleep 3"
)
_STEPS = 7


@pytest.fixture(scope="module")
def engine() -> Iterator[DockerDaemon]:
    try:
        with DockerDaemon("docker-28") as running:
            yield running
    except EngineUnavailable as error:
        pytest.skip(f"no engine can be had here: {error}")


def env_of(engine: DockerDaemon, folder: Path, **more: str) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}:{engine.path}"
    state = {"XDG_STATE_HOME": str(folder / "state"), "XDG_CACHE_HOME": str(folder / "cache")}
    return environment(**engine.env, **state, PATH=path, **more)


@pytest.mark.parametrize("builder", ["classic", "buildkit"])
def test_what_watching_costs(
    engine: DockerDaemon, table: Table, tmp_path: Path, builder: str
) -> None:
    steps = "".join(f"RUN {_WRITES.format(n=n)}\n" for n in range(_STEPS))
    (tmp_path / "Dockerfile").write_text(f'FROM {debian_base(engine)}\n{steps}CMD ["sh"]\n')
    flags = ["--no-cache", "--network", "host"]
    own = layerscope("build", "--builder", builder, "--json-lines", *flags, tmp_path)
    env = env_of(engine, tmp_path, DOCKER_BUILDKIT="1" if builder == "buildkit" else "0")
    docker = engine.command("build", "--progress=plain", *flags, tmp_path)
    if builder == "classic":
        docker.remove("--progress=plain")
    alone = ["sh", "-c", 'exec "$@" 2> /dev/null', "sh", *docker]
    ratio = compare(partial(run, own, env), partial(run, alone, env), rounds=2, warm=False)
    table.record(f"build-{builder}", ratio.value, spread=ratio.spread, note=ratio.note)


@pytest.mark.parametrize("lines", [100_000, 1_000_000])
def test_memory_of_a_worker(engine: DockerDaemon, table: Table, tmp_path: Path, lines: int) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {busybox_base(engine)}\nRUN seq 1 {lines}\n")
    env = env_of(engine, tmp_path)
    flags = ["--builder", "classic", "--no-cache", "--network", "host", "--detach"]
    begun = time.perf_counter()
    subprocess.run(layerscope("build", *flags, tmp_path), env=env, check=True, capture_output=True)
    folder = tmp_path / "state/layerscope/jobs/1"
    peak = 0
    while not (result := read_result(folder)):
        peak = max(peak, peak_of(int((folder / "lock").read_text())))
        time.sleep(0.02)
    seconds = time.perf_counter() - begun
    assert result.exit_code == 0
    with (folder / "events.jsonl").open("rb") as journal:
        assert sum(b'"event":"log"' in line for line in journal) == lines
    table.record(f"build-worker-{lines}", peak / 1e6, note=f"in {seconds:.1f} s")


def peak_of(process: int) -> int:
    """Most memory that a process has had, in bytes; 0 if it has gone."""
    try:
        text = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    return sum(int(x.split()[1]) << 10 for x in text.splitlines() if x.startswith("VmHWM:"))


@contextmanager
def screen(folder: Path) -> Iterator[Terminal]:
    """The TUI, with the one job there is on its screen."""
    state = environment(XDG_STATE_HOME=str(folder))
    env = terminal_environment(**{**state, "TERM": "xterm-256color"})
    env.pop("COLORTERM", None)
    with Terminal(layerscope(), {**env, "XDG_CACHE_HOME": str(folder / "cache")}) as terminal:
        terminal.wait_for(lambda text: "Help" in text)
        terminal.send("J")
        terminal.wait_for(lambda text: "of 1 job running" in text)
        terminal.send("enter")
        terminal.wait_for(lambda text: "RUN make" in text)
        yield terminal


@pytest.mark.parametrize("lines", [100_000, 1_000_000])
def test_memory_of_the_screen(table: Table, tmp_path: Path, lines: int) -> None:
    build = FakeBuild(tmp_path)
    build.start(1, "RUN make", time=time.time())
    piece = (
        b"".join(
            json.dumps({"event": "log", "step": 1, "text": f"line {n} of a long log"}).encode()
            + b"\n"
            for n in range(10_000)
        )
        .replace(b", ", b",")
        .replace(b": ", b":")
    )
    with build.job.journal.open("ab") as journal:
        for _ in range(lines // 10_000):
            journal.write(piece)
    with screen(tmp_path) as terminal:
        begun = time.perf_counter()
        terminal.wait_for(lambda text: f"{lines} lines" in text or f"{lines:,} lines" in text)
        seconds = time.perf_counter() - begun
        peak = peak_of(terminal.process.pid) / 1e6
    build.end(0)
    table.record(f"build-screen-{lines}", peak, note=f"all there {seconds:.1f} s after the first")


def test_bytes_of_a_build_that_prints(table: Table, tmp_path: Path) -> None:
    build = FakeBuild(tmp_path)
    build.write("plan", steps=2, plan=[[1, 1, "FROM x"], [2, 2, "RUN make"]])
    build.start(2, "RUN make", time=time.time())
    stop = threading.Event()

    def chatter() -> None:
        number = 0
        begun = time.monotonic()
        while not stop.is_set():
            # 200 lines a second, as a compiler prints them.
            while number < 200 * (time.monotonic() - begun):
                number += 1
                text = f"[{number % 100:3}%] Building C object src/{number * 7919:x}/file.c.o -O2"
                build.write("log", 2, text=text)
            time.sleep(0.005)

    thread = threading.Thread(target=chatter)
    thread.start()
    try:
        with screen(tmp_path) as terminal:
            terminal.listen(2)
            seconds = 8
            written = terminal.listen(seconds)
            shown = terminal.text
    finally:
        stop.set()
        thread.join()
        build.end(0)
    assert written > 1000
    assert "Building C object" in shown
    table.record("build-bytes", written / seconds / 1000)
