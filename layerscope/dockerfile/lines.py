"""Logical lines: the physical lines of an instruction put together, as BuildKit's parser does.

A line whose last character is the escape character goes on in the next one. Comments and empty
lines between such lines are no part of the instruction. Everything keeps its place: `Joined` knows
for each of its characters where in the text it stands.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass

from layerscope.dockerfile.source import Source, Span

#: What Go calls space: a few more characters than ASCII has, and fewer than Python's.
SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
#: What separates the words of an instruction.
BLANK = "\t\v\f\r "

_DIRECTIVE = re.compile(r"#\s*(?P<name>[a-zA-Z][a-zA-Z0-9]*)\s*=\s*(?P<value>.+?)\s*\Z")
_KNOWN = frozenset({"syntax", "escape", "check"})
_CONTINUED = {
    escape: re.compile(rf"(?:(?<=[^{re.escape(escape)}])|^){re.escape(escape)}[ \t]*\Z")
    for escape in "\\`"
}


class Joined:
    """The text of an instruction without its continuations.

    Attributes:
        text: The text.
    """

    __slots__ = ("_joined", "_source", "text")

    def __init__(self, text: str, joined: list[int], source: list[int]) -> None:
        """Keeps where the text is from.

        Args:
            text: The text.
            joined: For each piece of it, the offset of its first character in the text.
            source: For each piece, the same in the document.
        """
        self.text = text
        self._joined = joined
        self._source = source

    @property
    def pieces(self) -> list[tuple[int, int]]:
        """Where each piece begins: in the joined text, and in the document."""
        return list(zip(self._joined, self._source, strict=True))

    def offset(self, place: int) -> int:
        """Where a character of the joined text stands in the document."""
        if len(self._joined) == 1:
            return self._source[0] + place
        piece = bisect_right(self._joined, place) - 1
        return self._source[piece] + place - self._joined[piece]

    def place(self, offset: int) -> int:
        """Where a character of the document stands in the joined text, if it is in it."""
        piece = max(bisect_right(self._source, offset) - 1, 0)
        return self._joined[piece] + offset - self._source[piece]

    def span(self, start: int, end: int) -> Span:
        """Where a piece of the joined text stands; it may reach over continuations."""
        if len(self._joined) == 1:
            base = self._source[0]
            return Span(base + start, base + end)
        if end <= start:
            place = self.offset(start)
            return Span(place, place)
        return Span(self.offset(start), self.offset(end - 1) + 1)


@dataclass(frozen=True, slots=True)
class Directive:
    """A parser directive, such as `# syntax=docker/dockerfile:1`.

    Attributes:
        name: Its name, in lower case.
        value: Its value.
        span: The whole comment.
        value_span: The value.
        repeated: Whether one of that name came before, which BuildKit refuses.
    """

    name: str
    value: str
    span: Span
    value_span: Span
    repeated: bool


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment.

    Attributes:
        span: From `#` to the end of its line.
        text: What it says.
    """

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class LogicalLine:
    """The lines of an instruction.

    Attributes:
        joined: Its text without continuations.
        first: Its first line.
        last: Its last one, heredocs not counted.
        span: From its first character to the end of its last line.
        comments: The comments above it, with no empty line or instruction between.
        empty: Lines without anything among its continuations.
        open: Whether the last line asks for one more and there is none.
    """

    joined: Joined
    first: int
    last: int
    span: Span
    comments: tuple[Comment, ...]
    empty: tuple[int, ...]
    open: bool


class LineReader:
    """Reads logical lines, one after the other, and the lines of heredocs between them.

    Attributes:
        source: The text.
        line: The physical line to read next.
        escape: The escape character.
        directives: Directives so far.
        comments: Comments so far, those inside of instructions included.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.line = 0
        self.escape = "\\"
        self.directives: list[Directive] = []
        self.comments: list[Comment] = []
        self._above: list[Comment] = []
        self._directives_end = False

    def physical(self) -> tuple[int, str] | None:
        """The next physical line, without its end, and the offset of its first character."""
        if self.line >= len(self.source.starts):
            return None
        start, end = self.source.starts[self.line], self.source.line_end(self.line)
        self.line += 1
        if self.line == 1 and self.source.text.startswith("\ufeff"):
            start += 1
        return start, self.source.text[start:end].rstrip("\r")

    def next(self) -> LogicalLine | None:
        """The next logical line, or None after the last."""
        while (read := self.physical()) is not None:
            start, raw = read
            text = raw.lstrip(SPACE)
            start += len(raw) - len(text)
            if text.startswith("#"):
                self._comment(text, start)
                continue
            self._directives_end = True
            if not text:
                self._above.clear()
                continue
            return self._instruction(text, start)
        return None

    def _comment(self, text: str, start: int) -> None:
        span = Span(start, start + len(text))
        if not self._directives_end and self._directive(text, span):
            return
        comment = Comment(span, text[1:].strip(SPACE))
        self.comments.append(comment)
        if comment.text:
            self._above.append(comment)
        else:
            self._above.clear()

    def _directive(self, text: str, span: Span) -> bool:
        match = _DIRECTIVE.match(text)
        name = match["name"].lower() if match else ""
        if match is None or name not in _KNOWN:
            # A shebang ends the escape directive only, but a second line with one is rare enough.
            self._directives_end = not text.startswith("#!") or span.start > 0
            return False
        repeated = any(directive.name == name for directive in self.directives)
        start, end = match.span("value")
        value_span = Span(span.start + start, span.start + end)
        self.directives.append(Directive(name, match["value"], span, value_span, repeated))
        if name == "escape" and not repeated and match["value"] in _CONTINUED:
            self.escape = match["value"]
        return True

    def _instruction(self, text: str, start: int) -> LogicalLine:
        first = self.line - 1
        above, self._above = tuple(self._above), []
        continued = _CONTINUED[self.escape]
        match = continued.search(text)
        if match is None:
            end = start + len(text)
            return LogicalLine(
                Joined(text, [0], [start]), first, first, Span(start, end), above, (), False
            )
        texts, joined, source = [text[: match.start()]], [0], [start]
        length = match.start()
        empty = []
        end, last = start + len(text), first
        while match is not None and (read := self.physical()) is not None:
            place, text = read
            stripped = text.lstrip(SPACE)
            if stripped.startswith("#"):
                inside = Span(place + len(text) - len(stripped), place + len(text))
                self.comments.append(Comment(inside, stripped[1:].strip(SPACE)))
                continue
            if not stripped:
                # The text's last line, which has nothing and no end, is no line of BuildKit's.
                if place < len(self.source.text):
                    empty.append(self.line - 1)
                continue
            end, last = place + len(text), self.line - 1
            match = continued.search(text)
            if match is not None:
                text = text[: match.start()]
            if text:
                texts.append(text)
                joined.append(length)
                source.append(place)
                length += len(text)
        if match is not None:
            # It goes on to the end of the text, comments and all.
            empty = [line for line in empty if line <= last]
        whole = Joined("".join(texts), joined, source)
        return LogicalLine(
            whole, first, last, Span(start, end), above, tuple(empty), match is not None
        )
