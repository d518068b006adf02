"""Patterns where there is no RE2, as on Alpine: Python's `re` finds the same."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerscope import patterns
from layerscope.filesystem.search import Joined
from layerscope.patterns import (
    CONTAINERIGNORE,
    DOCKERIGNORE,
    PatternError,
    path_matcher,
    typed_pattern,
)
from tests.unit.test_patterns import EXPRESSIONS, GLOBS, NAMES

_PIECES = [rf"\{each}" for each in r"sSwWdDbBz\]v"]
_PIECES += ["[[:^alpha:]]", "[[:^space:]a]", "(?i)", "[", "[^", "]", "a", "b", "é", "*", "^"]
_TEXTS = st.one_of(
    st.sampled_from([f"re:{each}" for each in EXPRESSIONS if each not in ("?", "a*b", "é")]),
    GLOBS,
    st.text("ab.*+?[]^$|()\\é", min_size=1, max_size=6).map("re:".__add__),
    st.sampled_from(["re:[[:alpha:]]+", r"re:\Aa", r"re:b\z", r"re:[^[:space:]]b", "re:(?i)A"]),
    st.lists(st.sampled_from(_PIECES), min_size=1, max_size=4).map("".join).map("re:".__add__),
)
_COMPONENTS = [b"a", b"ab", b"\n", b"\v", b"\x1f", b"z\\", b"\xff"]
_COMPONENTS += [each.encode() for each in ("é", "\x85", "\u0663", "\u017f", "\u2003")]
_PATHS = st.lists(
    st.lists(NAMES | st.sampled_from(_COMPONENTS)).map(b"/".join),
    min_size=1,
)


@pytest.fixture(autouse=True)
def _choice() -> Iterator[None]:
    yield
    patterns._has_re2.cache_clear()


def _found(text: str, paths: list[bytes]) -> object:
    """What a filter finds: in all paths at once, and where in each."""
    pattern = typed_pattern(text)
    if pattern is None:
        return None
    together = Joined(b"\0".join(paths)).matching(pattern).tolist()
    return together, [pattern.span(path) for path in paths]


@given(_TEXTS, _PATHS)
def test_filters_find_the_same(text: str, paths: list[bytes]) -> None:
    results = []
    for has_re2 in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(patterns, "_has_re2", lambda known=has_re2: known)
            try:
                results.append(_found(text, paths))
            except PatternError:
                return  # What only one of them supports is an error, and never another answer.
    assert results[0] == results[1]


@pytest.mark.parametrize("dialect", [DOCKERIGNORE, CONTAINERIGNORE])
@pytest.mark.parametrize("glob", ["*a*b*c*d*", "**/x/**/*.py", "[a-c]*", "a[!b]", "*.[ch]", "é?é"])
def test_ignore_rules_match_the_same(
    monkeypatch: pytest.MonkeyPatch, dialect: patterns.Dialect, glob: str
) -> None:
    paths = ["abcd", "a/b", "x/y/z.py", "x/z.py", "q/x/z.py", "a!", "ab", "m.c", "m.h", "éaé", ""]
    expected = [path_matcher(glob, dialect)(path) for path in paths]
    monkeypatch.setattr(patterns, "_has_re2", lambda: False)
    assert [path_matcher(glob, dialect)(path) for path in paths] == expected


@pytest.mark.parametrize("text", ["re:(?=a)", r"re:(a)\1", "re:(", "re:a)(b"])
def test_what_is_invalid_stays_invalid(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(patterns, "_has_re2", lambda: False)
    with pytest.raises(PatternError) as raised:
        typed_pattern(text)
    assert raised.value.message.isprintable()
