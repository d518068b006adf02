"""What each command does: opens sources, asks the core, writes what it says to stdout.

The parser is in `layerscope.cli`; from the name of a command `COMMANDS` leads to what does it, and
that is imported when it runs, so that no command pays for another.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module

#: For each command, the module of this package that has a function of that name.
COMMANDS = {
    "inspect": "looking",
    "files": "looking",
    "history": "looking",
    "cat": "looking",
    "extract": "looking",
    "images": "looking",
    "diff": "comparing",
    "ci": "comparing",
    "find": "finding",
    "waste": "saving",
    "packages": "saving",
    "rm": "saving",
    "lint": "dockerfiles",
    "dockerfile": "dockerfiles",
    "build": "building",
    "jobs": "building",
    "config": "settings",
    "tui": "settings",
}


def command(name: str) -> Callable[[argparse.Namespace], int]:
    """What does a command; it returns an exit code.

    Raises:
        KeyError: There is no such command.
    """
    module = import_module(f"layerscope.commands.{COMMANDS[name]}")
    found: Callable[[argparse.Namespace], int] = getattr(module, name)
    return found
