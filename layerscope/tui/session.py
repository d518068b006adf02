"""Reads an image in the background and reports to the screen with messages."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Protocol

from layerscope.config import STORE
from layerscope.images.progress import Progress
from layerscope.text import docker_size, short_name, visible
from layerscope.tui.layer_packages import LayerPackages
from layerscope.tui.work import Deliver, Problem, Task, Work, problem_of

if TYPE_CHECKING:
    from layerscope.engines.engine import Engine
    from layerscope.filesystem.waste import Waste
    from layerscope.images.files.contents import Contents
    from layerscope.images.image import Image
    from layerscope.images.loading import Loaded
    from layerscope.images.reader import ImageReader


#: Bytes of an export from another host that nobody has to agree to.
_ASKED_FROM = 50_000_000
_LOOK = 0.1  # Seconds between two looks at whether reading is to stop.
_SHOWN = 1.0  # Seconds that the screen has to show an image before its cache is filled.

#: What the places are called that transports open, apart from engines.
KINDS = {
    "docker": "registry",
    "docker-archive": "archive",
    "oci-archive": "OCI archive",
    "oci": "OCI layout",
    "dir": "folder",
    "docker-root": "data folder",
    "embedded": STORE,
    "containerd-root": "data folder",
    "containers-storage": "storage",
}


class Opener(Protocol):
    def __call__(
        self, source: str, progress: Progress, platform: str | None = None
    ) -> ImageReader: ...


Connector = Callable[[], "Engine"]


class Session:
    """An image while it is being read, and after.

    Attributes are written by the thread that reads, and read by the screen; each is replaced whole.
    """

    def __init__(
        self,
        source: str,
        opener: Opener,
        deliver: Deliver,  # Calls a function in the thread of the screen.
        changed: Callable[[Session], object],  # Called there when more is known of the image.
        platform: str | None = None,
        cache: bool = True,  # Whether layers are taken from the cache and kept there.
        #: Asks there whether a large export from another host may begin; see `agree`.
        ask: Callable[[Session, str], object] | None = None,
    ) -> None:
        self.source = source  # What was asked for.
        self.platform = platform  # For which platform; None for this host's.
        self.progress = Progress()  # How far it has come.
        self.image: Image | None = None  # The image, as soon as it is known.
        self.way = ""  # How it is read.
        self.loaded: Loaded | None = None  # The layers so far.
        self.waste: Waste | None = None  # What is wasted, once all layers are there.
        self.problem: Problem | None = None  # What went wrong.
        self.ended = False  # Whether reading is over.
        self.reader: ImageReader | None = None  # The image, open until the session is closed.
        #: The content of its files; what has to be streamed waits until reading is over.
        self.contents: Contents | None = None
        #: What its layers did to packages; None until all of them are there.
        self.packages: LayerPackages | None = None
        self._free = threading.Event()
        self._opener = opener
        self._cache = cache
        self._ask = ask
        self._agreed = threading.Event()
        self._deliver = deliver
        self._rate = Rate()
        self._work = Work(deliver, lambda _: None)
        self._work.start(
            "reader", self._run, report=lambda _: changed(self), progress=self.progress
        )

    def cancel(self) -> None:
        self.progress.cancel()

    def agree(self) -> None:
        """Lets the export begin that was asked about."""
        self._agreed.set()

    def close(self) -> None:
        self._work.leave()
        self.progress.cancel()
        if self.ended:
            self._let_go()

    def describe(self) -> str:
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
            # A number before it would read as that of the platform.
            platform += f", one of {len(image.platforms)} platforms"
        return short_name(image.reference), visible(platform)

    @property
    def kind(self) -> str:
        """What kind of place the image is read from; empty for an engine."""
        source = self.source if self.image is None else self.image.source
        transport, colon, _ = source.partition(":")
        return KINDS.get(transport, "") if colon else ""

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

    def _run(self, task: Task[Session]) -> None:
        # What is there stays; looking through it for garbage would cost 40 ms while it is read.
        gc.freeze()
        news = True
        try:
            self.reader = reader = self._opener(self.source, self.progress, self.platform)
            from layerscope.images.files.contents import Contents

            self.contents = Contents(reader, self._free)
            self.image, self.way = reader.image, reader.way
            task.report(self)
            # Not at the top: numpy need not be there for the first paint.
            from layerscope.images.cache.changesets import ChangesetCache
            from layerscope.images.loading import is_cached, load, price_text

            cache = ChangesetCache() if self._cache else None
            if self._ask and reader.price > _ASKED_FROM and not is_cached(reader, cache):
                self._deliver(self._ask, self, price_text(reader))
                while not self._agreed.wait(_LOOK):
                    self.progress.check()
            loaded = load(reader, self.progress, partial(self._update, task), cache)
            # For the first filter; of a million entries it takes longer than a key should.
            loaded.stack.tree.joined_names()
            news = not self.ended
        except Exception as error:
            self.problem = problem_of(error, cancelled="Reading was cancelled.")
            self._measure()
        finally:
            self.ended = True
            self._free.set()
            if task.left:
                self._let_go()
            if news:
                task.report(self)

    def _let_go(self) -> None:
        # Taken out first: the thread that reads and the one that closes may both come here.
        contents, self.contents, self.reader = self.contents, None, None
        if contents is not None:
            contents.close()

    def _update(self, task: Task[Session], loaded: Loaded) -> None:
        self.image, self.loaded = loaded.image, loaded
        if loaded.complete:
            if loaded.image.missing:
                from layerscope.images.image import missing_text

                self.problem = Problem(missing_text(loaded.image), "The files lack it.")
            # What may follow, such as filling the cache, is nothing that anyone waits for.
            self._measure()
            # What was read stays; looking through it for garbage would cost 40 ms in mid-key.
            gc.freeze()
            self.packages = LayerPackages(loaded.stack, self.contents)
            self.ended = True
            self._free.set()
        task.report(self)
        if loaded.complete:
            # What follows competes with the thread of the screen, which is to show this first.
            shown = threading.Event()
            task.deliver(shown.set)
            shown.wait(_SHOWN)

    def _measure(self) -> None:
        """Measures the waste of the layers that were read, even after a failure."""
        if self.loaded is None or not (self.loaded.stack.height or self.loaded.complete):
            return
        try:
            from layerscope.filesystem.waste import measure

            self.waste = measure(self.loaded.stack)
        except Exception as error:
            self.problem = self.problem or problem_of(error)


class Rate:
    """Bytes a second, smoothed over the last few looks."""

    def __init__(self) -> None:
        self._last: tuple[float, int] | None = None
        self._rate = 0.0

    def of(self, done: int, now: float) -> int:
        """Notes how far it is at a monotonic time; returns bytes a second, or 0 if unknown."""
        if self._last is not None and now > self._last[0]:
            latest = max(0, done - self._last[1]) / (now - self._last[0])
            self._rate = latest if not self._rate else 0.6 * self._rate + 0.4 * latest
        self._last = (now, done)
        return int(self._rate)
