"""Pull and push of the reference image by our own client, against skopeo and Docker."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.benchmarks.budgets import Table
from tests.benchmarks.measure import compare, environment, layerscope, run
from tests.benchmarks.reference import REFERENCE, reference_archive
from tests.engines.docker_daemon import DockerDaemon
from tests.engines.harness import SYSTEM_PATH, EngineUnavailable, find_program
from tests.engines.registry import Registry
from tests.engines.test_registry_source import login

_ROUNDS = 3


@dataclass
class Place:
    """A registry with the image, and a folder for what is made of it."""

    registry: Registry
    folder: Path
    config: str  # The folder with Docker's config.json.
    pushes: int = 0

    @property
    def name(self) -> str:
        return f"{self.registry.address}/reference:1"

    def environment(self, **more: str) -> dict[str, str]:
        # A cache of its own each time: nothing is known from the round before.
        cache = self.folder / "cache"
        shutil.rmtree(cache, ignore_errors=True)
        state = str(self.folder / "state")
        own = {"XDG_CACHE_HOME": str(cache), "XDG_STATE_HOME": state, "DOCKER_CONFIG": self.config}
        return environment(**{**own, **more})

    def new_name(self) -> str:
        """A repository of its own, in which nothing can be mounted or skipped."""
        self.pushes += 1
        for each in self.registry.data_root.glob("docker/registry/v2/*"):
            if self.pushes > 1 and each.name == "blobs":
                shutil.rmtree(each)
        return f"{self.registry.address}/pushed{self.pushes}:1"

    def skopeo(self, *arguments: str) -> list[str]:
        return [
            *("skopeo", "--insecure-policy", "copy", "--quiet", "--src-tls-verify=false"),
            *("--dest-tls-verify=false", "--authfile", f"{self.config}/config.json", *arguments),
        ]


@pytest.fixture(scope="module")
def archive() -> Path:
    return reference_archive()


@pytest.fixture
def place(archive: Path, tmp_path: Path) -> Iterator[Place]:
    try:
        find_program("skopeo")
        with Registry() as registry:
            found = Place(registry, tmp_path, login(tmp_path / "docker", registry))
            source = f"docker-archive:{archive}:{REFERENCE}"
            run(found.skopeo(source, f"docker://{found.name}"))
            yield found
    except EngineUnavailable as error:
        pytest.skip(str(error))


def afresh(folder: Path, command: Callable[[], float]) -> float:
    shutil.rmtree(folder, ignore_errors=True)
    return command()


def test_pull(place: Place, table: Table) -> None:
    own, floor = place.folder / "own", place.folder / "floor"
    pull = layerscope("pull", "-q", "--via", "registry", "--to", f"oci:{own}", place.name)
    copy = place.skopeo(f"docker://{place.name}", f"oci:{floor}:1")
    ratio = compare(
        lambda: afresh(own, lambda: run(pull, place.environment())),
        lambda: afresh(floor, lambda: run(copy)),
        rounds=_ROUNDS,
    )
    table.record("pull", ratio.value, spread=ratio.spread, note=ratio.note)


def test_pull_into_an_engine(place: Place, table: Table) -> None:
    with ExitStack() as stack:
        try:
            engine = stack.enter_context(DockerDaemon("docker-debian"))
        except EngineUnavailable as error:
            pytest.skip(str(error))
        env = {**engine.env, "DOCKER_CONFIG": place.config}

        def without(command: Callable[[], float]) -> float:
            with engine.api() as client:
                for image in client.images(quiet=True):
                    client.remove_image(image, force=True)
            return command()

        pull = layerscope("pull", "-q", "--via", "registry", place.name)
        docker = engine.command("pull", "-q", place.name)
        ratio = compare(
            lambda: without(lambda: run(pull, place.environment(**env))),
            lambda: without(lambda: run(docker, {"PATH": SYSTEM_PATH, **env})),
            rounds=_ROUNDS,
            warm=False,
        )
    table.record("pull-engine", ratio.value, spread=ratio.spread, note=ratio.note)


def test_push(place: Place, archive: Path, table: Table) -> None:
    source = f"docker-archive:{archive}:{REFERENCE}"

    def push() -> float:
        command = layerscope("push", "-q", "--via", "registry", source, place.new_name())
        return run(command, place.environment())

    def copy() -> float:
        return run(place.skopeo(source, f"docker://{place.new_name()}"))

    ratio = compare(push, copy, rounds=_ROUNDS, warm=False)
    table.record("push", ratio.value, spread=ratio.spread, note=ratio.note)
