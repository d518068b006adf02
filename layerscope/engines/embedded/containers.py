"""Containers of the embedded store, which run in the sandbox on one of its images.

Each is a folder below `containers` in the store's folder, until it is removed. Blobs that it needs
are not garbage.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from layerscope.config import sandbox_folder
from layerscope.engines.embedded.store import Store
from layerscope.errors import EngineError, NotFoundError, UsageError
from layerscope.oci.manifest import ManifestError, parse_descriptor
from layerscope.oci.reference import is_reference, parse_reference
from layerscope.records import Record, UnixTime, read
from layerscope.text import short_id, visible
from layerscope.writing import write_whole

if TYPE_CHECKING:
    from layerscope.engines.embedded.contents import Document, EmbeddedReader
    from layerscope.images.image import Image
    from layerscope.images.progress import Progress

    # A fully cached build needs neither numpy nor the sandbox.
    from layerscope.sandbox.kept import KeptRun
    from layerscope.sandbox.running import Base, Command, Outcome

_FOLDER, _FILE = "containers", "container.json"
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}")
_ID = re.compile(r"[0-9a-f]{64}")
_SHORTEST_ID = 4


class About(Record, frozen=True):
    """The record of a container, written on creation."""

    id: str
    name: str
    image: str  # Id of its image.
    image_name: str  # The name that the user gave for it.
    manifest: dict[str, object]  # Descriptor of its manifest.
    command: tuple[str, ...]
    created: UnixTime


@dataclass(frozen=True, slots=True)
class Container:
    about: About
    run: KeptRun

    @property
    def state(self) -> str:
        """As in Docker; `created` also if its creator was killed before it ran."""
        return "running" if self.run.running else "exited" if self.run.ran else "created"

    @property
    def shown(self) -> str:
        return visible(self.about.name)


class Containers:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._folder = store.folder / _FOLDER

    def all(self) -> list[Container]:
        """Returns all containers, the newest first."""
        if not (noted := _noted(self._store)):
            return []
        from layerscope.sandbox.kept import KeptRun

        found = [Container(about, KeptRun(self._folder / about.id)) for about in noted]
        return sorted(found, key=lambda each: -each.about.created)

    def find(self, name: str) -> Container:
        """Returns a container by name, id or a prefix of the id; raises NotFoundError."""
        there = self.all()
        for each in there:
            if name in (each.about.name, each.about.id):
                return each
        begin = [each for each in there if each.about.id.startswith(name)]
        if len(begin) == 1 and len(name) >= _SHORTEST_ID:
            return begin[0]
        raise NotFoundError(
            f"The embedded store has no container {visible(name)}.",
            "`layerscope ps --engine embedded` lists what it has.",
        )

    def new_name(self, image_name: str) -> str:
        """Returns an unused container name, derived from that of an image."""
        base = "run"
        if is_reference(image_name):
            base = parse_reference(image_name).path.rpartition("/")[2]
        taken = {each.about.name for each in self.all()}
        while True:
            name = f"{base}-{os.urandom(2).hex()}"
            if name not in taken:
                return name

    def make(
        self,
        reader: EmbeddedReader,
        image_name: str,
        name: str,
        command: Sequence[str],
        layers: int | None = None,
    ) -> Container:
        """Creates a container of an image, or of its lowest layers, without running anything.

        Raises UsageError if its name is taken or invalid.
        """
        from layerscope.images.archives.packing import lowest
        from layerscope.sandbox.kept import KeptRun

        if not _NAME.fullmatch(name):
            raise UsageError(
                f"{visible(name)} cannot be the name of a container.",
                "Use letters, digits, and _ . - between them.",
            )
        if any(each.about.name == name for each in self.all()):
            raise UsageError(
                f"There is a container {name} already.", "Choose another name, or remove it first."
            )
        store, image, manifest = self._store, reader.image, reader.found_manifest
        identifier, document = os.urandom(32).hex(), reader.descriptor.document
        path = self._folder / identifier
        with store.lease() as lease, store.translated():
            for blob in (reader.descriptor, manifest.config, *manifest.layers):
                if lease.claim(blob.digest) is None:
                    raise NotFoundError(f"Image {short_id(image.id)} is gone.", "Pull it again.")
            of = image.id
            if layers is not None and layers < len(image.layers):
                below = manifest.layers[:layers]
                of, made = lease.add_image(lowest(image, layers), below, platform_of(image))
                document = made.document
            created = round(time.time(), 3)
            about = About(identifier, name, of, image_name, document, tuple(command), created)
            write_whole(path / _FILE, about.dump())
        return Container(about, KeptRun(path))

    @contextmanager
    def ran(
        self,
        container: Container,
        base: Base,
        command: Command,
        streams: tuple[int, int, int],
        progress: Progress | None = None,
    ) -> Iterator[Outcome]:
        """Runs a command in a container, on top of its earlier changes."""
        from layerscope.sandbox.rungs import best_rung
        from layerscope.sandbox.running import Sandbox

        if container.run.running:
            raise EngineError(
                f"{container.shown} runs.", "Wait until it has ended, or run its image again."
            )
        sandbox = Sandbox(sandbox_folder(), container.run.rung or best_rung(self._folder))
        run = container.run
        with sandbox.ran(base, command, streams=streams, progress=progress, kept=run) as outcome:
            yield outcome

    def remove(self, container: Container) -> None:
        if container.run.running:
            raise EngineError(f"{container.shown} runs.", "It can be removed when it has ended.")
        container.run.remove()


def platform_of(image: Image) -> str | None:
    return f"{image.os}/{image.architecture}" if image.os and image.architecture else None


def _noted(store: Store) -> list[About]:
    found = (
        read(path / _FILE, About)
        for path in (store.folder / _FOLDER).glob("*")
        if _ID.fullmatch(path.name)
    )
    return [each for each in found if each is not None]


def container_entries(store: Store, without: Collection[str] = ()) -> list[Document]:
    """Returns what containers, except those in `without`, need, as entries of an index."""
    found = []
    for each in _noted(store):
        if each.id in without:
            continue
        with suppress(ManifestError):
            found.append(parse_descriptor(each.manifest).document)
    return found
