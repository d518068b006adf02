"""The manual page layerscope(1), generated from the parsers; the build of a wheel writes it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from layerscope import __version__
from layerscope.cli import parser_of
from layerscope.command_table import COMMANDS, GROUPS
from layerscope.config import OPTIONS
from layerscope.parser import Parser

_ENVIRONMENT = {
    "DOCKER_HOST, DOCKER_CONTEXT": "the engine, as for the docker command",
    "LAYERSCOPE_ENGINE": "the same as --engine",
    "NO_COLOR": "if it is not empty, nothing has colors",
    "PAGER": "shows help topics; less by default",
    "LAYERSCOPE_LOG": "the same as --log",
}

_FILES = {
    "~/.config/layerscope/config.toml": "settings and keys; see `layerscope help settings`",
    "~/.cache/layerscope": "layers that have been read",
    "~/.local/state/layerscope": "jobs, and their journals",
}

#: Options of every command, described once.
_OF_ALL = ("-h", "--color", "--engine", "--log")


def page() -> str:
    """The manual page, in the macros of man(7)."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    main = parser_of("tui")
    yield f'.TH LAYERSCOPE 1 "" "layerscope {__version__}" "User Commands"'
    yield ".SH NAME"
    yield r"layerscope \- shows what each layer of a container image adds"
    yield ".SH SYNOPSIS"
    yield from _usage(main)
    yield ".SH DESCRIPTION"
    yield _text(
        "layerscope shows what each layer of a container image adds, modifies and removes, in a "
        "terminal. Without a command it opens the TUI, with the image SOURCE if there is one."
    )
    yield from _items(main.items())
    yield ".SH COMMANDS"
    for title, names in GROUPS.items():
        yield f".SS {_text(title[0].upper() + title[1:])}"
        for name in names.split():
            yield ".TP"
            yield rf"\fB{name}\fR"
            yield _text(COMMANDS[name].what)
    for name in sorted(COMMANDS.keys() - {"tui"}):
        yield f".SH {name.upper()}"
        yield from _command(parser_of(name))
    yield ".SH EXIT STATUS"
    yield from _items((str(code), text) for code, text in main.exit_codes.items())
    yield ".SH ENVIRONMENT"
    yield from _items(_ENVIRONMENT.items())
    yield from _items((option.variable, option.what) for option in OPTIONS)
    yield ".SH FILES"
    yield from _items(_FILES.items())
    yield ".SH SEE ALSO"
    yield r"\fBdocker\fR(1), \fBpodman\fR(1), \fBskopeo\fR(1), \fBcontainers\-transports\fR(5)"


def _command(parser: Parser) -> Iterator[str]:
    yield from _usage(parser)
    yield ".PP"
    yield _text(parser.description or "")
    yield from _items(item for item in parser.items() if not item[0].startswith(_OF_ALL))
    yield ".PP"
    yield "Examples:"
    yield ".PP"
    yield ".nf"
    yield ".RS 4"
    yield from map(_text, parser.examples)
    yield ".RE"
    yield ".fi"
    if 1 in parser.exit_codes:
        yield ".PP"
        yield _text(f"Exit status 1: {parser.exit_codes[1]}.")
    for inner in parser.inner():
        yield f".SS {_text(inner.prog.removeprefix('layerscope '))}"
        yield from _command(inner)


def _usage(parser: Parser) -> Iterator[str]:
    lines = re.sub(r"\n {8,}(?!layerscope)", " ", parser.usage_lines).split("\n")
    yield "\n.br\n".join(_text(" ".join(line.split())) for line in lines)


def _items(items: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, text in items:
        yield ".TP"
        yield rf"\fB{_text(name)}\fR"
        yield _text(text)


def _text(text: str) -> str:
    r"""Escapes text for roff: hyphens as on a keyboard, and no line that is a request."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped
