"""Writes images from blobs: OCI layouts, in a folder or a tar, and `docker save` archives.

A `docker save` archive is a layout with `manifest.json` beside `index.json`, as Docker 25 and later
write it: every version of Docker and Podman loads it, and containerd keeps the manifest's digest.
Layers are copied as stored, compressed or not.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tarfile
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from layerscope.errors import BadInputError, LayerscopeError, UsageError
from layerscope.images.archives.blob_store import (
    INDEX,
    MANIFEST,
    FolderStore,
    blob_file,
    load_json,
    read_document,
)
from layerscope.images.archives.oci_layout import FULL_NAME, REF_NAME
from layerscope.oci.byte_source import Buffer, opened, whole_reader
from layerscope.oci.manifest import OCI_INDEX, Descriptor, json_bytes
from layerscope.oci.reference import Reference
from layerscope.text import visible
from layerscope.writing import (
    Existing,
    check_space,
    failure,
    whole_file,
    whole_folder,
    write_all,
)

Read = Callable[[int], bytes]
#: Receives the number of bytes written so far; may raise to stop.
Advance = Callable[[int], None]

_LAYOUT = "oci-layout"
_VERSION = b'{"imageLayoutVersion":"1.0.0"}'
_PIECE = 1 << 20
_WHAT = "the image"  # The source of a digest, named in errors if the digest is invalid.
_BLOCK = tarfile.BLOCKSIZE
_HINT = "Name another file, or make room."


@dataclass(frozen=True, slots=True)
class Blob:
    """A document or a layer, as stored."""

    digest: str
    size: int
    #: Opens it at an offset, as a context: a function that returns up to a number of bytes, and
    #: no bytes at the end.
    open_at: Callable[[int], AbstractContextManager[Read]]
    #: The descriptor of a file with exactly these bytes, which a layout may link to, or None.
    file: int | None = None

    @classmethod
    def of(cls, descriptor: Descriptor, data: bytes) -> Blob:
        source, size = Buffer(data), len(data)
        return cls(
            descriptor.digest, size, lambda start: nullcontext(whole_reader(source, size, start))
        )

    def opened(self) -> AbstractContextManager[Read]:
        return self.open_at(0)


@dataclass(frozen=True, slots=True)
class PackedImage:
    """An image, for one platform or several, as layouts and registries store it."""

    top: Descriptor  # Its manifest, or the index of its manifests; see `named`.
    #: All its documents and layers, including `top`.
    blobs: tuple[Blob, ...]
    #: The configuration and layers for `manifest.json`, which has one platform.
    config: Descriptor
    layers: tuple[Descriptor, ...]
    tags: tuple[str, ...] = ()  # Its references in `manifest.json`, in familiar form.

    @property
    def size(self) -> int:
        return sum({blob.digest: blob.size for blob in self.blobs}.values())


def named(image: PackedImage, reference: Reference | None, ref: str = "") -> PackedImage:
    """The image under the name to pull or save it by; `ref` is the name that a user entered.

    A reference with a digest and no tag sets no name.
    """
    names: dict[str, str] = {}
    if ref:
        names = {REF_NAME: ref}
    elif reference is not None and reference.tag is not None:
        full = f"{reference.domain}/{reference.path}:{reference.tag}"
        names = {FULL_NAME: full, REF_NAME: reference.tag}
        ref = f"{reference.repository}:{reference.tag}"
    others = {k: v for k, v in image.top.annotations.items() if k not in (FULL_NAME, REF_NAME)}
    top = replace(image.top, annotations={**others, **names})
    return replace(image, top=top, tags=(ref,) if ref else ())


def archive_pieces(
    images: Sequence[PackedImage], *, docker: bool, advance: Advance | None = None
) -> Generator[bytes, None, None]:
    """The bytes of an archive: `docker load`'s format with `docker`, else `oci-archive:`.

    Raises LayerscopeError if a blob cannot be read or its size is wrong.
    """
    written = 0
    for name, data in _documents(images, docker=docker).items():
        yield _header(name, len(data)) + data + bytes(-len(data) % _BLOCK)
    for blob in _blobs(images):
        yield _header(blob_file(_WHAT, blob.digest), blob.size)
        for piece in _pieces(blob):
            yield piece
            written += len(piece)
            if advance is not None:
                advance(written)
        yield bytes(-blob.size % _BLOCK)
    yield bytes(2 * _BLOCK)


def write_archive(
    path: Path,
    images: Sequence[PackedImage],
    *,
    docker: bool,
    overwrite: Existing | bool = False,
    advance: Advance | None = None,
) -> None:
    """Writes an archive completely or not at all; see `archive_pieces`.

    Raises UsageError if the file exists, unless `overwrite` is true or identifies that file, and
    LayerscopeError if it cannot be written.
    """
    if not overwrite:
        check_absent(path)
    try:
        with whole_file(path, mode=0o644, replace=overwrite) as fd:
            _check_space(fd, images, path.absolute().parent)
            for piece in archive_pieces(images, docker=docker, advance=advance):
                write_all(fd, piece)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise LayerscopeError(failure(error, str(path)), _HINT) from None


def write_layout(
    folder: Path, images: Sequence[PackedImage], *, advance: Advance | None = None
) -> None:
    """Writes images into a folder, as a new layout or into an existing one.

    In an existing layout, an image that loses its name keeps its digest. Raises UsageError if the
    folder is something else, and LayerscopeError if it cannot be written; the layout is then
    unchanged.
    """
    try:
        if is_layout(folder):
            _add(folder, images, advance, folder)
            return
        with whole_folder(folder) as part:
            (part / _LAYOUT).write_bytes(_VERSION)
            _add(part, images, advance, folder.absolute().parent)
    except OSError as error:
        raise LayerscopeError(failure(error, str(folder)), _HINT) from None


def check_absent(path: Path) -> None:
    """Raises UsageError if the file to write exists."""
    if os.path.lexists(path):
        raise _exists(path)
    if not path.absolute().parent.is_dir():
        parent = visible(str(path.absolute().parent))
        raise UsageError(f"There is no folder {parent}.", "Make it, or name another file.")


def is_layout(folder: Path) -> bool:
    """Whether a folder is an existing layout that images can be added to; false if new or empty.

    Raises UsageError if it is neither.
    """
    if (folder / _LAYOUT).is_file():
        return True
    name = visible(str(folder))
    if not os.path.lexists(folder):
        check_absent(folder)
        return False
    if not folder.is_dir() or any(folder.iterdir()):
        raise UsageError(f"{name} exists and is not an OCI layout.", "Name another folder.")
    return False


def holds(layout: Path, blob: Descriptor | Blob, check: Callable[[], None]) -> bool:
    """Whether a layout has a blob with the right bytes; `check` may raise to stop."""
    algorithm = blob.digest.partition(":")[0]
    store, name = FolderStore(layout), blob_file(_WHAT, blob.digest)
    if algorithm not in ("sha256", "sha512") or not store.holds(name):
        return False
    digest = hashlib.new(algorithm)
    with store.opened(name) as (source, size, _):
        if size != blob.size:
            return False
        read = whole_reader(source, size)
        while piece := read(_PIECE):
            check()
            digest.update(piece)
    return digest.hexdigest() == blob.digest.partition(":")[2]


def _exists(path: Path) -> UsageError:
    return UsageError(f"{visible(str(path))} already exists.", "Name another file.")


def _add(folder: Path, images: Sequence[PackedImage], advance: Advance | None, disk: Path) -> None:
    """Adds images to a layout; errors name the folder `disk` if there is too little space."""
    own = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    lock = os.open(folder / _LAYOUT, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        # Another process may add an image at the same time.
        fcntl.flock(lock, fcntl.LOCK_EX)
        _check_space(own, images, disk)
        written = 0
        for blob in _blobs(images):
            _add_blob(folder, blob, written, advance or (lambda _: None))
            written += blob.size
        index = _index_of(folder)
        tops = [image.top for image in images]
        index["manifests"] = [*_kept(index, tops), *(top.document for top in tops)]
        with whole_file(os.fsencode(INDEX), folder=own, mode=0o644, replace=True) as fd:
            write_all(fd, json_bytes(index))
    finally:
        os.close(lock)
        os.close(own)


def _add_blob(folder: Path, blob: Blob, before: int, advance: Advance) -> None:
    path = folder / blob_file(_WHAT, blob.digest)
    there = os.path.lexists(path)
    if there and holds(folder, blob, lambda: advance(before)):
        advance(before + blob.size)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if blob.file is not None and not there:
        with suppress(OSError), opened(os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)) as own:
            # Without the folder's descriptor, it would link to the link in /proc.
            os.link(f"/proc/self/fd/{blob.file}", path.name, dst_dir_fd=own)
            advance(before + blob.size)
            return
    with whole_file(path, mode=0o644, replace=True) as fd:
        for piece in _pieces(blob):
            write_all(fd, piece)
            before += len(piece)
            advance(before)


def _index_of(folder: Path) -> dict[str, Any]:
    store = FolderStore(folder)
    if not store.holds(INDEX):
        return {"schemaVersion": 2, "mediaType": OCI_INDEX}
    document = load_json(store.file, INDEX, read_document(store, INDEX))
    if not isinstance(document, dict) or not isinstance(document.get("manifests", []), list):
        raise BadInputError(store.file, None, f"{INDEX} is not an image index")
    return document


def _kept(index: Mapping[str, Any], tops: Iterable[Descriptor]) -> Iterator[Any]:
    """The entries that stay in an index, each once, without names that other images take over."""
    taken = {(key, value) for top in tops for key, value in top.annotations.items()}
    digests = {top.digest for top in tops}
    for entry in index.get("manifests", []):
        given = entry.get("annotations") if isinstance(entry, dict) else None
        if not isinstance(given, dict):
            if not isinstance(entry, dict) or entry.get("digest") not in digests:
                yield entry
            continue
        # With containerd's name, the specification's is only a tag.
        key = FULL_NAME if FULL_NAME in given else REF_NAME
        if (key, given.get(key)) not in taken:
            yield entry
        elif entry.get("digest") not in digests:
            names = (FULL_NAME, REF_NAME)
            yield {**entry, "annotations": {k: v for k, v in given.items() if k not in names}}


def _documents(images: Sequence[PackedImage], *, docker: bool) -> dict[str, bytes]:
    index = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [image.top.document for image in images],
    }
    documents = {_LAYOUT: _VERSION, INDEX: json_bytes(index)}
    if docker:
        documents[MANIFEST] = json_bytes(list(map(_saved, images)))
    return documents


def _saved(image: PackedImage) -> dict[str, Any]:
    return {
        "Config": blob_file(_WHAT, image.config.digest),
        "RepoTags": list(image.tags) or None,
        "Layers": [blob_file(_WHAT, layer.digest) for layer in image.layers],
    }


def _blobs(images: Iterable[PackedImage]) -> Iterable[Blob]:
    """The blobs of images, each once."""
    return {blob.digest: blob for image in images for blob in image.blobs}.values()


def _pieces(blob: Blob) -> Iterator[bytes]:
    left = blob.size
    with blob.opened() as read:
        while piece := read(_PIECE):
            left -= len(piece)
            if left < 0:
                break
            yield piece
    if left:
        problem = f"it is not as long as it should be: {blob.size} bytes"
        raise BadInputError(visible(blob.digest), None, problem, "Try again.")


def _header(name: str, size: int) -> bytes:
    header = tarfile.TarInfo(name)
    header.size = size
    return header.tobuf(tarfile.PAX_FORMAT)


def _check_space(fd: int, images: Iterable[PackedImage], folder: Path) -> None:
    needed = sum(blob.size for blob in _blobs(images) if blob.file is None)
    check_space(fd, needed, visible(str(folder)), _HINT)
