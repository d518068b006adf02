"""What removing images frees is what the engine's own figures say afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import docker
import pytest

from tests.engines.harness import Engine
from tests.engines.images import build, busybox_base
from tests.truth.command import environment

ONE, TWO = "layerscope.test/rm-one:1", "layerscope.test/rm-two:1"
SECOND = "layerscope.test/rm-two:other"
#: Engines whose figures tell of each layer, so that what is said is exact.
EXACT = ("docker-debian", "docker-28")


@pytest.fixture
def images(engine: Engine) -> Iterator[Engine]:
    """`rm-two` is built on `rm-one`, which is built on what other tests use too."""
    base = busybox_base(engine)
    if engine.kind == "docker":
        # Layers that BuildKit holds from other tests' builds would be in the figures too.
        with engine.api() as client:
            client.prune_builds(all=True)
    build(
        engine,
        f"FROM {base}\nCOPY one /one\nRUN chmod 600 /one\n",
        {"one": os.urandom(300_001)},
        ONE,
    )
    build(engine, f"FROM {ONE}\nCOPY two /two\nENV A=1\n", {"two": os.urandom(50_003)}, TWO)
    yield engine
    with engine.api() as client:
        for name in (SECOND, TWO, ONE):
            with suppress(docker.errors.APIError):
                client.remove_image(name, force=True)


def rm(engine: Engine, *arguments: str, code: int = 0) -> str:
    """Runs `layerscope rm`, and gives what it prints."""
    run = subprocess.run(
        [sys.executable, "-m", "layerscope", "rm", *arguments],
        env=environment(engine),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert run.returncode == code, run.stderr
    return run.stdout


def layers_size(engine: Engine) -> int:
    """Bytes of all layers: as `docker system df` counts them, or of the files themselves."""
    with engine.api() as client:
        known = int(client.df()["LayersSize"])
        root = Path(client.info()["DockerRootDir"])
    if engine.name != "podman":
        return known
    files = (path for path in (root / "overlay").glob("*/diff/**/*") if path.is_file())
    return sum(path.lstat().st_size for path in files if not path.is_symlink())


def removed(engine: Engine, *names: str) -> tuple[dict[str, object], int]:
    """Removes images; gives what was predicted, and what it did free."""
    predicted = json.loads(rm(engine, "--dry-run", "--json", *names))
    before = layers_size(engine)
    again = json.loads(rm(engine, "--yes", "--json", *names))
    assert again == predicted
    return predicted, before - layers_size(engine)


def agrees(engine: Engine, predicted: dict[str, object], freed: int) -> None:
    if engine.name in EXACT:
        assert predicted["exact"] is True
        assert predicted["freed_at_least"] == predicted["freed_at_most"] == freed
    else:
        assert isinstance(predicted["freed_at_least"], int)
        assert predicted["freed_at_least"] <= freed
        most = predicted["freed_at_most"]
        # Of containerd's, names have blobs of their own.
        assert most is None or (isinstance(most, int) and freed <= most + 10_000)


def test_only_layers_that_nothing_else_has_are_freed(images: Engine) -> None:
    predicted, freed = removed(images, TWO)
    agrees(images, predicted, freed)
    assert freed >= 50_003
    with images.api() as client:
        assert not client.images(TWO)
        assert client.images(ONE)


def test_what_was_built_on_stays_until_the_rest_is_gone(images: Engine) -> None:
    predicted, freed = removed(images, ONE)
    agrees(images, predicted, freed)
    assert predicted["freed_at_least"] == 0
    assert freed < 10_000
    predicted, freed = removed(images, TWO)
    agrees(images, predicted, freed)
    assert freed >= 350_004


def test_both_at_once_free_what_they_share(images: Engine) -> None:
    predicted, freed = removed(images, ONE, TWO)
    agrees(images, predicted, freed)
    assert freed >= 350_004
    assert len(predicted["removed"]) >= 2  # type: ignore[arg-type]


def test_with_another_name_the_image_stays(images: Engine) -> None:
    with images.api() as client:
        client.tag(TWO, SECOND.partition(":")[0], "other")
    predicted, freed = removed(images, TWO)
    assert (predicted["freed_at_most"], freed) == (0, 0)
    assert [each["name"] for each in predicted["untagged"]] == [TWO]  # type: ignore[attr-defined]
    with images.api() as client:
        assert client.images(SECOND)


def test_a_container_is_in_the_way(images: Engine) -> None:
    with images.api() as client:
        container = client.create_container(TWO, "/bin/true", name="rm-holder")
    try:
        document = json.loads(rm(images, "--dry-run", "--json", TWO, code=1))
        assert document["removed"] == []
        (obstacle,) = document["in_the_way"]
        assert obstacle["containers"][0]["name"] == "rm-holder"
        assert "in use by rm-holder" in rm(images, "--yes", TWO, code=1)
        with images.api() as client:
            assert client.images(TWO)
    finally:
        with images.api() as client:
            client.remove_container(container)
