r"""Patterns for paths: the one glob compiler and users' regular expressions.

Expressions run on RE2, which takes linear time whatever the pattern. A `Dialect` describes each
kind of glob; `glob_source` turns a glob into an expression, `path_matcher` into a test for whole
paths, and `typed_pattern` and similar functions into a `PathPattern` for searching a whole tree or
layer at once.

Paths are bytes, mostly UTF-8, and RE2 reads UTF-8: `?`, `.` and `[é]` stand for characters. A byte
that is not UTF-8 also counts as one character: RE2 receives it as the lone surrogate that Python's
`surrogateescape` uses, which its `.` and negated classes match (see `readable`).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib.util import find_spec
from typing import Any

from layerscope.errors import UsageError
from layerscope.text import decode, visible

REGEX_MARK = "re:"  # The prefix of a filter that is a regular expression.

#: Python's `re` is faster than RE2 on short texts, and tries two runs of stars without delay.
_FEW_STARS, _FEW_RUNS = 3, 2

_ESCAPE = "surrogateescape"

_MEMORY = 32 << 20  # The memory limit of an expression in bytes, with its automaton.
#: The limit during compilation, which blocks everything else: enough for 10,000 instructions.
#: When the memory above is used up, RE2 tries each instruction at each byte.
_PROGRAM = 480_000
_MESSAGE = 60

# Searches look at one string per line, so newlines within strings become NUL.
_SWAP = bytes.maketrans(b"\0\n", b"\n\0")
_SWAP_SPLIT = bytes.maketrans(b"\0\n/", b"\n\0\n")

#: Features that RE2 lacks on purpose: lookaround, atomic groups, conditions, backreferences.
_UNSUPPORTED = re.compile(r"\(\?(?:[=!>(]|<[=!]|P=)|\\[1-9]")

#: All consecutive lines in which an expression is found.
_RUNS_OF = r"(?:^.*?(?:{}).*$\C)+"
_RUNS = re.compile(re.escape(_RUNS_OF).replace(r"\{\}", "(?P<source>.*)"), re.DOTALL)

#: Classes that `re` does not know by name or that are larger there: RE2's are ASCII only.
_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": r"\t ",
    "cntrl": r"\0-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t-\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
    "d": "0-9",
    "s": r"\t\n\f\r ",
    "w": "0-9A-Za-z_",
}
#: All except ASCII and what `re` equates with ASCII letters if case is ignored: long s, the Kelvin
#: sign, and two that RE2 does not equate.
_NO_LETTERS = r"\x80-\u012f\u0132-\u017e\u0180-\u2129\u212b-\U0010ffff"
_ESCAPES = {r"\z": r"\Z", r"\b": r"(?a:\b)", r"\B": r"(?a:\B)"}
#: An escape, or a class with its contents.
_PIECE = r"\\.|\[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\]"
_PIECES = re.compile(_PIECE, re.DOTALL)
_IN_CLASS = re.compile(r"\[:(?P<negated>\^?)(?P<name>\w+):\]|\\(?P<letter>.)", re.DOTALL)

#: Anchors of an expression, with or without a slash after the first; also lookalikes.
_ANCHORS = re.compile(
    r"(?P<start>\^|\\A)(?P<slash>(?=(?:\((?:\?:|\?P?<\w+>)?)*/))?|(?P<end>\\[Zz])|" + _PIECE,
    re.DOTALL,
)


class PatternError(UsageError):
    """An invalid pattern; the message is one sentence that is safe to show."""


@dataclass(frozen=True, slots=True)
class Dialect:
    r"""The syntax of one kind of glob. The defaults are those of Go's `filepath.Match`."""

    one: str = "[^/]"  # The expression for `?`; `*` matches any number of them.
    folders: str = ""  # The expression for `**/`; empty if `**` is just two stars.
    rest: str = ""  # The expression for `**` at the end.
    inner: str = ""  # The expression for any other `**`.
    classes: bool = True  # Whether `[a-z]` and `[^a-z]` are classes.
    #: Whether the rest is interpreted as an expression, as in moby's pattern matcher: wildcards
    #: are special within classes, and `\d` is a digit.
    raw: bool = False
    literal: str = ".+()|{}$"  # Characters that are literal despite `raw`.
    #: Characters that a backslash escapes; None for all, empty if it is an ordinary character.
    escapes: str | None = None
    dropped: str = ""  # A backslash before these is dropped, and they keep their meaning.


