"""Makes images and names of them in an engine: tag."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from typing import TYPE_CHECKING

from layerscope.commands.asking import agreed, may_ask
from layerscope.errors import UsageError
from layerscope.reports.progress import shown_progress
from layerscope.text import short_id, visible

if TYPE_CHECKING:
    from layerscope.engines.naming import Naming


def tag(arguments: argparse.Namespace) -> int:
    """Returns 1 if another image has the name and keeps it; else 0."""
    from layerscope.engines.docker import connect
    from layerscope.engines.naming import give_name, plan_name
    from layerscope.engines.resolve import name_in_engine

    image = name_in_engine(arguments.source)
    with closing(connect()) as engine:
        with shown_progress("Asking the engine"):
            naming = plan_name(engine, image, arguments.new_name)
        if not may_take(naming, arguments.force):
            _say("Nothing was changed.")
            return 1
        give_name(engine, naming)
    already = " already" if naming.done else ""
    _say(f"Image {short_id(naming.id)} is{already} {visible(naming.name)}.")
    return 0


def may_take(naming: Naming, force: bool) -> bool:
    """Whether a name may be taken from the image that has it; asks."""
    if force or not naming.taken:
        return True
    if not may_ask():
        raise UsageError(naming.conflict, "Choose another name, or --force to move it.")
    return agreed(f"{naming.conflict} Move it? (y/N) ")


def _say(text: str) -> None:
    print(text, file=sys.stderr)
