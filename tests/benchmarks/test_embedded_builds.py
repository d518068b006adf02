"""Builds without an engine, against `docker build` with both of its builders."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest

from tests.benchmarks.budgets import Table
from tests.benchmarks.measure import Ratio, compare, environment, layerscope, run
from tests.benchmarks.terminal import Terminal
from tests.benchmarks.test_builds import engine as engine
from tests.benchmarks.test_builds import env_of
from tests.engines.docker_daemon import DockerDaemon
from tests.engines.harness import find_program

_FOLDERS, _FILES = 100, 1_000
_LARGE = 2_000_000_000


@pytest.fixture
def own_env(tmp_path: Path) -> Iterator[Mapping[str, str]]:
    folders = {
        "LAYERSCOPE_STORE": str(tmp_path / "store"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    yield environment(**folders)
    shutil.rmtree(tmp_path, ignore_errors=True)


def against_docker(
    engine: DockerDaemon, context: Path, own_env: Mapping[str, str], tmp_path: Path
) -> Ratio:
    """Our time by that of the faster of Docker's builders."""
    own = layerscope("build", "--builder", "embedded", "--no-cache", "-q", context)
    ratios = []
    for buildkit in ("0", "1"):
        env = env_of(engine, tmp_path, DOCKER_BUILDKIT=buildkit)
        theirs = engine.command("build", "--no-cache", "--network", "host", "-q", context)
        ratios.append(
            compare(partial(run, own, own_env), partial(run, theirs, env), rounds=1, warm=False)
        )
    return max(ratios, key=lambda ratio: ratio.value)


def test_copy_of_many_files(
    engine: DockerDaemon, table: Table, own_env: Mapping[str, str], tmp_path: Path
) -> None:
    context = tmp_path / "context"
    for folder in range(_FOLDERS):
        (context / f"f/{folder}").mkdir(parents=True)
        for file in range(_FILES):
            (context / f"f/{folder}/{file}.txt").write_bytes(b"content of a file\n" * 20)
    (context / "Dockerfile").write_text("FROM scratch\nCOPY f /f\n")
    ratio = against_docker(engine, context, own_env, tmp_path)
    table.record("embedded-many", ratio.value, note=ratio.note)


def test_copy_of_a_large_file(
    engine: DockerDaemon, table: Table, own_env: Mapping[str, str], tmp_path: Path
) -> None:
    context = tmp_path / "context"
    context.mkdir()
    with (context / "large").open("wb") as file:
        for _ in range(_LARGE // 1_000_000):
            file.write(os.urandom(1_000_000))
    (context / "Dockerfile").write_text("FROM scratch\nCOPY large /large\n")
    ratio = against_docker(engine, context, own_env, tmp_path)
    table.record("embedded-large", ratio.value, note=ratio.note)


def commands(folder: Path) -> Path:
    """A context whose Dockerfile has 30 commands that do nothing."""
    context = folder / "context"
    context.mkdir()
    shutil.copy(find_program("busybox"), context / "busybox")
    steps = "".join(f'RUN ["/bin/busybox", "true", "{number}"]\n' for number in range(30))
    (context / "Dockerfile").write_text(f"FROM scratch\nCOPY busybox /bin/\n{steps}")
    return context


def test_commands(
    engine: DockerDaemon, table: Table, own_env: Mapping[str, str], tmp_path: Path
) -> None:
    context = commands(tmp_path)
    ratio = against_docker(engine, context, own_env, tmp_path)
    table.record("embedded-commands", ratio.value, note=ratio.note)


def test_a_cached_build(table: Table, own_env: Mapping[str, str], tmp_path: Path) -> None:
    context = commands(tmp_path)
    own = partial(run, layerscope("build", "--builder", "embedded", "-q", context), own_env)
    own()
    table.record("embedded-cached", 1000 * min(own() for _ in range(5)))


def test_the_demo(table: Table, own_env: Mapping[str, str], tmp_path: Path) -> None:
    def built(number: int) -> float:
        """Seconds from the key to the first stop of the tour, in a store that is empty."""
        folders = {
            name: str(tmp_path / str(number) / name)
            for name in ("LAYERSCOPE_STORE", "XDG_DATA_HOME", "XDG_STATE_HOME")
        }
        env = {**own_env, **folders, "LAYERSCOPE_ENGINE": "embedded", "TERM": "xterm-256color"}
        with Terminal(layerscope(), env) as terminal:
            terminal.wait_for(lambda text: "enter builds a small demo image" in text)
            terminal.settle()
            begun = time.perf_counter() - terminal.started
            terminal.send("enter")
            return terminal.wait_for(lambda text: "1 of 7" in text) - begun

    table.record("demo", 1000 * min(map(built, range(3))))
