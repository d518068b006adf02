"""Squashed, rebased and lighter images: what real engines show of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.archives import docker_archive, folder, layer_tar, text, whiteout
from tests.engines.exports import Entry, listing_of_export
from tests.engines.harness import Engine
from tests.engines.images import build, busybox_base
from tests.engines.kitchen_sink import kitchen_sink
from tests.truth.command import as_exported, check_same, layerscope, listed

NAMES = tuple(f"layerscope.test/{name}:1" for name in ("made", "base", "app", "old"))


@pytest.fixture(autouse=True)
def removed(docker_28: Engine, podman: Engine) -> Iterator[None]:
    yield
    for engine in (docker_28, podman):
        with engine.api() as client:
            for name in NAMES:
                with suppress(docker.errors.APIError):
                    client.remove_image(name, force=True)


def made(engine: Engine, *arguments: str | Path) -> Any:
    """What is shown before an image is made."""
    shown = layerscope(*arguments, "--dry-run", "--json", engine=engine)
    run = layerscope(*arguments, "--yes", "--quiet", engine=engine)
    assert run.returncode == 0, run.stderr
    return json.loads(shown.stdout)


def seen(engine: Engine, image: str) -> dict[str, Entry]:
    return listing_of_export(engine, image, content=True)


def test_squashed_layers_show_what_they_showed(
    docker_28: Engine, podman: Engine, tmp_path: Path
) -> None:
    image, name = kitchen_sink(docker_28), NAMES[0]
    before = seen(docker_28, image)
    found = made(docker_28, "squash", image, "--from", "1", "--tag", name)
    assert found["changes"] == []
    assert found["after"]["layers"] == 2
    check_same(as_exported(docker_28, seen(docker_28, name)), as_exported(docker_28, before))
    with docker_28.api() as client:
        one, other = client.inspect_image(image), client.inspect_image(name)
        assert one["Config"] == other["Config"]
        entries = client.history(name)
        empty = [each for each in client.history(image) if not each["Size"]]
    new = [each for each in entries if each["CreatedBy"].startswith("squashed ")]
    assert [each["Comment"] for each in new] == [
        f"layerscope squash --from 1 --to {found['before']['layers'] - 1}"
    ]
    assert len(entries) >= 2
    assert {each["CreatedBy"] for each in entries[:-1]} <= {
        each["CreatedBy"] for each in (*empty, *new)
    }
    archive = tmp_path / "made.tar"
    docker_28.docker("save", "-o", archive, name)
    with podman.api() as client, archive.open("rb") as file:
        client.load_image(file)
    said = listed(layerscope("files", "--json-lines", image, engine=docker_28).stdout)
    truth = listing_of_export(podman, name)
    check_same(as_exported(podman, said), as_exported(podman, truth))


def test_a_layer_with_whiteouts_that_loses_a_path_loads(docker_28: Engine, podman: Engine) -> None:
    """A path that is removed and there again in one layer, as no engine writes it."""
    layers = [
        [text("a", "1"), folder("d"), text("d/x"), text("gone")],
        [whiteout("a"), text("a", "22"), whiteout("d"), text("d", "file"), whiteout("gone")],
        [text("b", "3"), whiteout("d"), folder("d"), text("d/y"), text("z")],
    ]
    name, base, app, _ = NAMES
    data = docker_archive(list(map(layer_tar, layers)), app)
    for engine in (docker_28, podman):
        with engine.api() as client:
            client.load_image(data)
        before = seen(engine, app)
        found = made(engine, "drop", app, "--layer", "2", "--paths", "/z", "--tag", name)
        assert [each["path"] for each in found["changes"]] == ["/z"]
        again = ("drop", name, "--layer", "1", "--paths", "/gone", "--tag", base)
        assert [each["path"] for each in made(engine, *again)["changes"]] == ["/gone"]
        after = seen(engine, base)
        assert after.pop("/gone").type == "file"
        del before["/z"]
        check_same(as_exported(engine, after), as_exported(engine, before))


def test_what_is_rebased_and_dropped_loads(docker_28: Engine) -> None:
    busybox = busybox_base(docker_28)
    name, base, app, old = NAMES
    build(docker_28, f"FROM {busybox}\nCOPY one /one\nENV V=1\n", {"one": b"old"}, old)
    build(docker_28, f"FROM {old}\nCOPY big /big\nRUN echo own > /own\n", {"big": b"b"}, app)
    build(docker_28, f"FROM {busybox}\nCOPY one /one\nENV V=2\n", {"one": b"new"}, base)
    found = made(docker_28, "rebase", app, "--onto", base, "--old-base", old, "--tag", name)
    assert [each["path"] for each in found["changes"]] == ["/one"]
    with docker_28.api() as client:
        images = [client.inspect_image(each) for each in (name, base, app)]
    assert "V=2" in images[0]["Config"]["Env"]
    ids, of_base, of_app = (each["RootFS"]["Layers"] for each in images)
    assert ids == of_base + of_app[-2:]
    top = str(len(ids) - 1)
    made(docker_28, "drop", name, "--layer", top, "--paths", "/own", "--tag", name, "--force")
    entries = seen(docker_28, name)
    assert "/own" not in entries
    assert entries["/one"].size == entries["/big"].size + 2
