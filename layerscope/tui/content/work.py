"""Reads a file's content in the background: its kind, lines and syntax, and matches of a search."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from layerscope.content.encoding import text_encoding
from layerscope.content.finding import Matches, Needle, find
from layerscope.content.highlight import Highlighter
from layerscope.content.kind import HEAD, describe
from layerscope.tui.rows.text_rows import TextRows
from layerscope.tui.work import Problem, Task, Work, run_in_background

if TYPE_CHECKING:
    from layerscope.content.description import Description
    from layerscope.images.files.contents import Content

#: Bytes to read ahead.
EAGER = 32 << 20

#: The largest streamed content to describe before it is shown.
_SOON = 4 << 20

#: Seconds between two reports.
_PAUSE = 0.25

#: Rows to highlight together, and rows before them to read for context.
WINDOW = 200
_CONTEXT = 600
#: The largest files to highlight as a whole, in rows and in bytes.
_WHOLE_ROWS = 3000
_WHOLE_BYTES = 192 << 10


class Opened(NamedTuple):
    """A file whose first rows are known."""

    content: Content
    text: TextRows
    is_text: bool
    description: Description | None  # None if finding out would take long.


def open_file(open_content: Callable[[], Content], name: str, task: Task[Any]) -> Opened:
    """Opens a file for `OpenFile`; stopping the task closes the content."""
    content = open_content()
    # Closing may take a moment.
    task.on_stop(lambda: run_in_background("content-close", content.close))
    head = content.read(0, HEAD, task.progress.advance)
    encoding = text_encoding(head, len(head) == content.size)
    text = TextRows(content, encoding or "utf-8")
    description = None
    if content.available == content.size or content.size <= _SOON:
        description = describe(content, name)
    if encoding is not None or content.available < content.size:
        text.index.extend(lambda: text.index.rows > 0)
    return Opened(content, text, encoding is not None, description)


class OpenFile:
    """A file on the screen; background work writes some of the attributes."""

    def __init__(
        self, work: Work, opened: Opened, name: str, changed: Callable[[], object]
    ) -> None:
        self.content, self.text, is_text, self.description = opened
        self.hex: bool | None = None  # Whether it is shown in hexadecimal; None until decided.
        self.target = EAGER if is_text or self.streaming else 0  # The offset to read up to.
        self.matches: Matches | None = None  # The matches of the last search.
        self.current = -1  # Offset of the current match; -1 for none.
        self.problem: Problem | None = None  # Why it cannot be read any further.
        self._work = work
        self._name = name
        self._changed = changed  # Called in the screen's thread when more has been read.
        self._highlighter: Highlighter | None = None
        self._highlighted: set[int] = set()
        self._no_syntax = False
        self._read_on()

    @property
    def streaming(self) -> bool:
        """Whether some of the content has not arrived yet."""
        return self.content.available < self.content.size

    @property
    def reading(self) -> bool:
        index = self.text.index
        return self.problem is None and not index.complete and index.offset < self.target

    @property
    def searching(self) -> bool:
        return self._work.busy("search")

    def want(self, offset: int) -> None:
        self.target = max(self.target, offset)
        self._read_on()

    def rest(self) -> None:
        """Stops reading ahead; a search continues."""
        self.target = 0

    def stop(self) -> None:
        self.rest()
        self._work.leave("search")

    def close(self) -> None:
        for group in ("content", "syntax", "search"):
            self._work.leave(group)

        def release() -> None:
            if self._highlighter is not None:
                self._highlighter.close()
            self.content.close()

        # Closing the process and the stream may take a moment.
        run_in_background("content-close", release)

    def _failed(self, problem: Problem) -> None:
        self.problem = problem
        self._changed()

    # Lines.

    def _read_on(self) -> None:
        """Reads up to the target, unless it is already doing so."""
        if (self.reading or self.description is None) and not self._work.busy("content"):
            self._work.start(
                "content",
                self._read,
                self._read_so_far,
                failed=self._failed,
                report=lambda _: self._changed(),
            )

    def _read(self, task: Task[None]) -> None:
        if self.description is None:
            self.description = describe(self.content, self._name)
            task.report(None)
        index = self.text.index

        def enough() -> bool:
            task.check()
            task.report(None, _PAUSE)
            return index.offset >= self.target

        index.extend(enough)

    def _read_so_far(self, _: None) -> None:
        self._changed()
        self._read_on()

    # Syntax.

    def want_syntax(self, first: int, last: int) -> None:
        """Highlights rows if their language is known; calls `changed` if any has colours now."""
        if self._no_syntax or self.description is None or self.description.encoding is None:
            return
        windows = {first // WINDOW, last // WINDOW} - self._highlighted
        if last >= first and windows and not self._work.busy("syntax"):
            self._work.start(
                "syntax", lambda task: self._highlight(sorted(windows), task), self._colored
            )

    def _colored(self, found: bool) -> None:
        if found:
            self.text.forget()
            self._changed()

    def _highlight(self, windows: list[int], task: Task[Any]) -> bool:
        """Returns whether another window was highlighted."""
        known = len(self._highlighted)
        try:
            for window in windows:
                task.check()
                if window not in self._highlighted and not self._find_syntax(window, task):
                    self._no_syntax = True
                    break
        except BaseException:
            # An error is reported once, not again for every row.
            self._no_syntax = True
            raise
        return len(self._highlighted) > known

    def _find_syntax(self, window: int, task: Task[Any]) -> bool:
        text, index = self.text, self.text.index
        if index.complete and index.rows <= _WHOLE_ROWS and index.offset <= _WHOLE_BYTES:
            begin, start, end = 0, 0, index.rows
        else:
            start = window * WINDOW
            begin, end = max(0, start - _CONTEXT), min(index.rows, start + WINDOW)
            # Does not read long lines for context.
            while begin < start and index.row(start).start - index.row(begin).start > 64 << 10:
                begin = (begin + start + 1) // 2
        lines = [text.text(number) for number in range(begin, end)]
        if self._highlighter is None:
            head = "\n".join(text.text(number) for number in range(min(20, index.rows)))
            self._highlighter = Highlighter(self._name.rpartition("/")[2], head)
        task.on_stop(self._highlighter.close)
        task.check()
        spans = self._highlighter.spans(lines)
        if spans is None:
            return False
        for number in range(start, end):
            text.spans[number] = spans[number - begin]
        # The rest of a window that has not been read yet is highlighted later.
        if end - start == WINDOW or index.complete:
            self._highlighted |= set(range(start // WINDOW, (end - 1) // WINDOW + 1))
        return True

    # Search.

    def search(self, needle: Needle) -> None:
        matches = self.matches = Matches()
        self.current = -1
        self.text.forget()

        def run(task: Task[None]) -> None:
            def advance(_: int) -> None:
                task.check()
                task.report(None, _PAUSE)

            find(self.content, needle, matches, advance)

        self._work.start(
            "search",
            run,
            lambda _: self._changed(),
            failed=self._failed,
            report=lambda _: self._changed(),
        )
