"""`layerscope help`: topics that ship with the package."""

from __future__ import annotations

import io
import sys

import pytest

from layerscope import help as help_topics
from layerscope.cli import main
from layerscope.commands import COMMANDS
from layerscope.errors import UsageError
from layerscope.output import page
from layerscope.tui.terminal.markdown import rendered
from tests.command import one_line_error, run

Capsys = pytest.CaptureFixture[str]

_NAMES = [topic.name for topic in help_topics.topics()]


@pytest.mark.parametrize("topic", help_topics.topics(), ids=_NAMES)
def test_a_topic_has_a_title_and_a_summary_of_one_line(topic: help_topics.Topic) -> None:
    lines = help_topics.read(topic.name).splitlines()
    assert lines[0].startswith("# ")
    assert lines[2] == topic.summary
    assert topic.summary.endswith(".")
    assert len(topic.summary) <= 70
    assert lines[1] == lines[3] == ""


@pytest.mark.parametrize("name", _NAMES)
def test_a_topic_names_only_topics_that_exist(name: str) -> None:
    words = help_topics.read(name).replace("`", " ").split("layerscope help ")[1:]
    assert {word.split()[0] for word in words} - {"[TOPIC]"} <= {*_NAMES}


def test_every_command_is_in_the_list_of_commands() -> None:
    text = help_topics.read("commands")
    for name in COMMANDS.keys() - {"tui"}:
        assert f"\nlayerscope {name} " in text


def test_help_alone_lists_the_topics(capsys: Capsys) -> None:
    done = run(capsys, "help")
    assert done.code == 0
    for topic in help_topics.topics():
        assert f"{topic.summary}\n" in done.out
    assert all(len(line) <= 80 for line in done.out.splitlines())
    assert done.out.startswith("usage: layerscope ")


def test_a_topic_is_plain_text_in_a_pipe(capsys: Capsys) -> None:
    done = run(capsys, "help", "ci")
    assert (done.code, done.out) == (0, help_topics.read("ci"))


def test_a_topic_is_rendered_for_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "70")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = rendered(help_topics.read("ci"))
    assert "\x1b[1mThe CI gate" in text
    assert "`" not in text
    assert "|--" not in text


def test_a_pager_shows_the_text(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("PAGER", "sed s/^/-/")
    page("one\ntwo\n")
    assert capfd.readouterr().out == "-one\n-two\n"
    monkeypatch.setenv("PAGER", "/no/such/pager")
    page("one\ntwo\n")
    assert capfd.readouterr().out == "one\ntwo\n"


def test_an_unknown_topic_suggests_the_nearest(capsys: Capsys) -> None:
    line = one_line_error(run(capsys, "help", "bulid"))
    assert line.startswith("There is no help on bulid. Did you mean build?")
    line = one_line_error(run(capsys, "help", "inspct"))
    assert line.startswith("There is no help on inspct. Did you mean inspect?")
    with pytest.raises(UsageError, match=r"There is no help on zzz\. `layerscope help`"):
        help_topics.read("zzz")


def test_help_on_a_command_without_a_topic_shows_its_options(capsys: Capsys) -> None:
    with pytest.raises(SystemExit) as left:
        main(["help", "inspect"])
    assert left.value.code == 0
    assert "usage: layerscope inspect" in capsys.readouterr().out
