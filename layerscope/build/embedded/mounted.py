"""Mounts of RUN: copies of files from a context, a stage or an image."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from layerscope.build.embedded.sources import Node, Source
from layerscope.text import decode


def _tree(source: Source, path: bytes) -> Iterator[tuple[bytes, Node]]:
    node = source.find(path)
    if node is not None:
        yield b"", node
        if node.is_folder:
            yield from source.below(path)


def content_digest(source: Source, path: bytes) -> str:
    """Returns a digest of the files at and below a path."""
    digest = hashlib.sha256()
    for inner, each in _tree(source, path):
        digest.update(b"%s\0%d %d %d\0%s\0" % (inner, each.kind, each.mode, each.size, each.link))
        for piece in each.content() if each.content is not None else ():
            digest.update(piece)
    return digest.hexdigest()


def copy_tree(source: Source, path: bytes, target: Path) -> None:
    """Copies a file or a folder to a new path, without devices and pipes.

    Keeps owners if this process may set them.
    """
    folders: list[tuple[Path, Node]] = []
    for inner, each in _tree(source, path):
        place = target / decode(inner) if inner else target
        if each.is_folder:
            place.mkdir(mode=0o700)
            folders.append((place, each))
        elif each.link:
            place.symlink_to(os.fsdecode(each.link))
            _own(place, each)
        elif each.content is not None:
            with place.open("xb") as file:
                for piece in each.content():
                    file.write(piece)
            _finish(place, each, each.mode)
    # Sets the mode of a read-only folder after filling it.
    for place, each in reversed(folders):
        _finish(place, each, each.mode | 0o700)


def _own(place: Path, node: Node) -> None:
    with suppress(OSError):
        os.chown(place, node.uid, node.gid, follow_symlinks=False)


def _finish(place: Path, node: Node, mode: int) -> None:
    _own(place, node)
    place.chmod(mode)
    os.utime(place, (node.mtime, node.mtime))
