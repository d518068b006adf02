"""Symlinks of a layer that names of its own entries lead through.

Engines unpack a layer in a folder that is the root for it: a name that leads through a symlink
which the layer made before is followed there, `..` and a slash in front go no higher than that
folder, and folders that a link points to in vain are made. Where engines differ, this is what
containerd does (continuity, `fs.RootPath`): older ones refuse a link that dangles or points into a
lower layer, Docker 28 one that climbs above the root; all refuse a circle.
"""

from __future__ import annotations

from layerscope.filesystem.tree import MOST_IMPLIED
from layerscope.oci.tar_extended import MAX_PATH
from layerscope.oci.tar_header import TarError
from layerscope.text import visible

#: As many links as containerd follows on the way to one file; Linux gives up at 40.
MOST_LINKS = 255

#: Names that are followed, component by component, in a layer: so many, and some for each entry.
_STEPS, _STEPS_EACH = 1 << 24, 64


class LayerLinks:
    """The symlinks that a layer has made so far, by the path they lie at."""

    def __init__(self, entries: int) -> None:
        """Starts without any.

        Args:
            entries: How many entries the layer has; by this is measured what is out of proportion.
        """
        self._targets: dict[bytes, bytes] = {}
        # What has been followed, as long as no link comes or goes.
        self._known: dict[bytes, bytes] = {}
        self._steps = _STEPS + _STEPS_EACH * entries
        self._growth = MOST_IMPLIED

    def add(self, path: bytes, target: bytes) -> None:
        """Notes a link."""
        self._targets[path] = target
        self._known.clear()

    def discard(self, path: bytes) -> None:
        """Forgets what lay at a path, if it was a link."""
        if self._targets.pop(path, None) is not None:
            self._known.clear()

    def follow(self, folder: bytes, offset: int) -> bytes:
        """Where a folder really is.

        Args:
            folder: A path, without slash in front or behind.
            offset: Where the entry that names it lies, for errors.

        Returns:
            Its path without any link in it; the same object if there was none.

        Raises:
            TarError: It leads in a circle, or what it takes is out of proportion.
        """
        if not self._targets or len(folder) > MAX_PATH:
            return folder
        real = self._known.get(folder)
        if real is None:
            real = self._known[folder] = self._walk(folder, offset)
        self._growth -= max(0, len(real) - len(folder))
        if self._growth < 0:
            raise TarError(offset, "the layer has too many names that lead through symbolic links")
        return folder if real == folder else real

    def _walk(self, folder: bytes, offset: int) -> bytes:
        at = b""
        links = 0
        pending = folder.split(b"/")[::-1]
        while pending:
            part = pending.pop()
            self._steps -= 1
            if part == b"..":
                at = at.rpartition(b"/")[0]
            elif part not in (b"", b"."):
                name = at + b"/" + part if at else part
                target = self._targets.get(name)
                if target is None:
                    at = name
                    continue
                links += 1
                if links > MOST_LINKS:
                    problem = "leads through symbolic links that go round in a circle"
                    raise TarError(offset, f"the name {visible(folder)} {problem}")
                if len(target) > MAX_PATH or len(at) > MAX_PATH or self._steps < 0:
                    problem = "leads through symbolic links that no engine would follow"
                    raise TarError(offset, f"the name {visible(folder)} {problem}")
                if target.startswith(b"/"):
                    at = b""
                pending += target.split(b"/")[::-1]
        return at
