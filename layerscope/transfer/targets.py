"""Where a pull by our own client puts an image: an archive, a layout, or the engine by load."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from layerscope.config import store_folder
from layerscope.engines.address import EMBEDDED
from layerscope.engines.docker import DockerEngine
from layerscope.engines.embedded.importing import Importer
from layerscope.engines.embedded.store import Store
from layerscope.engines.engine import Engine
from layerscope.engines.folders import split_archive
from layerscope.engines.local_layers import local_layers
from layerscope.engines.transfers import load, loaded, loaded_name
from layerscope.errors import EngineError, UsageError
from layerscope.images.archives.writing import (
    PackedImage,
    archive_pieces,
    check_absent,
    holds,
    is_layout,
    named,
    write_archive,
    write_layout,
)
from layerscope.images.image import Image
from layerscope.images.layer_stream import Read, tar_reader
from layerscope.images.registry.client import Check
from layerscope.images.registry.pull_estimate import pull_estimate
from layerscope.jobs.worker import Cancellation
from layerscope.oci.config import parse_config
from layerscope.oci.manifest import MAX_DOCUMENT, Descriptor
from layerscope.oci.reference import Reference, parse_reference
from layerscope.records import go_json
from layerscope.text import short_id, visible

FORMS = ("docker-archive", "oci-archive", "oci")


@dataclass(frozen=True, slots=True)
class Place:
    """What a user names as the target: `docker-archive:PATH[:REF]` and so on."""

    form: str  # One of `FORMS`, or `embedded`.
    path: Path
    ref: str  # The name that the image gets there; empty for the one that it is pulled by.

    def __str__(self) -> str:
        if self.form == EMBEDDED:
            return f"{EMBEDDED}:{self.ref}"
        return f"{self.form}:{self.path}" + (f":{self.ref}" if self.ref else "")


def parse_place(text: str) -> Place:
    """The place in a target; its path is made absolute. Raises UsageError."""
    form, _, rest = text.partition(":")
    if form == EMBEDDED:
        return Place(EMBEDDED, store_folder(), rest and _name(rest))
    for known in FORMS:
        if form == known and rest:
            path, ref = split_archive(rest)
            if ref and known == "docker-archive":
                _name(ref)
            return Place(known, path.absolute(), ref or "")
    raise UsageError(
        f"{visible(text)} is no place for an image.",
        "Write docker-archive:PATH, oci-archive:PATH, oci:DIR, each with :REF for its name there, "
        "or embedded:NAME.",
    )


def _name(text: str) -> str:
    """A name with its tag; raises UsageError if it is not one that an image can have."""
    try:
        return str(replace(parse_reference(text), digest=None))
    except ValueError:
        raise UsageError(f"{visible(text)} is not the name of an image.") from None


def check_place(place: Place) -> None:
    """Raises UsageError if something is in the way."""
    if place.form == EMBEDDED:
        return
    if place.form == "oci":
        is_layout(place.path)
    else:
        check_absent(place.path)


class Target:
    """Takes images; all of them are where they should be after `finish`."""

    name = ""  # What it is, for users.

    def lacks(self, image: Image, layers: Sequence[Descriptor], check: Check) -> tuple[bool, ...]:
        """Which layers of an image have to be fetched for it."""
        return (True,) * len(layers)

    def whole_index(self) -> bool:
        """Whether the image keeps the id that it has in its index, of which this is a part."""
        return False

    def put(self, image: PackedImage, reference: Reference) -> str:
        """Takes an image, and returns its id there."""
        raise NotImplementedError

    def finish(self) -> str:
        """Completes the target; returns where that is, for users; empty for the engine."""
        return ""

    def close(self) -> None:
        """Lets go of what it needs until all images are there."""


class FileTarget(Target):
    def __init__(self, place: Place, cancellation: Cancellation) -> None:
        self.name = str(place)
        self._place = place
        self._cancellation = cancellation
        self._images: list[PackedImage] = []
        check_place(place)

    def lacks(self, image: Image, layers: Sequence[Descriptor], check: Check) -> tuple[bool, ...]:
        if self._place.form != "oci" or not is_layout(self._place.path):
            return super().lacks(image, layers, check)
        return tuple(not holds(self._place.path, layer, check) for layer in layers)

    def put(self, image: PackedImage, reference: Reference) -> str:
        ref = self._place.ref
        if not ref:
            image = named(image, reference)
        elif self._place.form == "docker-archive":
            image = named(image, parse_reference(ref))
        else:
            image = named(image, None, ref)
        self._images.append(image)
        return image.config.digest

    def finish(self) -> str:
        path, form = self._place.path, self._place.form

        def advance(_: int) -> None:
            self._cancellation.check()

        if form == "oci":
            write_layout(path, self._images, advance=advance)
        else:
            write_archive(path, self._images, docker=form == "docker-archive", advance=advance)
        return self.name


class StoreTarget(Target):
    """layerscope's own store, which keeps layers uncompressed, as their diff_ids name them."""

    name = f"{EMBEDDED}:"  # With what it has taken last, as a source.

    def __init__(self, ref: str, cancellation: Cancellation) -> None:
        self._ref = ref
        self._cancellation = cancellation
        self._stack = ExitStack()
        self._importer = self._stack.enter_context(Importer(Store()))

    def whole_index(self) -> bool:
        return True  # So that the digest that it was pulled by is known later.

    def lacks(self, image: Image, layers: Sequence[Descriptor], check: Check) -> tuple[bool, ...]:
        return tuple(not self._importer.has(layer.diff_id) for layer in image.layers)

    def put(self, image: PackedImage, reference: Reference) -> str:
        blobs = {blob.digest: blob for blob in image.blobs}
        with blobs[image.config.digest].opened() as read:
            document = b"".join(iter(partial(read, MAX_DOCUMENT), b""))
        wanted = set(parse_config(go_json(document)).diff_ids)
        for layer in image.layers:
            if (blob := blobs.get(layer.digest)) is not None:
                with blob.opened() as read:
                    tar = tar_reader(self._checked(read), str(reference), layer.digest)
                    self._importer.add_layer(tar, wanted)
        pulled = f"{reference.repository}@{image.top.digest}"
        name = parse_reference(self._ref) if self._ref else reference
        # As with `docker pull`, a digest names an image, and moves no tag.
        named = None if name.tag is None else replace(name, digest=None)
        found = self._importer.finish(document, named, f"docker://{reference}", pulled)
        self.name = f"{EMBEDDED}:{named or short_id(found)}"
        return found

    def finish(self) -> str:
        return self.name

    def _checked(self, read: Read) -> Read:
        def checked(size: int) -> bytes:
            self._cancellation.check()
            return read(size)

        return checked

    def close(self) -> None:
        self._stack.close()


