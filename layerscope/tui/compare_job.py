"""Comparing two images beside the screen; the screen is told by messages."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from textual.message import Message

from layerscope.errors import Cancelled
from layerscope.tui.background import run_beside
from layerscope.tui.session import Post, Problem, problem_of

if TYPE_CHECKING:
    from layerscope.filesystem.pair import Pair
    from layerscope.images.contents import Contents
    from layerscope.images.loading import Loaded
    from layerscope.images.reader import ImageReader

#: Seconds between two looks at what has been found out.
_PAUSE = 1.0


class Compared(Message):
    """More is known of what differs."""

    def __init__(self, job: CompareJob) -> None:
        super().__init__()
        self.job = job

    def can_replace(self, message: Message) -> bool:
        """The job holds all that is known: only the last message counts."""
        return isinstance(message, Compared) and message.job is self.job


class CompareJob:
    """The comparison of two images that have been read.

    First what their layers tell, then the content of files of the same size, which has to be read.

    Attributes:
        pair: Both unions; None before they are on each other.
        done: How many files have been read.
        total: How many there are to be read.
        unknown: How many could not be.
        problem: What went wrong.
        ended: Whether it is over.
    """

    def __init__(
        self,
        first: tuple[Loaded, ImageReader, Contents],
        second: tuple[Loaded, ImageReader, Contents],
        post: Post,
    ) -> None:
        """Begins to compare.

        Args:
            first: One image: what was read of it, and what reads.
            second: The other.
            post: Where `Compared` goes.
        """
        self.pair: Pair | None = None
        self.done = self.total = self.unknown = 0
        self.problem: Problem | None = None
        self.ended = False
        self._first = first
        self._second = second
        self._post = post
        self._cancelled = threading.Event()
        run_beside("compare", self._run)

    def cancel(self) -> None:
        """Leaves it at what is known; may be called twice."""
        self._cancelled.set()

    @property
    def cancelled(self) -> bool:
        """Whether the user wanted it so."""
        return self._cancelled.is_set()

    def _advance(self, _: int = 0) -> None:
        if self._cancelled.is_set():
            raise Cancelled

    def _run(self) -> None:
        try:
            from layerscope.filesystem.pair import pair_unions
            from layerscope.images.shared_layers import shared_layers

            shared = shared_layers(self._first[1], self._second[1])
            pair = pair_unions(self._first[0].stack, self._second[0].stack, shared)
            rows = pair.unread()
            self.total, self.pair = len(rows), pair
            self._post(Compared(self))
            self._read(pair, rows)
        except Exception as error:
            self.problem = problem_of(error)
        self.ended = True
        self._post(Compared(self))

    def _read(self, pair: Pair, rows: list[int]) -> None:
        from layerscope.images.version_diff import Side, same_contents

        due = time.monotonic() + _PAUSE
        pairs = [
            (
                Side(pair.first, pair.source(int(pair.stack.below[row])), self._first[2]),
                Side(pair.second, pair.source(row), self._second[2]),
            )
            for row in rows
        ]
        for number, same in same_contents(pairs, self._advance):
            self._advance()
            row = rows[number]
            if same is None:
                self.unknown += 1
            else:
                pair.stack.settle(row, same)
            self.done += 1
            if time.monotonic() >= due:
                self._post(Compared(self))
                due = time.monotonic() + _PAUSE
