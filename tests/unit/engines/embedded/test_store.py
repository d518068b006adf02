"""The embedded store: images come in with their ids, and what is removed frees what was said."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from layerscope.engines.embedded.engine import EmbeddedEngine
from layerscope.engines.embedded.importing import add_tar
from layerscope.engines.embedded.store import Store
from layerscope.engines.resolve import open_image
from layerscope.errors import (
    BadInputError,
    EngineError,
    LayerscopeError,
    NotFoundError,
    PlatformMissingError,
)
from layerscope.filesystem.changeset_file import dump_changeset
from layerscope.images.cache.changesets import ChangesetCache
from layerscope.images.loading import load
from layerscope.images.progress import Progress
from layerscope.oci.manifest import OCI_MANIFEST
from layerscope.oci.platform import Platform
from tests.archives import diff_id, layer, saved
from tests.unit.engines.embedded.images import BASE, LAYERS, add, archives, check, names
from tests.unit.images.platform_layouts import Layout


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EmbeddedEngine:
    monkeypatch.setenv("LAYERSCOPE_STORE", str(tmp_path / "store"))
    return EmbeddedEngine()


def test_a_store_that_is_not_there_is_empty_and_is_not_made(engine: EmbeddedEngine) -> None:
    assert engine.images() == []
    assert engine.all_images() == []
    assert engine.layers_size() == 0
    with pytest.raises(NotFoundError, match="The embedded store has no image app:1"):
        engine.inspect("app:1")
    assert not engine.store.folder.exists()


def test_an_image_keeps_its_id_and_is_described(engine: EmbeddedEngine, tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    config = {"config": {"Cmd": ["sh"], "Labels": {"a": "b"}}, "variant": "v1"}
    archive.write_bytes(saved(*LAYERS[0], config=config))
    original = open_image(f"docker-archive:{archive}").image
    identifier = add(engine.store, archive, "example/app:1")
    assert identifier == original.id
    found = engine.inspect("example/app:1")
    assert found.id == original.id
    assert found.tags == ("example/app:1",)
    assert found.layers == tuple(map(diff_id, LAYERS[0]))
    assert found.config == config["config"]
    assert (found.os, found.full_architecture) == ("linux", "amd64/v1")
    assert found.size == sum(map(len, LAYERS[0]))
    said = [(entry.created_by, entry.size) for entry in engine.history(identifier)]
    assert said == [
        ("/bin/sh -c make 1", len(LAYERS[0][1])),
        ("/bin/sh -c make 0", len(LAYERS[0][0])),
    ]
    opened = open_image("embedded:example/app:1").image
    assert (opened.id, opened.history, opened.reference) == (
        original.id,
        original.history,
        "example/app:1",
    )
    assert opened.source == "embedded:example/app:1"
    assert engine.store.file in engine.host


def test_layers_are_stored_once_and_shared_sizes_say_so(
    engine: EmbeddedEngine, tmp_path: Path
) -> None:
    first, second, *_ = archives(tmp_path)
    add(engine.store, first, "a:1")
    add(engine.store, second, "b:1")
    sizes = {line.name: (line.shared_size, line.unique_size) for line in engine.images()}
    assert sizes["a:1"] == (len(BASE), len(LAYERS[0][1]))
    assert sizes["b:1"] == (len(BASE), sum(map(len, LAYERS[1][1:])))
    before = engine.layers_size()
    add(engine.store, first, "a:2")
    assert engine.layers_size() == before


def test_layers_are_found_in_the_cache_by_diff_id(engine: EmbeddedEngine, tmp_path: Path) -> None:
    archive = archives(tmp_path)[1]
    add(engine.store, archive, "b:1")
    reader = open_image("embedded:b:1")
    cache = ChangesetCache()
    loaded = load(reader, Progress(), cache=cache)
    assert loaded.stack.height == 3
    for index, data in enumerate(LAYERS[1]):
        assert reader.cache_key(index) == diff_id(data)
        assert cache.has(diff_id(data))


def test_layers_are_cached_as_they_come_in(engine: EmbeddedEngine, tmp_path: Path) -> None:
    add(engine.store, archives(tmp_path)[1], "b:1")
    cached = [ChangesetCache().get(diff_id(data)) for data in LAYERS[1]]
    read = load(open_image("embedded:b:1"), Progress()).stack.changesets
    for one, other in zip(cached, read, strict=True):
        assert one is not None
        assert dump_changeset(one) == dump_changeset(other)


@pytest.mark.parametrize("data", [BASE, BASE[:1536], b""])
def test_a_stream_is_read_to_its_end_and_no_further(engine: EmbeddedEngine, data: bytes) -> None:
    pieces = iter((data, b"")) if data else iter((b"",))
    with engine.store.lease() as lease:
        assert add_tar(lease, lambda _: next(pieces)) == (diff_id(data), len(data))
    assert engine.store.blob(diff_id(data)).read_bytes() == data
    assert ChangesetCache().has(diff_id(data))


@pytest.mark.parametrize("data", [b"no tar" * 1000, LAYERS[0][0][:700]])
def test_a_layer_that_cannot_be_read_comes_in_and_is_reported_when_it_is_opened(
    engine: EmbeddedEngine, tmp_path: Path, data: bytes
) -> None:
    (tmp_path / "image.tar").write_bytes(saved(BASE, data))
    add(engine.store, tmp_path / "image.tar", "a:1")
    assert engine.store.blob(diff_id(data)).read_bytes() == data
    assert not ChangesetCache().has(diff_id(data))
    with pytest.raises(BadInputError, match=diff_id(data)):
        load(open_image("embedded:a:1"), Progress(), cache=ChangesetCache())


@pytest.mark.parametrize("named", [True, False])
def test_removing_frees_exactly_what_was_said(
    engine: EmbeddedEngine, tmp_path: Path, named: bool
) -> None:
    first, second, *_ = archives(tmp_path)
    one, two = add(engine.store, first, "a:1"), add(engine.store, second, "b:1")
    said = engine.freed_by({one})
    assert 0 < said < engine.freed_by({one, two})
    before = engine.layers_size()
    engine.remove_image("a:1" if named else one)
    assert before - engine.layers_size() == said
    assert names(engine) == {"b:1": two}
    assert check(engine.store.folder) == 0
    engine.remove_image("b:1")
    assert engine.layers_size() == 0


def test_a_name_moves_and_its_image_stays_without(engine: EmbeddedEngine, tmp_path: Path) -> None:
    first, second, *_ = archives(tmp_path)
    one, two = add(engine.store, first, "a:1"), add(engine.store, second, "a:1")
    lines = {(line.name, line.id) for line in engine.images()}
    assert lines == {("", one), ("a:1", two)}
    engine.tag_image(one, "docker.io/library/old:1")
    assert names(engine) == {"old:1": one, "a:1": two}
    assert len(engine.images()) == 2
    engine.tag_image("a:1", "old:1")
    assert names(engine) == {"old:1": two, "a:1": two}
    engine.remove_image(one)
    assert check(engine.store.folder) == 0


def test_an_image_with_names_in_several_repositories_goes_by_its_names(
    engine: EmbeddedEngine, tmp_path: Path
) -> None:
    identifier = add(engine.store, archives(tmp_path)[0], "a:1")
    engine.tag_image("a:1", "a:2")
    engine.tag_image("a:1", "b:1")
    with pytest.raises(EngineError, match=r"several repositories: a:1, a:2, b:1"):
        engine.remove_image(identifier[:20])
    engine.remove_image("b:1")
    engine.remove_image(identifier)
    assert engine.images() == []


def test_images_are_found_by_the_beginning_of_an_id(engine: EmbeddedEngine, tmp_path: Path) -> None:
    identifier = add(engine.store, archives(tmp_path)[0])
    digits = identifier.removeprefix("sha256:")
    for name in (identifier, digits, digits[:12], identifier[:15]):
        assert engine.inspect(name).id == identifier
    with pytest.raises(NotFoundError):
        engine.inspect(digits[:3])


def test_events_report_changes(engine: EmbeddedEngine, tmp_path: Path) -> None:
    add(engine.store, archives(tmp_path)[0], "a:1")
    events, stop = engine.events()
    seen: Iterator[object] = iter(events)
    # The watch begins with the first question, which the change must not precede.
    changed = threading.Timer(0.1, lambda: engine.remove_image("a:1"))
    changed.start()
    assert next(seen)
    stop()
    assert list(seen) == []


def test_export_is_what_docker_save_writes(engine: EmbeddedEngine, tmp_path: Path) -> None:
    identifier = add(engine.store, archives(tmp_path)[1], "b:1")
    engine.tag_image("b:1", "c:1")
    read, stop = engine.export("b:1")
    exported = tmp_path / "exported.tar"
    with exported.open("wb") as file:
        while piece := read(4096):
            file.write(piece)
    stop()
    for name in ("b:1", "c:1"):
        assert open_image(f"docker-archive:{exported}:{name}").image.id == identifier


def test_a_damaged_layer_does_not_come_in(engine: EmbeddedEngine, tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    other = {"rootfs": {"type": "layers", "diff_ids": [diff_id(b"another")]}}
    archive.write_bytes(saved(BASE, config=other))
    with pytest.raises(LayerscopeError, match="layer 0 is not the one that the configuration name"):
        add(engine.store, archive, "a:1")
    assert engine.images() == []
    assert engine.layers_size() == 0


def test_a_store_that_cannot_be_made_says_where_it_could_be(tmp_path: Path) -> None:
    archive = archives(tmp_path)[3]
    with pytest.raises(LayerscopeError, match=r"/proc/self/store cannot be written \(") as caught:
        add(Store(Path("/proc/self/store")), archive, "a:1")
    assert caught.value.hint == "Set HOME or LAYERSCOPE_STORE to a folder that can be written."


def test_a_full_disk_leaves_the_store_as_it_was(small_disk: Path, tmp_path: Path) -> None:
    engine = EmbeddedEngine(Store(small_disk / "store"))
    small = archives(tmp_path)[3]
    identifier = add(engine.store, small, "a:1")
    big = tmp_path / "big.tar"
    big.write_bytes(saved(BASE, layer(("big", os.urandom(100_000)))))
    with pytest.raises(LayerscopeError, match="the disk is full") as caught:
        add(engine.store, big, "b:1")
    assert "`layerscope prune`" in caught.value.hint
    assert names(engine) == {"a:1": identifier}
    check(engine.store.folder)
    engine.remove_image("a:1")
    assert engine.images() == []
    add(engine.store, small, "a:1")


def test_a_folder_that_is_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    engine = EmbeddedEngine(Store(tmp_path))
    with pytest.raises(EngineError, match="is not an OCI image layout"):
        engine.images()
    with pytest.raises(EngineError, match="is not an OCI image layout"), engine.store.lease():
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("index", [b"", b"[]", b"{", b'{"manifests": [{"digest": 5}]}'])
def test_a_damaged_index_is_one_sentence_and_is_not_replaced(
    engine: EmbeddedEngine, tmp_path: Path, index: bytes
) -> None:
    archive = archives(tmp_path)[0]
    add(engine.store, archive, "a:1")
    path = engine.store.folder / "index.json"
    path.write_bytes(index)
    with pytest.raises(LayerscopeError):
        engine.images()
    with pytest.raises(LayerscopeError):
        add(engine.store, archive, "b:1")
    assert path.read_bytes() == index


def test_an_image_that_is_damaged_is_listed_and_can_be_removed(
    engine: EmbeddedEngine, tmp_path: Path
) -> None:
    first, second, *_ = archives(tmp_path)
    add(engine.store, first, "a:1")
    add(engine.store, second, "b:1")
    manifest = engine.find("a:1").descriptor.digest
    (engine.store.folder / "blobs" / manifest.replace(":", "/")).write_bytes(b"{")
    engine = EmbeddedEngine(engine.store)
    assert {line.name for line in engine.images()} == {"a:1", "b:1"}
    with pytest.raises(LayerscopeError, match="is damaged"):
        engine.inspect("a:1")
    engine.remove_image("a:1")
    assert set(names(engine)) == {"b:1"}


@pytest.mark.parametrize(
    "digest", ["sha256:../../../outside", "sha256:" + "0" * 63 + "/", "sha256:" + "g" * 64]
)
def test_digests_that_are_paths_touch_nothing_outside(
    engine: EmbeddedEngine, tmp_path: Path, digest: str
) -> None:
    outside = tmp_path / "outside"
    outside.write_text("outside")
    add(engine.store, archives(tmp_path)[0], "a:1")
    path = engine.store.folder / "index.json"
    index = json.loads(path.read_bytes())
    annotations = {"org.opencontainers.image.ref.name": "evil:1"}
    entry = {"mediaType": OCI_MANIFEST, "digest": digest, "size": 7, "annotations": annotations}
    index["manifests"].append(entry)
    path.write_text(json.dumps(index))
    engine = EmbeddedEngine(engine.store)
    engine.images()
    with pytest.raises(LayerscopeError):
        open_image("embedded:evil:1")
    engine.remove_image("evil:1")
    engine.remove_image("a:1")
    assert outside.read_text() == "outside"
    assert engine.images() == []


def test_an_image_for_several_platforms_that_another_tool_wrote(
    engine: EmbeddedEngine, tmp_path: Path
) -> None:
    layout = Layout()
    manifests = [layout.image(platform) for platform in ("linux/amd64", "linux/arm64/v8")]
    layout.top(layout.index(manifests))
    for name, data in layout.files.items():
        path = engine.store.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    index = json.loads((engine.store.folder / "index.json").read_bytes())
    index["manifests"][0]["annotations"] = {"org.opencontainers.image.ref.name": "app:1"}
    (engine.store.folder / "index.json").write_text(json.dumps(index))
    arm = Platform("linux", "arm64", "v8")
    found = engine.inspect("app:1")
    assert {str(each) for each in found.platforms} == {"linux/amd64", "linux/arm64/v8"}
    assert engine.inspect("app:1", arm).architecture == "arm64"
    assert engine.inspect("app:1", arm).layers != engine.inspect("app:1").layers
    assert open_image("embedded:app:1", platform="linux/arm64").image.architecture == "arm64"
    with pytest.raises(PlatformMissingError, match=r"^embedded:app:1 has no image for linux/s390x"):
        open_image("embedded:app:1", platform="linux/s390x")
    whole = engine.layers_size()
    assert engine.freed_by({found.id}) == whole
    engine.remove_image("app:1")
    assert engine.layers_size() == 0


def test_skopeo_takes_a_name_from_an_entry_by_one_of_its_annotations(
    engine: EmbeddedEngine, tmp_path: Path
) -> None:
    first, second, *_ = archives(tmp_path)
    one, two = add(engine.store, first, "a:1"), add(engine.store, second, "b:1")
    path = engine.store.folder / "index.json"
    index = json.loads(path.read_bytes())
    # What `skopeo copy oci:STORE:b:1 oci:STORE:a:1` leaves.
    del index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"]
    index["manifests"][1]["annotations"] = {"org.opencontainers.image.ref.name": "a:1"}
    path.write_text(json.dumps(index))
    assert names(engine) == {"a:1": two}
    assert {line.id for line in engine.images()} == {one, two}
