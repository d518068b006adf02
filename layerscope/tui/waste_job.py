"""Finds what could be saved, and compares content for that, beside the screen."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.message import Message

from layerscope.errors import Cancelled
from layerscope.images.progress import Progress
from layerscope.tui.background import run_beside

if TYPE_CHECKING:
    from layerscope.filesystem.stack import Stack
    from layerscope.filesystem.waste_causes import Causes
    from layerscope.images.contents import Contents

#: Seconds between two looks at what has been found out by comparing.
_PERIOD = 2.0


class WasteFound(Message):
    """More is known of what could be saved."""

    def __init__(self, job: WasteJob) -> None:
        super().__init__()
        self.job = job

    def can_replace(self, message: Message) -> bool:
        """The job holds all that is known: only the last message counts."""
        return isinstance(message, WasteFound) and message.job is self.job


class WasteJob:
    """What could be saved in an image, as far as it is known.

    Attributes are written by the thread that works, and read by the screen.

    Attributes:
        progress: How far comparing has come.
        causes: What could be saved; None before it is known.
        ended: Whether nothing more will be found out.
        cancelled: Whether the user did not want to wait.
    """

    def __init__(
        self, stack: Stack, contents: Contents | None, post: Callable[[Message], object]
    ) -> None:
        """Begins to work.

        Args:
            stack: The layers.
            contents: The content of the files; None if it cannot be read.
            post: Where `WasteFound` goes.
        """
        self.progress = Progress()
        self.causes: Causes | None = None
        self.ended = self.cancelled = False
        self._stack = stack
        self._contents = contents
        self._post = post
        self._left = False
        self._due = 0.0
        run_beside("waste", self._run)

    def cancel(self) -> None:
        """Stops comparing; what is known stays."""
        self.progress.cancel()

    def leave(self) -> None:
        """Stops everything, as nobody looks any more."""
        self._left = True
        self.progress.cancel()

    def _run(self) -> None:
        from layerscope.images.hidden_content import compare_hidden

        try:
            self._find()
            if self._contents is not None and self.causes is not None and self.causes.uncompared:
                compare_hidden(self._stack, self._contents, self.progress, self._now_and_then)
        except Cancelled:
            self.cancelled = True
        finally:
            self.ended = True
            if not self._left:
                self._find()

    def _now_and_then(self) -> None:
        if time.monotonic() >= self._due:
            self._find()

    def _find(self) -> None:
        from layerscope.filesystem.waste_causes import find_causes

        def stop() -> None:
            if self._left:
                raise Cancelled

        start = time.monotonic()
        try:
            self.causes = find_causes(self._stack, stop)
        except Cancelled:
            return
        self._due = time.monotonic() + max(_PERIOD, 10 * (time.monotonic() - start))
        self._post(WasteFound(self))
