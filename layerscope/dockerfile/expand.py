"""Expansion of variables as BuildKit does it: `$x`, `${x:-y}`, `${x#pattern}` and the like.

It is like a shell's and not the same: there are no arrays, no arithmetic and no commands, a quote
that is not closed is an error, and a backslash in double quotes escapes `"`, `$` and itself alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from layerscope.dockerfile.lines import SPACE

_SPECIAL = frozenset("@*#?-$!0")

#: Characters that values may add to a text: with more in one variable no process can be started.
#: Few lines suffice to ask for more than any memory has: `ARG A=$A$A`, and so on.
_MOST = 128 << 10
#: Characters of a value that a pattern is tried on, at each of its places.
_MOST_TRIED = 4 << 10
_BLANKS = re.compile(f"([{re.escape(SPACE)}])")


class ExpansionError(ValueError):
    """A text that cannot be expanded; the message says why."""


class Reference(NamedTuple):
    """A use of a variable.

    Attributes:
        name: Its name.
        start: Where the `$` stands in the text.
        end: Where the use ends.
        found: Whether it has a value.
        guarded: Whether the use says what to do if it has none.
    """

    name: str
    start: int
    end: int
    found: bool
    guarded: bool


class LexWord(NamedTuple):
    """A word of a text.

    Attributes:
        text: The word.
        start: Where it begins in the text.
        end: Where it ends.
    """

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Expansion:
    """A text with its variables replaced.

    Attributes:
        text: The result.
        words: The same split at spaces that are not quoted.
        references: Variables that it uses, in order.
    """

    text: str
    words: tuple[LexWord, ...]
    references: tuple[Reference, ...]


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
    """Expands a text.

    Args:
        text: The text.
        values: Variables.
        escape: The escape character.
        raw_quotes: Whether quotes stay.
        raw_escapes: Whether escape characters stay.
        keep_unset: Whether uses of variables without a value stay.
        quotes: Whether quotes mean anything; they do not in a heredoc.

    Raises:
        ExpansionError: A quote or a brace is not closed, or the text asks for what there is not.
    """
    lexer = _Lexer(text, values, escape, raw_quotes, raw_escapes, keep_unset)
    lexer.quotes = quotes
    result = lexer.run("", raw_escapes)
    return Expansion(result, tuple(lexer.words), tuple(lexer.references))


@dataclass
class _Words:
    """Collects words while a text is read."""

    words: list[LexWord] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    start: int = 0

    def raw(self, text: str, start: int) -> None:
        if not self.parts:
            self.start = start
        self.parts.append(text)

    def split(self, text: str, start: int) -> None:
        if len(text) == 1 and text not in SPACE:
            self.raw(text, start)
            return
        for number, piece in enumerate(_BLANKS.split(text)):
            if number % 2:
                self.end(start)
            elif piece:
                self.raw(piece, start)

    def end(self, place: int) -> None:
        word = "".join(self.parts)
        if word:
            self.words.append(LexWord(word, self.start, place))
            self.parts.clear()


class _Lexer:
    def __init__(
        self,
        text: str,
        values: Mapping[str, str],
        escape: str,
        raw_quotes: bool,
        raw_escapes: bool,
        keep_unset: bool,
    ) -> None:
        self.text = text
        self.values = values
        self.escape = escape
        self.raw_quotes = raw_quotes
        self.raw_escapes = raw_escapes
        self.keep_unset = keep_unset
        self.quotes = True
        self.place = 0
        self.depth = 0
        self.words: list[LexWord] = []
        self.references: list[Reference] = []
        self.added = 0

    def peek(self) -> str:
        return self.text[self.place : self.place + 1]

    def next(self) -> str:
        char = self.text[self.place : self.place + 1]
        self.place += 1
        return char

    def run(self, stop: str, raw_escapes: bool) -> str:
        """Reads up to a character, which is taken too, or to the end."""
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
                piece = self.angle()
                words.raw(piece, start)
            elif self.quotes and char in "\"'":
                piece = self.single() if char == "'" else self.double()
                words.raw(piece, start)
            else:
                self.place += 1
                piece = char
                if char == self.escape:
                    piece = char if self.raw_escapes else ""
                    escaped = self.next()
                    piece += escaped
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

    def angle(self) -> str:
        """`<`, or `<<` with the blanks that may stand before a heredoc's name."""
        self.place += 1
        if self.peek() != "<":
            return "<"
        start = self.place - 1
        self.place += 1
        while (char := self.peek()) and char in "\t\r ":
            self.place += 1
        return self.text[start : self.place]

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

    def name(self) -> str:
        start = self.place
        first = self.peek()
        if first.isdigit():
            while self.peek().isdigit():
                self.place += 1
        elif first in _SPECIAL and first:
            self.place += 1
        else:
            while (char := self.peek()) and (char.isalnum() or char == "_"):
                self.place += 1
        return self.text[start : self.place]

    def refer(self, name: str, start: int, guarded: bool) -> str | None:
        value = self.values.get(name)
        self.references.append(Reference(name, start, self.place, value is not None, guarded))
        self.add(len(value or ""))
        return value

    def add(self, length: int) -> None:
        """Notes that a text gets longer."""
        self.added += length
        if self.added > _MOST:
            raise ExpansionError("what comes of them is too long")

    def dollar(self) -> str:
        start = self.place
        self.place += 1
        if self.peek() != "{":
            name = self.name()
            if not name:
                return "$"
            value = self.refer(name, start, False)
            return f"${name}" if value is None and self.keep_unset else value or ""
        self.place += 1
        if not self.peek():
            raise ExpansionError("} is missing")
        if self.peek() in "{}:":
            raise ExpansionError("a substitution has no name")
        name = self.name()
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
            raise ExpansionError(f"{shown or 'the end'} is no operator of a substitution")
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
        _check_tried(value)
        greedy = word.startswith(operator)
        word = word[greedy:]
        if operator == "#":
            found = _pattern(word, greedy, r"\A").search(value)
            return value[found.end() :] if found else value
        return _without_suffix(value, word, greedy)

    def replace(self, name: str, start: int) -> str:
        every = self.peek() == "/"
        self.place += every
        pattern = self.run("/", True)
        replacement = self.run("}", True)
        value = self.refer(name, start, False)
        if value is None and self.keep_unset:
            return "${" + name + "/" + pattern + "/" + replacement + "}"
        value = value or ""
        _check_tried(value)
        regex = _pattern(pattern, True, "")
        if every:
            self.add(len(replacement) * sum(1 for _ in regex.finditer(value)))
        return regex.sub(lambda _: replacement, value, count=0 if every else 1)


