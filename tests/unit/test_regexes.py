"""Filters as they are typed, with regular expressions that cannot take for ever."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerscope.filesystem.regexes import typed_pattern


def found(text: str, path: str) -> bool:
    pattern, problem = typed_pattern(text)
    assert problem == ""
    assert pattern is not None
    return pattern.search(path.encode()) is not None


@pytest.mark.parametrize(
    ("text", "path", "wanted"),
    [
        ("re:^usr/bin/", "usr/bin/x", True),
        ("re:^/usr/bin/", "usr/bin/x", True),
        ("re:^usr/bin/", "opt/usr/bin/x", False),
        (r"re:lib.*\.so(\.\d+)?$", "usr/LIB/libc.so.6", True),
        (r"re:lib.*\.so(\.[0-9]+)?$", "usr/lib/libc.sox", False),
        ("re:Lib", "usr/lib", False),
        (r"re:\Dx$", "usr/Ax", True),
        ("re:a|b", "b", True),
        ("re:日本", "usr/日本語", True),
        ("bin", "usr/bin", True),
        ("*.py", "a/b.py", True),
    ],
)
def test_what_it_finds(text: str, path: str, wanted: bool) -> None:
    assert found(text, path) is wanted


@pytest.mark.parametrize("text", ["", "/", "re:"])
def test_nothing_typed_is_no_filter(text: str) -> None:
    assert typed_pattern(text) == (None, "")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("re:(", "missing )"),
        ("re:[a", "unterminated"),
        ("re:*", "nothing to repeat"),
        ("re:a{9999999999999999999}", "regular expression"),
        ("re:" + "(" * 5000 + ")" * 5000, ""),
        ("re:(a+)+$", "for ever"),
        ("re:(a|a)*b", "for ever"),
        ("re:(a?){30}b", "for ever"),
        ("re:.*.*.*.*x", "3 times"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(text: str, word: str) -> None:
    pattern, problem = typed_pattern(text)
    assert pattern is None
    assert word in problem
    assert problem.endswith(".")
    assert problem.isprintable()


@given(st.text("a.*+?()[]|{}5,\\^$", max_size=10).map("re:".__add__))
def test_none_takes_long(text: str) -> None:
    pattern, problem = typed_pattern(text)
    if pattern is None:
        assert problem or text == "re:"
        return
    start = time.perf_counter()
    pattern.search(b"a" * 200 + b"!")
    assert time.perf_counter() - start < 2
