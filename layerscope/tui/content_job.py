"""Reading a file's content beside the screen: its kind, its lines, its syntax, what is found in it.

The screen is told by messages, of which only the last one counts; whatever has become stale stops.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from textual.message import Message

from layerscope.content.encoding import text_encoding
from layerscope.content.finding import Matches, Needle, find
from layerscope.content.highlight import Highlighter
from layerscope.content.kind import HEAD, describe
from layerscope.errors import Cancelled
from layerscope.tui.background import run_beside
from layerscope.tui.content_rows import TextRows
from layerscope.tui.session import Post, Problem, problem_of

if TYPE_CHECKING:
    from layerscope.content.description import Description
    from layerscope.filesystem.stack import Stack
    from layerscope.images.contents import Content, Contents

#: How much is looked through before anyone asks for it.
EAGER = 32 << 20

#: What has to be streamed is described before it is shown if it is no larger.
_SOON = 4 << 20

#: Seconds between two messages.
_PAUSE = 0.25

#: Rows whose syntax is found together, and how many before them are looked at for the context.
WINDOW = 200
_CONTEXT = 600
#: Files that are highlighted as a whole, in rows and in bytes.
_WHOLE_ROWS = 3000
_WHOLE_BYTES = 192 << 10


class ContentChanged(Message):
    """More is known of the content."""

    def __init__(self, job: ContentJob) -> None:
        super().__init__()
        self.job = job

    def can_replace(self, message: Message) -> bool:
        """The job holds all that is known: only the last message counts."""
        return isinstance(message, ContentChanged) and message.job is self.job


class ContentJob:
    """One version of a file while it is looked at.

    Attributes are written by threads, and read by the screen; each is replaced whole.

    Attributes:
        content: The content, as soon as it is open.
        description: What it is; None until that is known.
        text: Its rows as text.
        target: How far its lines are looked for.
        matches: What is searched for, and has been found.
        search_ended: Whether the search is over.
        problem: What went wrong.
    """

    def __init__(self, contents: Contents, stack: Stack, row: int, name: str, post: Post) -> None:
        """Begins to read.

        Args:
            contents: The content of the image's files.
            stack: Its layers.
            row: A version that is a regular file.
            name: Its path.
            post: Where `ContentChanged` goes.
        """
        self.content: Content | None = None
        self.description: Description | None = None
        self.text: TextRows | None = None
        self.target = 0
        self.matches: Matches | None = None
        self.search_ended = True
        self.problem: Problem | None = None
        self._contents = contents
        self._stack = stack
        self._row = row
        self._name = name
        self._post = post
        self._closed = threading.Event()
        self._wanted = threading.Condition()
        self._told = 0.0
        self._window: tuple[int, int] | None = None
        self._highlighter: Highlighter | None = None
        self._highlighted: set[int] = set()
        self._no_syntax = False
        self._searching: Matches | None = None
        run_beside("content", self._run)

    @property
    def busy(self) -> bool:
        """Whether more is being read."""
        text = self.text
        if self.problem is not None:
            return False
        return text is None or (not text.index.complete and text.index.offset < self.target)

    def want(self, offset: int) -> None:
        """Has lines looked for up to an offset."""
        with self._wanted:
            if offset > self.target:
                self.target = offset
                self._wanted.notify_all()

    def stop(self) -> None:
        """Goes no further than it has come, and ends the search."""
        self.rest()
        self._searching = None
        self.search_ended = True

    def rest(self) -> None:
        """Goes no further than it has come, but lets the search go on."""
        with self._wanted:
            self.target = 0

    def close(self) -> None:
        """Ends everything."""
        self._closed.set()
        self._searching = None
        with self._wanted:
            self._wanted.notify_all()

        def let_go() -> None:
            # The process and the stream may take a moment.
            if self._highlighter is not None:
                self._highlighter.close()
            if self.content is not None:
                self.content.close()

        run_beside("content-close", let_go)

    # Lines.

    def _run(self) -> None:
        try:
            content = self.content = self._contents.open(self._stack, self._row)
            head = content.read(0, HEAD, self._check)
            encoding = text_encoding(head, len(head) == content.size)
            text = TextRows(content, encoding or "utf-8")
            if content.available == content.size or content.size <= _SOON:
                self.description = describe(content, self._name)
            if encoding is not None or content.available < content.size:
                self.target = max(self.target, EAGER)
                # The first screen, before anything else.
                text.index.extend(lambda: text.index.rows > 0)
            self.text = text
            self._tell(0)
            if self.description is None:
                self.description = describe(content, self._name)
                self._tell(0)
            self._follow(text)
        except Cancelled:
            pass
        except Exception as error:
            self.problem = problem_of(error)
            self._tell(0)
        finally:
            if self._closed.is_set() and self.content is not None:
                self.content.close()

    def _follow(self, text: TextRows) -> None:
        """Looks for lines as far as they are wanted, until the content is closed."""

        def enough() -> bool:
            self._check(0)
            self._tell(_PAUSE)
            return text.index.offset >= self.target

        while not text.index.complete:
            text.index.extend(enough)
            self._tell(0)
            with self._wanted:
                while text.index.offset >= self.target and not text.index.complete:
                    self._wanted.wait()
                    self._check(0)

    def _check(self, _: int) -> None:
        if self._closed.is_set():
            raise Cancelled

    def _tell(self, pause: float) -> None:
        now = time.monotonic()
        if now - self._told >= pause and not self._closed.is_set():
            self._told = now
            self._post(ContentChanged(self))

    # Syntax.

    def want_syntax(self, first: int, last: int) -> None:
        """Has rows highlighted, if it is known how; they are told of when they are."""
        text = self.text
        if text is None or self._no_syntax or self.description is None:
            return
        if self.description.encoding is None or last < first:
            return
        wanted = {first // WINDOW, last // WINDOW} - self._highlighted
        if not wanted:
            return
        idle = self._window is None
        self._window = (first, last)
        if idle:
            run_beside("syntax", self._highlight)

    def _highlight(self) -> None:
        text = self.text
        try:
            while self._window is not None and text is not None and not self._closed.is_set():
                first, last = self._window
                for number in range(first // WINDOW, last // WINDOW + 1):
                    if number not in self._highlighted and not self._find_syntax(text, number):
                        self._no_syntax = True
                        return
                if self._window == (first, last):
                    self._window = None
        except Exception:
            # Without colours it can be read, too.
            self._no_syntax = True
        finally:
            self._window = None

    def _find_syntax(self, text: TextRows, window: int) -> bool:
        index = text.index
        if index.complete and index.rows <= _WHOLE_ROWS and index.offset <= _WHOLE_BYTES:
            begin, start, end = 0, 0, index.rows
        else:
            start = window * WINDOW
            begin, end = max(0, start - _CONTEXT), min(index.rows, start + WINDOW)
            # Long lines are no context.
            while begin < start and index.row(start).start - index.row(begin).start > 64 << 10:
                begin = (begin + start + 1) // 2
        lines = [text.text(number) for number in range(begin, end)]
        if self._highlighter is None:
            head = "\n".join(text.text(number) for number in range(min(20, index.rows)))
            self._highlighter = Highlighter(self._name.rpartition("/")[2], head)
            if self._closed.is_set():
                self._highlighter.close()
        spans = self._highlighter.spans(lines)
        if spans is None:
            return False
        for number in range(start, end):
            text.spans[number] = spans[number - begin]
        if end - start < WINDOW and not index.complete:
            # The rest of it has not been read yet.
            return True
        self._highlighted |= set(range(start // WINDOW, (end - 1) // WINDOW + 1))
        text.forget()
        self._tell(0)
        return True

    # Search.

    def search(self, needle: Needle) -> Matches:
        """Finds all matches, beside the screen; ends a search before."""
        matches = Matches()
        self.matches = self._searching = matches
        self.search_ended = False

        def check(_: int) -> None:
            if self._searching is not matches:
                raise Cancelled
            self._check(0)
            self._tell(_PAUSE)

        def work() -> None:
            content = self.content
            try:
                if content is not None:
                    find(content, needle, matches, check)
            except Cancelled:
                return
            except Exception as error:
                self.problem = problem_of(error)
            if self._searching is matches:
                self.search_ended = True
                self._tell(0)

        run_beside("search", work)
        return matches
