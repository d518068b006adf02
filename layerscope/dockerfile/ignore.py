"""`.dockerignore`, as moby's pattern matcher has it.

Patterns are relative to the context. `*` and `?` stay in a folder, `**` does not, `[…]` is a class,
`!` takes back what an earlier pattern left out. The last pattern that fits decides, and one that
fits a folder fits all below it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from layerscope.dockerfile.path_pattern import FOLDERS, Piece, matcher

#: Which patterns fit a folder; what is below it need not ask them again.
Matched = tuple[bool, ...]

#: Twice the same of these says what one does, and is slow.
_REPEATED = (Piece(".", loops=True), Piece("[^/]", loops=True), Piece(FOLDERS))
_ESCAPED = frozenset(".+()|{}$^")
_SPACE = " \t\n\v\f\r\x85\xa0"


class IgnorePatternError(ValueError):
    """A pattern that cannot be understood.

    Attributes:
        line: Its line, counted from 0.
        pattern: The pattern.
    """

    def __init__(self, line: int, pattern: str) -> None:
        super().__init__(f"line {line + 1}: {pattern!r} is no valid pattern")
        self.line = line
        self.pattern = pattern


@dataclass(frozen=True, slots=True)
class IgnorePattern:
    """A pattern.

    Attributes:
        text: The pattern, cleaned, without `!`.
        negated: Whether it takes back what others left out.
        line: Its line, counted from 0.
        fits: Tells whether it fits a path as a whole.
    """

    text: str
    negated: bool
    line: int
    fits: Callable[[str], object]

    @property
    def literal(self) -> str | None:
        """The path that it is, or the folder that it begins with if it ends with `/**`."""
        text = self.text.removesuffix("/**")
        return None if re.search(r"[*?\[\\]", text) else text


class IgnoreRules:
    """All patterns of a file.

    Attributes:
        patterns: The patterns, in order.
    """

    def __init__(self, patterns: Iterable[IgnorePattern]) -> None:
        self.patterns = tuple(patterns)
        self._negated = [pattern for pattern in self.patterns if pattern.negated]
        self._literals = [pattern.literal for pattern in self._negated]

    def decide(self, path: str, above: Matched = ()) -> tuple[IgnorePattern | None, Matched]:
        """What the rules say of a path.

        Args:
            path: The path, relative to the context, with slashes.
            above: What this said of the folder that it is in; empty for the context itself.

        Returns:
            The pattern that leaves it out, or None; and what to hand on to what is below it.
        """
        matched = []
        decided: IgnorePattern | None = None
        for number, pattern in enumerate(self.patterns):
            fits = bool(above) and above[number]
            if not fits and pattern.negated == (decided is not None):
                fits = bool(pattern.fits(path))
            matched.append(fits)
            if fits:
                decided = None if pattern.negated else pattern
        return decided, tuple(matched)

    def ignores(self, path: str) -> IgnorePattern | None:
        """The pattern that leaves a path out, or None."""
        above: Matched = ()
        decided = None
        parts = path.split("/")
        for depth in range(1, len(parts) + 1):
            decided, above = self.decide("/".join(parts[:depth]), above)
        return decided

    def may_return_below(self, folder: str) -> bool:
        """Whether something below a folder that is left out may be taken back."""
        start = folder + "/"
        return any(literal is None or f"{literal}/".startswith(start) for literal in self._literals)


def parse_ignore(text: str) -> IgnoreRules:
    """Reads a `.dockerignore`.

    Args:
        text: Its text.

    Raises:
        IgnorePatternError: A pattern cannot be understood, at which builds end.
    """
    patterns = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n")):
        if line.startswith("#"):
            continue
        pattern = line.strip(_SPACE)
        negated = pattern.startswith("!")
        if negated:
            pattern = pattern[1:].strip(_SPACE)
        if not pattern:
            if negated:
                raise IgnorePatternError(number, "!")
            continue
        cleaned = clean(pattern)
        if len(cleaned) > 1:
            cleaned = cleaned.removeprefix("/")
        if not _valid(cleaned):
            raise IgnorePatternError(number, pattern)
        try:
            fits = _compile(cleaned)
        except re.error:
            raise IgnorePatternError(number, pattern) from None
        patterns.append(IgnorePattern(cleaned, negated, number, fits))
    return IgnoreRules(patterns)


def clean(path: str) -> str:
    """The shortest path that says the same, as Go's `filepath.Clean` finds it."""
    rooted = path.startswith("/")
    parts: list[str] = []
    for part in path.split("/"):
        if part == ".." and (rooted or (parts and parts[-1] != "..")):
            if parts:
                parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/" * rooted + "/".join(parts) or "."


def _valid(pattern: str) -> bool:
    """Whether Go's `filepath.Match` takes a pattern."""
    place, end = 0, len(pattern)
    while place < end:
        char = pattern[place]
        place += 1
        if char == "\\":
            place += 1
            if place > end:
                return False
        elif char == "[":
            place += pattern.startswith("^", place)
            ranges = 0
            while not (ranges and pattern.startswith("]", place)):
                for _ in range(2):
                    if place >= end or pattern[place] in "-]":
                        return False
                    place += 1 + (pattern[place] == "\\")
                    if place >= end:
                        return False
                    if pattern[place] != "-":
                        break
                    place += 1
                ranges += 1
            place += 1
    return True


def _compile(pattern: str) -> Callable[[str], object]:
    """What tells whether a pattern fits a path as a whole.

    Raises:
        re.error: The pattern cannot be understood.
    """
    if pattern.startswith("**") and not re.search(r"[*?\\\[\]]|\A/", pattern[2:]):
        # `**x` fits whatever ends so, `**/x` whole names only.
        return re.compile(".*" + re.escape(pattern[2:]) + r"\Z", re.DOTALL).match
    result: list[Piece] = []
    place, end = 0, len(pattern)
    # What a class has so far; empty outside of one.
    inside = ""
    while place < end:
        char = pattern[place]
        place += 1
        if char == "*" and pattern.startswith("*", place):
            place += 1
            place += pattern.startswith("/", place)
            # At the end it fits all that is left, elsewhere any number of folders.
            piece = Piece(".", loops=True) if place >= end else Piece(FOLDERS)
        elif char in "*?":
            # In a class it ends the class, as it does for moby.
            piece = Piece(f"{inside}\\[^/]" if inside else "[^/]", loops=char == "*")
            inside = ""
        elif char == "\\" and place < end:
            piece = Piece(re.escape(pattern[place]))
            place += 1
        elif char == "[" and not inside:
            negated = pattern.startswith("^", place)
            place += negated
            inside = "[^" if negated else "["
            continue
        elif char == "]" and inside:
            piece, inside = Piece(f"{inside}]"), ""
        elif char in _ESCAPED or (inside and char in "[&~"):
            piece = Piece("\\" + char)
        else:
            piece = Piece(char)
        if inside:
            inside += piece.regex
        elif piece not in _REPEATED or result[-1:] != [piece]:
            result.append(piece)
    if inside:
        raise re.error("a class has no end")
    return matcher(result)
