"""Parsers with one-line errors, and help with examples and exit codes."""

from __future__ import annotations

import argparse
import re
import shutil
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from layerscope.errors import UsageError
from layerscope.text import listed, parse_age, parse_size, visible


def named(text: str) -> str:
    """A non-empty value; an unset variable of a script is not taken for the default."""
    if not text:
        raise argparse.ArgumentTypeError("the name is empty")
    return text


def number(text: str) -> int:
    if not re.fullmatch("[1-9][0-9]{0,8}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def age(text: str) -> float:
    """The seconds of an age such as `30d`."""
    found = parse_age(named(text))
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not an age such as 30d, 12h or 2w")
    return found


def size(text: str) -> int:
    found = parse_size(named(text))
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 512MB")
    return found


def value(metavar: str, text: str, **more: Any) -> dict[str, Any]:
    return {"metavar": metavar, "help": text, "type": named, **more}


def switch(text: str) -> dict[str, Any]:
    return {"action": "store_true", "help": text}


def unless(what: str, text: str) -> dict[str, Any]:
    return {"dest": what, "action": "store_false", "help": text}


def repeated(metavar: str, text: str) -> dict[str, Any]:
    return value(metavar, f"{text} [repeatable]", action="append", default=[])


def choice(*names: str, text: str, **more: Any) -> dict[str, Any]:
    return {"choices": names, "help": text, **more}


#: Arguments and options: their names, separated by spaces, and their settings for argparse.
Table = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Command:
    """A command, as its help and the manual page describe it."""

    what: str  # Its description.
    #: Names of its arguments and options in the table, some with a help of their own.
    options: Sequence[str | tuple[str, str]]
    examples: Sequence[str]
    no: str = ""  # The meaning of exit code 1; empty if it does not occur.


#: Exit codes and their meanings; a command defines its own "no".
_EXIT_CODES = {
    0: "success",
    1: "the answer is no",
    2: "wrong usage or an error; one line on stderr says what to do",
    130: "interrupted",
}

#: Options of every command, which may also precede it.
GENERAL = ("--color", "--engine", "--log")

_COLUMN = 14  # The column of descriptions in lists of a help text.


class Parser(argparse.ArgumentParser):
    """A parser whose one-line errors suggest what to do, and whose help has examples."""

    def __init__(
        self, prog: str, known: Command, table: Table, *, heading: str = "options", **_: object
    ) -> None:
        self._table = table
        self.examples = known.examples
        self.exit_codes = {
            code: f"{text}: {known.no}" if code == 1 else text
            for code, text in _EXIT_CODES.items()
            if code != 1 or known.no
        }
        codes = [item(str(code), text, 5) for code, text in self.exit_codes.items()]
        super().__init__(
            prog=prog,
            description=wrapped(f"{known.what[:1].upper()}{known.what[1:]}."),
            epilog="\n".join(
                ["examples:", *(f"  {line}" for line in known.examples), "", "exit codes:", *codes]
            ),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            add_help=False,
        )
        self.color = False  # From Python 3.14 on, argparse would color the help.
        self._arguments = self.add_argument_group("arguments")
        self._options = self.add_argument_group(heading)
        self.add(known.options)
        self._options.add_argument("-h", "--help", action="help", help="show this help")
        self.add(GENERAL, default=argparse.SUPPRESS)

    def error(self, message: str) -> NoReturn:
        text = visible(self._sentence(message))
        if not text.startswith(self.prog):
            text = f"{text[:1].upper()}{text[1:]}"
        raise UsageError(f"{text}.", f"See {self.prog} --help.")

    def _sentence(self, message: str) -> str:
        """Turns an argparse message into a sentence about this command."""
        if found := re.fullmatch("the following arguments are required: (.*)", message):
            return f"{self.prog} needs {listed(map(_long, found[1].split(', ')))}"
        if found := re.fullmatch("unrecognized arguments: (.*)", message, re.DOTALL):
            return self._unknown(found[1])
        found = re.fullmatch("argument ([^:]+): (.*)", message, re.DOTALL)
        if found is None:
            return message
        name, text = _long(found[1]), found[2]
        if wrong := re.fullmatch(r"invalid choice: (.*) \(choose from (.*)\)", text, re.DOTALL):
            choices = listed(wrong[2].replace("'", "").split(", "))
            return f"{name} must be {choices.replace(' and ', ' or ')}, not {wrong[1]}"
        if wrong := re.fullmatch("invalid int value: (.*)", text, re.DOTALL):
            return f"{name} must be a whole number, not {wrong[1]}"
        if text.startswith("expected "):
            return f"{name} needs a value"
        if text.startswith("ignored explicit argument"):
            return f"{name} takes no value"
        return f"{name}: {text}"

    def _unknown(self, arguments: str) -> str:
        name = arguments.partition(" ")[0].partition("=")[0]
        if not name.startswith("-"):
            text = f"{self.prog} does not take {arguments}"
            # The destination is an option, as in `docker save` and `docker build`.
            to = next((each for each in ("-o", "--tag") if each in self._option_string_actions), "")
            if to and " " not in arguments:
                raise UsageError(f"{visible(text)}.", f"Did you mean {to} {visible(arguments)}?")
            return text
        import difflib

        text = f"{self.prog} has no option {name}"
        if near := difflib.get_close_matches(name, self._option_string_actions, 1, 0.75):
            raise UsageError(f"{visible(text)}.", f"Did you mean {near[0]}?")
        return text

    def _print_message(self, message: str, file: object = None) -> None:
        """Prints help; argparse itself would report success if stdout is full."""
        from layerscope.output import write_lines

        write_lines([message.rstrip("\n")])

    def add(self, options: Iterable[str | tuple[str, str]], **more: Any) -> None:
        for option in options:
            name, text = option if isinstance(option, tuple) else (option, "")
            known = dict(self._table[name]) | ({"help": text} if text else {}) | more
            group = self._options if name.startswith("-") else self._arguments
            # The table adds a word for options of the same name, such as the two of --to.
            names = [word for word in name.split() if word.startswith("-")] or [name]
            action = group.add_argument(*names, **known)
            if action.nargs == argparse.REMAINDER:
                action.required = False  # Before Python 3.12, argparse requires optional ones.

    def items(self) -> Iterator[tuple[str, str]]:
        """The arguments and options as written, with their descriptions."""
        formatter = self._get_formatter()
        for action in self._actions:
            if not isinstance(action.choices, dict):
                name = ", ".join(action.option_strings) or str(action.metavar or action.dest)
                if action.option_strings and action.nargs is None:
                    name += " " + formatter._format_args(action, action.dest.upper())  # noqa: SLF001
                yield name, (action.help or "") % {"prog": self.prog}

    def inner(self) -> Iterator[Parser]:
        """The parsers of the command's actions."""
        for action in self._actions:
            if isinstance(action.choices, dict):
                yield from action.choices.values()

    @property
    def usage_lines(self) -> str:
        return self.format_usage().removeprefix("usage: ").rstrip("\n")


def _long(names: str) -> str:
    """The last of an option's names, such as `--output` for `-o/--output`."""
    return names.rpartition("/")[2] if names.startswith("-") else names


def item(name: str, text: str, column: int = _COLUMN) -> str:
    begin, further = (f"  {each:<{column}}" for each in (name, ""))
    return wrapped(text, initial_indent=begin, subsequent_indent=further)


def wrapped(text: str, **indents: str) -> str:
    """Wraps a text to the terminal's width, at most 80 columns."""
    width = max(30, min(80, shutil.get_terminal_size().columns) - 1)
    return textwrap.fill(text, width, **indents)  # type: ignore[arg-type]
