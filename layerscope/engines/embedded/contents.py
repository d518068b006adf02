"""Interprets the embedded store: images, their names, and reachable blobs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from layerscope.config import STORE
from layerscope.errors import LayerscopeError, PlatformMissingError
from layerscope.images.archives.blob_store import INDEX, FolderStore, blob_file, read_document
from layerscope.images.archives.oci_layout import FULL_NAME, REF_NAME, OciLayoutReader
from layerscope.images.archives.save_format import same_reference
from layerscope.images.image import Image
from layerscope.oci.byte_source import Buffer, ByteSource
from layerscope.oci.distribution import is_digest
from layerscope.oci.manifest import (
    INDEX_TYPES,
    Descriptor,
    Manifest,
    json_bytes,
    parse_descriptor,
)
from layerscope.oci.reference import Reference, parse_reference
from layerscope.records import go_json
from layerscope.text import visible

#: The annotation with an entry's places in registries: `NAME@DIGEST`, separated by spaces.
PULLED = "io.layerscope.pulled"

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kept:
    """One or several entries of the index for the same manifest."""

    descriptor: Descriptor
    names: tuple[str, ...]  # Its references, in short form.
    odd: tuple[str, ...]  # Names from other tools that are not references.
    pulled: tuple[str, ...]  # `repository@digest`
    #: The image for this host's platform, or else for any; None if it is damaged.
    image: Image | None
    manifest: Manifest | None

    @property
    def id(self) -> str:
        """The digest of its configuration, or of its manifest if it is damaged."""
        return self.descriptor.digest if self.image is None else self.image.id

    @property
    def digests(self) -> tuple[str, str]:
        return self.id, self.descriptor.digest

    @property
    def reference(self) -> str:
        return self.names[0] if self.names else self.id


class EntryStore(FolderStore):
    """A layout restricted to some entries of the index."""

    def __init__(self, store: FolderStore, entries: Sequence[Document]) -> None:
        self.__dict__.update(store.__dict__)
        self._data = json_bytes({"schemaVersion": 2, "manifests": entries})

    @contextmanager
    def opened(self, name: str) -> Iterator[tuple[ByteSource, int, str]]:
        if name == INDEX:
            yield Buffer(self._data), len(self._data), ""
            return
        with super().opened(name) as found:
            yield found


class EmbeddedReader(OciLayoutReader):
    """An image of the embedded store."""

    way = STORE

    def __init__(
        self, store: FolderStore, entry: Document, platform: str | None, source: str, name: str = ""
    ) -> None:
        self.image_name = visible(source)
        super().__init__(EntryStore(store, [entry]), None, platform, source)
        self.image = replace(self.image, reference=name or self.image.id)

    @property
    def found_manifest(self) -> Manifest:
        return self._manifest

    def cache_key(self, layer: int) -> str | None:
        """Returns the diff_id of an uncompressed layer, which was verified when written."""
        found = self.image.layers[layer]
        if found.digest == found.diff_id and not found.missing:
            return found.diff_id
        return super().cache_key(layer)


def name_of(entry: Document) -> str:
    """Returns the name of an entry as written, or "".

    When an entry loses its name, skopeo removes the specification's annotation but not
    containerd's, which therefore does not count alone.
    """
    annotations = entry.get("annotations")
    annotations = annotations if isinstance(annotations, dict) else {}
    ref, full = annotations.get(REF_NAME), annotations.get(FULL_NAME)
    if not isinstance(ref, str) or not ref:
        return ""
    if isinstance(full, str) and (full.endswith(f":{ref}") or same_reference(ref, full)):
        return full
    return ref


def named(entry: Document, reference: Reference | None) -> Document:
    """Returns the entry with another name, or none."""
    given = entry.get("annotations")
    annotations = {
        key: value
        for key, value in (given.items() if isinstance(given, dict) else ())
        if key not in (REF_NAME, FULL_NAME)
    }
    if reference is not None:
        # skopeo and buildah look up the name as written.
        annotations[REF_NAME] = str(reference)
        annotations[FULL_NAME] = f"{reference.domain}/{reference.path}:{reference.tag}"
    bare = {key: value for key, value in entry.items() if key != "annotations"}
    return {**bare, "annotations": annotations} if annotations else bare


def note_pulled(entry: Document, digest: str) -> None:
    """Adds `NAME@DIGEST` to the places of an entry in registries."""
    known = dict.fromkeys([*_pulled(entry), digest])
    entry["annotations"] = {**(entry.get("annotations") or {}), PULLED: " ".join(known)}


def give_name(entries: list[Document], entry: Document, reference: Reference | None) -> None:
    """Adds an entry under a name, which others lose; without a name, only if it is new."""
    if reference is not None:
        take_name(entries, str(reference))
    same = [each for each in entries if each.get("digest") == entry.get("digest")]
    for each in same:
        if not name_of(each):
            entries.remove(each)
    if reference is not None or not any(map(name_of, same)):
        entries.append(named(entry, reference))


def take_name(entries: list[Document], name: str) -> None:
    """Removes a name; the manifest's last entry stays without one."""
    for entry in [each for each in entries if same_reference(name_of(each) or "@", name)]:
        entries.remove(entry)
        if all(each.get("digest") != entry.get("digest") for each in entries):
            entries.append(named(entry, None))


