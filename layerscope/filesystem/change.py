"""The words for what a layer does to a path."""

from __future__ import annotations

from enum import IntEnum, IntFlag


class Change(IntEnum):
    """What a layer did to a path."""

    UNCHANGED = 0
    ADDED = 1
    MODIFIED = 2
    REMOVED = 3

    @property
    def label(self) -> str:
        """The name that JSON uses."""
        return self.name.lower()

    @property
    def letter(self) -> str:
        """The letter that the screen shows; a space for unchanged."""
        return " AMR"[self]


class Aspect(IntFlag):
    """In what a modified version differs from the one below."""

    TYPE = 1
    CONTENT = 2
    MODE = 4
    OWNER = 8
    MTIME = 16
    LINK = 32
    XATTRS = 64
    DEVICE = 128


#: What `hidden_by` says of a version that no layer hides.
NEVER = 32767
