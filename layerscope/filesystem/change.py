"""The words for what a layer does to a path."""

from __future__ import annotations

from enum import IntFlag

from layerscope.text import LabelledEnum


class Change(LabelledEnum):
    UNCHANGED = 0
    ADDED = 1
    MODIFIED = 2
    REMOVED = 3

    @property
    def letter(self) -> str:
        """The letter shown on screen; a space for unchanged."""
        return " AMR"[self]


class Aspect(IntFlag):
    """How a modified version differs from the one below."""

    TYPE = 1
    CONTENT = 2
    MODE = 4
    OWNER = 8
    MTIME = 16
    LINK = 32
    XATTRS = 64
    DEVICE = 128
    HARDLINKS = 256  # Which other paths are names of the same file.


def aspect_words(aspects: Aspect) -> list[str]:
    return [str(aspect.name).lower() for aspect in Aspect if aspects & aspect]


#: The `hidden_by` of a version that no layer hides.
NEVER = 32767