def kept_images(store: FolderStore, entries: Sequence[Document]) -> list[Kept]:
    """Returns the images of the index, each manifest once, without artifacts."""
    by_digest: dict[str, list[Document]] = {}
    for entry in entries:
        by_digest.setdefault(entry["digest"], []).append(entry)
    found = (_kept(store, equal) for equal in by_digest.values())
    return [each for each in found if each is not None]


def _kept(store: FolderStore, entries: Sequence[Document]) -> Kept | None:
    image = manifest = None
    try:
        reader = open_entry(store, entries[0], None, "")
        image, manifest = reader.image, reader.found_manifest
    except LayerscopeError as error:
        if error.artifact:
            return None
    names: dict[str, None] = {}
    odd = []
    for name in filter(None, map(name_of, entries)):
        try:
            names[str(parse_reference(name))] = None
        except ValueError:
            odd.append(name)
    pulled = [line for each in entries for line in _pulled(each)]
    return Kept(
        parse_descriptor(entries[0]),
        tuple(names),
        tuple(odd),
        tuple(dict.fromkeys(pulled)),
        image,
        manifest,
    )


def _pulled(entry: Document) -> list[str]:
    annotations = entry.get("annotations")
    text = annotations.get(PULLED) if isinstance(annotations, dict) else None
    return text.split() if isinstance(text, str) else []


def open_entry(
    store: FolderStore, entry: Document, platform: str | None, source: str, name: str = ""
) -> EmbeddedReader:
    """Opens the image of an entry: for a platform, or else this host's, or else any."""
    try:
        return EmbeddedReader(store, entry, platform, source, name)
    except PlatformMissingError as error:
        if platform is not None or not error.platforms:
            raise
        return EmbeddedReader(store, entry, error.platforms[0], source, name)


def reached(store: FolderStore, entries: Iterable[Document]) -> set[str]:
    """Returns the digests of all blobs that entries refer to, present or not.

    Ignores references in a damaged document, which could not be opened. Raises BadInputError if
    a document cannot be read.
    """
    found: set[str] = set()
    pending: list[Any] = list(entries)
    while pending:
        descriptor = pending.pop()
        digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
        if not isinstance(digest, str) or digest in found:
            continue
        found.add(digest)
        if _may_refer(str(descriptor.get("mediaType") or "")):
            pending += _references(store, digest)
    return found


def _may_refer(media_type: str) -> bool:
    return media_type in INDEX_TYPES or "manifest" in media_type or not media_type


def _references(store: FolderStore, digest: str) -> list[Any]:
    if not is_digest(digest):
        return []
    name = blob_file(store.file, digest)
    if not store.holds(name):
        return []
    try:
        document = go_json(read_document(store, name))
    except ValueError:
        return []
    if not isinstance(document, Mapping):
        return []
    lists = (document.get(key) for key in ("manifests", "layers", "blobs"))
    several = [each for listed in lists if isinstance(listed, list) for each in listed]
    return [*several, document.get("config"), document.get("subject")]
