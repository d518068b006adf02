"""Reading an image, and asking an engine, beside the screen; the screen is told by messages."""

from __future__ import annotations

import contextlib
import gc
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from textual.message import Message

from layerscope.errors import AmbiguousError, Cancelled, LayerscopeError, PlatformMissingError
from layerscope.images.progress import Progress
from layerscope.images.spawned import dismiss
from layerscope.text import docker_size, one_line, short_name, visible
from layerscope.tui.background import run_beside
from layerscope.tui.glance_job import GlanceJob

if TYPE_CHECKING:
    from layerscope.engines.docker import ContainerSummary
    from layerscope.filesystem.waste import Waste
    from layerscope.images.contents import Contents
    from layerscope.images.image import Image
    from layerscope.images.loading import Loaded
    from layerscope.images.reader import ImageReader
    from layerscope.images.stored import ImageSummary


class EngineLike(Protocol):
    """What the image list asks of an engine."""

    name: str
    host: str

    def images(self, *, sizes: bool = False) -> Sequence[ImageSummary]:
        """What it has; with shared sizes, which take longer, if that is asked for."""

    def containers(self) -> Sequence[ContainerSummary]:
        """Its containers, running or not."""


class Opener(Protocol):
    """Opens an image."""

    def __call__(self, source: str, progress: Progress, platform: str | None = None) -> ImageReader:
        """See `engines.resolve.open_image`."""


Connector = Callable[[], EngineLike]
Post = Callable[[Message], object]


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong, for people.

    Attributes:
        message: What happened.
        hint: What to do.
        cancelled: Whether the user wanted it so.
        choices: Sources of which one may have been meant.
        platforms: Platforms that the image is there for, where the one that was wanted is not.
    """

    message: str
    hint: str
    cancelled: bool = False
    choices: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()


def problem_of(error: BaseException) -> Problem:
    """What to say of an error; those that nobody foresaw are told by their name."""
    if isinstance(error, Cancelled):
        return Problem("Reading was cancelled.", "", cancelled=True)
    if isinstance(error, AmbiguousError):
        return Problem(error.message, "", choices=error.choices)
    if isinstance(error, PlatformMissingError):
        return Problem(error.message, error.hint, platforms=error.platforms)
    if isinstance(error, LayerscopeError):
        return Problem(error.message, error.hint)
    if isinstance(error, MemoryError):
        return Problem("There is not enough memory.", "Close other programs, or a smaller image.")
    text = one_line(str(error))[:300]
    detail = f": {text}" if text else ""
    return Problem(
        f"Something unexpected happened ({type(error).__name__}{detail}).",
        "This is a mistake in layerscope. Please report it.",
    )


class EngineListed(Message):
    """An engine has answered, or not."""

    def __init__(self, name: str, images: Sequence[ImageSummary], problem: Problem | None) -> None:
        super().__init__()
        self.name = name
        self.images = images
        self.problem = problem


class EngineSized(Message):
    """An engine has told too what images share, and which containers they have."""

    def __init__(
        self, images: Sequence[ImageSummary], containers: Sequence[ContainerSummary]
    ) -> None:
        super().__init__()
        self.images = images
        self.containers = containers


class SessionChanged(Message):
    """More is known of the image that is being read."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session

    def can_replace(self, message: Message) -> bool:
        """The session holds all that is known: only the last message counts."""
        return isinstance(message, SessionChanged) and message.session is self.session


def list_images(connect: Connector, post: Post, *, sizes: bool = False) -> None:
    """Asks an engine for its images, beside the screen.

    Args:
        connect: Connects to it.
        post: Where the `EngineListed` goes.
        sizes: Whether to ask then what they share, for an `EngineSized`.
    """

    def work() -> None:
        try:
            engine = connect()
            images = engine.images()
        except Exception as error:
            post(EngineListed("", (), problem_of(error)))
        else:
            post(EngineListed(engine.name, images, None))
            if sizes and images:
                with contextlib.suppress(Exception):
                    # The list does without, if the engine does not tell.
                    post(EngineSized(engine.images(sizes=True), engine.containers()))

    run_beside("engine", work)


