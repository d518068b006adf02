"""Finds files in all local images; for background work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from layerscope.errors import UsageError, failures_ignored
from layerscope.images.progress import Progress
from layerscope.tui.session import Connector, Opener
from layerscope.tui.work import Task

if TYPE_CHECKING:
    from layerscope.engines.find_files import Finder, Match
    from layerscope.filesystem.changeset import Changeset
    from layerscope.filesystem.stack import Stack
    from layerscope.images.image import Image

#: The most matches to show for one image, and in all.
MOST_OF_IMAGE, MOST = 2_000, 20_000


@dataclass(frozen=True, slots=True)
class Found:
    matches: tuple[Match, ...] = ()
    looked: int = 0  # Images searched so far.
    having: int = 0  # Those with matches.
    unknown: int = 0  # Those with layers that have not been read.
    cut: bool = False  # Whether there are more matches than shown.


class ImageIndex:
    """The images to search, listed once for all searches."""

    def __init__(self, connector: Connector, opener: Opener, cache: bool) -> None:
        #: The images of the engine, with the names of their containers.
        self.images: list[tuple[Image, tuple[str, ...]]] | None = None
        self.opener = opener
        self._connector = connector
        self._cache = cache
        # Without a cache: layers read for the search, by image.
        self._read: dict[str, tuple[Image, Mapping[int, Changeset], Stack]] = {}

    def all_images(self) -> list[tuple[Image, tuple[str, ...]]]:
        from layerscope.engines.find_files import engine_images

        if self.images is None:
            self.images = list(engine_images(self._connector()))
        return self.images

    def known(self, image: Image) -> tuple[Image, Mapping[int, Changeset], Stack | None]:
        from layerscope.engines.find_files import known_layers
        from layerscope.images.cache.changesets import ChangesetCache

        if image.id in self._read:
            return self._read[image.id]
        return image, known_layers(image, ChangesetCache()) if self._cache else {}, None

    def read(self, image: Image, progress: Progress) -> None:
        from layerscope.images.cache.changesets import ChangesetCache
        from layerscope.images.loading import load

        reader = self.opener(image.source, progress)
        try:
            loaded = load(reader, progress, cache=ChangesetCache() if self._cache else None)
        finally:
            reader.close()
        self._read[image.id] = (loaded.image, loaded.changesets, loaded.stack)


def search(text: str, images: ImageIndex, task: Task[Found], *, index: bool = False) -> Found:
    """Searches all images, with `index` also layers not read yet; raises UsageError."""
    from layerscope.engines.find_files import find_in

    find, result = finder_of(text), Found()
    for image, containers in images.all_images():
        task.check()
        found, changesets, stack = images.known(image)
        if index and len(changesets) < len(image.layers):
            with failures_ignored():  # On failure it still counts as not read.
                images.read(image, task.progress)
            found, changesets, stack = images.known(image)
        matches = find_in(found, changesets, find, containers, stack)
        new = tuple(islice(matches, MOST_OF_IMAGE + 1))
        result = Found(
            result.matches + new[:MOST_OF_IMAGE],
            result.looked + 1,
            result.having + bool(new),
            result.unknown + (len(changesets) < len(found.layers)),
            result.cut or len(new) > MOST_OF_IMAGE,
        )
        if len(result.matches) >= MOST:
            return replace(result, cut=True)
        task.report(result)
    return result


def finder_of(text: str) -> Finder:
    """Returns the finder for a typed text; raises UsageError for an invalid pattern."""
    from layerscope.engines.find_files import finder
    from layerscope.filesystem.search import find_paths
    from layerscope.patterns import REGEX_MARK, typed_pattern

    if not text.startswith(REGEX_MARK):
        return finder(text, regex=False)
    pattern = typed_pattern(text)
    if pattern is None:
        raise UsageError("Type an expression after re:.")
    return lambda changeset: find_paths(changeset, pattern)
