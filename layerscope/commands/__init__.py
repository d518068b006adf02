"""What each command does: opens sources, asks the core, writes reports to stdout.

The parser is in `layerscope.cli`. Running a command imports only its own module.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module

#: The module in this package with the function of each command.
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
    """Returns the function of a command, which returns an exit code. Raises KeyError."""
    module = import_module(f"layerscope.commands.{COMMANDS[name]}")
    found: Callable[[argparse.Namespace], int] = getattr(module, name)
    return found
