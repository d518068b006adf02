"""Builds a changeset from the tar stream of a layer.

Names become paths as an engine unpacks them, `.wh.` entries become whiteouts, and the last of
repeated entries wins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from layerscope.filesystem import changeset as changeset_module
from layerscope.filesystem.changeset import Changeset, EntryType, Int64, UInt8
from layerscope.filesystem.settle import settle
from layerscope.oci.byte_source import ByteSource
from layerscope.oci.tar_columns import TarColumns, decode
from layerscope.oci.tar_header import TarError
from layerscope.oci.tar_scan import HeaderBatch, scan
from layerscope.text import clip, visible

#: OCI image specification, layer.md, "Whiteouts".
WHITEOUT_PREFIX = b".wh."
OPAQUE_WHITEOUT = b".wh..wh..opq"
#: Names of AUFS's own files (`.wh..wh.plnk`, `.wh..wh.aufs`), which engines skip.
AUFS_PREFIX = b".wh..wh."
AUFS_LINKS = b".wh..wh.plnk/"

#: Columns of a changeset, and the tar columns that they come from.
_COPIED = {
    "modes": "modes",
    "uids": "uids",
    "gids": "gids",
    "sizes": "sizes",
    "mtimes": "mtimes",
    "header_offsets": "offsets",
    "data_offsets": "data_offsets",
}

#: Tar columns that belong to a file, not to its name.
_OF_FILE = ("modes", "uids", "gids", "sizes", "mtimes", "data_offsets")

#: Characters of a name in an error.
_LONGEST = 80

# An empty component and dot components, in names between NULs. Some searches for plain bytes are
# many times faster than one for a pattern; most names have no component that begins with a dot.
_UNCLEAN = {
    b"//": (b"//",),
    b"/.": (b"/./", b"/../", b"/.\0", b"/..\0"),
    b"\0.": (b"\0./", b"\0../", b"\0.\0", b"\0..\0"),
}

_KIND_OF_TYPEFLAG = np.zeros(256, np.uint8)
_KINDS = "FILE HARDLINK SYMLINK CHAR BLOCK DIR FIFO"  # By type flag, from `0` on.
for _flag, _kind in enumerate(_KINDS.split(), ord("0")):
    _KIND_OF_TYPEFLAG[_flag] = EntryType[_kind]


def read_changeset(source: ByteSource, advance: Callable[[int], None] | None = None) -> Changeset:
    """Reads a layer's uncompressed tar stream.

    `advance` is called with the number of bytes read so far; it may raise to stop.

    Raises TarError if it is not a tar archive or has an entry that no engine unpacks, and
    TruncatedError if it ends too early.
    """
    return changeset_of(scan(source), advance)


def changeset_of(
    headers: Iterable[HeaderBatch], advance: Callable[[int], None] | None = None
) -> Changeset:
    """The same for headers that have already been found."""
    return build_changeset(_reported(decode(headers), advance))


def _reported(
    parts: Iterable[TarColumns], advance: Callable[[int], None] | None
) -> Iterable[TarColumns]:
    for part in parts:
        if advance is not None:
            advance(part.end)
        yield part


def build_changeset(parts: Iterable[TarColumns]) -> Changeset:
    """Joins decoded entries into one changeset."""
    builder = _Builder()
    for part in parts:
        builder.add(part)
    return builder.finish()


class _Builder:
    def __init__(self) -> None:
        # Growing in place has a lower memory peak than joining pieces.
        self._blob = bytearray()
        self._columns = {name: bytearray() for name in _COPIED}
        self._kinds: list[UInt8] = []
        self._skipped = False
        self._digests: list[UInt8 | None] = []
        self._changeset = Changeset.empty()
        self._rows = 0
        self._size = 0
        #: Columns of the files in `.wh..wh.plnk`, by path.
        self._aufs_links: dict[bytes, dict[str, int]] = {}

    def add(self, part: TarColumns) -> None:
        if not part.names:
            return
        most = changeset_module.MOST_ENTRIES
        if self._rows + len(part.names) > most:
            problem = f"the layer has more than {most:,} entries"
            raise TarError(int(part.offsets[most - self._rows]), problem)
        kinds = _KIND_OF_TYPEFLAG[part.kinds]
        outside: dict[int, bytes] = {}
        paths = clean_paths(part.names, outside)
        blob = b"\0".join(paths)
        if WHITEOUT_PREFIX in blob:
            _mark_whiteouts(paths, kinds, part.offsets)
            if self._aufs_links or b"\0" + AUFS_PREFIX in b"\0" + blob:
                self._note_aufs(paths, kinds, part)
            blob = b"\0".join(paths)
        if b"" in paths:
            # Engines skip entries that would replace the root.
            for row, path in enumerate(paths):
                if not path and kinds[row] not in _OF_ROOT:
                    kinds[row] = _SKIP
        self._check_sizes(part)
        changeset = self._changeset
        base = self._rows
        for row, target in part.links.items():
            if kinds[row] == EntryType.HARDLINK:
                written, target = target, clean_path(target)
                if leads_out(written):
                    outside[row] = written
            changeset.links[base + row] = target
        for row, device in part.devices.items():
            if kinds[row] == EntryType.CHAR and device == (0, 0):
                kinds[row] = EntryType.WHITEOUT  # As in overlayfs after unpacking.
            else:
                changeset.devices[base + row] = device
        for row, xattrs in part.xattrs.items():
            changeset.xattrs[base + row] = xattrs
        for row, pieces in part.sparse.items():
            changeset.sparse[base + row] = pieces
        for row, name in outside.items():
            changeset.outside[base + row] = name
        digests = None
        if part.digests:
            digests = np.zeros((len(paths), 32), np.uint8)
            rows = np.fromiter(part.digests, np.int64, len(part.digests))
            joined = b"".join(part.digests.values())
            digests[rows] = np.frombuffer(joined, np.uint8).reshape(-1, 32)
        self._digests.append(digests)
        self._skipped |= bool((kinds == _SKIP).any())
        if self._rows:
            self._blob += b"\0"
        self._blob += blob
        self._kinds.append(kinds)
        part.modes &= 0o7777
        for column, source in _COPIED.items():
            dtype = getattr(changeset, column).dtype
            self._columns[column] += getattr(part, source).astype(dtype).data
        self._rows += len(paths)

    def _note_aufs(self, paths: list[bytes], kinds: UInt8, part: TarColumns) -> None:
        """Treats files of AUFS at the root as engines do, in place.

        They create the file's folder, and skip the file. A hard link to a file in `.wh..wh.plnk`
        becomes a file of its own.
        """
        links = {row: clean_path(target) for row, target in part.links.items()}
        for row, path in enumerate(paths):
            target = links.get(row) if kinds[row] == EntryType.HARDLINK else None
            found = None if target is None else self._aufs_links.get(target)
            if found is not None:
                kinds[row] = EntryType.FILE
                del part.links[row]
                for column, value in found.items():
                    getattr(part, column)[row] = value
            if not path.startswith(AUFS_PREFIX):
                continue
            if path.startswith(AUFS_LINKS) and kinds[row] == EntryType.FILE:
                self._aufs_links[path] = {
                    column: int(getattr(part, column)[row]) for column in _OF_FILE
                }
            paths[row], slash, _ = path.rpartition(b"/")
            kinds[row] = EntryType.DIR if slash else _SKIP
            part.links.pop(row, None)
            part.xattrs.pop(row, None)
            part.devices.pop(row, None)
            part.sparse.pop(row, None)
            part.modes[row] = 0o755
            for column in ("uids", "gids", "sizes", "mtimes"):
                getattr(part, column)[row] = 0

    def _check_sizes(self, part: TarColumns) -> None:
        """Rejects impossible sums of sizes; sparse files can claim any size."""
        sizes = part.sizes
        overflows = int(sizes.max()) > MAX_LAYER_SIZE // len(sizes)
        self._size += sum(sizes.tolist()) if overflows else int(sizes.sum())
        if self._size > MAX_LAYER_SIZE:
            largest = int(part.offsets[int(part.sizes.argmax())])
            raise TarError(largest, "the size is larger than any layer can be")

    def finish(self) -> Changeset:
        """The changeset, without repeated and skipped entries."""
        if not self._kinds:
            return self._changeset
        changeset = self._changeset
        changeset.path_blob = bytes(self._blob)
        self._blob.clear()
        changeset.kinds = np.concatenate(self._kinds)
        for column, data in self._columns.items():
            setattr(changeset, column, np.frombuffer(data, getattr(changeset, column).dtype))
        # Linux has no other mode for symlinks, whatever the header has.
        changeset.modes[changeset.kinds == EntryType.SYMLINK] = 0o777
        if any(digests is not None for digests in self._digests):
            changeset.digests = np.concatenate(
                [
                    np.zeros((len(kinds), 32), np.uint8) if digests is None else digests
                    for digests, kinds in zip(self._digests, self._kinds, strict=True)
                ]
            )
        self._digests.clear()
        whiteouts = changeset.kinds >= EntryType.WHITEOUT
        changeset.sizes[whiteouts] = 0
        return settle(changeset, skip=_SKIP if self._skipped else None)


#: More than any layer unpacks to, and small enough that sums do not overflow.
MAX_LAYER_SIZE = 1 << 53

# Looking up a member of an enumeration takes longer than all other work for a whiteout.
_WHITEOUT, _OPAQUE = int(EntryType.WHITEOUT), int(EntryType.OPAQUE)

#: Marks rows to drop; not an `EntryType`.
_SKIP = 255

#: The kinds of entries that the root folder may have.
_OF_ROOT = (EntryType.DIR, EntryType.OPAQUE, _SKIP)


def clean_paths(names: list[bytes], outside: dict[int, bytes]) -> list[bytes]:
    """Names as paths: no leading, trailing or double slash, no dot components.

    A name that leads out of the root is cut off there, as in engines; `outside` receives the
    original by row.
    """
    paths = [name.strip(b"/") for name in names]
    if _is_clean(paths):
        return paths
    # `tar -C FOLDER .` writes `./` before every name; removing it here is fast.
    paths = [path[2:].lstrip(b"/") if path[:2] == b"./" else path for path in paths]
    if _is_clean(paths):
        return paths
    outside.update((row, name) for row, name in enumerate(names) if leads_out(name))
    return [clean_path(path) for path in paths]


def _is_clean(paths: list[bytes]) -> bool:
    joined = b"\0" + b"\0".join(paths) + b"\0"
    return not any(
        piece in joined for start, pieces in _UNCLEAN.items() if start in joined for piece in pieces
    )


def clean_path(name: bytes) -> bytes:
    """One name as a path."""
    parts: list[bytes] = []
    for part in name.split(b"/"):
        if part == b"..":
            del parts[-1:]
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/".join(parts)


def leads_out(name: bytes) -> bool:
    """Whether a name leads out of the root."""
    if b".." not in name:
        return False
    depth = 0
    for part in name.split(b"/"):
        depth += -1 if part == b".." else part not in (b"", b".")
        if depth < 0:
            return True
    return False


def _mark_whiteouts(paths: list[bytes], kinds: UInt8, offsets: Int64) -> None:
    """Turns `.wh.` entries into whiteouts, in place.

    Raises TarError if a whiteout's target is empty, its own folder or the parent.
    """
    for row, path in enumerate(paths):
        if WHITEOUT_PREFIX not in path:
            continue
        folder, slash, name = path.rpartition(b"/")
        if name == OPAQUE_WHITEOUT:
            paths[row], kinds[row] = folder, _OPAQUE
        elif name.startswith(AUFS_PREFIX):
            kinds[row] = _SKIP
        elif name in (b".wh.", b".wh..", b".wh..."):
            raise TarError(
                int(offsets[row]),
                f"the whiteout /{clip(visible(path), _LONGEST)} names no file",
                "No engine loads such a layer.",
            )
        elif name.startswith(WHITEOUT_PREFIX):
            paths[row], kinds[row] = folder + slash + name[4:], _WHITEOUT
