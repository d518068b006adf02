"""A container put together of its image's layers and its own, in whatever order they lie."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from layerscope.errors import BadInputError
from layerscope.filesystem.changeset import Changeset
from layerscope.filesystem.tar_changeset import read_changeset
from layerscope.images.answers import Change
from layerscope.images.containers.api import ApiLayers
from layerscope.images.containers.reader import (
    MADE_AT_BUILD,
    MADE_AT_CREATION,
    ContainerLayers,
    ContainerReader,
    OwnLayer,
    own_layers,
)
from layerscope.images.image import Image, Layer, history_of
from layerscope.images.loading import load
from layerscope.images.pieces import filled
from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader
from layerscope.oci.byte_source import Stream
from layerscope.oci.config import HistoryEntry
from layerscope.records import lenient


def archive(*names: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(name)
            tar.addfile(member, io.BytesIO(name.encode()))
    return file.getvalue()


def changeset(*names: str) -> Changeset:
    return read_changeset(Stream(io.BytesIO(archive(*names)).read))


def entry(layer: int | None) -> HistoryEntry:
    return HistoryEntry(None, f"RUN {layer}", "", layer is None, layer)


class Base(ImageReader):
    """An image of two layers, whose history names one more."""

    way = "test"
    image = Image(
        reference="image",
        id="sha256:0",
        source="test",
        os="linux",
        architecture="amd64",
        created=None,
        config={},
        layers=tuple(Layer(n, f"sha256:{n}", None, f"RUN {n}") for n in range(2)),
        history=(entry(0), entry(None), entry(1), entry(2)),
    )

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.closed = 0

    def cache_key(self, layer: int) -> str | None:
        return f"key {layer}"

    def changesets(self, progress: Progress, known: Any) -> Iterator[tuple[int, Changeset]]:
        self.asked = [layer for layer in range(2) if layer in known]
        yield from ((n, changeset(f"image-{n}")) for n in range(2) if n not in known)

    def content(self, layer: int, changeset: Changeset, row: int) -> Iterator[bytes]:
        yield f"of the image, {layer}".encode()

    def close(self) -> None:
        self.closed += 1


class Own(ContainerLayers):
    """A container's layers, one of them between the image's."""

    def __init__(self, layers: Sequence[OwnLayer], problem: str = "") -> None:
        self.layers = layers
        self.problem = problem
        self.closed = 0

    def changesets(self, advance: Callable[[int], None]) -> Sequence[Changeset]:
        if self.problem:
            raise BadInputError("folder", None, self.problem)
        return [changeset(f"own-{number}") for number in range(len(self.layers))]

    def content(self, layer: int, changeset: Changeset, row: int) -> Iterator[bytes]:
        yield f"own, {layer}".encode()

    def close(self) -> None:
        self.closed += 1


BETWEEN = (OwnLayer(1, MADE_AT_BUILD), *own_layers(2, "it", created=True))


def put_together(own: Own, other: Own | None = None) -> tuple[ContainerReader, Base]:
    base = Base()
    fallback = None if other is None else (other, "another way")
    return (
        ContainerReader(base, own, fallback, name="it", source="container:it", way="way", why=""),
        base,
    )


def test_layers_lie_where_they_belong() -> None:
    reader, _ = put_together(Own(BETWEEN))
    loaded = load(reader, Progress())
    paths = [loaded.changesets[number].paths() for number in range(5)]
    assert paths == [[b"image-0"], [b"own-0"], [b"image-1"], [b"own-1"], [b"own-2"]]
    texts = ["RUN 0", MADE_AT_BUILD, "RUN 1", MADE_AT_CREATION, "read-write layer of it"]
    assert [layer.instruction for layer in reader.image.layers] == texts
    assert [layer.index for layer in reader.image.layers] == [0, 1, 2, 3, 4]
    assert [reader.cache_key(n) for n in range(5)] == ["key 0", None, "key 1", None, None]
    content = [b"".join(filled(reader.content(n, loaded.changesets[n], 0))) for n in range(5)]
    assert content == [
        *(b"of the image, 0", b"own, 0", b"of the image, 1", b"own, 1", b"own, 2"),
    ]


def test_history_names_the_same_layers() -> None:
    reader, _ = put_together(Own(BETWEEN))
    reported = [(e and e.created_by, layer) for e, layer in history_of(reader.image)]
    assert reported == [
        *(("RUN 0", 0), ("RUN None", None), (None, 1), ("RUN 1", 2), (None, 3), (None, 4)),
    ]


def test_known_layers_are_not_asked_for() -> None:
    reader, base = put_together(Own(BETWEEN))
    assert [number for number, _ in reader.changesets(Progress(), {2})] == [0, 1, 3, 4]
    assert base.asked == [1]


def test_another_way_where_the_first_one_fails() -> None:
    first, second = Own(BETWEEN, "no."), Own(BETWEEN)
    reader, base = put_together(first, second)
    loaded = load(reader, Progress())
    assert (loaded.way, loaded.why) == ("another way", "folder: no")
    assert first.closed == 1
    reader.close()
    assert (second.closed, base.closed) == (1, 1)


class FakeEngine:
    def __init__(self, data: bytes, changes: Sequence[Mapping[str, Any]]) -> None:
        self.data = data
        self.changes = changes
        self.stopped = 0

    def container_changes(self, identifier: str) -> Sequence[Change]:
        return lenient(self.changes, list[Change])

    def export_container(self, identifier: str) -> Any:
        return io.BytesIO(self.data).read, self.stop

    def container_file(self, identifier: str, path: bytes) -> Any:
        return io.BytesIO(archive(path.decode().strip("/"))).read, self.stop

    def stop(self) -> None:
        self.stopped += 1


def test_what_docker_made_is_known_by_name() -> None:
    data = archive("etc/hosts", "etc/hostname", "usr/bin/true", "new", "dev/other", ".dockerenv")
    changes = [{"Path": "/etc/hostname", "Kind": 0}, {"Path": "/new", "Kind": 1}]
    engine = FakeEngine(data, changes)
    source = ApiLayers(engine, "0" * 64, "it", BETWEEN)
    between, made, written = source.changesets(lambda _: None)
    assert len(between) == 0
    assert made.paths() == [b"etc/hosts", b".dockerenv"]
    assert written.paths() == [b"etc/hostname", b"new"]
    assert b"".join(filled(source.content(1, made, 0))) == b"etc/hosts"
    assert engine.stopped == 2


@pytest.mark.parametrize("created", [False, True])
def test_an_engine_that_makes_no_layer(created: bool) -> None:
    layers = own_layers(3, "it", created=created)
    assert [layer.what for layer in layers[:-1]] == [MADE_AT_CREATION] * created
    source = ApiLayers(FakeEngine(archive("etc/hosts"), []), "0" * 64, "it", layers)
    assert [len(found) for found in source.changesets(lambda _: None)] == [1] * created + [0]
