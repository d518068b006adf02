"""What an engine itself says is in an image: the listing of a created container's export.

This is the truth that layerscope's own listings are measured against, so it shares no code with
layerscope: the tar is read with the standard library.
"""

from __future__ import annotations

import hashlib
import math
import os
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import IO, Any, Literal

from tests.engines.harness import Engine

Type = Literal["file", "dir", "symlink", "char", "block", "fifo"]

_TYPES: dict[bytes, Type] = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.CONTTYPE: "file",
    tarfile.GNUTYPE_SPARSE: "file",
    tarfile.DIRTYPE: "dir",
    tarfile.SYMTYPE: "symlink",
    tarfile.CHRTYPE: "char",
    tarfile.BLKTYPE: "block",
    tarfile.FIFOTYPE: "fifo",
}

_XATTR = "SCHILY.xattr."


@dataclass(frozen=True)
class Entry:
    """One path of a file system."""

    path: str
    """Begins with `/`; bytes that are not UTF-8 are lone surrogates."""
    type: Type
    mode: int
    """Permission bits, setuid, setgid and sticky included."""
    uid: int
    gid: int
    size: int
    mtime: int
    """Whole seconds, rounded down."""
    link: str | None = None
    device: tuple[int, int] | None = None
    xattrs: dict[str, bytes] = field(default_factory=dict, hash=False)
    sha256: str | None = None


def normal_path(name: str) -> str:
    """Return a member's name the way that layerscope writes paths."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    return "/" + "/".join(parts)


class _Reader:
    """What tarfile needs of a stream, on top of the chunks of an HTTP answer."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._left = b""

    def read(self, size: int) -> bytes:
        parts, wanted = [], size
        while wanted > 0:
            if not self._left:
                self._left = next(self._chunks, b"")
                if not self._left:
                    break
            parts.append(self._left[:wanted])
            self._left = self._left[wanted:]
            wanted -= len(parts[-1])
        return b"".join(parts)


def listing_of_tar(stream: IO[bytes] | Any, content: bool = False) -> dict[str, Entry]:
    """Return what a tar of a whole file system holds.

    Args:
        stream: anything with `read`.
        content: whether to read files for their `sha256`.
    """
    found: dict[str, Entry] = {}
    with tarfile.open(fileobj=stream, mode="r|", encoding="utf-8", errors="surrogateescape") as tar:
        for member in tar:
            path = normal_path(member.name)
            if member.islnk():
                # The same inode under another name: all but the path is the target's.
                found[path] = replace(found[normal_path(member.linkname)], path=path)
                continue
            kind = _TYPES[member.type]
            digest = None
            if content and kind == "file":
                file = tar.extractfile(member)
                assert file is not None
                summed = hashlib.sha256()
                while chunk := file.read(1 << 20):
                    summed.update(chunk)
                digest = summed.hexdigest()
            found[path] = Entry(
                path=path,
                type=kind,
                mode=member.mode & 0o7777,
                uid=member.uid,
                gid=member.gid,
                size=member.size if kind == "file" else 0,
                mtime=math.floor(member.mtime),
                link=member.linkname if kind == "symlink" else None,
                device=(member.devmajor, member.devminor) if kind in ("char", "block") else None,
                xattrs={
                    key.removeprefix(_XATTR): os.fsencode(value)
                    for key, value in member.pax_headers.items()
                    if key.startswith(_XATTR)
                },
                sha256=digest,
            )
    return found


@contextmanager
def created_container(client: Any, image: str) -> Iterator[str]:
    """Give the id of a container that is created, never started, and removed."""
    # Whatever the image names as its command need not exist: nothing is run.
    created = client.create_container(image, command=["-"], network_disabled=True)
    try:
        yield created["Id"]
    finally:
        client.remove_container(created["Id"], force=True, v=True)


def listing_of_export(engine: Engine, image: str, content: bool = False) -> dict[str, Entry]:
    """Return what a container of an image would see, as the engine exports it.

    It holds what the engine itself adds; see `INJECTED` and `without_injected`.
    """
    with engine.api() as client, created_container(client, image) as container:
        return listing_of_tar(_Reader(client.export(container)), content)


INJECTED: dict[str, frozenset[str]] = {
    "docker": frozenset(
        {
            "/.dockerenv",
            "/dev/console",
            "/dev/pts",
            "/dev/shm",
            "/etc/hostname",
            "/etc/hosts",
            "/etc/mtab",
            "/etc/resolv.conf",
            "/proc",
            "/sys",
        }
    ),
    "podman": frozenset(),
}
"""What an engine puts into a container that was created and never started, by `Engine.kind`.

Docker unlinks what the image has there, if it is not a folder, and puts an empty file, a folder or,
for `/etc/mtab`, a symlink in its place. Podman does all of this only when a container starts.
"""

INJECTED_PARENTS: dict[str, frozenset[str]] = {
    "docker": frozenset({"/dev", "/etc"}),
    "podman": frozenset(),
}
"""Folders that the engine makes for that, or whose mtime it changes by it."""


def without_injected(engine: Engine, listing: dict[str, Entry]) -> dict[str, Entry]:
    """Return a listing without what the engine may have put there.

    To be applied to both sides of a comparison: a parent of what was injected is left out when
    nothing else is in it, and else has the mtime 0.
    """
    injected, parents = INJECTED[engine.kind], INJECTED_PARENTS[engine.kind]
    kept = {path: entry for path, entry in listing.items() if path not in injected}
    for parent in parents & kept.keys():
        if any(path.startswith(f"{parent}/") for path in kept):
            kept[parent] = replace(kept[parent], mtime=0)
        else:
            del kept[parent]
    return kept


LATEST = (1 << 63) // 1_000_000_000
"""The last second that fits 64 bits of nanoseconds, in the year 2262."""


def applied_mtime(mtime: int) -> int:
    """Return the time that an engine gives a file when it unpacks a layer that says `mtime`.

    All of them write what lies before 1970 or after 2262 as 1970, so a container sees that
    although the layer's own tar says otherwise.
    """
    return mtime if 0 <= mtime <= LATEST else 0


def comparable(engine: Engine, listing: dict[str, Entry]) -> dict[str, Entry]:
    """Return a listing as it can be compared with one from an export.

    To be applied to both sides: without what the engine injects, and with the times that it can
    write.
    """
    return {
        path: replace(entry, mtime=applied_mtime(entry.mtime))
        for path, entry in without_injected(engine, listing).items()
    }
