"""Pull and push of the reference image by our own client, against skopeo and Docker."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.benchmarks.budgets import Table
from tests.benchmarks.measure import (
    Command,
    Ratio,
    Spent,
    compare_spent,
    environment,
    layerscope,
    run,
    spent,
)
from tests.benchmarks.reference import REFERENCE, reference_archive, reference_engine
from tests.engines.docker_daemon import DockerDaemon
from tests.engines.harness import SYSTEM_PATH, EngineUnavailable, find_program, processes_of
from tests.engines.registry import Registry
from tests.engines.test_registry_source import login

#: An engine needs minutes for each, and many more on a busy machine.
pytestmark = pytest.mark.timeout(3600)

_ROUNDS = 3
_ENGINE_ROUNDS = 2  # An engine unpacks the image for minutes.


@dataclass
class Place:
    """A registry, and a folder for what comes of it."""

    registry: Registry
    folder: Path
    config: str  # The folder with Docker's config.json.

    @property
    def name(self) -> str:
        return f"{self.registry.address}/reference:1"

    def environment(self, **more: str) -> dict[str, str]:
        # A cache of its own each time: nothing is known from the round before.
        cache = self.folder / "cache"
        shutil.rmtree(cache, ignore_errors=True)
        own = {
            "XDG_CACHE_HOME": str(cache),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "LAYERSCOPE_STORE": str(self.folder / "own"),
            "DOCKER_CONFIG": self.config,
        }
        return environment(**{**own, **more})

    def pull(self, to: str) -> Callable[[], Spent]:
        command = layerscope("pull", "-q", "--via", "registry", "--to", to, self.name)
        return lambda: self._afresh("own", command)

    def copy(self) -> Spent:
        command = self.skopeo(f"docker://{self.name}", f"oci:{self.folder}/floor:1")
        return self._afresh("floor", command)

    def _afresh(self, name: str, command: Command) -> Spent:
        shutil.rmtree(self.folder / name, ignore_errors=True)
        try:
            return spent(command, self.environment())
        finally:
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def push(self, command: Command) -> Spent:
        """Pushes to a registry that has nothing yet."""
        shutil.rmtree(self.registry.data_root / "docker", ignore_errors=True)
        return spent(command, self.environment())

    def skopeo(self, *arguments: str) -> list[str]:
        return [
            # In a session of its own, as jobs are: kernels share processors among sessions.
            *("setsid", "--wait", "skopeo", "--insecure-policy", "copy", "--quiet"),
            *("--src-tls-verify=false", "--dest-tls-verify=false"),
            *("--authfile", f"{self.config}/config.json", *arguments),
        ]


@pytest.fixture(scope="module")
def source() -> str:
    return f"docker-archive:{reference_archive()}:{REFERENCE}"


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Place]:
    """A registry without images."""
    try:
        find_program("skopeo")
        with Registry() as registry:
            yield Place(registry, tmp_path, login(tmp_path / "docker", registry))
    except EngineUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def place(source: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A registry that has the image."""
    folder = tmp_path_factory.mktemp("transfers")
    try:
        find_program("skopeo")
        with Registry() as registry:
            found = Place(registry, folder, login(folder / "docker", registry))
            run(found.skopeo(source, f"docker://{found.name}"))
            yield found
    except EngineUnavailable as error:
        pytest.skip(str(error))


@dataclass
class ByEngine:
    """A Docker of its own, whose processor time counts too."""

    engine: DockerDaemon
    place: Place

    def spent(self, command: Command, *, docker: bool) -> Spent:
        login = {**self.engine.env, "DOCKER_CONFIG": self.place.config}
        env = {"PATH": SYSTEM_PATH, **login} if docker else self.place.environment(**login)
        before = self._processor()
        used = spent(command, env)
        return replace(used, processor=used.processor + self._processor() - before)

    def pull(self, command: Command, *, docker: bool = False) -> Spent:
        """Pulls into the engine without any image."""
        with self.engine.api() as client:
            for image in client.images(quiet=True):
                client.remove_image(image, force=True)
        os.sync()  # What one has left to write is not the other's to wait for.
        return self.spent(command, docker=docker)

    def push(self, command: Command, *, docker: bool = False) -> Spent:
        """Pushes to a registry that has nothing yet."""
        shutil.rmtree(self.place.registry.data_root / "docker", ignore_errors=True)
        os.sync()
        return self.spent(command, docker=docker)

    def _processor(self) -> float:
        """Seconds of processors that the engine has used, with its children that have ended."""
        engine, ticks = self.engine, 0
        for process in processes_of(engine.folder.path, engine.data_root):
            with suppress(OSError):
                fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
                ticks += sum(map(int, fields[11:15]))
        return ticks / os.sysconf("SC_CLK_TCK")


@pytest.fixture
def engine() -> Iterator[DockerDaemon]:
    try:
        with DockerDaemon("docker-debian") as engine:
            yield engine
    except EngineUnavailable as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(("row", "to"), [("pull", "oci:{}/own"), ("pull-embedded", "embedded:")])
def test_pull(row: str, to: str, place: Place, table: Table) -> None:
    pull = place.pull(to.format(place.folder))
    record(row, compare_spent(pull, place.copy, rounds=_ROUNDS), table)


def record(row: str, found: tuple[Ratio, Ratio], table: Table) -> None:
    for key, ratio in zip((row, f"{row}-cpu"), found, strict=True):
        table.record(key, ratio.value, spread=ratio.spread, note=ratio.note)


@pytest.mark.parametrize("via", ["registry", "engine"])
def test_pull_into_an_engine(via: str, place: Place, engine: DockerDaemon, table: Table) -> None:
    by_engine = ByEngine(engine, place)
    own = layerscope("pull", "-q", "--via", via, place.name)
    docker = engine.command("pull", "-q", place.name)
    found = compare_spent(
        lambda: by_engine.pull(own),
        lambda: by_engine.pull(docker, docker=True),
        rounds=_ENGINE_ROUNDS,
        warm=False,
    )
    record(f"pull-by-{via}", found, table)


def test_push_by_an_engine(empty: Place, table: Table) -> None:
    try:
        with reference_engine() as engine:
            by_engine = ByEngine(engine, empty)
            engine.docker("tag", REFERENCE, empty.name)
            try:
                own = layerscope("push", "-q", empty.name)
                docker = engine.command("push", "-q", empty.name)
                found = compare_spent(
                    lambda: by_engine.push(own),
                    lambda: by_engine.push(docker, docker=True),
                    rounds=_ENGINE_ROUNDS,
                    warm=False,
                )
            finally:
                engine.docker("rmi", empty.name)
    except EngineUnavailable as error:
        pytest.skip(str(error))
    record("push-by-engine", found, table)


def test_push(empty: Place, source: str, table: Table) -> None:
    push = layerscope("push", "-q", "--via", "registry", source, empty.name)
    copy = empty.skopeo(source, f"docker://{empty.name}")
    found = compare_spent(
        lambda: empty.push(push), lambda: empty.push(copy), rounds=_ROUNDS, warm=False
    )
    record("push", found, table)
