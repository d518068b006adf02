"""The program itself: config, help, tui, version."""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Iterator

from layerscope import __version__
from layerscope.commands import COMMANDS
from layerscope.output import page, warn, write_lines, write_report


def config(arguments: argparse.Namespace) -> int:
    from layerscope.config import load, settings_file
    from layerscope.reports.config_report import config_document, config_text

    if arguments.what == "path":
        write_lines([str(settings_file())])
        return 0
    from layerscope.tui.settings import checked

    settings = load()
    write_report(arguments.json, config_document, config_text, settings, checked(settings))
    for warning in settings.warnings:
        warn(warning)
    return 0


def tui(arguments: argparse.Namespace) -> int:
    from layerscope.config import load
    from layerscope.tui.terminal.guard import Guard, end_at_once

    end_at_once()
    Guard.start_ahead()
    from layerscope.tui.app import run

    # The TUI creates reference cycles; imported modules stay.
    gc.freeze()
    gc.enable()
    mouse = False if arguments.no_mouse else None
    theme = arguments.theme or ("plain" if arguments.color == "never" else None)
    code: int = run(
        arguments.image,
        load({"theme": theme, "ascii": arguments.ascii, "mouse": mouse}),
        platform=arguments.platform,
        export=arguments.export,
        cache=not arguments.no_cache,
        insecure=arguments.insecure,
        demo=arguments.demo,
    )
    return code


def help(arguments: argparse.Namespace) -> int:  # noqa: A001 - the command's name
    from layerscope.help import read

    if arguments.topic is None:
        write_lines([arguments.parser_of("tui").format_help(), "help topics:", *_contents()])
        return 0
    text = read(arguments.topic, COMMANDS)
    if sys.stdout is not None and sys.stdout.isatty():
        from layerscope.tui.terminal.markdown import rendered

        page(rendered(text))
    else:
        write_lines([text.rstrip("\n")])
    return 0


def _contents() -> Iterator[str]:
    from layerscope.help import topics

    found = topics()
    width = max(len(topic.name) for topic in found)
    for topic in found:
        yield f"  {topic.name:<{width}}  {topic.summary}"
    yield ""
    yield "`layerscope help TOPIC` shows a topic."


def version(arguments: argparse.Namespace) -> int:
    write_lines([f"layerscope {__version__}"])
    return 0