GO_MATCH = Dialect()  # `filepath.Match`: sources of COPY and ADD. Stars stay within a component.
#: `GO_MATCH` where `**` crosses folders.
GO_MATCH_DEEP = Dialect(folders="(?:.*/)?", rest=".*", inner=".*")
#: `.dockerignore`, as moby's patternmatcher translates it.
DOCKERIGNORE = Dialect(folders="(?:.*/)?", rest=".*", inner="(?:.*/)?", raw=True)
#: The same in Buildah and Podman, which interpret more of the expression.
CONTAINERIGNORE = replace(DOCKERIGNORE, literal=".$")
#: `${name#glob}` in a Dockerfile, as in BuildKit: stars cross slashes, there are no classes.
SHELL = Dialect(one=".", classes=False, escapes="*?\\", dropped="}/")
#: Filters, `find` and exclusions of `ci`: `**` crosses folders, all else is literal.
PATHS = Dialect(folders="(?:[^/]+/)*", rest=".*", inner=".*", classes=False, escapes="")


def glob_source(
    glob: str, dialect: Dialect, *, greedy: bool = True, backwards: bool = False
) -> str:
    """A glob as an expression, unanchored, for RE2 or `re` with `.` matching newlines.

    For reversed texts (`backwards`), `**` is not allowed. Raises PatternError if the glob is
    invalid.
    """
    if dialect is DOCKERIGNORE and (source_of_text := _without_wildcards(glob)) is not None:
        return source_of_text
    any_number = dialect.one + ("*" if greedy else "*?")
    repeated = {any_number, dialect.folders, dialect.rest, dialect.inner}
    source: list[str] = []
    place = 0
    while place < len(glob):
        char = glob[place]
        place += 1
        if char == "*" and dialect.folders and glob.startswith("*", place):
            place += 1
            slash = glob.startswith("/", place)
            at_end = place + (slash and dialect.raw) >= len(glob)
            place += slash
            piece = dialect.rest if at_end else dialect.folders if slash else dialect.inner
        elif char == "*":
            piece = any_number
        elif char == "?":
            piece = dialect.one
        elif char == "\\" and dialect.escapes != "":
            following = glob[place : place + 1]
            if following and following in dialect.dropped:
                continue
            if not following or (dialect.escapes and following not in dialect.escapes):
                raise PatternError(f"\\{visible(following)} is not an escape of a pattern.")
            place += 1
            piece = "\\" + following if dialect.raw else re.escape(following)
        elif char in "[]" and dialect.raw:
            piece = char
        elif char == "[" and dialect.classes:
            piece, place = _class(glob, place)
        elif dialect.raw:
            piece = "\\" + char if char in dialect.literal else char
        else:
            piece = re.escape(char)
        # Repeating these has no effect and is slow.
        if piece not in repeated or source[-1:] != [piece]:
            source.append(piece)
    return "".join(reversed(source) if backwards else source)


def _without_wildcards(glob: str) -> str | None:
    """Globs that moby compares as texts: `name`, `**name` for suffixes, and `**/name`."""
    bare = glob.removeprefix("**")
    if set(bare) & set("*?[]\\"):
        return None
    if bare == glob or not bare:
        return None if not bare else re.escape(glob)
    return "(?:.*/)?" + re.escape(bare[1:]) if bare[0] == "/" else ".*" + re.escape(bare)


def _class(glob: str, place: int) -> tuple[str, int]:
    """Translates a class of Go's `filepath.Match`; also returns the position after it.

    Raises PatternError if it is invalid.
    """
    negated = glob.startswith("^", place)
    place += negated
    ranges: list[str] = []
    first = place
    while place == first or not glob.startswith("]", place):
        bounds: list[str] = []
        for _ in range(2):
            escaped = glob.startswith("\\", place)
            place += escaped
            char = glob[place : place + 1]
            if not char or (char in "-]" and not escaped):
                raise PatternError(f"{visible(glob)} has a class that is not valid.")
            bounds.append(char)
            place += 1
            if len(bounds) == 2 or not glob.startswith("-", place):
                break
            place += 1
        # Go accepts a reversed range; it matches nothing.
        if bounds[0] <= bounds[-1]:
            ranges.append("-".join(_in_class(char) for char in bounds))
    if not ranges:
        return r"[\s\S]" if negated else r"[^\s\S]", place + 1
    return ("[^" if negated else "[") + "".join(ranges) + "]", place + 1


