"""Creates an image from another: squash, rebase, drop."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from layerscope.commands.asking import agreed, check_may_ask
from layerscope.commands.jobs import start_and_follow
from layerscope.commands.making import may_take
from layerscope.commands.opening import opened
from layerscope.errors import UsageError
from layerscope.output import say, write_lines, write_report
from layerscope.records import replace
from layerscope.reports.progress import shown_progress
from layerscope.text import visible

if TYPE_CHECKING:
    from layerscope.jobs.kind import Kind
    from layerscope.surgery.edit import Preview, Source
    from layerscope.transfer.events import TransferEvent
    from layerscope.transfer.request import SurgeryRequest


def squash(arguments: argparse.Namespace) -> int:
    """Returns 1 if the user declined; else 0."""
    from layerscope.transfer.request import SQUASH

    return _edit(SQUASH, arguments, first=arguments.first, last=arguments.last)


def drop(arguments: argparse.Namespace) -> int:
    """Returns 1 if the user declined; else 0."""
    from layerscope.transfer.request import DROP

    if arguments.layer is None:
        raise UsageError("layerscope drop needs --layer.", "See layerscope drop --help.")
    return _edit(DROP, arguments, layer=arguments.layer, paths=tuple(arguments.paths))


def rebase(arguments: argparse.Namespace) -> int:
    """Returns 1 if the user declined; else 0."""
    from layerscope.transfer.request import REBASE

    return _edit(REBASE, arguments, onto=arguments.onto, old_base=arguments.old_base or "")


def _edit(
    kind: Kind[SurgeryRequest, TransferEvent], arguments: argparse.Namespace, **asked: Any
) -> int:
    """Shows what an edit changes, and creates the image as a job if the user agrees."""
    from layerscope.reports.surgery_report import surgery_document, surgery_text
    from layerscope.transfer.remade import find_place
    from layerscope.transfer.request import start_surgery

    if arguments.json and not arguments.dry_run:
        raise UsageError("--json needs --dry-run.", "For the job's events, use --json-lines.")
    check_may_ask(arguments, "A new image")
    if arguments.source.startswith("container:"):
        raise UsageError("A container is not an image.", "Commit it first, or name its image.")
    request = kind.request(
        arguments.source,
        into=arguments.into or "",
        platform=arguments.platform or "",
        export=arguments.export,
        cache=not arguments.no_cache,
        insecure=arguments.insecure,
        **asked,
    )
    if arguments.dry_run:
        write_report(
            arguments.json, surgery_document, surgery_text, _looked(kind, request, arguments)[0]
        )
        return 0
    with closing(find_place(request.into, arguments.tag or "")) as place:
        name, naming = place.name, place.naming
    preview, shown = _looked(kind, request, arguments)
    if not (arguments.quiet or arguments.json_lines):
        write_lines(surgery_text(preview))
    what = f"as {visible(name)}" if name else "without a name"
    if (naming is not None and not may_take(naming, arguments.force)) or not (
        arguments.yes or agreed(f"Make the image {what}? (y/N) ")
    ):
        say("Nothing was made.")
        return 1
    moves = {naming.name: naming.held_by} if naming is not None and naming.taken else {}
    request = replace(request, name=arguments.tag or "", moves=moves, shown=shown)
    return start_and_follow(lambda: start_surgery(kind, request), arguments)


def _looked(
    kind: Kind[SurgeryRequest, TransferEvent],
    request: SurgeryRequest,
    arguments: argparse.Namespace,
) -> tuple[Preview, tuple[str, ...]]:
    """Returns what would change, and the ids of the source images."""
    from layerscope.surgery.edit import Comparer, look
    from layerscope.transfer.remade import ids_of, planned

    with shown_progress("Comparing") as progress:
        compare = Comparer(progress.check)
        with planned(kind.name, request, compare, partial(_source, arguments)) as edit:
            return look(edit, compare), ids_of(edit)


@contextmanager
def _source(
    arguments: argparse.Namespace, name: str, platform: str | None = None
) -> Iterator[Source]:
    from layerscope.images.files.contents import Contents
    from layerscope.surgery.edit import Source

    with opened(name, arguments, platform) as (loaded, reader):
        yield Source(loaded, Contents(reader))
