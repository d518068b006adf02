"""The settings, and the TUI that they are for: config, tui."""

from __future__ import annotations

import argparse
import gc
import json
import sys
from typing import TYPE_CHECKING

from layerscope.output import write_lines

if TYPE_CHECKING:
    pass


def config(arguments: argparse.Namespace) -> int:
    """`layerscope config`."""
    from layerscope.config import load, settings_file
    from layerscope.reports.config_report import config_document, config_text

    if arguments.what == "path":
        write_lines([str(settings_file())])
        return 0
    from layerscope.tui.settings import checked

    settings = load()
    bindings = checked(settings)
    if arguments.json:
        write_lines([json.dumps(config_document(settings, bindings))])
    else:
        write_lines(config_text(settings, bindings))
    for warning in settings.warnings:
        print(f"layerscope: {warning}", file=sys.stderr)
    return 0


def tui(arguments: argparse.Namespace) -> int:
    """The TUI."""
    from layerscope.config import load
    from layerscope.images.spawned import prepare

    if arguments.source:
        # It starts while Textual is imported.
        prepare(arguments.source)
    from layerscope.tui.app import run

    # What it makes and drops while it runs has cycles; what was imported stays.
    gc.freeze()
    gc.enable()
    mouse = False if arguments.no_mouse else None
    code: int = run(
        arguments.source,
        load({"theme": arguments.theme, "ascii": arguments.ascii, "mouse": mouse}),
        platform=arguments.platform,
        export=arguments.export,
        cache=not arguments.no_cache,
        insecure=arguments.insecure,
    )
    return code