def _in_class(char: str) -> str:
    return "\\" + char if char.isascii() and not char.isalnum() and char != "_" else char


def path_matcher(glob: str, dialect: Dialect, *, below: bool = False) -> Callable[[str], bool]:
    """A test whether a glob matches a whole path, with undecodable bytes as lone surrogates.

    With `below`, it may match a folder above the path instead. Raises PatternError if the glob is
    invalid.
    """
    source = glob_source(glob, dialect) + "(?:/.*)?" * below
    special = set("[]\\+()|{}" if dialect is CONTAINERIGNORE else "[]\\")
    few = glob.count("*") <= _FEW_STARS and len(re.findall(r"\*+", glob)) <= _FEW_RUNS
    if few and not set(glob) & special:
        simple = re.compile(source, re.DOTALL)
        return lambda path: simple.fullmatch(path) is not None
    return Regex(f"(?s:{source})").fullmatch


class Regex:
    """An expression on RE2, over text or bytes that need not be UTF-8.

    Raises PatternError if it is invalid or uses a feature that RE2 lacks.
    """

    def __new__(cls, *_: object, **__: object) -> Regex:
        return super().__new__(cls if _has_re2() else _WithoutRe2)

    def __init__(self, source: str, *, ignore_case: bool = False, lines: bool = False) -> None:
        """Compiles an expression; with `lines`, only `^` and `$` match at newlines."""
        import re2

        options = re2.Options()
        options.log_errors = False
        options.never_capture = True
        options.case_sensitive = not ignore_case
        options.never_nl = lines
        raw = _encode("(?m)" + source if lines else source)
        try:
            for options.max_mem in (_PROGRAM, _MEMORY):
                self._regex: Any = re2.compile(raw, options)
        except re2.error as error:
            raise _problem(source, error.args[0]) from None

    @property
    def size(self) -> int:
        return int(self._regex.programsize)

    def search(self, text: str | bytes) -> bool:
        return self._regex.search(readable(text)) is not None

    def fullmatch(self, text: str | bytes) -> bool:
        return self._regex.fullmatch(readable(text)) is not None

    def spans(self, text: bytes) -> Iterator[tuple[int, int]]:
        """Start and end of the matches in the result of `readable`."""
        return (match.span() for match in self._regex.finditer(text))


@cache
def _has_re2() -> bool:
    return find_spec("re2") is not None


class _WithoutRe2(Regex):
    """The same with Python's `re`, for platforms without RE2, which has no wheels for musl.

    A pattern that backtracks may take long.
    """

    def __init__(self, source: str, *, ignore_case: bool = False, lines: bool = False) -> None:
        if _UNSUPPORTED.search(source):
            raise _problem(source, b"")
        self._lines = lines
        flags = re.IGNORECASE if ignore_case else re.NOFLAG
        # Lines are searched one by one, so nothing in an expression can match their ends.
        self._in_a_row = _RUNS.fullmatch(source) if lines else None
        raw = self._in_a_row["source"] if self._in_a_row else source
        raw = _PIECES.sub(_piece, raw)
        try:
            with warnings.catch_warnings(action="ignore"):  # of sets that may mean more one day
                self._regex = re.compile(raw, flags)
        except (re.error, RecursionError, OverflowError) as error:
            raise _problem(source, str(error).encode()) from None

    @property
    def size(self) -> int:
        return len(self._regex.pattern)

    def search(self, text: str | bytes) -> bool:
        return self._regex.search(_decoded(readable(text))) is not None

    def fullmatch(self, text: str | bytes) -> bool:
        return self._regex.fullmatch(_decoded(readable(text))) is not None

    def spans(self, text: bytes) -> Iterator[tuple[int, int]]:
        if not self._lines:
            yield from self._spans(text, 0)
            return
        start = row = 0
        for line in text.split(b"\n"):
            end = start + len(line) + 1
            if self._in_a_row is None:
                yield from self._spans(line, start)
            elif end > len(text) or self._regex.search(_decoded(line)) is None:
                if row < start:
                    yield row, start
                row = end
            start = end

    def _spans(self, text: bytes, start: int) -> Iterator[tuple[int, int]]:
        decoded = _decoded(text)
        for match in self._regex.finditer(decoded):
            begin, end = match.span()
            if len(decoded) != len(text):
                begin, end = (len(_encode(decoded[:place])) for place in (begin, end))
            yield start + begin, start + end


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", "surrogatepass")


def _piece(match: re.Match[str]) -> str:
    """Translates an escape or a class from RE2 to `re`."""
    text = match[0]
    if text[0] == "[":
        return _IN_CLASS.sub(_member, text)
    if text[1] in "dswDSW":
        return f"[{_IN_CLASS.sub(_member, text)}]"
    return _ESCAPES.get(text, text)


def _member(match: re.Match[str]) -> str:
    """Translates a named class or an escape within a class."""
    name = match["name"] or match["letter"]
    known = _CLASSES.get(name.lower() if match["letter"] else name)
    if known is None:
        return match[0]
    if not (match["negated"] or name.isupper()):
        return known
    outside = re.compile(f"[^{known}]")
    text = "".join(f"\\x{n:02x}" for n in range(128) if outside.match(chr(n)))
    return text + (_NO_LETTERS if "a-z" in known.lower() else r"\x80-\U0010ffff")


_TOO_LARGE = "The pattern is too large: use fewer, smaller repetitions."


def _problem(source: str, problem: bytes) -> PatternError:
    if _UNSUPPORTED.search(source):
        return PatternError("Lookaround and backreferences are not supported.")
    if problem.startswith((b"pattern too large", b"invalid repetition size")):
        return PatternError(_TOO_LARGE)
    # RE2 quotes the invalid part, which may be the whole expression.
    words = problem if len(problem) <= _MESSAGE else problem.partition(b": ")[0]
    return PatternError(f"Invalid pattern: {visible(words)}.")


def readable(text: str | bytes) -> bytes:
    """A text for RE2: UTF-8, with lone surrogates for bytes that are not."""
    if isinstance(text, str):
        return _encode(text)
    if text.isascii():
        return text
    try:
        text.decode()
    except UnicodeDecodeError:
        return _encode(decode(text))
    return text


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


@dataclass(frozen=True)
class PathPattern:
    """A pattern for paths, which have no leading slash."""

    #: Whether it matches single components, so that a folder's match includes everything below
    #: it; otherwise it matches whole paths.
    names: bool
    ignore_case: bool
    #: If not None, exactly the strings that contain this text, with a NUL before and after each
    #: string, match (all if it is empty); case-insensitivity is then ASCII only.
    text: bytes | None = None
    #: Otherwise, an expression for lines that hold one component, or one whole path with a leading
    #: slash, and have NUL instead of newlines.
    source: str = ""

    @cached_property
    def _regex(self) -> Regex:
        return Regex(self.source, ignore_case=self.ignore_case, lines=True)

    @cached_property
    def _runs_regex(self) -> Regex:
        # Each match costs far more than the bytes it covers, so one match takes all consecutive
        # lines. Only `\C`, any byte, matches a newline here.
        return Regex(_RUNS_OF.format(self.source), ignore_case=self.ignore_case, lines=True)

    def compile(self) -> None:
        """Compiles the expression now instead of on first use."""
        _ = self._runs_regex

    @property
    def program_size(self) -> int:
        """The number of instructions of its expression."""
        return self._runs_regex.size

    def prepared(self, joined: bytes) -> bytes:
        """Prepares strings joined by NUL for `runs`: readable, still joined by NUL."""
        text = readable(joined)
        return text if self.names else b"/" + text.replace(b"\0", b"\0/")

    def runs(self, prepared: bytes) -> list[tuple[int, int]]:
        """Start and end of each run of matching lines in the result of `prepared`.

        Not for a pattern that is a text.
        """
        return list(self._runs_regex.spans(self._lines(prepared) + b"\n"))

    def _lines(self, prepared: bytes) -> bytes:
        return prepared.translate(_SWAP_SPLIT if self.names else _SWAP)

    def search(self, path: bytes) -> bool:
        return self.span(path) is not None

    def span(self, path: bytes) -> tuple[int, int] | None:
        """Its first match in a path, or None; a text bound to an end takes the whole path."""
        if self.text is not None:
            framed = b"\0" + (path.replace(b"/", b"\0") if self.names else path) + b"\0"
            place = (framed.lower() if self.ignore_case else framed).find(self.text)
            if place < 0:
                return None
            if not self.text.strip(b"\0") or b"\0" in self.text:
                return 0, len(path)
            return place - 1, place - 1 + len(self.text)
        prepared = self.prepared(path)
        found = next(self._regex.spans(self._lines(prepared)), None)
        if found is None:
            return None
        front = not self.names
        start, end = (
            len(prepared[front:place].decode("utf-8", "surrogatepass").encode(errors=_ESCAPE))
            for place in found
        )
        return start, end