def _check_tried(value: str) -> None:
    if len(value) > _MOST_TRIED:
        raise ExpansionError("a value is too long for a pattern")


def _without_suffix(value: str, word: str, greedy: bool) -> str:
    """A value without the shortest or longest end that a pattern matches."""
    regex = _pattern(word, True, "")
    places = range(len(value) + 1) if greedy else range(len(value), -1, -1)
    for place in places:
        if regex.fullmatch(value, place):
            return value[:place]
    return value


def _pattern(pattern: str, greedy: bool, anchor: str) -> re.Pattern[str]:
    """A shell's pattern, without brackets, as a regular expression."""
    literals = [""]
    place = 0
    while place < len(pattern):
        char = pattern[place]
        place += 1
        if char == "*":
            literals.append("")
        elif char == "?":
            literals[-1] += "."
        elif char == "\\":
            following = pattern[place : place + 1]
            if following in ("}", "/"):
                continue
            if following not in ("*", "?", "\\"):
                raise ExpansionError(f"\\{following} is no escape of a pattern")
            literals[-1] += re.escape(following)
            place += 1
        else:
            literals[-1] += re.escape(char)
    first, *rest = literals
    # The first match of what follows a star is the only one to try if another star comes after
    # it, which can take the rest: without the atomic groups, many stars take for ever.
    earlier = "".join(f"(?>.*?{literal})" for literal in rest[:-1])
    last = (".*" if greedy else ".*?") + rest[-1] if rest else ""
    return re.compile(anchor + first + earlier + last, re.DOTALL)
