"""Highlighting, and that no text can block it."""

from __future__ import annotations

import os
import subprocess

import pytest

from layerscope.content.display import Span
from layerscope.content.highlight import Category, Highlighter, find_lexer, spans_of


def named(line: str, spans: list[Span]) -> list[tuple[str, Category]]:
    return [(line[begin:end], Category(kind)) for begin, end, kind in spans]


def test_a_program_by_its_name() -> None:
    lines = ['"""Two', 'lines."""', "def twice(x):  # why", "    return 2 * len('a')"]
    highlighter = Highlighter("m.py", "")
    try:
        spans = highlighter.spans(lines)
        assert spans is not None
        assert [named(line, found) for line, found in zip(lines, spans, strict=True)] == [
            [('"""Two', Category.STRING)],
            [('lines."""', Category.STRING)],
            [("def", Category.KEYWORD), ("twice", Category.NAME), ("# why", Category.COMMENT)],
            [
                ("return", Category.KEYWORD),
                ("2", Category.NUMBER),
                ("len", Category.BUILTIN),
                ("'", Category.STRING),
                ("a", Category.STRING),
                ("'", Category.STRING),
            ],
        ]
        # It goes on being good for more.
        assert highlighter.spans(["x = 1"]) == [[(4, 5, Category.NUMBER)]]
    finally:
        highlighter.close()
    assert highlighter.spans(["x = 1"]) is None


@pytest.mark.parametrize(
    ("name", "head", "expected"),
    [
        ("x.py", "", "Python"),
        ("Dockerfile", "", "Docker"),
        ("entrypoint", "#!/bin/sh -e\n", "Bash"),
        ("tool", "#!/usr/bin/env python3.11\n", "Python"),
        ("tool", "#!/usr/bin/env -S node --x\n", "JavaScript"),
        ("x.unknown", "<?xml version='1.0'?>", "XML"),
        ("x.json", "", "JSON"),
        ("notes.txt", "", None),
        ("passwd", "root:x", None),
        ("tool", "#!", None),
        ("tool", "#!/nothing/known", None),
    ],
)
def test_which_language(name: str, head: str, expected: str | None) -> None:
    lexer = find_lexer(name, head)
    if expected is None:
        assert lexer is None
    else:
        assert lexer is not None
        assert expected.lower() in lexer.name.lower()


def test_unknown_languages_have_no_spans() -> None:
    highlighter = Highlighter("notes.txt", "")
    assert highlighter.spans(["text"]) is None
    highlighter.close()


def test_hostile_lines_and_long_ones_stay_in_place() -> None:
    lexer = find_lexer("x.py", "")
    assert lexer is not None
    lines = ["a = 1", "\udcff\x00\x1b", "b" * 5000, "c = 2"]
    spans = spans_of(lexer, lines)
    assert named(lines[0], spans[0]) == [("1", Category.NUMBER)]
    assert spans[2] == []
    assert named(lines[3], spans[3]) == [("2", Category.NUMBER)]


def test_a_slow_text_is_abandoned(monkeypatch: pytest.MonkeyPatch) -> None:
    # The alarm of the process is what ends it; one of a second does not make the test wait long.
    code = "import layerscope.content.highlight as h, time; h._PATIENCE = 1; "
    code += "h.spans_of = lambda *_: time.sleep(99); h._serve()"
    real = subprocess.Popen
    monkeypatch.setattr(
        subprocess,
        "Popen",
        lambda command, **options: real([command[0], "-P", "-c", code], **options),
    )
    highlighter = Highlighter("x.py", "")
    assert highlighter.spans(["x"]) is None
    assert highlighter.spans(["x"]) is None


def test_the_process_ends_with_its_user() -> None:
    highlighter = Highlighter("x.py", "")
    highlighter.spans(["x"])
    process = highlighter._process
    assert process is not None
    highlighter.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)
