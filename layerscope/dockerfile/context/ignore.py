"""`.dockerignore` and `.containerignore`, with the semantics of moby's pattern matcher.

Patterns are relative to the context. `*` and `?` stay within a folder, `**` does not, `[…]` is a
class, `!` re-includes paths that an earlier pattern excluded. The last matching pattern wins, and
one that matches a folder matches everything below it. Podman reads them a little differently.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from layerscope.patterns import (
    CONTAINERIGNORE,
    DOCKERIGNORE,
    GO_MATCH,
    PatternError,
    glob_source,
    path_matcher,
)

Matched = tuple[bool, ...]  # The patterns that match a folder, and so everything below it.

_SPACE = " \t\n\v\f\r\x85\xa0"


class IgnorePatternError(ValueError):
    """A pattern is invalid; lines count from 0."""

    def __init__(self, line: int, pattern: str) -> None:
        super().__init__(f"line {line + 1}: {pattern!r} is not a valid pattern")
        self.line = line
        self.pattern = pattern


@dataclass(frozen=True, slots=True)
class Reading:
    """How a builder reads the rules."""

    #: Whether it searches an excluded folder for paths that a rule with wildcards re-includes.
    #: Others search only if the rule as written begins with the folder's path.
    deep: bool = True
    #: Whether it is Buildah, which trims slashes before blanks, and treats less as literal.
    buildah: bool = False


MOBY = Reading()


@dataclass(frozen=True, slots=True)
class IgnorePattern:
    text: str  # The pattern, cleaned, without `!`.
    negated: bool  # Whether it re-includes what others excluded.
    line: int  # Its line, counted from 0.
    fits: Callable[[str], bool]  # Whether it matches a whole path.

    @property
    def literal(self) -> str | None:
        """The literal path, without a final `/**`; None if there are other wildcards."""
        text = self.text.removesuffix("/**")
        return None if re.search(r"[*?\[\\]", text) else text


class IgnoreRules:
    def __init__(self, patterns: Iterable[IgnorePattern], deep: bool = True) -> None:
        self.patterns = tuple(patterns)
        negated = [pattern for pattern in self.patterns if pattern.negated]
        self._literals = [pattern.literal if deep else pattern.text for pattern in negated]

    def decide(self, path: str, above: Matched = ()) -> tuple[IgnorePattern | None, Matched]:
        """Returns the pattern that excludes a path, or None; and `above` for the paths below it."""
        matched = []
        decided: IgnorePattern | None = None
        for number, pattern in enumerate(self.patterns):
            fits = bool(above) and above[number]
            if not fits and pattern.negated == (decided is not None):
                fits = pattern.fits(path)
            matched.append(fits)
            if fits:
                decided = None if pattern.negated else pattern
        return decided, tuple(matched)

    def decide_from_root(self, path: str) -> tuple[IgnorePattern | None, Matched]:
        """The same for a path whose folders were not examined."""
        above: Matched = ()
        decided = None
        parts = path.split("/")
        for depth in range(1, len(parts) + 1):
            decided, above = self.decide("/".join(parts[:depth]), above)
        return decided, above

    def ignores(self, path: str) -> IgnorePattern | None:
        return self.decide_from_root(path)[0]

    def may_return_below(self, folder: str) -> bool:
        """Whether a rule could re-include something below an excluded folder."""
        start = folder + "/"
        return any(literal is None or f"{literal}/".startswith(start) for literal in self._literals)


def parse_ignore(text: str, reading: Reading = MOBY) -> IgnoreRules:
    """Parses a `.dockerignore`; raises IgnorePatternError for a pattern that fails the build."""
    patterns = []
    buildah = reading.buildah
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n")):
        if line.startswith("#"):
            continue
        pattern = (line.strip("/") if buildah else line).strip(_SPACE)
        negated = pattern.startswith("!")
        if negated:
            pattern = pattern[1:]
            pattern = pattern if buildah else pattern.strip(_SPACE)
        if not pattern:
            if negated:
                raise IgnorePatternError(number, "!")
            continue
        cleaned = clean(pattern)
        if (negated or not buildah) and len(cleaned) > 1:
            cleaned = cleaned.removeprefix("/")
        try:
            # Moby first checks whether Go's `filepath.Match` accepts it.
            glob_source(cleaned, GO_MATCH)
            fits = path_matcher(cleaned, CONTAINERIGNORE if buildah else DOCKERIGNORE)
        except PatternError:
            raise IgnorePatternError(number, pattern) from None
        patterns.append(IgnorePattern(cleaned, negated, number, fits))
    return IgnoreRules(patterns, reading.deep)


def clean(path: str) -> str:
    """The shortest equivalent path, as Go's `filepath.Clean` defines it."""
    # Unlike Go, Python keeps two slashes at the start.
    return posixpath.normpath(re.sub("^/+", "/", path))


def in_context(path: str) -> str:
    """A source as a path in the context; `..` cannot leave the context."""
    return clean("/" + path).removeprefix("/") or "."
