"""The command line. stdout is data, stderr progress and errors; the exit code is the answer."""

from __future__ import annotations

import argparse
import gc
import os
import re
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from layerscope import config, process
from layerscope.command_table import ACTIONS, COMMANDS, GROUPS
from layerscope.commands import command
from layerscope.errors import Cancelled, LayerscopeError, UsageError
from layerscope.options import OPTIONS
from layerscope.parser import GENERAL, Command, Parser, item

#: The exit code that a shell reports for a program ended by SIGPIPE.
BROKEN_PIPE = 128 + signal.SIGPIPE


def parser_of(name: str) -> Parser:
    """The parser of a command; the TUI's help lists all commands."""
    parser = (
        _main_parser() if name == "tui" else Parser(f"layerscope {name}", COMMANDS[name], OPTIONS)
    )
    if name in ACTIONS:
        _add_actions(parser, ACTIONS[name])
    parser.set_defaults(command=name, parser_of=parser_of, color="auto", engine=None, log=None)
    return parser


def _main_parser() -> Parser:
    parser = Parser("layerscope", COMMANDS["tui"], OPTIONS, heading="options of the TUI")
    parser.add(["--version"])
    parser.usage = f"{parser.usage_lines}\n       layerscope COMMAND …"
    lists = (
        "\n".join([f"{title}:", *(item(each, COMMANDS[each].what) for each in names.split())])
        for title, names in GROUPS.items()
    )
    parser.description = "\n\n".join(
        [
            "Shows what each layer of a container image adds. Without a command: the TUI.",
            *lists,
            "`layerscope COMMAND --help` shows the options of a command, and\n"
            "`layerscope help` lists the help topics.",
        ]
    )
    return parser


def _add_actions(parser: Parser, known_actions: dict[str, Command]) -> None:
    actions = parser.add_subparsers(
        title="actions", dest="action", metavar="ACTION", help="list by default"
    )
    for name, known in known_actions.items():
        actions.add_parser(name, help=known.what, known=known, table=OPTIONS)
    # `jobs --json` and `jobs list --json`, for example, are the same.
    actions.choices["list"].add(["--json"], default=argparse.SUPPRESS)
    parser.usage = parser.usage_lines.replace("ACTION ...", "[ACTION …]")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command, by default from the process's arguments.

    Returns the exit code: 0, 1 (the answer is no), 2 (usage or error), 130 (interrupted), or
    `BROKEN_PIPE` if the reader of the output is gone.
    """
    # Reading creates millions of objects and no cycles.
    gc.disable()
    process.fill_closed_streams()
    process.want_no_threads()
    arguments = list(sys.argv[1:] if argv is None else argv)
    if "_ARGCOMPLETE" in os.environ:
        _complete()
    interrupts = process.remember_interrupts()
    threading.excepthook = process.thread_failed
    sys.unraisablehook = process.unraisable
    try:
        code = _run(arguments)
        if interrupts and not code:
            # Python drops one that arrives while it formats another exception.
            raise KeyboardInterrupt
        return code
    except BrokenPipeError:
        process.drop_output()
        return BROKEN_PIPE
    except (KeyboardInterrupt, Cancelled):
        print("Interrupted.", file=sys.stderr)
        return 130
    except Exception as error:
        # Python's exit code would be 1, which means that the answer is no.
        if interrupts and not isinstance(error, LayerscopeError | OSError):
            print("Interrupted.", file=sys.stderr)
            return 130
        from layerscope import logs

        failure = logs.failure_of(error)
        print(f"layerscope: {failure}", file=sys.stderr)
        process.drop_output()
        return failure.exit_code


def _complete() -> NoReturn:
    """Completes a line for a shell; on any error, it has no answer."""
    try:
        from layerscope.commands.completion import answer

        answer(_chosen, parser_of, {name: known.what for name, known in COMMANDS.items()})
    finally:
        os._exit(1)


def _chosen(arguments: list[str]) -> tuple[str, list[str]]:
    """The command and its arguments; without a command, the TUI and its own arguments."""
    count = 0
    # `layerscope --log FILE inspect SOURCE`
    while (option := arguments[count : count + 1]) and option[0].partition("=")[0] in GENERAL:
        count += 1 if "=" in option[0] else 2
    before, rest = arguments[:count], arguments[count:]
    if rest[:1] == ["help"] and len(rest) == 2 and rest[1] in COMMANDS:
        from layerscope.help import topics

        if rest[1] not in {topic.name for topic in topics()}:
            return rest[1], ["--help"]
    if rest and rest[0] in COMMANDS:
        return rest[0], before + rest[1:]
    return "tui", arguments


def _parsed(arguments: list[str]) -> argparse.Namespace:
    name, rest = _chosen(arguments)
    parser = parser_of(name)
    parsed, unknown = parser.parse_known_args(rest)
    if unknown and not any(parser.inner()):
        # An optional argument may also follow options.
        parsed, unknown = parser.parse_known_intermixed_args(rest)
    if name == "tui" and rest is arguments and parsed.image is not None:
        _check_command(parsed.image, unknown)
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    return parsed


def _check_command(word: str, unknown: list[str]) -> None:
    """Checks that the first word is a SOURCE for the TUI, not a misspelled command.

    It is a command if arguments follow that the TUI does not accept. Alone, it is one if it
    resembles the name of a command, unless a file or an image has that name.
    """
    like_command = re.fullmatch("[A-Za-z]+(-[A-Za-z]+)*", word)
    if not like_command or word in COMMANDS or Path(word).exists():
        return
    import difflib

    near = difflib.get_close_matches(word.lower(), COMMANDS, n=1, cutoff=0.75)
    if not near and len(word) > 2:
        near = [name for name in COMMANDS if name.startswith(word.lower())][:1]
    if near and not unknown:
        from layerscope.engines.resolve import engine_has

        if engine_has(word):
            return
    if near or (unknown and not unknown[0].startswith("-")):
        hint = f"Did you mean {near[0]}?" if near else "See layerscope --help."
        raise UsageError(f"No command {word}.", hint)


def _run(arguments: list[str]) -> int:
    parsed = _parsed(arguments)
    log = parsed.log or os.environ.get("LAYERSCOPE_LOG")
    if log:
        # Imported here: `logging` costs each command a few milliseconds.
        from layerscope import logs

        logs.start(log)
        logs.begin(parsed.command)
    if parsed.engine:
        config.use_engine(parsed.engine)
    if parsed.command not in ("tui", "config"):
        # These two report more, such as problems with keys.
        for warning in config.load().warnings:
            print(f"layerscope: {warning}", file=sys.stderr)
    if parsed.command == "tui":
        # stderr is the screen.
        return command(parsed.command)(parsed)
    # Imported here: the TUI does not need it, and starts faster without it.
    from layerscope.engines.waiting import waits_reported
    from layerscope.output import warn
    from layerscope.reports import color

    color.choose(parsed.color)

    with waits_reported(warn):
        return command(parsed.command)(parsed)