def typed_pattern(text: str) -> PathPattern | None:
    """Parses a filter as typed: part of a path, a glob, or `re:` and a regular expression.

    Lower case matches both cases; a capital letter makes it case-sensitive. Returns None if it is
    empty and matches everything. Raises PatternError if it is too large or not a regular
    expression.
    """
    if not text.startswith(REGEX_MARK):
        return filter_pattern(text)
    expression = text.removeprefix(REGEX_MARK)
    if not expression:
        return None
    letters = re.sub(r"\\[pP]\{.*?\}|\\.", "", expression)
    return regex_pattern(expression, ignore_case=letters == letters.lower())


def filter_pattern(text: str) -> PathPattern | None:
    """Part of a path, or a glob if it has `*` or `?`; None if it is empty. Case as above."""
    literal = text.strip("/")
    if not literal:
        return None
    ignore_case = text == text.lower()
    if "*" in text or "?" in text:
        return glob_pattern(text, ignore_case=ignore_case)
    raw = literal.encode("utf-8", _ESCAPE)
    names = "/" not in literal
    if _is_plain(literal, ignore_case):
        return PathPattern(names, ignore_case, raw)
    return _checked(PathPattern(names, ignore_case, source=_swapped(re.escape(literal))))


def glob_pattern(glob: str, *, ignore_case: bool = False) -> PathPattern:
    """A glob of the dialect `PATHS` that matches a whole path or a folder above it.

    A glob with a slash is anchored at the root; one without matches in every folder. Raises
    PatternError if it is too large.
    """
    bare = glob.strip("/")
    anchored = "/" in bare or glob.startswith("/")
    source = _swapped(glob_source(bare, PATHS))
    if anchored or "**" in bare:
        return _checked(PathPattern(False, ignore_case, source=f"{'^' * anchored}/{source}(?:/|$)"))
    text = bare.removeprefix("*").removesuffix("*")
    if not set(text) & set("*?") and _is_plain(text, ignore_case) and bare:
        before, behind = b"\0" * (bare[0] != "*"), b"\0" * (bare[-1] != "*")
        text = text.lower() if ignore_case else text
        framed = before + text.encode("utf-8", _ESCAPE) + behind
        return PathPattern(True, ignore_case, framed if text else b"")
    return _checked(PathPattern(True, ignore_case, source=f"^{source}$"))


def path_pattern(path: str) -> PathPattern:
    """A literal path, without a leading slash, and everything below it."""
    return PathPattern(False, False, source=f"^/{_swapped(re.escape(path))}(?:/|$)")


def regex_pattern(expression: str, *, ignore_case: bool = False) -> PathPattern:
    r"""A regular expression, searched in paths as displayed, with a leading slash.

    `^`, `$`, `\A` and `\Z` match at the ends of a path, and the slash after the first is optional:
    `^usr` finds what `^/usr` finds.

    Raises:
        PatternError: It is invalid, too large, or uses a feature that RE2 lacks.
    """

    def anchor(match: re.Match[str]) -> str:
        if match["start"]:
            return "^" if match["slash"] is not None else "(?:^/)"
        if match[0] == r"\C":
            raise PatternError(r"\C, a single byte, is not supported.")
        return "$" if match["end"] else match[0]

    source = _ANCHORS.sub(anchor, expression)
    # Check it by itself first: `a)(b` is invalid, but would be valid within parentheses.
    Regex(source, ignore_case=ignore_case)
    return _checked(PathPattern(False, ignore_case, source=source))


def _checked(pattern: PathPattern) -> PathPattern:
    """The pattern; raises PatternError if it is too large to search for."""
    pattern.compile()
    return pattern


def names_pattern(source: str) -> PathPattern:
    return PathPattern(True, False, source=f"^(?:{source})$")


def _is_plain(text: str, ignore_case: bool) -> bool:
    """Whether bytes can be compared for it."""
    return "\0" not in text and (text.isascii() or not ignore_case)


def _swapped(source: str) -> str:
    return source.translate({0: "\n", 10: "\0"})
