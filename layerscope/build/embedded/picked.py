"""The sources of a COPY or ADD, before the entries of its layer are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from layerscope.build.embedded.owners import ChangeMode
from layerscope.build.embedded.sources import FOLDER, Node, Source
from layerscope.dockerfile.context.ignore import IgnoreRules

#: The time of folders that the builder creates, for reproducible layers.
EPOCH = 0


@dataclass(frozen=True, slots=True)
class Picked:
    """A source of a COPY or ADD: one path of a tree."""

    source: Source
    path: bytes  # With symlinks resolved.
    node: Node
    name: bytes  # Its name in a destination folder.
    #: With `--parents`, its parent folders, by their paths in the destination.
    above: tuple[tuple[bytes, Node], ...] = ()
    #: Whether it is an archive, whose content keeps its owners and modes.
    archive: bool = False

    @property
    def spread(self) -> bool:
        """Whether to copy its content, not the folder itself."""
        return self.node.is_folder


@dataclass(frozen=True, slots=True)
class Copy:
    picked: Sequence[Picked]
    destination: str  # Absolute; ends with a slash if it must be a folder.
    view: Source  # The existing files.
    owner: tuple[int, int] | None = None
    mode: ChangeMode | None = None
    folder_mode: int = FOLDER.mode  # Of new folders.
    excluded: IgnoreRules = field(default_factory=lambda: IgnoreRules(()))
    parents: bool = False
    latest: int | None = None  # Later times are replaced with this one (SOURCE_DATE_EPOCH).
