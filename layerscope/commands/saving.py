"""The commands that tell what could be saved."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from layerscope.commands.opening import open_source
from layerscope.errors import UsageError
from layerscope.output import write_lines
from layerscope.reports.narration import Narration

if TYPE_CHECKING:
    pass


def waste(arguments: argparse.Namespace) -> int:
    """`layerscope waste`."""
    from layerscope.filesystem.waste_causes import find_causes
    from layerscope.reports.waste_report import waste_document, waste_text

    with open_source(arguments.source, arguments) as (loaded, reader):
        if arguments.compare:
            from layerscope.images.contents import Contents
            from layerscope.images.hidden_content import compare_hidden

            with Narration() as narration:
                compare_hidden(loaded.stack, Contents(reader), narration.progress)
        causes = find_causes(loaded.stack)
        if arguments.json:
            write_lines([json.dumps(waste_document(loaded, causes))])
        else:
            write_lines(waste_text(loaded, causes))
    return 0


def rm(arguments: argparse.Namespace) -> int:
    """`layerscope rm`.

    Returns:
        1 if something that was named stays, or the user did not want it; else 0.
    """
    from layerscope.engines.docker import connect
    from layerscope.engines.removal import find_images, holdings_of, remove
    from layerscope.images.reclaim import plan as plan_removal
    from layerscope.reports.removal_report import plan_document, plan_text

    if arguments.json and not (arguments.dry_run or arguments.yes):
        raise UsageError("--json does not ask.", "Say --dry-run, or --yes to remove.")
    if not (arguments.dry_run or arguments.yes or _may_ask()):
        raise UsageError(
            "Removing images has to be confirmed, and there is no terminal to ask on.",
            "See what it would do with --dry-run, then say --yes.",
        )
    engine = connect()
    try:
        holdings = holdings_of(engine)
        plan = plan_removal(holdings, find_images(holdings, arguments.images))
        anything = bool(plan.removed or plan.untagged)
        if not arguments.json:
            write_lines(plan_text(plan))
        if anything and not arguments.dry_run:
            if not (arguments.yes or _agreed("Go ahead? (y/N) ")):
                print("Nothing was removed.", file=sys.stderr)
                return 1
            for line in remove(engine, plan):
                print(line, file=sys.stderr)
        if arguments.json:
            write_lines([json.dumps(plan_document(plan))])
    finally:
        engine.close()
    return 1 if plan.obstacles else 0


def _may_ask() -> bool:
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def _agreed(question: str) -> bool:
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def packages(arguments: argparse.Namespace) -> int:
    """`layerscope packages`."""
    from layerscope.images.contents import Contents
    from layerscope.images.packages import PackageReader
    from layerscope.reports.packages_report import packages_document, packages_text

    with open_source(arguments.source, arguments) as (loaded, image):
        layer, height = arguments.layer, loaded.stack.height
        if layer is not None and not 0 <= layer < height:
            raise UsageError(
                f"There is no layer {layer}.",
                f"The image has layers 0 to {height - 1}."
                if height
                else "The image has no layers.",
            )
        reader = PackageReader(loaded.stack, Contents(image))
        if arguments.json:
            write_lines([json.dumps(packages_document(loaded, reader, layer))])
        else:
            write_lines(packages_text(loaded, reader, layer))
    return 0
