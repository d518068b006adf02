"""The differences between two versions of a path, with content; from one image or two."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from enum import Enum

from layerscope.content.encoding import LABELS, text_encoding
from layerscope.content.line_diff import LineDiff, diff_lines
from layerscope.content.line_matching import same_ends
from layerscope.errors import Cancelled, LayerscopeError, failures_ignored
from layerscope.filesystem.changeset import EntryType
from layerscope.filesystem.facts import Fact, differing_facts, facts
from layerscope.filesystem.stack import Stack
from layerscope.images.files.contents import Advance, Content, Contents
from layerscope.images.files.digests import known_digest

#: Larger files are compared by bytes, not lines.
LARGEST_TEXT = 8 << 20

#: How much of a file is examined to decide whether it is text.
_HEAD = 64 << 10
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Side:
    """A version and the source of its content."""

    stack: Stack
    row: int
    contents: Contents

    @property
    def is_file(self) -> bool:
        return int(self.stack.types[self.row]) == EntryType.FILE

    @property
    def size(self) -> int:
        return int(self.stack.sizes[self.row])

    def open(self) -> Content:
        return self.contents.open(self.stack, self.row)


class Body(Enum):
    """The result of comparing the content of two versions."""

    #: Neither is a regular file.
    NONE = "none"
    #: They have the same bytes.
    SAME = "same"
    #: They are text and were compared by lines.
    TEXT = "text"
    #: At least one is not text.
    BINARY = "binary"
    #: They are too large to compare by lines.
    LARGE = "large"
    #: They could not be read.
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class VersionDiff:
    """The differences between two versions, one of which may be missing."""

    facts: tuple[Fact, ...]  # Properties that differ; all properties of a single version.
    body: Body
    lines: LineDiff | None = None  # The differing lines of text, or all lines of a single version.
    #: `text_encoding` of both; None for a version that is missing or not text.
    encodings: tuple[str | None, str | None] = (None, None)
    #: Offset of the first differing byte; None if nothing was compared.
    first_difference: int | None = None
    problem: str = ""  # Why the content could not be read, in a sentence; safe to show.

    @property
    def changed(self) -> bool:
        return bool(self.facts) or self.body not in (Body.NONE, Body.SAME)


def compare_versions(
    old: Side | None, new: Side | None, advance: Advance | None = None
) -> VersionDiff:
    """Compares two versions, or describes one if the other is None; raises Cancelled."""
    if old is not None and new is not None:
        found = tuple(differing_facts(old.stack, old.row, new.stack, new.row))
    elif new is not None:
        found = tuple(Fact(n, None, v) for n, v in facts(new.stack, new.row).items())
    elif old is not None:
        found = tuple(Fact(n, v, None) for n, v in facts(old.stack, old.row).items())
    else:
        raise ValueError("two missing versions")
    sides = [side if side is not None and side.is_file else None for side in (old, new)]
    if sides == [None, None]:
        return VersionDiff(found, Body.NONE)
    one, other = sides
    if one is not None and other is not None and same_without_reading(one, other):
        return VersionDiff(found, Body.SAME)
    try:
        with ExitStack() as stack:
            opened = [
                None if side is None else stack.enter_context(closing(side.open()))
                for side in sides
            ]
            return _compare_content(found, opened, advance)
    except Cancelled:
        raise
    except LayerscopeError as error:
        return VersionDiff(found, Body.UNREADABLE, problem=str(error))


def _compare_content(
    found: tuple[Fact, ...], opened: list[Content | None], advance: Advance | None
) -> VersionDiff:
    encodings: list[str | None] = []
    for content in opened:
        if content is None:
            encodings.append(None)
            continue
        head = content.read(0, _HEAD, advance)
        encodings.append(text_encoding(head, len(head) == content.size))
    there = [content for content in opened if content is not None]
    known = (encodings[0], encodings[1])
    text = all(
        encoding is not None
        for encoding, content in zip(encodings, opened, strict=True)
        if content is not None
    )
    if text and all(content.size <= LARGEST_TEXT for content in there):
        texts = [
            b"" if content is None else content.read(0, content.size, advance) for content in opened
        ]
        if len(there) == 2 and texts[0] == texts[1]:
            return VersionDiff(found, Body.SAME)
        lines = diff_lines(*map(as_utf8, texts, encodings))
        return VersionDiff(found, Body.TEXT, lines, known)
    offset = None
    if len(there) == 2:
        offset = first_difference(there[0], there[1], advance)
        if offset is None:
            return VersionDiff(found, Body.SAME)
    return VersionDiff(found, Body.LARGE if text else Body.BINARY, None, known, offset)


def as_utf8(data: bytes, encoding: str | None) -> bytes:
    """Converts UTF-16 text to UTF-8; other text stays as it is."""
    if encoding is None or not encoding.startswith("utf-16"):
        return data
    text = data.decode(encoding, "replace").removeprefix("\ufeff")
    return text.encode("utf-8", "surrogatepass")


def encoding_note(diff: VersionDiff) -> str:
    """Describes unusual encodings; returns "" if both are usual."""
    names = [LABELS[name] for name in diff.encodings if name is not None]
    usual = all(name in (None, "ascii", "utf-8") for name in diff.encodings)
    if usual or not names:
        return ""
    return names[0] if len(set(names)) == 1 else f"{names[0]} → {names[1]}"


def first_difference(one: Content, other: Content, advance: Advance | None = None) -> int | None:
    """The offset of the first differing byte; None if the contents are equal.

    If one is a prefix of the other, the size of the shorter one.
    """
    offset = 0
    while True:
        a, b = (content.read(offset, _PIECE, advance) for content in (one, other))
        if a != b:
            return offset + same_ends(a, b)[0]
        if len(a) < _PIECE:
            return None
        offset += len(a)


def same_without_reading(one: Side, other: Side) -> bool:
    """Whether two regular files are already known to have the same content."""
    places = [side.stack.place(int(side.stack.inodes[side.row])) for side in (one, other)]
    first, second = places
    if first is None or second is None:
        return False
    if first[0] is second[0] and first[1] == second[1]:
        return True
    digest = known_digest(one.stack, one.row)
    return digest is not None and digest == known_digest(other.stack, other.row)


def same_content(one: Side, other: Side, advance: Advance | None = None) -> bool | None:
    """Whether two regular files have the same bytes; None if they cannot be read.

    Raises Cancelled if an image has been closed or `advance` raised it.
    """
    if one.size != other.size:
        return False
    if not one.size or same_without_reading(one, other):
        return True
    with failures_ignored(), closing(one.open()) as first, closing(other.open()) as second:
        return first_difference(first, second, advance) is None
    return None


def same_contents(
    pairs: Sequence[tuple[Side, Side]], advance: Advance | None = None
) -> Iterator[tuple[int, bool | None]]:
    """`same_content` for many pairs of regular files; reads each streamed layer once.

    Yields the number and the result of each pair as soon as it is known: pairs that need no
    stream come first. Raises Cancelled if an image has been closed or `advance` raised it.
    """
    seekable = _Seekable()
    streamed: list[int] = []
    for number, (one, other) in enumerate(pairs):
        digests = known_digest(one.stack, one.row), known_digest(other.stack, other.row)
        decided = one.size != other.size or not one.size or same_without_reading(one, other)
        if not decided and None not in digests:
            yield number, digests[0] == digests[1]
        elif decided or (seekable(one) and seekable(other)):
            yield number, same_content(one, other, advance)
        else:
            streamed.append(number)
    by_image: dict[tuple[int, int], list[tuple[int, Side]]] = {}
    for number in streamed:
        for side in pairs[number]:
            key = id(side.contents), id(side.stack)
            by_image.setdefault(key, []).append((number, side))
    found: dict[int, list[bytes | None]] = {}
    for sides in by_image.values():
        _, first = sides[0]
        stack = first.stack
        waiting: dict[int, list[int]] = {}
        for number, side in sides:
            waiting.setdefault(int(stack.inodes[side.row]), []).append(number)
        for inode, digest in first.contents.digests(stack, waiting, advance):
            for number in waiting[inode]:
                known = found.setdefault(number, [])
                known.append(digest)
                if len(known) == 2:
                    yield number, None if None in known else known[0] == known[1]
                    del found[number]


class _Seekable:
    """Whether files allow random access, determined by one file of each layer."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], bool] = {}

    def __call__(self, side: Side) -> bool:
        stack = side.stack
        key = id(side.contents), int(stack.layers[int(stack.inodes[side.row])])
        if key not in self._known:
            try:
                self._known[key] = side.contents.seekable(stack, side.row)
            except LayerscopeError:
                # This file cannot be read, but others of the layer may be.
                return True
        return self._known[key]


def settle_versions(
    stack: Stack,
    contents: Contents,
    rows: Iterable[int],
    advance: Advance | None = None,
    on_file: Callable[[], None] = lambda: None,
) -> None:
    """Compares `unread` versions with what they replaced, and records the results in the stack.

    Other versions are ignored. `on_file` is called after each comparison. Raises Cancelled if the
    image has been closed or `advance` raised it.
    """
    unread = [row for row in rows if stack.unread[row]]
    pairs = [
        (Side(stack, int(stack.below[row]), contents), Side(stack, row, contents)) for row in unread
    ]
    for number, same in same_contents(pairs, advance):
        row = unread[number]
        if same is not None:
            stack.settle(row, same)
        on_file()
