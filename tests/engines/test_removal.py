"""What removing images frees is what the engine's own figures say afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import docker
import pytest

from tests.engines.harness import Engine
from tests.engines.images import build, busybox_base, context_tar
from tests.truth.command import environment, run_program

ONE, TWO = "layerscope.test/rm-one:1", "layerscope.test/rm-two:1"
SECOND = "layerscope.test/rm-two:other"
#: Engines whose figures are exact.
EXACT = ("docker-debian", "docker-28", "docker-28-containerd")


@pytest.fixture
def images(own_engine: Engine) -> Iterator[Engine]:
    """`rm-two` is built on `rm-one`, which is built on what other tests use too."""
    engine, base = own_engine, busybox_base(own_engine)
    if engine.kind == "docker":
        # Layers that BuildKit holds would be in the figures too.
        with engine.api() as client:
            client.prune_builds(all=True)
    build(
        engine,
        f"FROM {base}\nCOPY one /one\nCOPY one /copy\n",
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
    command = [sys.executable, "-m", "layerscope", "rm", *arguments]
    run = run_program(command, environment(engine))
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
    freed = before - layers_size(engine)
    assert again.pop("freed") == freed
    assert predicted.pop("freed") is None
    assert again == predicted
    return predicted, freed


def agrees(engine: Engine, predicted: dict[str, object], freed: int) -> None:
    if engine.name in EXACT:
        assert predicted["exact"] is True
        assert predicted["freed_at_least"] == predicted["freed_at_most"] == freed
    else:
        assert isinstance(predicted["freed_at_least"], int)
        assert predicted["freed_at_least"] <= freed
        most = predicted["freed_at_most"]
        assert most is None or (isinstance(most, int) and freed <= most)


def test_only_layers_that_nothing_else_has_are_freed(images: Engine) -> None:
    predicted, freed = removed(images, TWO)
    agrees(images, predicted, freed)
    assert freed >= 50_003
    with images.api() as client:
        assert not client.images(TWO)
        assert client.images(ONE)


def test_the_list_says_what_removing_one_would_free(images: Engine) -> None:
    """Docker counts the steps of an image's own build as images that share its layers."""
    command = [sys.executable, "-m", "layerscope", "images", "--json"]
    listed = json.loads(run_program(command, environment(images)).stdout)["images"]
    unique = {f"{each['repository']}:{each['tag']}": each["unique_size"] for each in listed}
    if images.name in ("docker-debian", "docker-28"):
        assert unique[ONE] == 0
        assert unique[TWO] == 50_003


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


def asked(
    engine: Engine, names: Sequence[str], meanwhile: Callable[[], object], command: str = "rm"
) -> tuple[int, str]:
    """Runs `layerscope rm` on a terminal, does something while it asks, and agrees."""
    ours, theirs = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "layerscope", command, *names],
        env=environment(engine),
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = b""
        while b"(y/N)" not in shown:
            shown += os.read(ours, 1000)
        meanwhile()
        os.write(ours, b"y\n")
        with suppress(OSError):
            while piece := os.read(ours, 1000):
                shown += piece
    os.close(ours)
    return process.returncode, shown.decode()


def ids(engine: Engine) -> set[str]:
    with engine.api() as client:
        return {str(image["Id"]) for image in client.images(all=True)}


@pytest.mark.parametrize("names", [(SECOND,), (ONE, TWO)])
def test_a_tag_that_moves_while_it_asks_keeps_its_new_image(
    images: Engine, names: tuple[str, ...]
) -> None:
    with images.api() as client:
        client.tag(TWO, *SECOND.split(":"))
    base = busybox_base(images)
    build(images, f"FROM {base}\nENV MOVED=1\n", {}, "layerscope.test/moved:1")
    before: set[str] = set()

    def move() -> None:
        with images.api() as client:
            for name in names:
                # Podman, unlike Docker, refuses to move a name by tagging only on demand.
                client.tag("layerscope.test/moved:1", *name.split(":"), force=True)
            client.remove_image("layerscope.test/moved:1")
        before.update(ids(images))

    code, text = asked(images, names, move)
    assert code == 2, text
    assert "now names another image" in text
    assert ids(images) == before
    with images.api() as client:
        assert all(client.images(name) for name in names)


def test_an_image_that_gets_a_name_while_it_asks_stays(images: Engine) -> None:
    def name() -> None:
        with images.api() as client:
            client.tag(TWO, *SECOND.split(":"))

    code, text = asked(images, [TWO], name)
    assert code == 2, text
    assert "now has another name" in text
    with images.api() as client:
        assert client.images(TWO)


def test_what_an_image_was_built_on_stays_if_it_was_not_shown(images: Engine) -> None:
    def untag() -> None:
        with images.api() as client:
            client.tag(ONE, *SECOND.split(":"))
            client.remove_image(ONE)
            client.remove_image(SECOND)

    with images.api() as client:
        parent = str(client.inspect_image(ONE)["Id"])
    code, text = asked(images, [TWO], untag)
    assert code == 0, text
    if images.kind == "docker" and images.name == "docker-debian":
        assert parent in ids(images)


