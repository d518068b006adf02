"""Copies images between engines and files, as jobs: save, load, and a push to another engine."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from layerscope.commands.asking import agreed, may_ask
from layerscope.commands.jobs import start_and_follow
from layerscope.errors import BadInputError, UsageError
from layerscope.output import say, write_bytes, write_report
from layerscope.reports.progress import shown_progress

if TYPE_CHECKING:
    from layerscope.engines.engine import Engine
    from layerscope.images.progress import Progress
    from layerscope.transfer.loading import PlannedImage
    from layerscope.transfer.request import SaveRequest


def save(arguments: argparse.Namespace) -> int:
    from layerscope.transfer.request import SAVE, SaveRequest
    from layerscope.transfer.saving import check_request
    from layerscope.writing import existing

    form, target = arguments.format, arguments.archive
    # Only a layout records what it lacks.
    form = form or ("oci-archive" if arguments.without_layers_of else "docker-archive")
    if target is None:
        if form == "oci" or sys.stdout is None or sys.stdout.isatty():
            raise UsageError("No file is named to save the image to.", "Add -o FILE.")
        target = "-"
    if form == "oci" and target == "-":
        raise UsageError("A folder cannot be written to standard output.", "Add -o DIR.")
    path = Path(target).absolute()
    request = SaveRequest(
        arguments.source,
        form,
        str(path),
        arguments.compression or "",
        arguments.without_layers_of or "",
        arguments.platform or "",
        arguments.export,
        not arguments.no_cache,
        arguments.insecure,
        existing(path) if arguments.force and form != "oci" else None,
    )
    check_request(request, to_file=target != "-")
    if target == "-":
        if arguments.detach or arguments.json_lines or arguments.quiet:
            raise UsageError(
                "An archive on standard output is not a job.",
                "Add -o FILE, or leave out -d, -q and --json-lines.",
            )
        return _to_stdout(request)
    title = f"{arguments.source} to {target}"
    return start_and_follow(lambda: SAVE.start(title, request), arguments)


def _to_stdout(request: SaveRequest) -> int:
    from layerscope.images.archives.writing import archive_pieces
    from layerscope.transfer.recorder import Recorder
    from layerscope.transfer.saving import image_to_save

    with (
        shown_progress("Reading the image") as progress,
        image_to_save(request, progress, Recorder(bool)) as (image, advance),
    ):
        progress.what, progress.done, progress.total = "Saving the image", 0, image.size
        docker = request.form == "docker-archive"
        write_bytes(archive_pieces([image], docker=docker, advance=advance))
    return 0


def load(arguments: argparse.Namespace) -> int:
    """Returns 1 if the user declined; else 0."""
    from layerscope.transfer.loading import plan_load
    from layerscope.transfer.request import LOAD, LoadRequest

    with ExitStack() as stack:
        source = title = arguments.archive_file
        with shown_progress("Reading the archive") as progress:
            if source == "-":
                if arguments.detach:
                    raise UsageError("A job cannot read standard input.", "Name a file.")
                source, title = stack.enter_context(_from_stdin(progress)), "standard input"
            plans = _planned("", lambda engine: plan_load(engine, source, progress))

        def start(moves: dict[str, str]) -> int:
            request = LoadRequest(source, moves)
            return start_and_follow(lambda: LOAD.start(title, request), arguments)

        return _carried_out(arguments, plans, start)


def push_to_engine(arguments: argparse.Namespace) -> int:
    """Loads an image into another engine, without the layers that are there.

    Returns 1 if the user declined; else 0.
    """
    from layerscope.transfer.loading import plan_send
    from layerscope.transfer.request import start_push_to

    if arguments.via != "engine" or arguments.destination or arguments.all_tags:
        raise UsageError(
            "--to-engine takes an image, and no options for registries.",
            "Write layerscope push IMAGE --to-engine NAME.",
        )
    source, other = arguments.source, arguments.to_engine
    with shown_progress("Reading the image") as progress:
        plans = _planned(other, lambda engine: [plan_send(engine, source, progress)])

    def start(moves: dict[str, str]) -> int:
        return start_and_follow(lambda: start_push_to(source, other, moves), arguments)

    return _carried_out(arguments, plans, start)


#: The name of an engine, and the images it would receive.
_Plans = tuple[str, list["PlannedImage"]]


def _planned(name: str, plan: Callable[[Engine], list[PlannedImage]]) -> _Plans:
    """Plans loading into a named engine, by default the current one."""
    from layerscope.engines.address import engine_address
    from layerscope.engines.docker import connect_any

    with closing(connect_any(engine_address(name) if name else None)) as engine:
        return engine.name, plan(engine)


def _carried_out(
    arguments: argparse.Namespace, plans: _Plans, start: Callable[[dict[str, str]], int]
) -> int:
    """Shows the plan, or carries it out after the user agrees to the names that move."""
    from layerscope.reports.load_report import load_document, load_text
    from layerscope.transfer.loading import moves_of

    if arguments.dry_run:
        write_report(arguments.json, load_document, load_text, *plans)
        return 0
    if arguments.json:
        raise UsageError("--json needs --dry-run.", "For a transfer's events, use --json-lines.")
    taken = [naming for plan in plans[1] for naming in plan.taken]
    if taken and not arguments.yes and not may_ask():
        conflicts = " ".join(naming.conflict for naming in taken)
        moves = "moves the name" if len(taken) == 1 else f"moves the {len(taken)} names"
        raise UsageError(conflicts, f"See more with --dry-run; --yes {moves}.")
    for naming in taken:
        if arguments.yes:
            say(naming.conflict)
        elif not agreed(f"{naming.conflict} Move it? (y/N) "):
            say("Nothing was loaded.")
            return 1
    return start(moves_of(plans[1]))


@contextmanager
def _from_stdin(progress: Progress) -> Iterator[str]:
    from layerscope.images.archives.packing import spooled
    from layerscope.transfer.push_sources import copy_all

    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("There is no archive on standard input.", "Name a file.")
    stdin = sys.stdin.buffer
    with spooled() as file:
        copy_all(lambda size: os.read(stdin.fileno(), size), file, progress.check)
        # All readers of archives, the job's process too, need a path.
        path = f"/proc/{os.getpid()}/fd/{file.fileno()}"
        try:
            yield path
        except BadInputError as error:
            if error.file != path:
                raise
            name = "Standard input"
            raise BadInputError(name, error.offset, error.problem, error.hint) from None
