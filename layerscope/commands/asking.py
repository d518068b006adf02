"""Questions on a terminal."""

from __future__ import annotations

import argparse
import sys

from layerscope.errors import UsageError


def check_may_ask(arguments: argparse.Namespace, what: str, *, only_json: bool = False) -> None:
    """Raises UsageError if a command must ask but cannot."""
    if arguments.dry_run or arguments.yes:
        return
    if arguments.json:
        raise UsageError("With --json, nothing is asked.", "Add --dry-run, or --yes to do it.")
    if not (only_json or may_ask()):
        raise UsageError(
            f"{what} must be confirmed, and there is no terminal to ask on.",
            "See what would happen with --dry-run, then add --yes.",
        )


def may_ask() -> bool:
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def agreed(question: str) -> bool:
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
