"""Pull and push of the reference image by our own client, against skopeo and Docker."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.benchmarks.budgets import Table
from tests.benchmarks.measure import (
    Command,
    Spent,
    compare,
    compare_spent,
    environment,
    layerscope,
    run,
    spent,
)
from tests.benchmarks.reference import REFERENCE, reference_archive
from tests.engines.docker_daemon import DockerDaemon
from tests.engines.harness import SYSTEM_PATH, EngineUnavailable, find_program
from tests.engines.registry import Registry
from tests.engines.test_registry_source import login

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
    time, processor = compare_spent(pull, place.copy, rounds=_ROUNDS)
    table.record(row, time.value, spread=time.spread, note=time.note)
    table.record(f"{row}-cpu", processor.value, spread=processor.spread, note=processor.note)


@pytest.mark.parametrize("via", ["registry", "engine"])
def test_pull_into_an_engine(via: str, place: Place, engine: DockerDaemon, table: Table) -> None:
    def without(command: Command, env: dict[str, str]) -> float:
        with engine.api() as client:
            for image in client.images(quiet=True):
                client.remove_image(image, force=True)
        return run(command, env)

    login = {**engine.env, "DOCKER_CONFIG": place.config}
    pull = layerscope("pull", "-q", "--via", via, place.name)
    docker = engine.command("pull", "-q", place.name)
    ratio = compare(
        lambda: without(pull, place.environment(**login)),
        lambda: without(docker, {"PATH": SYSTEM_PATH, **login}),
        rounds=_ENGINE_ROUNDS,
        warm=False,
    )
    table.record(f"pull-by-{via}", ratio.value, spread=ratio.spread, note=ratio.note)


def test_push(empty: Place, source: str, table: Table) -> None:
    push = layerscope("push", "-q", "--via", "registry", source, empty.name)
    copy = empty.skopeo(source, f"docker://{empty.name}")
    time, processor = compare_spent(
        lambda: empty.push(push), lambda: empty.push(copy), rounds=_ROUNDS, warm=False
    )
    table.record("push", time.value, spread=time.spread, note=time.note)
    table.record("push-cpu", processor.value, spread=processor.spread, note=processor.note)
