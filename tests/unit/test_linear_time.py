"""Inputs for which matching that is not linear would take hours: from files, images and users."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from layerscope.content.certificates import describe_pem
from layerscope.content.finding import Matches, find, text_needle
from layerscope.content.pictures import svg_facts
from layerscope.dockerfile.checks.syntax import _DURATION
from layerscope.dockerfile.context.ignore import parse_ignore
from layerscope.dockerfile.syntax.parser import parse
from layerscope.filesystem.search import Joined
from layerscope.patterns import (
    DOCKERIGNORE,
    GO_MATCH,
    PatternError,
    glob_pattern,
    path_matcher,
    typed_pattern,
)
from layerscope.redaction import redacted
from tests.archives import InMemory

#: 200 paths of nearly 4,096 bytes.
_LONG = b"\0".join([b"/".join([b"a" * 250] * 16)] * 200)
_N = 1_000_000


@pytest.mark.parametrize(
    "text",
    [
        "re:a.*a.*a.*x",
        "re:(a+)+$x",
        "re:(a|aa)+/x",
        "re:(.*)*(.*)*x",
        "**/**/**/**/**/**/**/**/**/**/x",
        "*a*a*a*a*a*a*a*a*a*a*x",
        "a" * 250 + "x",
        "aaa/aaax",
    ],
)
def test_what_is_typed(text: str) -> None:
    pattern = typed_pattern(text)
    assert pattern is not None
    assert not Joined(_LONG).matching(pattern).any()
    assert pattern.span(_LONG.partition(b"\0")[0]) is None
    if not text.startswith("re:"):
        assert not Joined(_LONG).matching(glob_pattern(text)).any()


@pytest.mark.parametrize("text", ["a" * 250, "a" * 250 + "/", "A", "*a" * 100])
def test_what_is_found_everywhere(text: str) -> None:
    strings = [b"a" * 250, b"b", b"A" * 250, b"b/" + b"a" * 300, b""]
    pattern = typed_pattern(text)
    assert pattern is not None
    found = Joined(b"\0".join(strings * 9)).matching(pattern).tolist()
    assert found == [pattern.search(each) for each in strings] * 9


@pytest.mark.parametrize(
    "text",
    [
        "re:((((a{0,8}){0,8}){0,8}){0,8}){0,8}b",
        r"re:(\pL{1,30}){1,30}x",
        "re:(?:" + ".{1,1000}[a-z]" * 20 + ")Q",
        "?" * 4000,
    ],
)
def test_what_would_take_too_much_memory(text: str) -> None:
    with pytest.raises(PatternError, match="too large"):
        typed_pattern(text)


@pytest.mark.parametrize("glob", ["*a*a*a*x", "**a**a**x", "**/*a*a*a*x", "[a]*a*a*a*x"])
def test_globs_over_paths(glob: str) -> None:
    path = _LONG.partition(b"\0")[0].decode()
    assert not path_matcher(glob, DOCKERIGNORE)(path)
    assert not path_matcher(glob, GO_MATCH)("a" * 200_000)
    assert parse_ignore(glob).ignores(path) is None


def _find_pasted_text() -> object:
    needle = text_needle("é" * 4000, "utf-8")
    assert needle is not None
    matches = Matches()
    find(InMemory(("é" * 200_000 + "x").encode()), needle, matches, lambda _: None)
    return matches.complete


@pytest.mark.parametrize(
    "run",
    [
        lambda: describe_pem(b"-----BEGIN CERTIFICATE-----" * 150_000),
        lambda: svg_facts(b"<svg " * _N),
        lambda: parse("# a=b" + " " * _N + "c\nFROM a\n"),
        lambda: _DURATION.match("1" * _N),
        lambda: redacted("a." * (_N // 2)),
        _find_pasted_text,
    ],
)
def test_content(run: Callable[[], object]) -> None:
    run()


def test_certificates_in_a_bundle() -> None:
    one = b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"
    trusted = one.replace(b"CERT", b"TRUSTED CERT")
    cut = b"-----BEGIN TRUSTED CERTIFICATE-----\nMAA=\n"
    found = describe_pem(one + trusted + cut + one + b"-----END TRUSTED CERTIFICATE-----\n")
    assert found is not None
    assert found.summary == "3 certificates, PEM"
