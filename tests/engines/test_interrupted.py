"""Loads and pushes by engines that end in the middle: cancelled, killed, or with their engine."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from layerscope.jobs.job import read_job
from tests.archives import docker_archive, layer_tar, text
from tests.engines.dam import Dam, dam_of_port, dam_of_socket
from tests.engines.fixtures import new_engine
from tests.engines.harness import Engine
from tests.engines.registry import Registry
from tests.engines.test_transfers import Site
from tests.truth.command import environment, run_program
from tests.unit.images.registry.misbehaving_registry import noise, tar_of

MOST = 1 << 20  # Bytes of a request that pass the dam.
NAME = "layerscope.test/interrupted:1"


@dataclass
class Held:
    """A command whose job waits in the middle of what it sends."""

    dam: Dam
    process: subprocess.Popen[str]
    environment: dict[str, str]
    last: dict[str, Any] = field(default_factory=dict)  # The job's last event, once it has ended.

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "layerscope", *map(str, arguments)]
        return run_program(command, self.environment)

    def end(self, how: str) -> None:
        """Cancels or kills the job, and looks at what its command and the list of jobs say."""
        journal = Path(json.loads(self.run("jobs", "--json").stdout)["jobs"][0]["journal"])
        job = read_job(journal.parent)
        assert job is not None
        if how == "cancelled":
            self.process.send_signal(signal.SIGINT)
            self.says(130, "Interrupted.")
        else:
            assert job.process is not None
            os.kill(job.process, signal.SIGKILL)
            self.says(2, "layerscope: The process of job 1 was killed.")
        assert job.state.value == how
        self.dam.go.set()
        attached = self.run("jobs", "attach", "1", "--json-lines")
        assert attached.returncode == self.process.returncode
        self.last = json.loads(attached.stdout.splitlines()[-1])

    def says(self, code: int, text: str) -> None:
        """Waits for the end of the command, which is to be this, in one sentence."""
        _, errors = self.process.communicate(timeout=60)
        assert (self.process.returncode, text in errors.splitlines()[-1]) == (code, True), errors
        assert "Traceback" not in errors


@contextmanager
def started(dam: Dam, environment: dict[str, str], *arguments: str | Path) -> Iterator[Held]:
    with subprocess.Popen(
        [sys.executable, "-m", "layerscope", *map(str, arguments)],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert dam.reached.wait(120)
            yield Held(dam, process, environment)
        finally:
            process.kill()


# --- loads ---


@contextmanager
def loading(engine: Engine, folder: Path) -> Iterator[Held]:
    folder.mkdir()
    content = tar_of({"large": noise(8 << 20)})
    (folder / "image.tar").write_bytes(docker_archive([layer_tar([text("small")]), content], NAME))
    place = engine.folder.path / f"dam-{folder.name}"
    with dam_of_socket(place, engine.socket, MOST) as dam:
        own = environment(engine, XDG_STATE_HOME=str(folder / "state"), HOME=str(folder))
        own["DOCKER_HOST"] = f"unix://{place}"
        with started(dam, own, "load", folder / "image.tar") as held:
            yield held


def images(engine: Engine) -> set[str]:
    with engine.api() as client:
        return {each["Id"] for each in client.images(all=True)}


def left(engine: Engine) -> set[Path]:
    """The files that an engine keeps for as long as something goes on."""
    folders = (engine.data_root / "tmp", engine.folder.path / "t")
    return {path for folder in folders for path in folder.rglob("*") if path.is_file()}


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def has_tags(registry: Registry, name: str) -> bool:
    with suppress(HTTPError):
        registry.get(f"{name.partition('/')[2].rpartition(':')[0]}/tags/list")
        return True
    return False


#: For an engine, both are a connection that ends.
ENDS = [("docker-debian", "cancelled"), ("docker-28-containerd", "died"), ("podman", "cancelled")]


@pytest.mark.parametrize(("engine", "how"), ENDS, indirect=["engine"])
def test_a_load_that_is_cancelled_or_killed(engine: Engine, how: str, tmp_path: Path) -> None:
    before, files = images(engine), left(engine)
    with loading(engine, tmp_path / "load") as held:
        held.end(how)
        if how == "cancelled":
            assert re.fullmatch(r"Cancelled\. .* keeps no part of the image\.", held.last["text"])
        wait_until(lambda: left(engine) <= files)
        assert images(engine) == before
        # The same again, with nothing in its way.
        held.environment["DOCKER_HOST"] = engine.host
        again = held.run("load", tmp_path / "load/image.tar")
        assert again.returncode == 0, again.stderr
    with engine.api() as client:
        assert client.inspect_image(NAME)["RootFS"]["Layers"]
        client.remove_image(NAME)


@pytest.mark.parametrize("name", ["docker-debian", "podman"])
def test_an_engine_that_is_killed_in_the_middle_of_a_load(name: str, tmp_path: Path) -> None:
    with new_engine(name) as engine, loading(engine, tmp_path / "lost") as held:
        engine.kill()
        held.says(2, "was lost. Check that it still runs, then try again.")
        (job,) = json.loads(held.run("jobs", "list", "--json").stdout)["jobs"]
        assert (job["state"], job["exit_code"]) == ("failed", 2)
        assert "was lost" in job["reason"]


# --- pushes by an engine ---


@contextmanager
def pushing(engine: Engine, registry: Registry, folder: Path) -> Iterator[tuple[Held, str]]:
    with dam_of_port(registry.port, MOST) as (dam, address):
        site = Site(engine, registry, folder)
        name, _ = site.image(f"interrupted{time.time_ns()}")
        held_up = name.replace(registry.address, address)
        with engine.api() as client:
            client.tag(name, held_up.rpartition(":")[0], "1")
        own = site.environment
        config = Path(own["DOCKER_CONFIG"], "config.json")
        config.write_text(config.read_text().replace(registry.address, address))
        with started(dam, own, "push", held_up) as held:
            yield held, held_up


@pytest.mark.parametrize(("engine", "how"), ENDS, indirect=["engine"])
def test_a_push_by_an_engine_that_is_cancelled_or_killed(
    engine: Engine, how: str, registry: Registry, tmp_path: Path
) -> None:
    with pushing(engine, registry, tmp_path) as (held, name):
        held.end(how)
        if how == "cancelled":
            about = "Cancelled. Layers that the registry has are not pushed again."
            assert held.last["text"] == about
        assert not has_tags(registry, name)
        again = held.run("push", name)
        assert again.returncode == 0, again.stderr
        assert has_tags(registry, name)


@pytest.mark.parametrize("name", ["docker-28", "podman"])
def test_an_engine_that_is_killed_in_the_middle_of_a_push(
    name: str, registry: Registry, tmp_path: Path
) -> None:
    with new_engine(name) as engine, pushing(engine, registry, tmp_path) as (held, image):
        engine.kill()
        held.says(2, "was lost. Check that it still runs, then try again. Layers that the registry")
        assert not has_tags(registry, image)
