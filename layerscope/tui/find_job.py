"""Looks for a file in all local images, beside the screen."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, cast

from textual.message import Message

from layerscope.errors import Cancelled, LayerscopeError
from layerscope.images.progress import Progress
from layerscope.tui.background import run_beside
from layerscope.tui.session import Connector, Opener, Post, Problem, problem_of

if TYPE_CHECKING:
    from layerscope.engines.docker import Engine
    from layerscope.filesystem.changeset import Changeset
    from layerscope.filesystem.stack import Stack
    from layerscope.images.image import Image
    from layerscope.reports.find_report import Finder, Match

#: How many matches of one image are shown, and how many in all.
MOST_OF_IMAGE, MOST = 2_000, 20_000


class FindTold(Message):
    """A search has found something, or come to its end."""

    def __init__(self, job: FindJob) -> None:
        super().__init__()
        self.job = job

    def can_replace(self, message: Message) -> bool:
        """The job holds all that is known: only the last message counts."""
        return isinstance(message, FindTold) and message.job is self.job


class Shelf:
    """What is asked once, however often one searches.

    Attributes:
        images: The images of the engine, with the names of their containers.
    """

    def __init__(self, connector: Connector, opener: Opener, cache: bool) -> None:
        """Takes what connects to the engine, what opens images, and whether layers are kept."""
        self.images: list[tuple[Image, tuple[str, ...]]] | None = None
        self.opener = opener
        self._connector = connector
        self._cache = cache
        # Layers that were read for this search alone, by image, where nothing is kept.
        self._read: dict[str, tuple[Image, Mapping[int, Changeset], Stack]] = {}

    def all_images(self) -> list[tuple[Image, tuple[str, ...]]]:
        """All images of the engine."""
        from layerscope.reports.find_report import engine_images, with_instructions

        if self.images is None:
            engine = cast("Engine", self._connector())
            self.images = [
                (with_instructions(image, engine), containers)
                for image, containers in engine_images(engine)
            ]
        return self.images

    def known(self, image: Image) -> tuple[Image, Mapping[int, Changeset], Stack | None]:
        """An image, and those of its layers that are known."""
        from layerscope.images.cache import ChangesetCache
        from layerscope.reports.find_report import known_layers

        if image.id in self._read:
            return self._read[image.id]
        return image, known_layers(image, ChangesetCache()) if self._cache else {}, None

    def read(self, image: Image, progress: Progress) -> None:
        """Reads an image whose layers are not known."""
        from layerscope.images.cache import ChangesetCache
        from layerscope.images.loading import load

        reader = self.opener(image.source, progress)
        try:
            loaded = load(reader, progress, cache=ChangesetCache() if self._cache else None)
        finally:
            reader.close()
        self._read[image.id] = (loaded.image, loaded.changesets, loaded.stack)


class FindJob:
    """A search.

    Attributes are written by the thread that works, and read by the screen.

    Attributes:
        matches: What has been found.
        looked: How many images have been looked at.
        unknown: How many of them have layers that are not known.
        cut: Whether there is more than is shown.
        ended: Whether it is over.
        cancelled: Whether the user did not want to wait.
        problem: Why it could not be done.
        progress: How far reading has come, where layers that are not known are read.
    """

    def __init__(self, text: str, shelf: Shelf, post: Post, *, index: bool = False) -> None:
        """Begins to look.

        Args:
            text: What was typed.
            shelf: The images.
            post: Where `FindTold` goes.
            index: Whether to read layers that are not known.
        """
        self.matches: list[Match] = []
        self.looked = self.unknown = 0
        self.cut = self.ended = self.cancelled = False
        self.problem: Problem | None = None
        self.progress = Progress()
        self._text = text
        self._shelf = shelf
        self._post = post
        self._index = index
        self._left = threading.Event()
        run_beside("find", self._run)

    def cancel(self) -> None:
        """Stops; what has been found stays."""
        self.progress.cancel()

    def leave(self) -> None:
        """Stops, as nobody waits for it any more."""
        self._left.set()
        self.progress.cancel()

    def _run(self) -> None:
        try:
            self._look(finder_of(self._text))
        except Cancelled:
            self.cancelled = True
        except Exception as error:
            self.problem = problem_of(error)
        self.ended = True
        self._tell()

    def _look(self, find: Finder) -> None:
        from layerscope.reports.find_report import find_in

        for image, containers in self._shelf.all_images():
            self.progress.advance(self.progress.done)
            found, changesets, stack = self._shelf.known(image)
            if self._index and len(changesets) < len(image.layers):
                try:
                    self._shelf.read(image, self.progress)
                except Cancelled:
                    raise
                except LayerscopeError:
                    pass  # It stays among those that are not known.
                found, changesets, stack = self._shelf.known(image)
            self.unknown += len(changesets) < len(found.layers)
            self.looked += 1
            matches = find_in(found, changesets, find, containers, stack)
            new = list(islice(matches, MOST_OF_IMAGE + 1))
            self.cut = self.cut or len(new) > MOST_OF_IMAGE
            self.matches = self.matches + new[:MOST_OF_IMAGE]
            if len(self.matches) >= MOST:
                self.cut = True
                return
            self._tell()

    def _tell(self) -> None:
        if not self._left.is_set():
            self._post(FindTold(self))


def finder_of(text: str) -> Finder:
    """What a typed text finds; expressions are checked, so that none takes for ever.

    Raises:
        UsageError: It makes no sense.
    """
    from layerscope.errors import UsageError
    from layerscope.filesystem.regexes import MARK, typed_pattern
    from layerscope.filesystem.search import find_paths
    from layerscope.reports.find_report import finder

    if not text.startswith(MARK):
        return finder(text, regex=False)
    pattern, problem = typed_pattern(text)
    if pattern is None:
        raise UsageError(problem or "Type an expression behind re:.")
    compiled = pattern
    return lambda changeset: find_paths(changeset, compiled)
