"""Expansion of variables as in BuildKit: `$x`, `${x:-y}`, `${x#pattern}` and so on.

It is similar to a shell's: there are no arrays, arithmetic or commands, an unclosed quote is an
error, and within double quotes a backslash escapes only `"`, `$` and itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from layerscope.dockerfile.syntax.lines import SPACE
from layerscope.dockerfile.syntax.words import Piece
from layerscope.patterns import SHELL, PatternError, Regex, glob_source, readable

#: The most characters that values may add to a text: no process can be started with a larger
#: variable. Otherwise, a few lines such as `ARG A=$A$A` would exhaust the memory.
_MOST = 128 << 10
#: Bytes within a character in UTF-8.
_MIDDLE = frozenset(bytes([byte]) for byte in range(0x80, 0xC0))
_BLANKS = re.compile(f"([{re.escape(SPACE)}])")
_NAME = re.compile(r"\d+|[@*#?\-$!]|\w*")
#: Includes blanks that may precede a heredoc's name.
_ANGLES = re.compile("<(?:<[\t\r ]*)?")


class ExpansionError(ValueError):
    """A text cannot be expanded; the message is the reason."""


class Reference(NamedTuple):
    name: str
    start: int  # Offset of the `$` in the text.
    end: int  # Offset of the end of the use.
    found: bool  # Whether the variable has a value.
    guarded: bool  # Whether the use handles a missing value.


@dataclass(frozen=True, slots=True)
class Expansion:
    text: str
    words: tuple[Piece, ...]  # The text split at unquoted spaces.
    references: tuple[Reference, ...]  # The variables that it uses, in order.

    @property
    def unset(self) -> list[Reference]:
        """The unguarded uses of variables without a value."""
        return [use for use in self.references if not (use.found or use.guarded)]


def expand(
    text: str,
    values: Mapping[str, str],
    *,
    escape: str = "\\",
    raw_quotes: bool = False,
    raw_escapes: bool = False,
    keep_unset: bool = False,
    quotes: bool = True,
) -> Expansion:
    """Expands a text; options preserve its quotes, escape characters and unset variables.

    Without `quotes`, as in a heredoc, these have no meaning. Raises ExpansionError if a quote or
    brace is not closed, or a substitution is invalid or too large.
    """
    lexer = _Lexer(text, values, escape, raw_quotes, raw_escapes, keep_unset, quotes)
    return Expansion(lexer.run("", raw_escapes), tuple(lexer.words), tuple(lexer.references))


def expanded(text: str, values: Mapping[str, str], escape: str = "\\") -> str:
    """A text with its variables expanded, or unchanged if it cannot be."""
    try:
        return expand(text, values, escape=escape).text
    except ExpansionError:
        return text


@dataclass
class _Words:
    words: list[Piece] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    start: int = 0

    def raw(self, text: str, start: int) -> None:
        if not self.parts:
            self.start = start
        self.parts.append(text)

    def split(self, text: str, start: int) -> None:
        for number, piece in enumerate(_BLANKS.split(text)):
            if number % 2:
                self.end(start)
            elif piece:
                self.raw(piece, start)

    def end(self, place: int) -> None:
        word = "".join(self.parts)
        if word:
            self.words.append(Piece(word, self.start, place))
            self.parts.clear()


@dataclass
class _Lexer:
    text: str
    values: Mapping[str, str]
    escape: str
    raw_quotes: bool
    raw_escapes: bool
    keep_unset: bool
    quotes: bool
    place: int = 0
    depth: int = 0
    added: int = 0
    words: list[Piece] = field(default_factory=list)
    references: list[Reference] = field(default_factory=list)

    def peek(self) -> str:
        return self.text[self.place : self.place + 1]

    def next(self) -> str:
        char = self.text[self.place : self.place + 1]
        self.place += 1
        return char

    def run(self, stop: str, raw_escapes: bool) -> str:
        """Reads up to and including a character, or to the end."""
        if self.depth > 100:
            raise ExpansionError("substitutions are nested too deeply")
        self.depth += 1
        before, self.raw_escapes = self.raw_escapes, raw_escapes
        try:
            return self._run(stop)
        finally:
            self.raw_escapes = before
            self.depth -= 1

    def _run(self, stop: str) -> str:
        result: list[str] = []
        words = _Words()
        while char := self.peek():
            start = self.place
            if stop and char == stop:
                self.place += 1
                return "".join(result)
            if char == "$":
                piece = self.dollar()
                words.split(piece, start)
            elif char == "<":
                piece = self.match(_ANGLES)
                words.raw(piece, start)
            elif self.quotes and char in "\"'":
                piece = self.single() if char == "'" else self.double()
                words.raw(piece, start)
            else:
                self.place += 1
                piece = char
                if char == self.escape:
                    piece = char if self.raw_escapes else ""
                    piece += self.next()
                    words.raw(piece, start)
                elif char in SPACE:
                    words.end(start)
                else:
                    words.raw(char, start)
            result.append(piece)
        if stop:
            raise ExpansionError(f"{stop} is missing")
        words.end(self.place)
        self.words = words.words
        return "".join(result)

    def match(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.place)
        text = match[0] if match else ""
        self.place += len(text)
        return text

    def single(self) -> str:
        end = self.text.find("'", self.place + 1)
        if end < 0:
            raise ExpansionError("a ' is not closed")
        inside = self.text[self.place + 1 : end]
        self.place = end + 1
        return f"'{inside}'" if self.raw_quotes else inside

    def double(self) -> str:
        self.place += 1
        quote = '"' if self.raw_quotes else ""
        result = [quote]
        while char := self.peek():
            if char == '"':
                self.place += 1
                result.append(quote)
                return "".join(result)
            if char == "$":
                result.append(self.dollar())
                continue
            self.place += 1
            if char == self.escape:
                if self.raw_escapes:
                    result.append(char)
                following = self.peek()
                if not following:
                    continue
                if following in ('"', "$", self.escape):
                    char = self.next()
            result.append(char)
        raise ExpansionError('a " is not closed')

    def refer(self, name: str, start: int, guarded: bool) -> str | None:
        value = self.values.get(name)
        self.references.append(Reference(name, start, self.place, value is not None, guarded))
        self.add(len(value or ""))
        return value

    def add(self, length: int) -> None:
        self.added += length
        if self.added > _MOST:
            raise ExpansionError("the result is too long")

    def dollar(self) -> str:
        start = self.place
        self.place += 1
        if self.peek() != "{":
            name = self.match(_NAME)
            if not name:
                return "$"
            value = self.refer(name, start, False)
            return f"${name}" if value is None and self.keep_unset else value or ""
        self.place += 1
        if not self.peek():
            raise ExpansionError("} is missing")
        if self.peek() in "{}:":
            raise ExpansionError("a substitution has no name")
        name = self.match(_NAME)
        operator = self.next()
        if operator == "}":
            value = self.refer(name, start, False)
            return "${" + name + "}" if value is None and self.keep_unset else value or ""
        if operator == "/":
            return self.replace(name, start)
        colon = operator == ":"
        if colon:
            operator = self.next()
        if operator not in ("+", "-", "?", "#", "%") or (colon and operator in "#%"):
            shown = ":" * colon + operator
            raise ExpansionError(f"{shown or 'the end'} is not an operator of a substitution")
        word = self.run("}", operator in "#%")
        value = self.refer(name, start, operator in "+-?")
        if value is None and self.keep_unset:
            return "${" + name + ":" * colon + operator + word + "}"
        return self.operate(name, value, operator, colon, word)

    def operate(self, name: str, value: str | None, operator: str, colon: bool, word: str) -> str:
        missing = value is None or (colon and not value)
        value = value or ""
        if operator == "-":
            return word if missing else value
        if operator == "+":
            return "" if missing else word
        if operator == "?":
            if missing:
                raise ExpansionError(f"{name}: {word or 'is not allowed to be unset or empty'}")
            return value
        greedy = word.startswith(operator)
        if operator == "#":
            return _without_prefix(value, word[greedy:], greedy=greedy)
        return _without_prefix(value[::-1], word[greedy:], greedy=greedy, backwards=True)[::-1]

    def replace(self, name: str, start: int) -> str:
        every = self.peek() == "/"
        self.place += every
        pattern = self.run("/", True)
        replacement = self.run("}", True)
        value = self.refer(name, start, False)
        if value is None and self.keep_unset:
            return "${" + name + "/" + pattern + "/" + replacement + "}"
        text = readable(value or "")
        result: list[str] = []
        end = 0
        for begin, after in _spans(text, pattern):
            # As in Go, an empty match neither follows another match nor splits a character.
            if begin == after and ((result and begin == end) or text[begin : begin + 1] in _MIDDLE):
                continue
            self.add(len(replacement))
            result += [_decode(text[end:begin]), replacement]
            end = after
            if not every:
                break
        return "".join([*result, _decode(text[end:])])


def _spans(
    value: bytes, glob: str, *, start: bool = False, greedy: bool = True, backwards: bool = False
) -> Iterator[tuple[int, int]]:
    """The matches of a glob in a value in the form of `patterns.readable`, possibly reversed.

    Raises ExpansionError if the glob is invalid.
    """
    try:
        source = glob_source(glob, SHELL, greedy=greedy, backwards=backwards)
        return Regex(("\\A" if start else "") + f"(?s:{source})").spans(value)
    except PatternError as error:
        raise ExpansionError(error.message.rstrip(".")) from None


def _without_prefix(value: str, glob: str, *, greedy: bool, backwards: bool = False) -> str:
    text = readable(value)
    _, end = next(_spans(text, glob, start=True, greedy=greedy, backwards=backwards), (0, 0))
    return _decode(text[end:])


def _decode(text: bytes) -> str:
    return text.decode("utf-8", "surrogatepass")
