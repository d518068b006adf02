"""Filters as they are typed, globs in their dialects, and regular expressions on RE2."""

from __future__ import annotations

import pickle
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerscope.filesystem.search import Joined
from layerscope.filesystem.tree import PathTree
from layerscope.patterns import (
    DOCKERIGNORE,
    GO_MATCH,
    GO_MATCH_DEEP,
    SHELL,
    Dialect,
    PatternError,
    filter_pattern,
    glob_pattern,
    glob_source,
    path_matcher,
    regex_pattern,
    typed_pattern,
)

PATHS = st.lists(st.sampled_from(["a", "b", "ab", "ba", "*", "?"]), min_size=1, max_size=4).map(
    "/".join
)


@pytest.mark.parametrize(
    ("text", "path", "wanted"),
    [
        ("re:^usr/bin/", b"usr/bin/x", True),
        ("re:^/usr/bin/", b"usr/bin/x", True),
        ("re:^usr/bin/", b"opt/usr/bin/x", False),
        ("re:(^|/)bin/", b"bin/x", True),
        ("re:/bin/", b"bin/x", True),
        ("re:^(/usr|/opt)/bin", b"opt/bin", True),
        ("re:^[^u]", b"usr", False),
        ("re:^[^/^]*$", b"usr", True),
        ("re:^[^/^]*$", b"usr/x", False),
        (r"re:\^a", b"^a", True),
        (r"re:\Ausr\Z", b"usr", True),
        (r"re:\Ausr\Z", b"x/usr", False),
        (r"re:lib.*\.so(\.\d+)?$", b"usr/LIB/libc.so.6", True),
        (r"re:lib.*\.so(\.[0-9]+)?$", b"usr/lib/libc.sox", False),
        ("re:Lib", b"usr/lib", False),
        (r"re:\Dx$", b"usr/Ax", True),
        ("re:a|b", b"b", True),
        ("re:日本", "usr/日本語".encode(), True),
        ("re:^.本.$", "日本語".encode(), True),
        ("re:É", "usr/É".encode(), True),
        ("re:é", "usr/É".encode(), True),
        ("re:a.b", b"a\xffb", True),
        ("re:a[^x]b$", b"a\xffb", True),
        ("re:a..b", b"a\xffb", False),
        ("re:a\udcffb", b"a\xffb", True),
        ("re:a.b", b"a\nb", True),
        ("re:^b", b"a\nb", False),
        ("bin", b"usr/bin", True),
        ("*.py", b"a/b.py", True),
    ],
)
def test_what_a_typed_filter_matches(text: str, path: bytes, wanted: bool) -> None:
    pattern = typed_pattern(text)
    assert pattern is not None
    assert pattern.search(path) is wanted
    # The same among others, and in another process.
    others = Joined(b"\0".join([b"zz", path, b"zz"]))
    assert pickle.loads(pickle.dumps(pattern)) == pattern
    assert others.matching(pattern).tolist() == [
        pattern.search(b"zz"),
        wanted,
        pattern.search(b"zz"),
    ]


@pytest.mark.parametrize("text", ["", "/", "re:"])
def test_nothing_typed_is_no_filter(text: str) -> None:
    assert typed_pattern(text) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("re:(", "missing )"),
        ("re:a)(b", "unexpected )"),
        ("re:[a", "missing ]"),
        ("re:*", "no argument for repetition"),
        ("re:a{9999}", "too large"),
        ("re:((a{30}){30}){30}", "repetition"),
        ("re:[[:x:]]", "character class"),
        ("re:(?=a)", "not supported"),
        ("re:a(?<!b)", "not supported"),
        (r"re:(a)\1", "not supported"),
        (r"re:a\C", "not supported"),
        ("re:(\udcff", "Invalid pattern: missing "),
        ("re:(" + "\x1b[31m", "Invalid pattern: missing "),
    ],
)
def test_an_invalid_expression_is_one_clear_sentence(text: str, words: str) -> None:
    with pytest.raises(PatternError) as raised:
        typed_pattern(text)
    assert words in raised.value.message
    assert raised.value.message.endswith(".")
    assert raised.value.message.isprintable()


@given(st.text("a.*+?()[]|{}5,\\^$\x00\udcff", max_size=10).map("re:".__add__))
def test_no_expression_takes_long_or_fails_otherwise(text: str) -> None:
    try:
        pattern = typed_pattern(text)
    except PatternError:
        return
    if pattern is not None:
        pattern.search(b"a" * 200 + b"!")


