"""The parts of a new image, and what it changes for a container."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from layerscope.errors import LayerscopeError, UsageError
from layerscope.filesystem.changeset import EntryType
from layerscope.filesystem.compare import Difference, compare_unions, with_hard_links
from layerscope.filesystem.flatten import Flattened
from layerscope.filesystem.stack import Stack
from layerscope.filesystem.waste import Waste, measure
from layerscope.images.files.contents import Advance, Contents
from layerscope.images.files.version_diff import Side, same_contents
from layerscope.images.image import Image, missing_text
from layerscope.images.loading import Loaded
from layerscope.text import visible

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Source:
    """An image whose layers have been read, and the contents of its files."""

    loaded: Loaded
    contents: Contents

    @property
    def image(self) -> Image:
        return self.loaded.image

    @property
    def stack(self) -> Stack:
        return self.loaded.stack

    def below(self, height: int) -> Stack:
        """Returns its lowest layers. Entries have the same rows as in the full stack."""
        return Stack(self.stack.changesets[:height])

    def side(self, row: int) -> Side:
        return Side(self.stack, row, self.contents)


@dataclass(frozen=True, slots=True)
class Taken:
    """An unchanged layer."""

    source: Source
    layer: int


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A new layer."""

    source: Source
    layers: range  # The layers that it replaces.
    flatten: Callable[[Stack], Flattened]  # Creates it from the stack up to the last of these.


@dataclass(frozen=True, slots=True)
class Conflict:
    """A change by an upper layer to a path that differs between the bases."""

    path: bytes
    layer: int  # Number of the layer in the image.
    kind: Literal["replaced", "added", "gone", "whiteout", "folder"]
    text: str  # What the layer does, to follow its name in a sentence.


@dataclass(frozen=True, slots=True)
class Edit:
    kind: Literal["squash", "drop", "rebase"]
    what: str  # Description, as an unfinished sentence.
    image: Source
    parts: Sequence[Taken | Rewritten]  # The layers of the new image, base first.
    #: Returns the new configuration, without `rootfs`, from those of the image and of `base` ({}
    #: without one), and the time in RFC 3339 form.
    configure: Callable[[Document, Document, str], dict[str, Any]]
    base: Source | None = None  # The new base of a rebase.
    conflicts: Sequence[Conflict] = ()


@dataclass(frozen=True, slots=True)
class Preview:
    """What an edit changes."""

    edit: Edit
    stack: Stack  # Of the new image.
    changes: Sequence[Difference]  # Of the merged views, before and after.
    waste: tuple[Waste, Waste]  # Before and after.
    #: Returns the number of a version's original layer in its image.
    origins: Callable[[int], int]


class Comparer:
    """Compares the content of files, each pair once."""

    def __init__(self, advance: Advance | None = None) -> None:
        self._advance = advance
        self._known: dict[tuple[int, int, int, int], bool | None] = {}

    def __call__(self, pairs: Sequence[tuple[Side, Side]]) -> list[bool | None]:
        keys = [
            (id(a.contents), int(a.stack.inodes[a.row]), id(b.contents), int(b.stack.inodes[b.row]))
            for a, b in pairs
        ]
        new = [number for number, key in enumerate(keys) if key not in self._known]
        for number, same in same_contents([pairs[number] for number in new], self._advance):
            self._known[keys[new[number]]] = same
        return [self._known[key] for key in keys]


def look(edit: Edit, compare: Comparer) -> Preview:
    """Returns what an edit changes.

    Raises UsageError if a hard link would have no target, so no engine could load the image.
    """
    before = edit.image
    changesets, origins = [], []
    for part in edit.parts:
        source = part.source
        if isinstance(part, Taken):
            changesets.append(source.stack.changesets[part.layer])
            rows = source.stack.rows(part.layer)
            origins.append(np.arange(rows.start, rows.stop, dtype=np.int32))
        else:
            found = part.flatten(source.below(part.layers.stop))
            changesets.append(found.changeset)
            origins.append(found.inodes)
    stack = Stack(changesets)

    def origin(row: int) -> tuple[Source, int]:
        inode = int(stack.inodes[row])
        layer = int(stack.layers[inode])
        return edit.parts[layer].source, int(origins[layer][inode - stack.bases[layer]])

    def side(row: int) -> Side:
        source, version = origin(row)
        return source.side(version)

    _check_links(edit, stack, origins)
    differences = compare_unions(
        before.stack,
        stack,
        lambda pairs: compare([(before.side(a), side(b)) for a, b in pairs]),
    )
    changes = with_hard_links(before.stack, stack, differences)

    def origin_layer(row: int) -> int:
        if stack.implied(row):
            return int(stack.layers[row])
        source, version = origin(row)
        return int(source.stack.layers[version])

    return Preview(edit, stack, changes, (measure(before.stack), measure(stack)), origin_layer)


def check_whole(image: Image) -> None:
    """Raises LayerscopeError if layers of an image are missing."""
    if image.missing:
        raise LayerscopeError(
            f"{missing_text(image)} A new image cannot be made without them.",
            "Pull or save the whole image first.",
        )


def _check_links(edit: Edit, stack: Stack, origins: Sequence[np.ndarray]) -> None:
    dangling = np.flatnonzero(stack.types == EntryType.HARDLINK)
    for row in dangling.tolist():
        layer = int(stack.layers[row])
        part = edit.parts[layer]
        version = int(origins[layer][row - stack.bases[layer]])
        if part.source.stack.types[version] != EntryType.HARDLINK:
            path, target = stack.tree.path(int(stack.nodes[row])), stack.link(row) or b""
            number = part.layer if isinstance(part, Taken) else part.layers.start
            raise UsageError(
                f"/{visible(path)} of layer {number} is a hard link to /{visible(target)}, which "
                "would not be there.",
                "No engine loads such an image.",
            )