class Session:
    """An image while it is being read, and after.

    Attributes are written by the thread that reads, and read by the screen; each is replaced whole.

    Attributes:
        source: What was asked for.
        platform: For which platform; None for this host's.
        progress: How far it has come.
        image: The image, as soon as it is known.
        way: How it is read.
        loaded: The layers so far.
        waste: What is wasted, once all layers are there.
        problem: What went wrong.
        ended: Whether reading is over.
        reader: The image, open until the session is closed.
        contents: The content of its files; what has to be streamed waits until reading is over.
        glances: What its layers did to packages; None until all of them are there.
    """

    def __init__(
        self,
        source: str,
        opener: Opener,
        post: Post,
        platform: str | None = None,
        cache: bool = True,
    ) -> None:
        """Begins to read.

        Args:
            source: What the user named.
            opener: Opens it.
            post: Where `SessionChanged` goes.
            platform: The platform that is wanted; None for this host's.
            cache: Whether layers are taken from the cache and kept there.
        """
        self.source = source
        self.platform = platform
        self.progress = Progress()
        self.image: Image | None = None
        self.way = ""
        self.loaded: Loaded | None = None
        self.waste: Waste | None = None
        self.problem: Problem | None = None
        self.ended = False
        self.reader: ImageReader | None = None
        self.contents: Contents | None = None
        self.glances: GlanceJob | None = None
        self._free = threading.Event()
        self._closed = threading.Event()
        self._opener = opener
        self._cache = cache
        self._post = post
        self._rate = Rate()
        run_beside("reader", self._run)

    def cancel(self) -> None:
        """Stops reading."""
        self.progress.cancel()

    def close(self) -> None:
        """Stops reading, and lets go of the image."""
        self._closed.set()
        self.progress.cancel()
        if self.glances is not None:
            self.glances.leave()
        if self.ended:
            self._let_go()

    def describe(self) -> str:
        """The progress in words."""
        progress = self.progress
        done, total = progress.done, progress.total
        parts = [progress.what or "Opening the image"]
        if done:
            amount = docker_size(done)
            if total:
                amount += f" / {docker_size(total)}  {min(100, 100 * done // total)}%"
            parts.append(amount)
            rate = self._rate.of(done, time.monotonic())
            if rate:
                parts.append(f"{docker_size(rate)}/s")
        return "  ".join(parts)

    def name(self) -> tuple[str, str]:
        """What the image is called, and its platform, safe to show."""
        image = self.image
        if image is None:
            return short_name(self.source), visible(self.platform or "")
        platform = "/".join(part for part in (image.os, image.architecture) if part)
        if image.platforms:
            platform = str(image.platforms[0])
        if len(image.platforms) > 1:
            platform += f", 1 of {len(image.platforms)} platforms"
        return short_name(image.reference), visible(platform)

    @property
    def platforms(self) -> tuple[str, ...]:
        """The platforms to choose from, that of the image first; none if there is no choice."""
        offered = () if self.image is None else self.image.platforms
        return tuple(map(str, offered)) if len(offered) > 1 else ()

    def state(self) -> tuple[str, str]:
        """What is going on, and the name of a palette style; no text if all is well."""
        if not self.ended:
            return self.describe(), "accent"
        if self.problem is None:
            return "", "muted"
        missing = len(self.image.missing) if self.image is not None else 0
        ready = self.loaded.stack.height - missing if self.loaded is not None else 0
        of = len(self.image.layers) if self.image is not None else 0
        return f"Incomplete: {ready} of {of} layers", "warning"

    def _run(self) -> None:
        # What is there stays; looking through it for garbage would cost 40 ms while it is read.
        gc.freeze()
        try:
            self.reader = reader = self._opener(self.source, self.progress, self.platform)
            from layerscope.images.contents import Contents

            self.contents = Contents(reader, self._free)
            self.image, self.way = reader.image, reader.way
            self._tell()
            # Not at the top: numpy need not be there for the first paint.
            from layerscope.images.cache import ChangesetCache
            from layerscope.images.loading import load

            cache = ChangesetCache() if self._cache else None
            loaded = load(reader, self.progress, self._update, cache)
            # For the first filter; of a million entries it takes longer than a key should.
            loaded.stack.tree.joined_names()
        except Exception as error:
            self.problem = problem_of(error)
            self._measure()
        finally:
            dismiss()
            self.ended = True
            self._free.set()
            if self._closed.is_set():
                self._let_go()
            self._tell()

    def _let_go(self) -> None:
        # Taken out first: the thread that reads and the one that closes may both come here.
        contents, self.contents, self.reader = self.contents, None, None
        if contents is not None:
            contents.close()

    def _update(self, loaded: Loaded) -> None:
        self.image, self.loaded = loaded.image, loaded
        if loaded.complete:
            if loaded.image.missing:
                from layerscope.images.image import told_missing

                self.problem = Problem(told_missing(loaded.image), "The files lack it.")
            # What may follow, such as filling the cache, is nothing that anyone waits for.
            self._measure()
            # What was read stays; looking through it for garbage would cost 40 ms in mid-key.
            gc.freeze()
            self.glances = GlanceJob(loaded.stack, self.contents, self._post)
            self.ended = True
            self._free.set()
        self._tell()

    def _measure(self) -> None:
        """Measures what is there: also what was read before it went wrong is worth looking at."""
        if self.loaded is None or not (self.loaded.stack.height or self.loaded.complete):
            return
        try:
            from layerscope.filesystem.waste import measure

            self.waste = measure(self.loaded.stack)
        except Exception as error:
            self.problem = self.problem or problem_of(error)

    def _tell(self) -> None:
        self._post(SessionChanged(self))


class Rate:
    """Bytes a second, smoothed over the last few looks."""

    def __init__(self) -> None:
        self._last: tuple[float, int] | None = None
        self._rate = 0.0

    def of(self, done: int, now: float) -> int:
        """Notes how far it has come.

        Args:
            done: Bytes behind us.
            now: A monotonic time.

        Returns:
            Bytes a second; 0 while that cannot be told.
        """
        if self._last is not None and now > self._last[0]:
            latest = max(0, done - self._last[1]) / (now - self._last[0])
            self._rate = latest if not self._rate else 0.6 * self._rate + 0.4 * latest
        self._last = (now, done)
        return int(self._rate)
