"""Runs a command on an image without an engine: run --sandbox."""

from __future__ import annotations

import argparse
import json
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from layerscope.commands.opening import layer_of, opened
from layerscope.commands.stopping import as_interrupt
from layerscope.errors import UsageError
from layerscope.output import say, write_lines
from layerscope.reports.progress import shown_progress
from layerscope.text import visible

if TYPE_CHECKING:
    from layerscope.reports.sandbox_report import Ran
    from layerscope.sandbox.running import Command

_PIECE = 1 << 20


def run_in_sandbox(arguments: argparse.Namespace) -> int:
    """Runs the command, and shows its changes; returns 1 if it failed, else 0."""
    from layerscope.config import sandbox_folder
    from layerscope.filesystem.stack import Stack
    from layerscope.images.image import missing_text
    from layerscope.reports.sandbox_report import Ran
    from layerscope.sandbox.running import Base, Sandbox

    save = place_to_save(arguments)
    with as_interrupt(signal.SIGTERM, signal.SIGHUP), opened(arguments.source, arguments) as image:
        loaded, reader = image
        if missing := missing_text(loaded.image):
            raise UsageError(missing, "A command needs all layers.")
        layer = layer_of(arguments, loaded)
        stack = loaded.stack
        if layer is not None:
            stack = Stack(stack.changesets[: layer + 1])
        command = command_of(loaded.image.config, arguments)
        # With --json, stdout is for JSON only.
        streams = (0, 2, 2) if arguments.json else (0, 1, 2)
        with shown_progress("Looking for a way to run commands"):
            sandbox = Sandbox(sandbox_folder())
        with sandbox.ran(Base(stack, reader), command, streams=streams) as outcome:
            stack = Stack([*stack.changesets, outcome.changeset()])
            ran = Ran(
                command.arguments,
                outcome.code,
                sandbox.rung,
                stack,
                outcome.diff_id,
                "" if save is None else str(save),
            )
            if save is not None:
                save_layer(outcome.file, save)
    show(ran, json_wanted=arguments.json)
    return 1 if ran.code else 0


def show(ran: Ran, *, json_wanted: bool) -> None:
    from layerscope.reports.sandbox_report import sandbox_document, sandbox_text

    if json_wanted:
        write_lines([json.dumps(sandbox_document(ran))])
        return
    # stdout has the command's output.
    for line in sandbox_text(ran):
        say(line)


def command_of(
    config: Mapping[str, Any], arguments: argparse.Namespace, words: Sequence[str] = ()
) -> Command:
    """Returns the command from an image's config and the options that override it, as in Docker.

    `words` replace the whole command of the image.
    """
    from layerscope.sandbox.running import Command

    about = config.get("config") or {}
    entrypoint = _strings(about.get("Entrypoint"))
    given = list(arguments.command_line)
    words = words or [*entrypoint, *(given or _strings(about.get("Cmd")))] or ["sh"]
    env = dict(each.partition("=")[::2] for each in _strings(about.get("Env")))
    for each in arguments.env:
        name, equals, text = each.partition("=")
        if equals or name in os.environ:
            env[name] = text if equals else os.environ[name]
    terminal = not arguments.json and os.isatty(0) and os.isatty(1)
    if terminal and "TERM" in os.environ:
        env.setdefault("TERM", os.environ["TERM"])
    return Command(
        arguments=words,
        env=env,
        user=arguments.user or str(about.get("User") or ""),
        workdir=arguments.workdir or str(about.get("WorkingDir") or "/"),
        network=arguments.network != "none",
        seconds=arguments.timeout,
        memory=arguments.memory or 0,
        processes=arguments.processes or 0,
        terminal=terminal,
    )


def _strings(value: object) -> Sequence[str]:
    return [str(each) for each in value] if isinstance(value, list) else []


def place_to_save(arguments: argparse.Namespace) -> Path | None:
    save = Path(arguments.save_changes) if arguments.save_changes else None
    if save is not None and os.path.lexists(save):
        raise _exists(save)
    return save


def save_layer(layer: IO[bytes], path: Path) -> None:
    from layerscope.errors import LayerscopeError
    from layerscope.writing import failure, whole_file, write_all

    layer.seek(0)
    try:
        with whole_file(path, mode=0o644) as fd:
            while piece := layer.read(_PIECE):
                write_all(fd, piece)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise LayerscopeError(failure(error, str(path))) from None


def _exists(path: Path) -> UsageError:
    return UsageError(
        f"{visible(str(path))} exists, and nothing is overwritten.", "Choose another name."
    )
