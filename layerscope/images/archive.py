"""`docker-archive:` in a file that can seek: nothing is read but what is asked for."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from layerscope.errors import BadInputError, NotFoundError
from layerscope.filesystem.changeset import Changeset
from layerscope.images.content import layer_content
from layerscope.images.image import Image, image_from_config
from layerscope.images.layer_bytes import read_layer
from layerscope.images.progress import Progress
from layerscope.images.reader import Known
from layerscope.images.save_layout import (
    MANIFEST,
    check_layers,
    choose_image,
    image_id,
    load_json,
    read_config,
    resolve_link,
    sparse_member,
)
from layerscope.oci.byte_source import ByteSource, FileRange, TruncatedError
from layerscope.oci.compression import compression_of
from layerscope.oci.manifest import MAX_DOCUMENT
from layerscope.oci.tar_columns import decode
from layerscope.oci.tar_header import TarError
from layerscope.oci.tar_scan import scan
from layerscope.text import decode as decode_name
from layerscope.text import visible


@dataclass(frozen=True, slots=True)
class Member:
    """A regular file in an archive.

    Attributes:
        offset: Where its content begins.
        size: How long that is.
    """

    offset: int
    size: int


def open_file(path: Path) -> int:
    """Opens a file for reading and returns its descriptor.

    Raises:
        NotFoundError: It is not there.
        BadInputError: It cannot be read, or is no file.
    """
    name = visible(str(path))
    try:
        # Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise NotFoundError(f"{name} does not exist.", "Check the path.") from None
    except OSError as error:
        raise BadInputError(name, None, f"it cannot be opened ({error.strerror})") from None
    mode = os.fstat(fd).st_mode
    if not stat.S_ISREG(mode):
        os.close(fd)
        if stat.S_ISDIR(mode):
            raise BadInputError(name, None, "it is a folder, not an archive")
        raise BadInputError(
            name, None, "it is not a regular file", "Write the archive to a file and open that."
        )
    return fd


class ArchiveReader:
    """An image in a `docker save` archive.

    Attributes:
        image: The image.
        way: How it is read.
    """

    way = "archive"

    def __init__(self, path: Path, wanted: str | None = None) -> None:
        """Opens an archive and finds the image.

        Args:
            path: The archive, uncompressed.
            wanted: Which image, if it holds several.

        Raises:
            LayerscopeError: It cannot be read, or there is no such image in it.
        """
        self._file = visible(str(path))
        self._fd = open_file(path)
        try:
            self._size = os.fstat(self._fd).st_size
            self._range = FileRange(self._fd, 0, self._size)
            self._members, self._links = index_archive(self._range, self._file)
            self.image, self._layers = self._find_image(path, wanted)
        except BaseException:
            self.close()
            raise

    def cache_key(self, layer: int) -> str | None:
        """The place of the layer in this very file: the archive's own word on digests is not taken.

        Checking that word would mean to read gigabytes that are otherwise seeked over.
        """
        status = os.fstat(self._fd)
        member = self._layers[layer][1]
        identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        return "file:" + ":".join(map(str, (*identity, member.offset, member.size)))

    def changesets(self, progress: Progress, known: Known) -> Iterator[tuple[int, Changeset]]:
        """Reads the layers, base first; see `ImageReader.changesets`."""
        progress.what = "Reading layers"
        progress.total = sum(member.size for _, member in self._layers)
        behind = 0
        done: dict[Member, Changeset] = {}
        for index, (name, member) in enumerate(self._layers):
            shift = behind - member.offset

            def advance(at: int, shift: int = shift) -> None:
                progress.advance(at + shift)

            if index in known:
                behind += member.size
                continue
            if member not in done:
                done[member] = read_layer(
                    self._range,
                    member.offset,
                    member.size,
                    file=self._file,
                    name=name,
                    advance=advance,
                )
            behind += member.size
            progress.advance(behind)
            yield index, done[member]

    def content(self, layer: int, changeset: Changeset, row: int) -> Iterator[bytes]:
        """The bytes of a file; see `ImageReader.content`."""
        name, member = self._layers[layer]
        inner = self._range.part(member.offset, member.size)
        return layer_content(inner, changeset, row, file=self._file, name=name)

    def close(self) -> None:
        """Closes the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def read_document(self, name: str) -> bytes:
        """The content of a small entry.

        Raises:
            BadInputError: It is not there, or too large.
        """
        member = self._members.get(resolve_link(name, self._links))
        if member is None:
            raise BadInputError(self._file, None, f"it has no {visible(name)}")
        if member.size > MAX_DOCUMENT:
            raise BadInputError(self._file, member.offset, f"{visible(name)} is too large")
        return self._range.read(member.offset, member.size)

    def _find_image(self, path: Path, wanted: str | None) -> tuple[Image, list[tuple[str, Member]]]:
        if MANIFEST not in self._members:
            raise BadInputError(
                self._file,
                None,
                f"it is a tar archive without {MANIFEST}",
                "layerscope opens what `docker save` or `podman save` writes.",
            )
        document = load_json(self._file, MANIFEST, self.read_document(MANIFEST))
        saved = choose_image(self._file, document, wanted)
        config = read_config(self._file, saved.config, self.read_document(saved.config))
        check_layers(self._file, saved, config)
        layers = []
        for name in saved.layers:
            member = self._members.get(resolve_link(name, self._links))
            if member is None:
                raise BadInputError(
                    self._file,
                    None,
                    f"{MANIFEST} names layer {visible(name)}, which is not there",
                    "The archive is incomplete: save the image again.",
                )
            layers.append((name, member))
        image = image_from_config(
            config,
            reference=saved.tags[0] if saved.tags else image_id(saved),
            image_id=image_id(saved),
            source=f"docker-archive:{path}",
            digests=[self._digest_of(name) for name in saved.layers],
        )
        return image, layers

    def _digest_of(self, name: str) -> str | None:
        """The digest of a layer as it is stored, where its name is one."""
        target = resolve_link(name, self._links)
        if target.startswith("blobs/sha256/"):
            return "sha256:" + target.rpartition("/")[2]
        return None


