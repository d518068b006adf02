"""What each command does: opens sources, asks the core, writes reports to stdout.

The parser is in `layerscope.cli`. A command's module is imported when it runs, so that no command
pays for another.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module

#: The module of this package that has a function for each command.
_MODULES = {
    "image": "inspect waste packages files history cat extract diff ci",
    "engine": "images ps find",
    "removing": "rm untag prune",
    "making": "tag commit",
    "surgery": "squash rebase drop",
    "copying": "save load",
    "running": "run",
    "engines": "engines serve",
    "registry": "search tags drift login logout",
    "dockerfiles": "lint dockerfile",
    "building": "build",
    "jobs": "jobs",
    "transfers": "pull push",
    "completion": "completion",
    "program": "config help tui version",
}
COMMANDS = {name: module for module, names in _MODULES.items() for name in names.split()}


def command(name: str) -> Callable[[argparse.Namespace], int]:
    """The function of a command; it returns an exit code. Raises KeyError."""
    module = import_module(f"layerscope.commands.{COMMANDS[name]}")
    found: Callable[[argparse.Namespace], int] = getattr(module, name)
    return found
