"""The type of a layer's entry; unlike changesets, it does not need numpy."""

from __future__ import annotations

from layerscope.text import LabelledEnum


class EntryType(LabelledEnum):
    """The type of an entry. JSON has the names in lower case."""

    FILE = 0
    HARDLINK = 1
    SYMLINK = 2
    DIR = 3
    CHAR = 4
    BLOCK = 5
    FIFO = 6
    WHITEOUT = 7
    OPAQUE = 8

    @property
    def noun(self) -> str:
        """Its name in a sentence."""
        return _NOUNS.get(self, self.label)


_NOUNS = {
    EntryType.HARDLINK: "hard link",
    EntryType.SYMLINK: "symbolic link",
    EntryType.DIR: "folder",
    EntryType.CHAR: "character device",
    EntryType.BLOCK: "block device",
    EntryType.FIFO: "named pipe",
    EntryType.OPAQUE: "opaque whiteout",
}
