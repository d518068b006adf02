"""Logical lines: the physical lines of an instruction, joined as in BuildKit's parser.

A line whose last character is the escape character continues on the next one. Comments and empty
lines between such lines are not part of the instruction. `Joined` maps the position of each of its
characters to the document.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass

from layerscope.dockerfile.syntax.source import Source, Span

#: White space as Go defines it: more than in ASCII, less than in Python.
SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
BLANK = "\t\v\f\r "  # The separators of an instruction's words.

_DIRECTIVE = re.compile(r"#\s*(?P<name>[a-zA-Z][a-zA-Z0-9]*)\s*=\s*(?P<value>.*\S|.)\s*\Z")
_KNOWN = frozenset({"syntax", "escape", "check"})
_CONTINUED = {
    escape: re.compile(rf"(?:(?<=[^{re.escape(escape)}])|^){re.escape(escape)}[ \t]*\Z")
    for escape in "\\`"
}


class Joined:
    """The text of an instruction without its continuations."""

    __slots__ = ("_joined", "_source", "text")

    def __init__(self, text: str, joined: list[int], source: list[int]) -> None:
        """Takes the offset of each piece in the joined text and in the document."""
        self.text = text
        self._joined = joined
        self._source = source

    @property
    def pieces(self) -> list[tuple[int, int]]:
        """The start of each piece, in the joined text and in the document."""
        return list(zip(self._joined, self._source, strict=True))

    def offset(self, place: int) -> int:
        """The position in the document of a character of the joined text."""
        if len(self._joined) == 1:
            return self._source[0] + place
        piece = bisect_right(self._joined, place) - 1
        return self._source[piece] + place - self._joined[piece]

    def place(self, offset: int) -> int:
        """The position in the joined text of a character of the document."""
        piece = max(bisect_right(self._source, offset) - 1, 0)
        return self._joined[piece] + offset - self._source[piece]

    def span(self, start: int, end: int) -> Span:
        """The position in the document of a piece of the joined text, with continuations in it."""
        if len(self._joined) == 1:
            base = self._source[0]
            return Span(base + start, base + end)
        if end <= start:
            place = self.offset(start)
            return Span(place, place)
        return Span(self.offset(start), self.offset(end - 1) + 1)


@dataclass(frozen=True, slots=True)
class Directive:
    """A parser directive, such as `# syntax=docker/dockerfile:1`."""

    name: str  # In lower case.
    value: str
    span: Span  # The whole comment.
    value_span: Span
    repeated: bool  # Whether it is not the first of that name; BuildKit rejects it.


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment, from `#` to the end of its line; the text is stripped."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class LogicalLine:
    joined: Joined  # Its text without continuations.
    span: Span  # From its first character to the end of its last line, without heredocs.
    #: The comments above it, with no empty line or instruction between.
    comments: tuple[Comment, ...]
    empty: tuple[int, ...]  # Empty lines among its continuations.


class LineReader:
    """Reads logical lines one after the other, and the lines of heredocs between them."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.line = 0  # The physical line to read next.
        self.escape = "\\"
        self.directives: list[Directive] = []
        self.comments: list[Comment] = []  # Includes those inside instructions.
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
            # A shebang on the first line does not end the directives.
            self._directives_end = not text.startswith("#!") or span.start > 0
            return False
        repeated = any(directive.name == name for directive in self.directives)
        start, end = match.span("value")
        value_span = Span(span.start + start, span.start + end)
        self.directives.append(Directive(name, match["value"], span, value_span, repeated))
        if name == "escape" and not repeated and match["value"] in _CONTINUED:
            self.escape = match["value"]
        return True

    def _instruction(self, text: str, place: int) -> LogicalLine:
        above, self._above = tuple(self._above), []
        continued = _CONTINUED[self.escape]
        start, length = place, 0
        texts: list[str] = []
        joined: list[int] = []
        source: list[int] = []
        empty: list[int] = []
        while True:
            end, last = place + len(text), self.line - 1
            match = continued.search(text)
            if match is not None:
                text = text[: match.start()]
            if text or not texts:
                texts.append(text)
                joined.append(length)
                source.append(place)
                length += len(text)
            if match is None:
                break
            while (read := self.physical()) is not None:
                place, text = read
                stripped = text.lstrip(SPACE)
                if stripped.startswith("#"):
                    inside = Span(place + len(text) - len(stripped), place + len(text))
                    self.comments.append(Comment(inside, stripped[1:].strip(SPACE)))
                elif stripped:
                    break
                elif place < len(self.source.text):
                    # BuildKit does not count an empty last line without an end.
                    empty.append(self.line - 1)
            else:
                # It continues to the end of the text, where nothing is inside it.
                empty = [line for line in empty if line <= last]
                break
        whole = Joined("".join(texts), joined, source)
        return LogicalLine(whole, Span(start, end), above, tuple(empty))
