"""Two images: diff; and the gate: ci."""

from __future__ import annotations

import argparse
import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from layerscope.commands.opening import open_source, opened
from layerscope.commands.patches import patch_form, write_patch
from layerscope.errors import LayerscopeError, UsageError
from layerscope.output import write_lines

if TYPE_CHECKING:
    from layerscope.reports.diff_report import Side


def diff(arguments: argparse.Namespace) -> int:
    """`layerscope diff`."""
    from layerscope.reports.diff_report import Side, diff_document, diff_images, diff_text

    if arguments.path is not None and arguments.json:
        raise UsageError("--path is for people and for patch.", "Leave out --json.")
    with ExitStack() as opened:
        sides = [
            Side(*opened.enter_context(open_source(name, arguments)))
            for name in (arguments.a, arguments.b)
        ]
        if arguments.path is not None:
            return _diff_path(arguments, *sides)
        result = diff_images(*sides)
        if arguments.json:
            write_lines([json.dumps(diff_document(result))])
        else:
            write_lines(diff_text(result))
    return 1 if arguments.exit_code and not result.same else 0


def _diff_path(arguments: argparse.Namespace, first: Side, second: Side) -> int:
    from layerscope.filesystem.lookup import clean_user_path
    from layerscope.images.contents import Contents
    from layerscope.reports.patch_report import path_patch

    form = patch_form()
    one, other = ((side.loaded, Contents(side.reader)) for side in (first, second))
    changed, lines = path_patch(one, other, clean_user_path(arguments.path), form)
    write_patch(lines, form)
    return 1 if arguments.exit_code and changed else 0


def ci(arguments: argparse.Namespace) -> int:
    """`layerscope ci`."""
    from layerscope.reports.ci_report import ci_document, ci_text, judge
    from layerscope.reports.ci_rules import load_thresholds

    names = (
        "lowest_efficiency",
        "highest_wasted_bytes",
        "highest_wasted_percent",
        "highest_user_wasted_percent",
        "highest_size",
        "exclude",
    )
    flags = {name: getattr(arguments, name) for name in names}
    config = Path(arguments.config) if arguments.config else None
    thresholds = load_thresholds(flags, Path.cwd(), config)
    with opened(arguments) as (loaded, _):
        if loaded.image.missing:
            raise LayerscopeError(
                "An image that is not whole cannot be measured.",
                "Read it where all its layers are: from an engine that has pulled it.",
            )
        gate = judge(loaded, thresholds)
    if arguments.json:
        write_lines([json.dumps(ci_document(gate))])
    else:
        write_lines(ci_text(gate))
    return 0 if gate.passed else 1
