"""Unified diffs on stdout: as they are in a pipe, and safe on a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from layerscope.output import write_bytes, write_lines

if TYPE_CHECKING:
    from layerscope.reports.patch_report import Form


def patch_form() -> Form:
    """How diffs are written to what stdout is."""
    from layerscope.reports.patch_report import Form

    terminal = sys.stdout is not None and sys.stdout.isatty()
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM", "dumb") == "dumb"
    return Form(terminal, terminal and not plain)


def write_patch(lines: Iterator[str], form: Form) -> None:
    """Writes lines of files as they are, unless a terminal is to show them."""
    if form.terminal:
        write_lines(lines)
    else:
        write_bytes(f"{line}\n".encode("utf-8", "surrogateescape") for line in lines)
