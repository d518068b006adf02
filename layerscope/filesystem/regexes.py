"""What a user types as a filter, regular expressions included, none of which can take for ever."""

from __future__ import annotations

import re
import warnings
from importlib import import_module
from typing import Any

from layerscope.filesystem.rows import filter_pattern

# What a pattern is made of; `sre_parse` of old.
op: Any = import_module("re._constants")
parser: Any = import_module("re._parser")

#: What a filter begins with that is a regular expression.
MARK = "re:"

#: With each `.*` more, the time that a path takes is multiplied by its length.
_MOST_REPEATS = 3


def typed_pattern(text: str) -> tuple[re.Pattern[bytes] | None, str]:
    """The pattern that a filter stands for: a part of a path, a glob, or `re:` and an expression.

    Lower case finds both cases; a capital letter makes it exact.

    Returns:
        A pattern over paths, None if everything fits; and why there is none, in a sentence that
        is safe to show, or nothing.
    """
    if not text.startswith(MARK):
        return filter_pattern(text), ""
    expression = text.removeprefix(MARK)
    if not expression:
        return None, ""
    # Paths have no slash in front, and `re:^/usr` is meant as it looks.
    expression = re.sub(r"^(\(?\^)/", r"\1", expression)
    letters = re.sub(r"\\.", "", expression)
    flags = 0 if letters != letters.lower() else re.IGNORECASE
    raw = expression.encode("utf-8", "surrogateescape")
    with warnings.catch_warnings():
        # Of sets that may mean something else one day; a screen is no place for them.
        warnings.simplefilter("ignore")
        return _checked(raw, flags)


def _checked(raw: bytes, flags: int) -> tuple[re.Pattern[bytes] | None, str]:
    try:
        tree = parser.parse(raw, flags)
        if _repeats(tree) > _MOST_REPEATS:
            return None, f"It may repeat without end {_MOST_REPEATS} times at most."
        if _nested(tree):
            return None, "It repeats what repeats itself, which can take for ever."
        return re.compile(raw, flags), ""
    except (re.error, OverflowError, RecursionError) as error:
        reason = getattr(error, "msg", "") or "too large"
        return None, f"It is no regular expression: {reason}."


def _parts(item: Any) -> list[Any]:
    """The patterns that an item of a parsed expression is made of."""
    kind, value = item
    if kind in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
        return [value[2]]
    if kind is op.SUBPATTERN:
        return [value[3]]
    if kind is op.BRANCH:
        return list(value[1])
    if kind in (op.ASSERT, op.ASSERT_NOT):
        return [value[1]]
    if kind is op.ATOMIC_GROUP:
        return [value]
    if kind is op.GROUPREF_EXISTS:
        return [part for part in value[1:] if part is not None]
    return []


def _long(item: Any) -> bool:
    """Whether an item repeats often enough to matter."""
    kind, value = item
    return kind in (op.MAX_REPEAT, op.MIN_REPEAT) and value[1] > 8


def _repeats(tree: Any) -> int:
    """How many repeats there are that have no near end."""
    return sum(_long(item) + sum(_repeats(part) for part in _parts(item)) for item in tree)


def _nested(tree: Any, inside: bool = False) -> bool:
    """Whether a repeat, a choice or an option is inside a repeat."""
    for item in tree:
        variable = item[0] in (op.MAX_REPEAT, op.MIN_REPEAT, op.BRANCH)
        if inside and variable:
            return True
        if any(_nested(part, inside or _long(item)) for part in _parts(item)):
            return True
    return False
