"""What layers did to packages, found out beside the screen, one layer at a time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from textual.message import Message

from layerscope.errors import Cancelled
from layerscope.tui.background import run_beside

if TYPE_CHECKING:
    from layerscope.filesystem.stack import Stack
    from layerscope.images.contents import Contents
    from layerscope.images.packages import Glance, PackageReader
    from layerscope.tui.session import Post


class GlanceMade(Message):
    """It is known what a layer did."""

    def __init__(self, job: GlanceJob, layer: int) -> None:
        super().__init__()
        self.job = job
        self.layer = layer


class GlanceJob:
    """What the layers of an image did; each is looked at when it is asked for.

    Attributes:
        stack: The layers.
        reader: Reads packages; to be asked beside the screen only, by who holds `lock`.
        lock: Held while the reader is asked.
    """

    def __init__(self, stack: Stack, contents: Contents | None, post: Post) -> None:
        """Begins with nothing.

        Args:
            stack: The layers.
            contents: The content of their files; None if it cannot be read.
            post: Where `GlanceMade` goes.
        """
        self.stack = stack
        self.lock = threading.Lock()
        self._contents = contents
        self._post = post
        self._reader: PackageReader | None = None
        self._made: dict[int, Glance] = {}
        self._wanted: int | None = None
        self._busy = False
        self._left = threading.Event()

    @property
    def reader(self) -> PackageReader:
        """Reads packages."""
        from layerscope.images.packages import PackageReader

        if self._reader is None:
            self._reader = PackageReader(self.stack, self._contents)
        return self._reader

    def get(self, layer: int) -> Glance | None:
        """What a layer did, if that is known; else it is found out, unless another is wanted."""
        found = self._made.get(layer)
        if found is None:
            self._wanted = layer
            if not self._busy:
                self._busy = True
                run_beside("glance", self._run)
        return found

    def leave(self) -> None:
        """Stops, as nobody wants to know any more."""
        self._left.set()

    def check(self) -> None:
        """Raises if nobody wants to know any more."""
        if self._left.is_set():
            raise Cancelled

    def _run(self) -> None:
        try:
            while (layer := self._wanted) is not None:
                self._wanted = None
                if layer not in self._made:
                    with self.lock:
                        self._made[layer] = self.reader.glance(layer, self.check)
                    self._post(GlanceMade(self, layer))
        except Exception:
            # The pane does without; the screen of packages says what is wrong.
            self._wanted = None
        finally:
            self._busy = False
