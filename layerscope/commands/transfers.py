"""Transfers between registries and an engine: pull, push."""

from __future__ import annotations

import argparse
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from layerscope.commands.jobs import start_and_follow
from layerscope.errors import UsageError
from layerscope.output import warn, write_report
from layerscope.reports.progress import shown_progress
from layerscope.text import visible

if TYPE_CHECKING:
    from layerscope.jobs.kind import Kind
    from layerscope.oci.reference import Reference
    from layerscope.transfer.events import TransferEvent
    from layerscope.transfer.request import TransferRequest


def pull(arguments: argparse.Namespace) -> int:
    from layerscope.engines.sources import is_place
    from layerscope.transfer.request import PULL

    if is_place(arguments.name):
        return _pull_source(arguments)
    reference = _reference(arguments)
    if not arguments.dry_run:
        return _start(PULL, reference, arguments)
    from layerscope.engines.docker import connect_any
    from layerscope.reports.transfer_report import pull_document, pull_text
    from layerscope.transfer.preview import preview_own_pull, preview_pull

    target = _target(arguments)
    with shown_progress("Asking the registry"), ExitStack() as stack:
        engine = None if target else stack.enter_context(closing(connect_any()))
        platform, insecure = arguments.platform, arguments.insecure
        if engine is None or arguments.via == "registry":
            found = preview_own_pull(engine, reference, platform, target=target, insecure=insecure)
        else:
            found = preview_pull(engine, reference, platform, insecure=insecure)
    write_report(arguments.json, pull_document, pull_text, found)
    return 0


def push(arguments: argparse.Namespace) -> int:
    if arguments.to_engine:
        from layerscope.commands.copying import push_to_engine

        return push_to_engine(arguments)
    from layerscope.engines.address import current_address
    from layerscope.transfer.request import PUSH

    if current_address().own_store:
        arguments.via = "registry"  # There is no other way.
    source = _source(arguments)
    reference = _reference(arguments)
    if reference.digest is not None:
        raise UsageError("A push has a tag, not a digest.", "Write NAME:TAG.")
    if not arguments.dry_run:
        return _start(PUSH, reference, arguments, source)
    from layerscope.engines.docker import connect_any
    from layerscope.reports.transfer_report import push_document, push_text
    from layerscope.transfer.preview import preview_own_push, preview_push

    insecure = arguments.insecure
    with shown_progress("Asking the registry"), ExitStack() as stack:
        if source:
            found = preview_own_push(source, reference, insecure=insecure, warn=warn)
        else:
            engine = stack.enter_context(closing(connect_any()))
            found = preview_push(engine, reference, insecure=insecure)
    write_report(arguments.json, push_document, push_text, found)
    return 0


def _source(arguments: argparse.Namespace) -> str:
    """Returns the source for layerscope's client; "" for an engine's image of the pushed name.

    Stores the target name where `_reference` finds it.
    """
    from layerscope.transfer.push_sources import named_source, opened_source

    source, destination = arguments.source, arguments.destination
    arguments.name = destination or source.removeprefix("docker-daemon:")
    place = named_source(source)
    if arguments.via == "engine":
        if place or destination:
            raise UsageError(
                "An engine pushes its own images, each by its name.", "Add --via registry."
            )
        return ""
    if arguments.all_tags and (place or destination):
        raise UsageError("--all-tags is for images of the engine.", "Leave it out.")
    if place and not destination:
        with opened_source(place, None, lambda: None) as (_, name):
            # A bare tag, as in layouts, would mean a repository of Docker Hub.
            if "/" not in name:
                raise UsageError(
                    f"{visible(source)} does not say to which registry its image goes.",
                    "Add the name that it gets: [HOST/]NAME:TAG.",
                )
            arguments.name = name
    return place or (source if destination else "")


def _start(
    kind: Kind[TransferRequest, TransferEvent],
    reference: Reference,
    arguments: argparse.Namespace,
    source: str = "",
) -> int:
    from layerscope.engines.sources import is_file
    from layerscope.images.platforms import wanted_platform
    from layerscope.transfer.request import TransferRequest, start_transfer

    platform = getattr(arguments, "platform", None)
    if platform:
        platform = str(wanted_platform(platform))
    target = _target(arguments)
    request = TransferRequest(
        str(reference),
        arguments.all_tags,
        platform or "",
        arguments.insecure,
        via=arguments.via,
        target=target,
        source=source,
    )
    if not target and not is_file(source):
        from layerscope.engines.docker import connect_any

        connect_any().close()  # Fails without an engine, before a job starts.
    return start_and_follow(lambda: start_transfer(kind, request), arguments)


def _pull_source(arguments: argparse.Namespace) -> int:
    """Copies an image from any source into the embedded store."""
    from layerscope.engines.address import EMBEDDED
    from layerscope.engines.docker import connect_any
    from layerscope.images.platforms import wanted_platform
    from layerscope.transfer.places import parse_place
    from layerscope.transfer.request import PULL, TransferRequest, start_transfer

    if arguments.dry_run or arguments.all_tags:
        option = "--dry-run" if arguments.dry_run else "--all-tags"
        raise UsageError(f"{option} is for images in a registry.", f"Leave out {option}.")
    place = parse_place(arguments.to) if arguments.to else None
    if place is None:
        with closing(connect_any()) as engine:
            own = engine.own_store
    if not (own if place is None else place.form == EMBEDDED):
        raise UsageError(
            f"{visible(arguments.name)} is not in a registry.",
            "To copy it into layerscope's own store, add --to embedded: or --to embedded:NAME.",
        )
    request = TransferRequest(
        arguments.name,
        platform=str(wanted_platform(arguments.platform)) if arguments.platform else "",
        insecure=arguments.insecure,
        source=arguments.name,
        target=str(place or f"{EMBEDDED}:"),
    )
    return start_and_follow(lambda: start_transfer(PULL, request), arguments)


def _target(arguments: argparse.Namespace) -> str:
    """Returns the checked target of a pull; "" for the engine. Raises UsageError."""
    if not getattr(arguments, "to", None):
        return ""
    from layerscope.engines.address import EMBEDDED
    from layerscope.transfer.places import check_place, parse_place

    place = parse_place(arguments.to)
    if arguments.via != "registry" and place.form != EMBEDDED:
        raise UsageError("An engine pulls into itself.", "Add --via registry.")
    if arguments.all_tags and place.ref:
        raise UsageError("--all-tags gives each image its own name.", "Leave out :REF.")
    check_place(place)
    return str(place)


def _reference(arguments: argparse.Namespace) -> Reference:
    from layerscope.transfer.request import reference_of

    if arguments.json and not arguments.dry_run:
        raise UsageError("--json needs --dry-run.", "For a transfer's events, use --json-lines.")
    if arguments.dry_run and (arguments.detach or arguments.quiet or arguments.json_lines):
        raise UsageError("--dry-run transfers nothing.", "Leave out -d, -q and --json-lines.")
    if arguments.dry_run and arguments.all_tags:
        raise UsageError("--dry-run is about one tag.", "Leave out --all-tags.")
    name = arguments.name.removeprefix("docker://")
    reference = reference_of(name)
    if arguments.all_tags and (reference.digest or ":" in name.rpartition("/")[2]):
        raise UsageError("--all-tags is for a repository.", "Leave out the tag.")
    return reference