NAMES = st.binary(max_size=4).map(lambda name: name.replace(b"\0", b"a"))
EXPRESSIONS = [
    "a",
    "^a",
    "a$",
    ".",
    "[^a]",
    r"\W",
    "^$",
    "(?s)a.*b",
    "/",
    r"\s",
    "x*",
    "?",
    "a*b",
    "é",
]


@settings(max_examples=30)
@given(st.lists(st.lists(NAMES | st.sampled_from([b"a", b"ab", b"\n"])).map(b"/".join), min_size=1))
@pytest.mark.parametrize("text", EXPRESSIONS)
def test_strings_are_found_together_as_alone(text: str, strings: list[bytes]) -> None:
    pattern = filter_pattern(text) if text in ("?", "a*b", "é") else regex_pattern(text)
    assert pattern is not None
    found = Joined(b"\0".join(strings)).matching(pattern).tolist()
    assert found == [pattern.search(string) for string in strings]


@pytest.mark.parametrize("text", ["re:(a+)+$", "re:(a|a)*b", "re:(a?){30}b", "re:.*.*.*.*x"])
def test_nested_repeats_take_no_time(text: str) -> None:
    pattern = typed_pattern(text)
    assert pattern is not None
    pattern.search(b"a" * 5000 + b"!")


@pytest.mark.parametrize(
    ("text", "path", "matches"),
    [
        ("etc", b"etc/passwd", True),
        ("ETC", b"etc/passwd", False),
        ("etc", b"ETC/x", True),
        ("/etc/", b"etc", True),
        ("*.conf", b"etc/a.conf", True),
        ("*.conf", b"etc/a.conf.d", False),
        ("*.conf", b"etc/a.conf/x", True),
        ("a?c", b"x/abc", True),
        ("a?c", b"x/a/c", False),
        ("a.c", b"abc", False),
        ("[x]", b"x", False),
        ("é", "é".encode(), True),
    ],
)
def test_a_filter_is_a_part_of_a_path_or_a_glob(text: str, path: bytes, matches: bool) -> None:
    pattern = filter_pattern(text)
    assert pattern is not None
    assert bool(pattern.search(path)) == matches


def test_an_empty_filter_is_none() -> None:
    assert filter_pattern("") is None
    assert filter_pattern("/") is None


def test_a_glob_with_many_stars_takes_no_time() -> None:
    pattern = filter_pattern("*a" * 25 + "b")
    assert pattern is not None
    assert not pattern.search(b"a" * 250)


GLOBS = st.text("ab/*?", min_size=1, max_size=8).filter(lambda glob: glob.strip("/"))


def slow_glob(glob: str) -> re.Pattern[bytes]:
    """The same meaning, written down without a thought of speed."""
    anchored = "/" in glob.strip("/") or glob.startswith("/")
    pieces = re.split(r"(\*\*/|\*\*|\*|\?)", glob.strip("/"))
    meaning = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    pattern = "".join(meaning.get(piece, re.escape(piece)) for piece in pieces)
    start = r"\A" if anchored else r"(?:\A|/)"
    return re.compile(f"{start}{pattern}(?:/|\\Z)".encode(), re.DOTALL)


@given(GLOBS, st.lists(PATHS, max_size=20))
def test_a_glob_means_what_its_stars_say(glob: str, of: list[str]) -> None:
    fast, slow = glob_pattern(glob), slow_glob(glob)
    for path in of:
        assert bool(fast.search(path.encode())) == bool(slow.search(path.encode()))


_NAMES = ["a(b)", "[x]", "a.so", "A.SO", "b.so.1", "lib", "libs", "\\", "a b", "so", "é", "*", "?x"]


_GLOBS = r"* ** *.so *.SO so* *so* lib* *[x] a(* *) *\* ?* *? *.* *é l*b *a*s* a [* *]* *|* {* *+*"


@pytest.mark.parametrize("glob", [*_GLOBS.split(), "* b", "a *", "so\0*", "*so\0li*", "*\0"])
def test_a_glob_finds_in_a_whole_tree_what_it_matches_path_by_path(glob: str) -> None:
    paths = [name.encode() for name in _NAMES]
    paths += [b"d/" + path for path in paths] + [path + b"/z" for path in paths]
    tree = PathTree([b"\0".join(paths)])
    for pattern in (filter_pattern(glob), glob_pattern(glob)):
        assert pattern is not None
        found = tree.search(pattern)[1:].tolist()
        alone = [pattern.search(tree.path(node)) for node in range(1, len(tree))]
        assert found == alone