def pruned(engine: Engine, *arguments: str) -> dict[str, object]:
    run = run_program(
        [sys.executable, "-m", "layerscope", "prune", "--json", *arguments], environment(engine)
    )
    assert run.returncode == 0, run.stderr
    found: dict[str, object] = json.loads(run.stdout)
    return found


def test_pruning_removes_what_it_showed_and_frees_what_it_said(images: Engine) -> None:
    base = busybox_base(images)
    names = ("layerscope.test/pruned:1", "layerscope.test/pruned:1", "layerscope.test/kept:1")
    for number, name in enumerate(names):
        # The second takes the name of the first, which is dangling then.
        dockerfile = f"FROM {base}\nLABEL prune=me number={number}\nCOPY big /big\n"
        build(images, dockerfile, {"big": os.urandom(100_000 + number)}, name)
    with images.api() as client:
        container = client.create_container(base, ["/bin/sh", "-c", "echo x"], name="rm-stopped")
    asked = ("--dangling", "--containers", "--label", "prune")
    try:
        predicted = pruned(images, *asked, "--dry-run")
        tops = [each for each in predicted["removed"] if each["because_of"] is None]  # type: ignore[attr-defined]
        assert len(tops) == 1
        assert predicted["containers"] == []
        there = ids(images)
        before = layers_size(images)
        again = pruned(images, *asked, "--yes")
        freed = before - layers_size(images)
        assert again.pop("freed") == freed >= 100_000
        assert predicted.pop("freed") is None
        assert again == predicted
        agrees(images, predicted, freed)
        removed = {str(each["id"]) for each in predicted["removed"]}  # type: ignore[attr-defined]
        assert {each.removeprefix("sha256:") for each in there - ids(images)} == {
            each.removeprefix("sha256:") for each in removed
        }
        predicted = pruned(images, "--unused", "--label", "prune=me", "--dry-run")
        kept = {name for each in predicted["removed"] for name in each["names"]}  # type: ignore[attr-defined]
        assert {name.removeprefix("docker.io/") for name in kept} == {*names}
        document = pruned(images, "--containers", "--yes")
        assert [each["name"] for each in document["containers"]] == ["rm-stopped"]  # type: ignore[attr-defined]
        if images.name in EXACT:
            assert document["freed_at_least"] == document["freed_at_most"] == document["freed"]
    finally:
        with images.api() as client:
            for name in {*names}:
                client.remove_image(name)
            with suppress(docker.errors.NotFound):
                client.remove_container(container)


def test_an_image_that_arrives_while_prune_asks_stays(images: Engine) -> None:
    base = busybox_base(images)
    lost = build(images, f"FROM {base}\nENV LOST=1\n", {}, "layerscope.test/lost:1").id
    build(images, f"FROM {base}\nENV LOST=2\n", {}, "layerscope.test/lost:1")
    arrived: list[str] = []

    def arrive() -> None:
        for number in (3, 4):
            built = build(
                images, f"FROM {base}\nENV LOST={number}\n", {}, "layerscope.test/arrived:1"
            )
            arrived.append(built.id)

    try:
        code, text = asked(images, ["--dangling"], arrive, command="prune")
        assert code == 0, text
        # Both are there: the older one lost its name, and is dangling, too.
        assert {*arrived} <= ids(images)
        assert lost not in ids(images)
    finally:
        with images.api() as client:
            client.remove_image("layerscope.test/lost:1")
            for identifier in reversed(arrived):
                client.remove_image(identifier, force=True)


@pytest.mark.parametrize("own_engine", ["docker-28", "docker-28-containerd"], indirect=True)
def test_build_cache_frees_what_the_engine_says(own_engine: Engine) -> None:
    engine, base = own_engine, busybox_base(own_engine)
    context = {"big": os.urandom(70_000)}
    with engine.api() as client:
        client.prune_builds(all=True)
    buildkit(engine, f"FROM {base}\nCOPY big /one\n", context)
    predicted = pruned(engine, "--build-cache", "--dry-run")
    assert predicted["exact"] is True
    assert predicted["freed_at_least"] >= 70_000  # type: ignore[operator]
    with engine.api() as client:
        said = sum(each["Size"] for each in client.df()["BuildCache"] if not each["Shared"])
    assert predicted["freed_at_least"] == said
    assert pruned(engine, "--build-cache", "--yes")["freed"] == said
    assert pruned(engine, "--build-cache", "--dry-run")["build_cache"] == []


def buildkit(engine: Engine, dockerfile: str, context: dict[str, bytes]) -> None:
    """Builds without an image, so that only the cache has its layers."""
    tar = context_tar(dockerfile, context).read()
    engine.docker("buildx", "build", "--progress=quiet", "--output=type=cacheonly", "-", stdin=tar)