def target_of(text: str, engine: Engine | None, cancellation: Cancellation) -> Target:
    """The target of that name; the engine without one. Raises LayerscopeError."""
    place = parse_place(text) if text else None
    if place is not None and place.form != EMBEDDED:
        return FileTarget(place, cancellation)
    if place is not None or (engine is not None and engine.own_store):
        return StoreTarget(place.ref if place is not None else "", cancellation)
    if not isinstance(engine, DockerEngine):
        raise EngineError("There is no engine that could load the image.", "Name a target: --to.")
    return EngineTarget(engine, cancellation)


class EngineTarget(Target):
    def __init__(self, engine: DockerEngine, cancellation: Cancellation) -> None:
        self.name = engine.name
        self._engine = engine
        self._cancellation = cancellation

    def whole_index(self) -> bool:
        return self._engine.keeps_blobs

    def lacks(self, image: Image, layers: Sequence[Descriptor], check: Check) -> tuple[bool, ...]:
        if not self._engine.takes_parts:
            return super().lacks(image, layers, check)
        known = [(layer.diff_id, layer.stored_size or 0) for layer in image.layers]
        estimate = pull_estimate(known, local_layers(self._engine).images)
        return tuple(not present for present in estimate.present)

    def put(self, image: PackedImage, reference: Reference) -> str:
        # As with `docker pull`, a digest names an image, and moves no tag.
        image = named(image, None if reference.digest else reference)
        ask, engine = self._cancellation.ask, self._engine

        def advance(_: int) -> None:
            self._cancellation.check()

        pieces = archive_pieces([image], docker=True, advance=advance)
        stream = ask(lambda: load(engine, pieces))
        self._cancellation.on_cancel(stream.stop)
        with closing(stream):
            loaded(stream.messages(), engine.name)
        self._cancellation.check()
        name = loaded_name(engine, image)
        return ask(lambda: engine.inspect(image.tags[0] if image.tags else name).id)
