"""Builds a changeset from the tar stream of a layer.

Names become paths as an engine unpacks them, `.wh.` entries become whiteouts, and of entries that
come twice the last one counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from layerscope.filesystem import changeset as changeset_module
from layerscope.filesystem.changeset import Changeset, EntryType
from layerscope.filesystem.settle import settle
from layerscope.oci.byte_source import ByteSource
from layerscope.oci.tar_columns import TarColumns, decode
from layerscope.oci.tar_header import TarError
from layerscope.oci.tar_scan import HeaderBatch, scan

#: OCI image specification, layer.md, "Whiteouts".
WHITEOUT_PREFIX = b".wh."
OPAQUE_WHITEOUT = b".wh..wh..opq"
#: Names of AUFS's own book-keeping (`.wh..wh.plnk`, `.wh..wh.aufs`), which engines pass over.
AUFS_PREFIX = b".wh..wh."

# A dot or an empty component, in names that have a NUL on both sides. Ten searches for plain bytes
# are many times as fast as one for a pattern.
_UNCLEAN = (b"//", b"/./", b"/../", b"/.\0", b"/..\0", b"\0./", b"\0../", b"\0.\0", b"\0..\0")

_KIND_OF_TYPEFLAG = np.zeros(256, np.uint8)
for _flag, _kind in zip(
    b"0123456",
    (
        EntryType.FILE,
        EntryType.HARDLINK,
        EntryType.SYMLINK,
        EntryType.CHAR,
        EntryType.BLOCK,
        EntryType.DIR,
        EntryType.FIFO,
    ),
    strict=True,
):
    _KIND_OF_TYPEFLAG[_flag] = _kind


def read_changeset(source: ByteSource, advance: Callable[[int], None] | None = None) -> Changeset:
    """Reads a layer's uncompressed tar stream.

    Args:
        source: The stream.
        advance: Told now and then how many bytes lie behind; may raise to stop the work.

    Raises:
        TarError: It is not a tar archive, or has an entry that no engine unpacks.
        TruncatedError: It ends too early.
    """
    return changeset_of(scan(source), advance)


def changeset_of(
    headers: Iterable[HeaderBatch], advance: Callable[[int], None] | None = None
) -> Changeset:
    """The same of headers that have been found already; see `read_changeset`."""
    return build_changeset(_told(decode(headers), advance))


def _told(
    parts: Iterable[TarColumns], advance: Callable[[int], None] | None
) -> Iterable[TarColumns]:
    for part in parts:
        if advance is not None:
            advance(part.end)
        yield part


def build_changeset(parts: Iterable[TarColumns]) -> Changeset:
    """Joins decoded entries into one changeset.

    Raises:
        TarError: A name leads out of the archive.
    """
    builder = _Builder()
    for part in parts:
        builder.add(part)
    return builder.finish()


class _Builder:
    def __init__(self) -> None:
        self._blobs: list[bytes] = []
        self._columns: list[TarColumns] = []
        self._kinds: list[np.ndarray[tuple[int], np.dtype[np.uint8]]] = []
        self._skipped = False
        self._digests: list[np.ndarray[tuple[int, int], np.dtype[np.uint8]] | None] = []
        self._changeset = Changeset.empty()
        self._rows = 0
        self._size = 0

    def add(self, part: TarColumns) -> None:
        """Takes some entries."""
        if not part.names:
            return
        most = changeset_module.MOST_ENTRIES
        if self._rows + len(part.names) > most:
            problem = f"the layer has more than {most:,} entries"
            raise TarError(int(part.offsets[most - self._rows]), problem)
        kinds = _KIND_OF_TYPEFLAG[part.kinds]
        paths = clean_paths(part.names, part.offsets)
        blob = b"\0".join(paths)
        if WHITEOUT_PREFIX in blob:
            _mark_whiteouts(paths, kinds, part.offsets)
            blob = b"\0".join(paths)
        if b"" in paths:
            _check_root(paths, kinds, part.offsets)
        self._check_sizes(part)
        changeset = self._changeset
        base = self._rows
        for row, target in part.links.items():
            if kinds[row] == EntryType.HARDLINK:
                target = clean_path(target, int(part.offsets[row]))
            changeset.links[base + row] = target
        for row, device in part.devices.items():
            changeset.devices[base + row] = device
        for row, xattrs in part.xattrs.items():
            changeset.xattrs[base + row] = xattrs
        for row, pieces in part.sparse.items():
            changeset.sparse[base + row] = pieces
        digests = None
        if part.digests:
            digests = np.zeros((len(paths), 32), np.uint8)
            rows = np.fromiter(part.digests, np.int64, len(part.digests))
            joined = b"".join(part.digests.values())
            digests[rows] = np.frombuffer(joined, np.uint8).reshape(-1, 32)
        self._digests.append(digests)
        self._skipped |= bool((kinds == _SKIP).any())
        self._blobs.append(blob)
        self._kinds.append(kinds)
        part.names = []
        self._columns.append(part)
        self._rows += len(paths)

    def _check_sizes(self, part: TarColumns) -> None:
        """Refuses sizes whose sum means nothing: sparse files can claim any."""
        sizes = part.sizes
        overflows = int(sizes.max()) > MAX_LAYER_SIZE // len(sizes)
        self._size += sum(sizes.tolist()) if overflows else int(sizes.sum())
        if self._size > MAX_LAYER_SIZE:
            largest = int(part.offsets[int(part.sizes.argmax())])
            raise TarError(largest, "the size is larger than any layer can be")

    def finish(self) -> Changeset:
        """The changeset, with repeated and meaningless entries dropped."""
        if not self._columns:
            return self._changeset
        parts = self._columns
        changeset = self._changeset
        changeset.path_blob = b"\0".join(self._blobs)
        changeset.kinds = np.concatenate(self._kinds)
        modes = np.concatenate([part.modes for part in parts]) & 0o7777
        changeset.modes = modes.astype(np.uint16)
        # Whatever a header says: Linux has no other mode for a symlink.
        changeset.modes[changeset.kinds == EntryType.SYMLINK] = 0o777
        changeset.uids = np.concatenate([part.uids for part in parts])
        changeset.gids = np.concatenate([part.gids for part in parts])
        changeset.sizes = np.concatenate([part.sizes for part in parts])
        changeset.mtimes = np.concatenate([part.mtimes for part in parts])
        changeset.header_offsets = np.concatenate([part.offsets for part in parts])
        changeset.data_offsets = np.concatenate([part.data_offsets for part in parts])
        if any(digests is not None for digests in self._digests):
            changeset.digests = np.concatenate(
                [
                    np.zeros((len(kinds), 32), np.uint8) if digests is None else digests
                    for digests, kinds in zip(self._digests, self._kinds, strict=True)
                ]
            )
        whiteouts = changeset.kinds >= EntryType.WHITEOUT
        changeset.sizes[whiteouts] = 0
        return settle(changeset, skip=_SKIP if self._skipped else None)


#: More bytes than that no layer unpacks to; sums of sizes below it do not overflow.
MAX_LAYER_SIZE = 1 << 53

#: Marks rows that are dropped; no entry type.
_SKIP = 255


def clean_paths(
    names: list[bytes], offsets: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> list[bytes]:
    """Names as paths: no leading, trailing or double slash, no dot components.

    Raises:
        TarError: A name leads out of the archive.
    """
    paths = [name.strip(b"/") for name in names]
    if _is_clean(paths):
        return paths
    # `tar -C FOLDER .` writes every name with a dot before it; that alone is quickly mended.
    paths = [path[2:].lstrip(b"/") if path[:2] == b"./" else path for path in paths]
    if _is_clean(paths):
        return paths
    return [clean_path(path, offset) for path, offset in zip(paths, offsets.tolist(), strict=True)]


def _is_clean(paths: list[bytes]) -> bool:
    joined = b"\0" + b"\0".join(paths) + b"\0"
    return not any(piece in joined for piece in _UNCLEAN)


def clean_path(name: bytes, offset: int) -> bytes:
    """One name as a path.

    Raises:
        TarError: It leads out of the archive.
    """
    parts: list[bytes] = []
    for part in name.split(b"/"):
        if part == b"..":
            if not parts:
                raise TarError(offset, "an entry's name leads out of the archive")
            parts.pop()
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/".join(parts)


def _check_root(
    paths: list[bytes],
    kinds: np.ndarray[tuple[int], np.dtype[np.uint8]],
    offsets: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> None:
    for row, path in enumerate(paths):
        if not path and kinds[row] not in (EntryType.DIR, EntryType.OPAQUE, _SKIP):
            raise TarError(int(offsets[row]), "the root folder is not a folder")


def _mark_whiteouts(
    paths: list[bytes],
    kinds: np.ndarray[tuple[int], np.dtype[np.uint8]],
    offsets: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> None:
    """Turns `.wh.` entries into whiteouts, in place.

    Raises:
        TarError: A whiteout names its own folder or the one above.
    """
    for row, path in enumerate(paths):
        if WHITEOUT_PREFIX not in path:
            continue
        folder, slash, name = path.rpartition(b"/")
        if name == OPAQUE_WHITEOUT:
            paths[row], kinds[row] = folder, EntryType.OPAQUE
        elif name.startswith(AUFS_PREFIX) or name == WHITEOUT_PREFIX:
            kinds[row] = _SKIP
        elif name in (b".wh..", b".wh..."):
            raise TarError(int(offsets[row]), "a whiteout names no file")
        elif name.startswith(WHITEOUT_PREFIX):
            paths[row], kinds[row] = folder + slash + name[4:], EntryType.WHITEOUT