@pytest.mark.parametrize(
    ("dialect", "glob", "matching", "others"),
    [
        (GO_MATCH, "a*", ["a", "ab"], ["a/b", "ba"]),
        (GO_MATCH, "a**b", ["ab", "acb"], ["a/b"]),
        (GO_MATCH, "?", ["é", "\udcff", "\n"], ["", "/", "ab"]),
        (GO_MATCH, "[a-c]x", ["ax", "cx"], ["dx", "x"]),
        (GO_MATCH, "[^a-c]x", ["dx"], ["ax", "x"]),
        (GO_MATCH, "[*?]", ["*", "?"], ["a"]),
        (GO_MATCH, r"[\]\-a]", ["]", "-", "a"], ["\\"]),
        (GO_MATCH, r"\*\*", ["**"], ["*", "a"]),
        (GO_MATCH, r"\d", ["d"], ["1"]),
        (GO_MATCH, "[z-a]x", [], ["x", "ax"]),
        (GO_MATCH, "^a+(b)$", ["^a+(b)$"], ["aab"]),
        (GO_MATCH_DEEP, "a/**/b", ["a/b", "a/c/d/b"], ["ab"]),
        (GO_MATCH_DEEP, "a/**", ["a/b/c"], ["a"]),
        (DOCKERIGNORE, "**x", ["x", "yx", "a/yx"], ["xa"]),
        (DOCKERIGNORE, "**/x", ["x", "a/b/x"], ["yx"]),
        (DOCKERIGNORE, "a/**", ["a/b", "a/b/c"], ["a", "b"]),
        (DOCKERIGNORE, "a**b", ["ab", "ax/b"], ["axb"]),
        (DOCKERIGNORE, "*.py[co]", ["a.pyc", "a.pyo"], ["a.py", "a.pyx", "d/a.pyc"]),
        (DOCKERIGNORE, r"a\*", ["a*"], ["ab"]),
        (DOCKERIGNORE, r"v\d", ["v1"], ["vd"]),
        (DOCKERIGNORE, "a^b", ["a^b"], ["ab"]),
        (DOCKERIGNORE, "a.b*", ["a.bc"], ["axbc"]),
        (SHELL, "a*b", ["ab", "a/x/b"], ["abc"]),
        (SHELL, "a?b", ["a/b"], ["ab"]),
        (SHELL, r"\*\?\\", ["*?\\"], ["ab\\"]),
        (SHELL, r"a\/b\}", ["a/b}"], [r"a\/b\}"]),
        (SHELL, "[a]", ["[a]"], ["a"]),
    ],
)
def test_dialects(dialect: Dialect, glob: str, matching: list[str], others: list[str]) -> None:
    matches = path_matcher(glob, dialect)
    assert [path for path in matching if not matches(path)] == []
    assert [path for path in others if matches(path)] == []


@pytest.mark.parametrize("glob", ["[", "[]a]", "[a", "[a-]", "[-a]", "a\\", "[a-b-c]"])
def test_globs_that_go_does_not_accept(glob: str) -> None:
    with pytest.raises(PatternError):
        glob_source(glob, GO_MATCH)


@pytest.mark.parametrize("glob", [r"\a", "a\\"])
def test_escapes_that_a_shell_pattern_does_not_have(glob: str) -> None:
    with pytest.raises(PatternError):
        glob_source(glob, SHELL)


@pytest.mark.parametrize("dialect", [GO_MATCH, GO_MATCH_DEEP, DOCKERIGNORE, SHELL])
@settings(max_examples=50)
@given(glob=st.text("ab*?[]^-!/\\.\n#~&", max_size=12), path=st.text("ab/.[-\n", max_size=8))
def test_no_glob_fails_otherwise(dialect: Dialect, glob: str, path: str) -> None:
    try:
        matches = path_matcher(glob, dialect)
    except PatternError:
        return
    assert matches(path) in (True, False)


@pytest.mark.parametrize("glob", ["*a" * 40 + "*b", "**/a*" * 25 + "/b", "?*" * 100 + "b"])
def test_many_stars_take_no_time(glob: str) -> None:
    assert not path_matcher(glob, DOCKERIGNORE)("/".join(["a" * 200] * 20))


def test_globs_are_matched_the_same_with_few_stars_and_with_many() -> None:
    few, many = path_matcher("a*b?", GO_MATCH), path_matcher("a*b?" + "*" * 9, GO_MATCH)
    for path in ("ab\udcff", "axbé", "ab\n", "ab", "a/bc"):
        assert few(path) == many(path)
