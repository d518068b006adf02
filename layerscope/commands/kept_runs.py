"""Runs a shell or a command in the embedded store, and keeps its changes as a container."""

from __future__ import annotations

import argparse
import os
import signal
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from layerscope.commands.opening import check_layer, opened
from layerscope.commands.sandbox import command_of, place_to_save, save_layer, show
from layerscope.commands.shells import request_of, with_shell
from layerscope.commands.stopping import as_interrupt
from layerscope.errors import LayerscopeError, UsageError

if TYPE_CHECKING:
    from layerscope.engines.embedded.containers import Container
    from layerscope.engines.embedded.engine import EmbeddedEngine
    from layerscope.engines.shell import RunRequest
    from layerscope.filesystem.changeset import Changeset


def run_in_store(arguments: argparse.Namespace) -> int:
    """Returns the command's exit code; 0 for a shell."""
    from layerscope.engines.embedded.engine import EmbeddedEngine
    from layerscope.engines.shell import NOT_FOUND
    from layerscope.sandbox.process import SandboxError

    place_to_save(arguments)
    engine = EmbeddedEngine()
    container = None
    if arguments.source.startswith("container:"):
        if arguments.name:
            raise UsageError("A container has its name already.", "Leave out --name.")
        container = engine.kept_containers.find(arguments.source.removeprefix("container:"))

    def start(request: RunRequest) -> int:
        try:
            if container is None:
                return _run_new(engine, request, arguments)
            return _run(engine, container, request, arguments)
        except SandboxError as error:
            if error.no_command and not (request.command or request.busybox):
                return NOT_FOUND
            raise

    with as_interrupt(signal.SIGTERM, signal.SIGHUP):
        return with_shell(request_of(arguments, arguments.source), start, local=True)


def _run_new(engine: EmbeddedEngine, request: RunRequest, arguments: argparse.Namespace) -> int:
    """Runs it in a new container; leaves nothing behind if it could not run."""
    from layerscope.engines.address import EMBEDDED
    from layerscope.engines.resolve import name_in_engine
    from layerscope.sandbox.process import SandboxError

    containers = engine.kept_containers
    image = name_in_engine(arguments.source.removeprefix(f"{EMBEDDED}:"))
    reader = engine.open(image, "", arguments.platform)
    check_layer(arguments.layer, len(reader.image.layers))
    name = arguments.name or containers.new_name(image)
    layers = None if arguments.layer is None else arguments.layer + 1
    container = containers.make(reader, image, name, request.words, layers)
    try:
        return _run(engine, container, request, arguments, new=True)
    except (KeyboardInterrupt, LayerscopeError) as error:
        # Keeps the work of a shell whose terminal has closed.
        if not (request.terminal and container.run.ran) or isinstance(error, SandboxError):
            engine.remove_container(container.about.id)
        raise


def _beyond(changeset: Changeset, workdir: str) -> bool:
    """Whether anything changed except the creation of the working directory, as by Docker."""
    folder = PurePosixPath(workdir)
    made = {os.fsencode(path)[1:] for path in (folder, *folder.parents)}
    return len(changeset) > len(made) or not made.issuperset(changeset.paths())


def _run(
    engine: EmbeddedEngine,
    container: Container,
    request: RunRequest,
    arguments: argparse.Namespace,
    *,
    new: bool = False,
) -> int:
    from layerscope.engines.address import EMBEDDED, current_address
    from layerscope.engines.shell import BUSYBOX
    from layerscope.filesystem.stack import Stack
    from layerscope.reports.sandbox_report import Ran
    from layerscope.sandbox.running import Base
    from layerscope.sandbox.task import Mount, MountKind

    save = place_to_save(arguments)
    with opened(f"{EMBEDDED}:{container.about.image}", arguments) as (loaded, reader):
        command = command_of(loaded.image.config, arguments, request.words)
        if request.busybox:
            command = replace(command, mounts=[Mount(MountKind.BIND, BUSYBOX, request.busybox)])
        streams = (0, 2, 2) if arguments.json else (0, 1, 2)
        with engine.kept_containers.ran(
            container, Base(loaded.stack, reader), command, streams
        ) as outcome:
            changeset, rung = outcome.changeset(), container.run.rung
            assert rung is not None  # noqa: S101 - it has run
            is_current = current_address().host.startswith(f"{EMBEDDED}:")
            ran = Ran(
                command.arguments,
                outcome.code,
                rung,
                Stack([*loaded.stack.changesets, changeset]),
                outcome.diff_id,
                "" if save is None else str(save),
                container.shown if not new or _beyond(changeset, command.workdir) else "",
                "" if is_current else f" --engine {EMBEDDED}",
            )
            if save is not None:
                save_layer(outcome.file, save)
    if not ran.container:
        engine.remove_container(container.about.id)
    show(ran, json_wanted=arguments.json)
    return ran.code
