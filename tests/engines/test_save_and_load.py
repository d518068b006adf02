"""save and load: every form that is written is loaded again, with the same image id."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import os
import re
import sys
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.engines.harness import Engine
from tests.engines.images import build, busybox_base
from tests.truth.command import environment, layerscope, run_program

NAME = "layerscope.test/saved:1"


@pytest.fixture
def saved(engine: Engine) -> Iterator[Engine]:
    base = busybox_base(engine)
    build(engine, f"FROM {base}\nCOPY big /big\nENV A=b\n", {"big": os.urandom(50_000)}, NAME)
    yield engine
    with engine.api() as client, suppress(docker.errors.APIError):
        client.remove_image(NAME, force=True)


def command(engine: Engine, *arguments: str | Path, code: int = 0) -> str:
    run = run_program(
        [sys.executable, "-m", "layerscope", *map(str, arguments)], environment(engine)
    )
    assert run.returncode == code, run.stderr
    return run.stdout + run.stderr


def layers(engine: Engine) -> list[str]:
    with engine.api() as client:
        found: list[str] = client.inspect_image(NAME)["RootFS"]["Layers"]
    return found


def media_types(archive: Path) -> set[str]:
    with tarfile.open(archive) as tar:

        def document(name: str) -> dict[str, object]:
            file = tar.extractfile(name)
            assert file is not None
            found: dict[str, object] = json.load(file)
            return found

        tops: Any = document("index.json")["manifests"]
        (top,) = tops
        manifest = document("blobs/sha256/" + top["digest"].partition(":")[2])
        return {each["mediaType"].rpartition(".")[2] for each in manifest["layers"]}  # type: ignore[attr-defined]


def test_what_is_saved_is_loaded_again(saved: Engine, tmp_path: Path) -> None:
    with saved.api() as client:
        identifier = client.inspect_image(NAME)["Id"]
    before = layers(saved)
    plain, zstd, layout = tmp_path / "plain.tar", tmp_path / "zstd.tar", tmp_path / "layout"
    command(saved, "save", "-o", plain, NAME)
    command(saved, "save", "--format=oci-archive", "--compression=zstd", "-o", zstd, NAME)
    command(saved, "save", "--format=oci", "--compression=gzip", "-o", layout, NAME)
    assert media_types(plain) == {"tar"}
    assert media_types(zstd) == {"tar+zstd"}
    packed = tmp_path / "packed.tar.xz"
    packed.write_bytes(lzma.compress(plain.read_bytes(), preset=0))
    for source in (plain, zstd, layout, packed):
        with saved.api() as client:
            client.remove_image(NAME)
            assert not client.images(NAME)
        said = command(saved, "load", source)
        assert f"Loaded   {NAME}" in said
        assert layers(saved) == before
        if saved.name != "docker-28-containerd":
            # containerd's id is the digest of a manifest, which names the packed layers.
            with saved.api() as client:
                assert client.inspect_image(NAME)["Id"] == identifier
    run = layerscope("inspect", NAME, "--json", engine=saved)
    assert json.loads(run.stdout)["image"]["size"] > 50_000


def test_standard_input_and_output(docker_debian: Engine, tmp_path: Path) -> None:
    name = busybox_base(docker_debian)
    here = environment(docker_debian)
    import subprocess

    program = [sys.executable, "-m", "layerscope"]
    done = subprocess.run([*program, "save", name], env=here, capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        assert "manifest.json" in tar.getnames()
    packed = gzip.compress(done.stdout, 1)
    loaded = subprocess.run(
        [*program, "load", "-"], env=here, input=packed, capture_output=True, check=True
    )
    assert b"Loaded   " + name.encode() in loaded.stdout
    assert loaded.stderr == b""


def test_a_name_is_taken_from_another_image_only_if_that_is_wanted(
    docker_debian: Engine, tmp_path: Path
) -> None:
    base = busybox_base(docker_debian)
    archive = tmp_path / "one.tar"
    build(docker_debian, f"FROM {base}\nENV ONE=1\n", {}, NAME)
    second = "layerscope.test/second:1"
    docker_debian.docker("tag", NAME, second)
    docker_debian.docker("save", "-o", archive, NAME, second)
    other = build(docker_debian, f"FROM {base}\nENV TWO=2\n", {}, NAME).id
    docker_debian.docker("tag", NAME, second)
    refused = command(docker_debian, "load", archive, code=2)
    assert f"{NAME} is the name of image {other[7:19]}" in refused
    assert f"{second} is the name of image {other[7:19]}" in refused
    assert "--yes moves the 2 names." in refused
    docker_debian.docker("rmi", second)
    lost = f"{NAME} is the name of image {other[7:19]}, which has no other name."
    shown = json.loads(command(docker_debian, "load", "--dry-run", "--json", archive))
    assert shown["images"][0]["replaces"] == {NAME: other}
    with docker_debian.api() as client:
        assert client.inspect_image(NAME)["Id"] == other
    said = command(docker_debian, "load", "--yes", archive)
    assert lost in said
    assert f"in place of {other[7:19]}" in said
    # Again, it is no other image.
    assert "in place of" not in command(docker_debian, "load", archive)
    with docker_debian.api() as client:
        client.remove_image(NAME)
        client.remove_image(second)
        client.remove_image(other)


def test_an_archive_without_the_layers_of_another_image(saved: Engine, tmp_path: Path) -> None:
    base = busybox_base(saved)
    before, bundle = layers(saved), tmp_path / "bundle.tar"
    with saved.api() as client:
        identifier = client.inspect_image(NAME)["Id"]
    said = command(saved, "save", "--without-layers-of", base, "-o", bundle, NAME)
    assert "  left out" in said
    # The base is a megabyte, the layer above it 50 kB.
    assert 50_000 < bundle.stat().st_size < 120_000
    shown = json.loads(layerscope("inspect", bundle, "--json").stdout)["image"]
    assert not shown["complete"]
    with saved.api() as client:
        client.remove_image(NAME)
    command(saved, "load", bundle)
    assert layers(saved) == before
    if saved.name != "docker-28-containerd":
        with saved.api() as client:
            assert client.inspect_image(NAME)["Id"] == identifier
    with saved.api() as client:
        made = client.create_container(NAME, ["/bin/busybox", "true"])
        client.remove_container(made["Id"])


def test_an_archive_whose_lower_layers_are_nowhere(
    docker_debian: Engine, podman: Engine, tmp_path: Path
) -> None:
    base = build(docker_debian, "FROM scratch\nCOPY a /\n", {"a": os.urandom(9)}, NAME).id
    top = build(docker_debian, f"FROM {NAME}\nCOPY b /\n", {"b": b"b"}, NAME).id
    bundle = tmp_path / "bundle.tar"
    command(docker_debian, "save", "--without-layers-of", base, "-o", bundle, NAME)
    error = command(podman, "load", bundle, code=2)
    assert "leaves out the lowest 1 layer of the image, and Podman" in error
    assert "has none of them" in error
    # Our own store needs the layers, and no image with them.
    store = {"LAYERSCOPE_STORE": str(tmp_path / "store"), "LAYERSCOPE_ENGINE": "embedded"}
    there = {**environment(docker_debian), **store}
    run = run_program([sys.executable, "-m", "layerscope", "load", str(bundle)], there)
    assert run.returncode == 2
    assert "is missing" in run.stderr
    with docker_debian.api() as client:
        client.remove_image(top, force=True)  # The base goes with it.


def test_an_image_is_pushed_to_another_engine(
    docker_debian: Engine, docker_28: Engine, podman: Engine
) -> None:
    base = busybox_base(docker_debian)
    made = build(docker_debian, f"FROM {base}\nCOPY b /\n", {"b": os.urandom(50)}, NAME)
    with docker_debian.api() as client:
        archive = b"".join(client.get_image(base))
    with docker_28.api() as client:
        client.load_image(archive)
    to_28 = ("push", NAME, "--to-engine", docker_28.host)
    assert re.search(r"gets 1 of \d layers, [1-9]", command(docker_debian, *to_28, "--dry-run"))
    said = command(docker_debian, *to_28)
    assert said.count(" done") == 1
    command(docker_debian, "push", NAME, "--to-engine", podman.host)
    for engine in (docker_28, podman):
        with engine.api() as client:
            assert client.inspect_image(made.id)["Id"].endswith(made.id[7:])
            client.remove_image(made.id, force=True)
    with docker_debian.api() as client:
        client.remove_image(made.id, force=True)
    error = command(docker_debian, "push", NAME, "x:1", "--to-engine", podman.host, code=2)
    assert "no options for registries" in error


def test_what_cannot_be_saved_or_loaded(docker_debian: Engine, tmp_path: Path) -> None:
    name = busybox_base(docker_debian)
    there = tmp_path / "there.tar"
    there.write_text("mine")
    for arguments, said in (
        (("save", "-o", there, name), "already exists"),
        (("save", "-o", tmp_path / "no" / "x.tar", name), "no folder"),
        (("save", "--format=oci", name), "-o FILE"),
        (("save", "--format=oci", "-o", "-", name), "-o DIR"),
        (("save", "--compression=zstd", "-o", tmp_path / "x", name), "oci-archive"),
        (("save", "-o", tmp_path / "x.tar", "no-such:1"), "no image"),
        (("load", there), "the archive is truncated"),
        (("load", tmp_path / "none.tar"), "does not exist"),
    ):
        error = command(docker_debian, *arguments, code=2)
        assert said in error
        assert error.count("layerscope: ") == 1
    assert there.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there.tar"]
    command(docker_debian, "save", "--force", "-o", there, name)
    assert tarfile.is_tarfile(there)
