"""Listing and choosing engines, and serving images to other hosts: engines, serve."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from layerscope.config import ENGINE, keep
from layerscope.errors import LayerscopeError, UsageError
from layerscope.output import say, warn, write_report
from layerscope.reports.progress import shown_progress
from layerscope.text import visible

if TYPE_CHECKING:
    from layerscope.engines.probing import EngineState


def engines(arguments: argparse.Namespace) -> int:
    if arguments.action == "builders":
        return _builders(arguments)
    return _use(arguments.chosen) if arguments.action == "use" else _list(arguments)


def _list(arguments: argparse.Namespace) -> int:
    from layerscope.config import sandbox_folder
    from layerscope.engines.known import known_engines
    from layerscope.engines.probing import states
    from layerscope.reports.engines_report import engines_document, engines_text
    from layerscope.sandbox.rungs import rungs

    known = known_engines()
    found: dict[str, EngineState] = {}
    with shown_progress("Asking the engines"):
        for state in states(known):
            found[state.engine.name] = state
    ordered = [found[each.name] for each in known]
    with shown_progress("Looking for a way to run commands"):
        ladder = rungs(sandbox_folder())
    write_report(arguments.json, engines_document, engines_text, ordered, ladder)
    return 0


def _builders(arguments: argparse.Namespace) -> int:
    from layerscope.build.instances import instance_states
    from layerscope.reports.builders_report import builders_document, builders_text

    with shown_progress("Asking the builders"):
        found = instance_states()
    write_report(arguments.json, builders_document, builders_text, found)
    return 0


def _use(name: str) -> int:
    """Stores an engine in the settings file; does not change the docker command's context."""
    from layerscope.engines.address import AUTO, engine_address
    from layerscope.engines.docker import connect_any

    address = engine_address(name)
    path = keep("engine", name)
    what = "the engine that docker would use" if name == AUTO else visible(name)
    where = "" if name == address.host else f" ({address.shown})"
    say(f"layerscope uses {what}{where} from now on; kept in {visible(str(path))}.")
    for variable in (ENGINE, "DOCKER_HOST", "DOCKER_CONTEXT"):
        if os.environ.get(variable):
            warn(f"{variable} is set, and takes precedence.")
            break
    try:
        connect_any(address).close()
    except LayerscopeError as error:
        # The engine may start later.
        warn(str(error))
    return 0


def serve(arguments: argparse.Namespace) -> int:
    """Serves the protocol of `engines.remote.protocol` until stdin ends."""
    from layerscope.engines.remote.server import serve as serve_images
    from layerscope.images.cache.changesets import ChangesetCache

    if not arguments.stdio or sys.stdin is None or sys.stdin.isatty():
        hint = "A layerscope on another host starts it, for images behind ssh://."
        raise UsageError("serve needs --stdio, and another program at its other end.", hint)
    serve_images(sys.stdin.buffer, sys.stdout.buffer, ChangesetCache())
    return 0
