"""Reads an image in the background, and notifies the screen."""

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


#: The largest export from another host, in bytes, that starts without asking.
_ASKED_FROM = 50_000_000
_LOOK = 0.1  # Seconds between checks whether to stop reading.
_SHOWN = 1.0  # The most seconds to wait for the screen to show an image before filling the cache.

#: Names of transports' places, except engines.
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
    """An image, during and after reading.

    The reading thread replaces the attributes, which the screen reads.
    """

    def __init__(
        self,
        source: str,
        opener: Opener,
        deliver: Deliver,  # Calls a function in the screen's thread.
        changed: Callable[[Session], object],  # Called there when more is known about the image.
        platform: str | None = None,
        cache: bool = True,  # Whether to read layers from the cache and keep them there.
        #: Asks there whether to start a large export from another host; see `agree`.
        ask: Callable[[Session, str], object] | None = None,
    ) -> None:
        self.source = source
        self.platform = platform  # None for this host's.
        self.progress = Progress()
        self.image: Image | None = None  # None until it is known.
        self.way = ""  # How it is read.
        self.loaded: Loaded | None = None  # The layers so far.
        self.waste: Waste | None = None  # None until all layers are read.
        self.problem: Problem | None = None
        self.ended = False  # Whether reading has ended.
        self.reader: ImageReader | None = None  # Open until the session is closed.
        #: The contents of its files; streaming them waits until reading has ended.
        self.contents: Contents | None = None
        #: The package changes of its layers; None until all of them are read.
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
        """Allows the export that `ask` was about."""
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
        """The image's name and platform, safe to show."""
        image = self.image
        if image is None:
            return short_name(self.source), visible(self.platform or "")
        platform = "/".join(part for part in (image.os, image.architecture) if part)
        if image.platforms:
            platform = str(image.platforms[0])
        if len(image.platforms) > 1:
            # A leading number would look like part of the platform.
            platform += f", one of {len(image.platforms)} platforms"
        return short_name(image.reference), visible(platform)

    @property
    def kind(self) -> str:
        """The kind of place that the image is read from; "" for an engine."""
        source = self.source if self.image is None else self.image.source
        transport, colon, _ = source.partition(":")
        return KINDS.get(transport, "") if colon else ""

    @property
    def platforms(self) -> tuple[str, ...]:
        """The platforms to choose from, the image's first; empty if there is no choice."""
        offered = () if self.image is None else self.image.platforms
        return tuple(map(str, offered)) if len(offered) > 1 else ()

    def state(self) -> tuple[str, str]:
        """The current activity or problem, and a palette style; "" if there is none."""
        if not self.ended:
            return self.describe(), "accent"
        if self.problem is None:
            return "", "muted"
        missing = len(self.image.missing) if self.image is not None else 0
        ready = self.loaded.stack.height - missing if self.loaded is not None else 0
        of = len(self.image.layers) if self.image is not None else 0
        return f"Incomplete: {ready} of {of} layers", "warning"

    def _run(self, task: Task[Session]) -> None:
        # Existing objects stay; collecting through them would cost 40 ms while reading.
        gc.freeze()
        news = True
        try:
            self.reader = reader = self._opener(self.source, self.progress, self.platform)
            from layerscope.images.files.contents import Contents

            self.contents = Contents(reader, self._free)
            self.image, self.way = reader.image, reader.way
            task.report(self)
            # Not at the top: the first paint does not wait for numpy.
            from layerscope.images.cache.changesets import ChangesetCache
            from layerscope.images.loading import is_cached, load, price_text

            cache = ChangesetCache() if self._cache else None
            if self._ask and reader.price > _ASKED_FROM and not is_cached(reader, cache):
                self._deliver(self._ask, self, price_text(reader))
                while not self._agreed.wait(_LOOK):
                    self.progress.check()
            loaded = load(reader, self.progress, partial(self._update, task), cache)
            # Prepares the first filter; too slow for a key press with a million entries.
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
        # Detached first, since the reading and the closing thread may both get here.
        contents, self.contents, self.reader = self.contents, None, None
        if contents is not None:
            contents.close()

    def _update(self, task: Task[Session], loaded: Loaded) -> None:
        self.image, self.loaded = loaded.image, loaded
        if loaded.complete:
            if loaded.image.missing:
                from layerscope.images.image import missing_text

                self.problem = Problem(missing_text(loaded.image), "The files lack it.")
            # Nobody waits for what follows, such as filling the cache.
            self._measure()
            # The layers stay; collecting through them would delay a key by 40 ms.
            gc.freeze()
            self.packages = LayerPackages(loaded.stack, self.contents)
            self.ended = True
            self._free.set()
        task.report(self)
        if loaded.complete:
            # Lets the screen's thread show this before the rest competes with it.
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
    """Bytes per second, smoothed over the last few updates."""

    def __init__(self) -> None:
        self._last: tuple[float, int] | None = None
        self._rate = 0.0

    def of(self, done: int, now: float) -> int:
        """Notes the progress at a monotonic time; returns bytes per second, or 0 if unknown."""
        if self._last is not None and now > self._last[0]:
            latest = max(0, done - self._last[1]) / (now - self._last[0])
            self._rate = latest if not self._rate else 0.6 * self._rate + 0.4 * latest
        self._last = (now, done)
        return int(self._rate)
