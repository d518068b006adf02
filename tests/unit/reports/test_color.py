"""Colors of reports: on a terminal only, unless asked for, and never the only sign."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerscope.reports import color
from layerscope.text import COLORS
from layerscope.text import clip as clip_plain
from tests.archives import layer, saved, write
from tests.command import run

Capsys = pytest.CaptureFixture[str]

_COMMANDS = [
    ("inspect", "IMAGE"),
    ("waste", "IMAGE"),
    ("files", "IMAGE"),
    ("files", "IMAGE", "--layer", "1"),
    ("history", "IMAGE", "/etc/motd"),
    ("history", "IMAGE", "/etc/motd", "--patch"),
    ("diff", "IMAGE", "OTHER"),
    ("diff", "IMAGE", "OTHER", "--path", "/etc/motd"),
    ("find", "motd", "IMAGE"),
    ("ci", "IMAGE"),
    ("packages", "IMAGE"),
    ("packages", "IMAGE", "--layer", "0"),
    ("lint", "FILE", "--no-hadolint", "--no-buildkit"),
    ("cat", "IMAGE", "/etc/motd", "--describe"),
    ("dockerfile", "IMAGE"),
    ("jobs",),
    ("config",),
]
#: What has no colors, whatever is asked for.
_PLAIN = ("cat", "config", "dockerfile")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    color.choose("never")


@pytest.fixture
def places(tmp_path: Path) -> dict[str, str]:
    status = b"Package: a\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\n"
    base = layer(("etc/motd", b"1\n"), ("etc/gone", b"1" * 2000), ("var/lib/dpkg/status", status))
    top = layer(("etc/motd", b"2\n"), ("etc/.wh.gone", b""), ("etc/new", b""))
    return {
        "IMAGE": write(tmp_path / "one.tar", saved(base, top)),
        "OTHER": write(tmp_path / "two.tar", saved(base)),
        "FILE": write(tmp_path / "Dockerfile", b"FROM a\nMAINTAINER me\nCOPY none /\n"),
    }


@pytest.mark.parametrize("words", _COMMANDS, ids=" ".join)
def test_colors_change_nothing_but_colors(
    capsys: Capsys, places: dict[str, str], words: tuple[str, ...]
) -> None:
    arguments = [places.get(word, word) for word in words]
    plain = run(capsys, *arguments)
    assert "\x1b" not in plain.out
    colored = run(capsys, *arguments, "--color=always")
    assert (colored.code, colored.err) == (plain.code, plain.err)
    assert COLORS.sub("", colored.out) == plain.out
    assert ("\x1b" in colored.out) == (words[0] not in _PLAIN)
    if "--patch" not in words and "--path" not in words and words[0] != "files":
        for option in ("--json", "--json-lines"):
            done = run(capsys, *arguments, "--color=always", option)
            assert "\x1b" not in done.out


def test_letters_and_numbers_of_changes_are_colored(capsys: Capsys, places: dict[str, str]) -> None:
    out = run(capsys, "--color", "always", "files", places["IMAGE"], "--layer", "1").out
    for letter, code in (("A", 32), ("M", 33), ("R", 31)):
        assert f"\x1b[{code}m{letter}\x1b[m " in out


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("when", "terminal", "variables", "expected"),
    [
        ("auto", True, {"TERM": "xterm"}, True),
        ("auto", True, {"TERM": "xterm", "NO_COLOR": ""}, True),
        ("auto", True, {"TERM": "xterm", "NO_COLOR": "1"}, False),
        ("auto", True, {"TERM": "dumb"}, False),
        ("auto", True, {}, False),
        ("auto", False, {"TERM": "xterm"}, False),
        ("always", False, {"TERM": "dumb", "NO_COLOR": "1"}, True),
        ("never", True, {"TERM": "xterm"}, False),
    ],
)
def test_when_there_are_colors(
    monkeypatch: pytest.MonkeyPatch,
    when: str,
    terminal: bool,
    variables: dict[str, str],
    expected: bool,
) -> None:
    for name in ("TERM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", _Terminal() if terminal else io.StringIO())
    color.choose(when)
    assert color.wanted() is expected


@given(
    st.lists(st.tuples(st.text("abc é", max_size=5), st.sampled_from(["", "1", "31"]))),
    st.integers(1, 12),
)
def test_a_colored_text_is_cut_as_a_plain_one(parts: list[tuple[str, str]], length: int) -> None:
    color.choose("always")
    text = "".join(color.painted(part, code) for part, code in parts)
    cut = color.clip(text, length)
    assert COLORS.sub("", cut) == clip_plain(COLORS.sub("", text), length)
    # No color goes on behind the text.
    assert COLORS.findall(cut)[-1:] in ([], ["\x1b[m"])
