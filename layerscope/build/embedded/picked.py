"""What a COPY or ADD copies, before it is known which entries its layer gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from layerscope.build.embedded.owners import ChangeMode
from layerscope.build.embedded.sources import FOLDER, Node, Source
from layerscope.dockerfile.context.ignore import IgnoreRules

#: The time of folders that the builder makes: the same input gives the same layer.
EPOCH = 0


@dataclass(frozen=True, slots=True)
class Picked:
    """A source of a COPY or ADD: one path of a tree."""

    source: Source
    path: bytes  # With symlinks resolved.
    node: Node
    name: bytes  # What it is called in a destination that is a folder.
    #: With `--parents`, the folders above it that are kept, by their paths there.
    above: tuple[tuple[bytes, Node], ...] = ()
    #: Whether it is an archive, whose content is copied as it is: with its owners and modes.
    archive: bool = False

    @property
    def spread(self) -> bool:
        """Whether what is in it is copied, and not the thing itself."""
        return self.node.is_folder


@dataclass(frozen=True, slots=True)
class Copy:
    picked: Sequence[Picked]
    destination: str  # Absolute; ends with a slash if it is a folder in any case.
    view: Source  # What is there already.
    owner: tuple[int, int] | None = None
    mode: ChangeMode | None = None
    folder_mode: int = FOLDER.mode  # Of the folders that are made.
    excluded: IgnoreRules = field(default_factory=lambda: IgnoreRules(()))
    parents: bool = False
    latest: int | None = None  # Times after this become this (SOURCE_DATE_EPOCH).
