"""The embedded store beside real tools: engines load what it exports, others read and write it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from layerscope.engines.embedded.engine import EmbeddedEngine
from layerscope.engines.embedded.importing import import_image
from layerscope.engines.embedded.store import Store
from layerscope.engines.resolve import open_image
from layerscope.images.progress import Progress
from layerscope.oci.reference import parse_reference
from tests.archives import layer, saved
from tests.engines.harness import SYSTEM_PATH, Engine, cache_folder
from tests.engines.kitchen_sink import kitchen_sink
from tests.engines.listings import listing, use
from tests.engines.registry import Registry
from tests.engines.test_registry_source import login
from tests.engines.test_transfers import ended
from tests.truth.command import environment, run_program
from tests.unit.engines.embedded.images import add, archives, check, names

LAYERS = (layer("bin/", ("bin/tool", b"tool" * 5000)), layer(("etc", b"etc")))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EmbeddedEngine:
    monkeypatch.setenv("LAYERSCOPE_STORE", str(tmp_path / "store"))
    return EmbeddedEngine()


def bring(store: EmbeddedEngine, source: str, name: str, *, export: bool = False) -> str:
    reader = open_image(source, export=export)
    try:
        return import_image(store.store, reader, parse_reference(name), Progress())
    finally:
        reader.close()


def test_an_image_of_an_engine_comes_in_from_its_folder_and_by_its_export(
    engine: Engine, store: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, engine)
    name = kitchen_sink(engine)
    # Rebuilt from the folder, the layers are what the configuration names.
    direct = bring(store, name, "direct:1")
    truth, mine = listing(name, export=True), listing("embedded:direct:1")
    assert mine.union == truth.union
    assert mine.layers == truth.layers
    if engine.name != "docker-28-containerd":  # Whose ids are those of manifests.
        assert mine.loaded.image.id == truth.loaded.image.id
    whole = store.layers_size()
    store.remove_image("direct:1")
    assert bring(store, name, "exported:1", export=True) == direct
    assert store.layers_size() == whole
    assert check(store.store.folder) == 0


def test_an_engine_loads_what_is_exported(
    engine: Engine, store: EmbeddedEngine, tmp_path: Path
) -> None:
    archive = tmp_path / "image.tar"
    archive.write_bytes(saved(*LAYERS))
    identifier = add(store.store, archive, "loaded/from-the-store:1")
    read, stop = store.export("loaded/from-the-store:1")
    data = b"".join(iter(lambda: read(1 << 20), b""))
    stop()
    engine.docker("load", stdin=data)
    said = json.loads(engine.docker("image", "inspect", "loaded/from-the-store:1").stdout)[0]
    manifest = store.find("loaded/from-the-store:1").descriptor.digest
    expected = manifest if engine.name == "docker-28-containerd" else identifier
    assert said["Id"].removeprefix("sha256:") == expected.removeprefix("sha256:")
    engine.docker("rmi", "loaded/from-the-store:1")


def tool(*command: str | Path, **variables: str) -> str:
    path = f"{SYSTEM_PATH}:{cache_folder() / 'crane-sid/usr/bin'}"
    if shutil.which(str(command[0]), path=path) is None:
        pytest.skip(f"NOT TESTED: {command[0]} is not installed")
    environment = {**os.environ, "PATH": path, **variables}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_skopeo_reads_and_writes_the_store(store: EmbeddedEngine, tmp_path: Path) -> None:
    first, second, *_ = archives(tmp_path)
    one = add(store.store, first, "a:1")
    folder = store.store.folder
    said = json.loads(tool("skopeo", "inspect", "--config", f"oci:{folder}:a:1"))
    assert said["rootfs"]["diff_ids"] == list(store.inspect("a:1").layers)
    # What is copied there is compressed by skopeo, and is read all the same.
    add(EmbeddedEngine(store.store).store, second, "b:1")
    tool("skopeo", "copy", f"oci:{folder}:b:1", f"docker-archive:{tmp_path}/copy.tar:copied:1")
    original = store.inspect("b:1")
    store.remove_image("b:1")
    command = ("skopeo", "copy", "--dest-compress-format", "gzip", "--dest-compress")
    tool(*command, f"docker-archive:{tmp_path}/copy.tar", f"oci:{folder}:b:1")
    found = store.inspect("b:1")
    assert found.layers == original.layers
    assert listing("embedded:b:1").union == listing(f"docker-archive:{second}").union
    # A name that skopeo moves has moved.
    tool("skopeo", "copy", f"oci:{folder}:b:1", f"oci:{folder}:a:1")
    assert names(store) == {"a:1": found.id, "b:1": found.id}
    assert {line.id for line in store.images()} == {one, found.id}
    for name in ("a:1", "b:1", one):
        store.remove_image(name)
    assert store.layers_size() == sum(store.garbage().values())


def test_umoci_accepts_the_store(store: EmbeddedEngine, tmp_path: Path) -> None:
    add(store.store, archives(tmp_path)[0], "a:1")
    folder = store.store.folder
    assert tool("umoci", "ls", "--layout", folder).split() == ["a:1"]
    tool("umoci", "unpack", "--image", f"{folder}:a:1", tmp_path / "bundle")
    assert (tmp_path / "bundle/rootfs/etc/base").read_bytes() == b"base"
    before = store.layers_size()
    tool("umoci", "gc", "--layout", folder)
    assert store.layers_size() == before
    assert check(folder) == 0


def test_crane_reads_and_writes_the_store(
    store: EmbeddedEngine, registry: Registry, tmp_path: Path
) -> None:
    config = login(tmp_path / "docker", registry)
    repository = f"{registry.address}/crane/{os.getpid()}"

    def crane(*arguments: str | Path) -> str:
        return tool("crane", *arguments, "--insecure", DOCKER_CONFIG=config)

    first, second, *_ = archives(tmp_path)
    one = add(store.store, first, "a:1")
    other = add(store.store, second, "b:1")
    layers = [store.inspect(name).layers for name in ("a:1", "b:1")]
    crane("push", "--index", store.store.folder, f"{repository}:all")
    for name in ("a:1", "b:1"):
        digest = store.inspect(name).descriptor.digest
        crane("export", f"{repository}@{digest}", tmp_path / "files.tar")
        with tarfile.open(tmp_path / "files.tar") as files:
            assert "etc/base" in files.getnames()
        crane("tag", f"{repository}@{digest}", name.partition(":")[0])
        store.remove_image(name)
    assert store.layers_size() == 0
    for tag in ("a", "b"):
        crane(
            "pull", "--format", "oci", "--annotate-ref", f"{repository}:{tag}", store.store.folder
        )
    assert names(store) == {f"{repository}:a": one, f"{repository}:b": other}
    assert [store.inspect(f"{repository}:{tag}").layers for tag in ("a", "b")] == layers
    store.remove_image(f"{repository}:a")
    assert sum(store.garbage().values()) == check(store.store.folder) == 0
    assert listing(f"embedded:{repository}:b").union == listing(f"docker-archive:{second}").union


def test_buildah_reads_and_writes_the_store(store: EmbeddedEngine, tmp_path: Path) -> None:
    image = add(store.store, archives(tmp_path)[1], "a:1")
    before = listing("embedded:a:1").union
    storage = (
        "--root",
        tmp_path / "root",
        "--runroot",
        tmp_path / "run",
        "--storage-driver",
        "vfs",
    )
    folder = store.store.folder
    container = tool("buildah", *storage, "from", f"oci:{folder}:a:1").strip()
    tool("buildah", *storage, "config", "--label", "by=buildah", container)
    tool("buildah", *storage, "commit", container, f"oci:{folder}:b:1")
    tool("buildah", *storage, "rm", container)
    assert store.inspect("b:1").config["Labels"]["by"] == "buildah"
    assert listing("embedded:b:1").union == before
    assert names(store)["a:1"] == image
    store.remove_image("a:1")
    store.remove_image("b:1")
    assert sum(store.garbage().values()) == check(folder)


def test_there_and_back_through_a_registry_without_any_engine(
    registry: Registry, tmp_path: Path
) -> None:
    """What is pushed is compressed, and comes back as the same image; skopeo sees it too."""
    own = ("HOME", "LAYERSCOPE_STORE", "XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME")
    settings = {name: str(tmp_path / name) for name in own}
    settings |= {
        "LAYERSCOPE_ENGINE": "embedded",
        "DOCKER_CONFIG": login(tmp_path / "docker", registry),
    }
    user = environment(None, **settings)

    def events(*arguments: str) -> list[dict[str, Any]]:
        command = [sys.executable, "-m", "layerscope", *arguments, "--json-lines"]
        run = run_program(command, user)
        assert run.returncode == 0, run.stderr
        return [json.loads(line) for line in run.stdout.splitlines()]

    archive = tmp_path / "image.tar"
    archive.write_bytes(saved(*LAYERS))
    name = f"{registry.address}/embedded/app:{os.getpid()}"
    identifier = events("pull", str(archive), "--to", f"embedded:{name}")[-1]["image"]
    pushed = events("push", name)
    assert set(ended(pushed).values()) == {"done"}
    assert pushed[-1]["image"] == identifier
    assert set(ended(events("push", name)).values()) == {"exists"}
    credentials = f"{registry.user}:{registry.password}"
    options = ("--creds", credentials, "--tls-verify=false")
    seen = json.loads(tool("skopeo", "inspect", *options, f"docker://{name}"))
    assert seen["Digest"] == pushed[-1]["digest"]
    store = EmbeddedEngine(Store(tmp_path / "LAYERSCOPE_STORE"))
    assert store.inspect(name).digests == (f"{name.rpartition(':')[0]}@{seen['Digest']}",)
    store.remove_image(name)
    assert store.layers_size() == 0
    pulled = events("pull", name)
    assert pulled[-1]["image"] == identifier
    assert pulled[-1]["digest"] == seen["Digest"]
    assert store.inspect(name).size == sum(map(len, LAYERS))
    assert check(store.store.folder) == 0