def index_archive(source: ByteSource, file: str) -> tuple[dict[str, Member], dict[str, str]]:
    """Finds the entries of an archive.

    Returns:
        Regular files by name, and targets of symlinks by name.

    Raises:
        BadInputError: It is no tar archive, or it is truncated.
    """
    members: dict[str, Member] = {}
    links: dict[str, str] = {}
    try:
        for part in decode(scan(source)):
            offsets, sizes = part.data_offsets.tolist(), part.sizes.tolist()
            for row, (name, kind) in enumerate(zip(part.names, part.kinds.tolist(), strict=True)):
                text = decode_name(name).removeprefix("./")
                if row in part.sparse:
                    raise sparse_member(file, text, int(part.offsets[row]))
                if kind == ord("0"):
                    members[text] = Member(offsets[row], sizes[row])
                elif kind == ord("2"):
                    links[text] = decode_name(part.links[row])
                elif kind == ord("1"):
                    target = decode_name(part.links[row]).removeprefix("./")
                    if target in members:
                        members[text] = members[target]
    except TarError as error:
        problem = error.problem
        hint = ""
        if not members and error.offset == 0:
            problem, hint = "it is not a tar archive", "layerscope opens what `docker save` writes."
        raise BadInputError(file, error.offset, problem, hint) from None
    except TruncatedError as error:
        raise BadInputError(
            file, error.offset, "the archive is truncated", "Save or copy it again."
        ) from None
    if not members:
        raise BadInputError(file, 0, "it holds no files")
    return members, links


def is_compressed(path: Path) -> str | None:
    """How a file is compressed, or None if it is not.

    Raises:
        LayerscopeError: It cannot be read.
    """
    fd = open_file(path)
    try:
        return compression_of(os.pread(fd, 6, 0))
    finally:
        os.close(fd)
