"""The images of an engine: images, ps, find."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from itertools import chain
from typing import TYPE_CHECKING, Any

from layerscope.commands.opening import opened
from layerscope.errors import PlatformMissingError, UsageError, failures_ignored
from layerscope.output import warn, write_lines, write_report
from layerscope.reports.progress import shown_progress
from layerscope.text import plural, visible

if TYPE_CHECKING:
    from layerscope.engines.find_files import Finder, Match
    from layerscope.filesystem.changeset import Changeset
    from layerscope.images.image import Image
    from layerscope.images.loading import Loaded
    from layerscope.images.progress import Progress
    from layerscope.images.sizes import ImageSizes
    from layerscope.images.summary import ImageSummary


def images(arguments: argparse.Namespace) -> int:
    from layerscope.engines.resolve import list_images
    from layerscope.reports.images_report import images_document, images_text

    if arguments.all_engines:
        return _fleet(arguments)
    if arguments.wasted:
        if arguments.image:
            raise UsageError("--wasted is for images of the current engine.", "Leave out SOURCE.")
        return _wasted_images(arguments)
    for option, given in (("--index", arguments.index), ("--platform", arguments.platform)):
        if given:
            raise UsageError(f"{option} needs --wasted.")
    with shown_progress("Asking the engine"):
        found = list_images(arguments.image, warn)
    write_report(arguments.json, images_document, images_text, found)
    return 0


def _fleet(arguments: argparse.Namespace) -> int:
    """`images --all-engines`: returns 1 if no engine has the named image; else 0."""
    from layerscope.engines.fleet import Fleet, find_fleet
    from layerscope.engines.known import distinct, known_engines
    from layerscope.reports.fleet_report import Listed, fleet_document, fleet_text

    if arguments.wasted or arguments.index or arguments.platform:
        raise UsageError("--wasted, --index and --platform are for images of the current engine.")
    fleet = Fleet((), ())
    with shown_progress("Asking the engines"):
        for fleet in find_fleet(distinct(known_engines())):  # noqa: B007 - the last one is complete
            pass
    name = arguments.image
    found = [each for each in fleet.images if not name or each.is_named(name)]
    if name and not found:
        warn(f"No engine has an image {visible(name)}.")
    write_report(arguments.json, fleet_document, fleet_text, Listed(fleet, found, bool(name)))
    return 1 if name and not found else 0


def ps(arguments: argparse.Namespace) -> int:
    from layerscope.engines.docker import connect_any
    from layerscope.reports.containers_report import containers_document, containers_text

    with shown_progress("Asking the engine"), closing(connect_any()) as engine:
        containers = engine.containers(sizes=True)
    write_report(arguments.json, containers_document, containers_text, containers)
    return 0


def _wasted_images(arguments: argparse.Namespace) -> int:
    """`images --wasted`: the waste of each image of the engine."""
    from layerscope.engines.docker import connect_any
    from layerscope.engines.find_files import engine_images
    from layerscope.engines.measure_worker import sizes_of
    from layerscope.reports.wasted_images_report import (
        listed_images,
        wasted_images_document,
        wasted_images_text,
    )

    sizes: dict[str, ImageSizes] = {}
    with closing(connect_any()) as engine, shown_progress("Asking the engine") as progress:
        described = list(engine_images(engine, arguments.platform))
        for image, _ in described:
            with failures_ignored():  # Listed as not measured.
                known = sizes_of(engine, image, progress, thorough=arguments.index)
                if known is not None:
                    sizes[image.id] = known
        summaries = _wanted(engine.images(sizes=True), described, arguments.platform)
        found = listed_images(summaries, described, sizes)
    write_report(arguments.json, wasted_images_document, wasted_images_text, found)
    _warn_of_unread(sum(each.wasted is None for each in found))
    return 0


def _wanted(
    summaries: Sequence[ImageSummary],
    described: Sequence[tuple[Image, object]],
    platform: str | None,
) -> Sequence[ImageSummary]:
    """Returns an engine's images for a platform, or all without one."""
    if platform is None:
        return summaries
    ids = {image.id for image, _ in described}
    if not ids:
        raise UsageError(f"The engine has no image for {visible(platform)}.")
    return [each for each in summaries if each.id in ids]


def all_waste(arguments: argparse.Namespace) -> int:
    """`waste --all`: the waste of each image of the engine, and its causes."""
    from layerscope.engines.docker import connect_any
    from layerscope.engines.find_files import engine_images
    from layerscope.engines.measure_worker import read_image
    from layerscope.filesystem.waste_causes import find_causes
    from layerscope.reports.wasted_images_report import (
        all_waste_document,
        image_waste_document,
        image_waste_text,
        listed_images,
        unread_text,
    )

    # Keeps the report of each image, not its layers.
    reports: dict[str, tuple[int, Any]] = {}
    with closing(connect_any()) as engine, shown_progress("Asking the engine") as progress:
        described = list(engine_images(engine, arguments.platform))
        summaries = _wanted(engine.images(), described, arguments.platform)
        listed = {each.summary.id: each for each in listed_images(summaries, described, {})}
        for image, _ in described:
            with (
                failures_ignored(),
                read_image(engine, image, progress, thorough=arguments.index) as loaded,
            ):
                if loaded is not None and image.id in listed:
                    causes = find_causes(loaded.stack)
                    write = image_waste_document if arguments.json else image_waste_text
                    reports[image.id] = causes.wasted_size, write(listed[image.id], loaded, causes)
    found = [report for _, report in sorted(reports.values(), key=lambda each: -each[0])]
    unread = [each for identifier, each in listed.items() if identifier not in reports]
    if arguments.json:
        write_lines([json.dumps(all_waste_document(found, unread))])
    else:
        write_lines([*chain.from_iterable(found), *unread_text(unread)])
    _warn_of_unread(len(unread))
    return 0


def _warn_of_unread(number: int) -> None:
    if number:
        count = plural(number, "image has", "images have")
        warn(f"{count} layers that have not been read yet; --index reads them.")


def find(arguments: argparse.Namespace) -> int:
    from layerscope.engines.find_files import find_in_loaded, finder
    from layerscope.reports.find_report import match_document, match_text

    search = finder(arguments.pattern, regex=arguments.regex)
    by_digest = arguments.pattern.startswith("sha256:") and not arguments.regex
    found = False
    unread = 0

    def wanted(changeset: Changeset) -> list[int]:
        nonlocal unread
        unread += by_digest and changeset.digests is None and len(changeset) > 0
        return search(changeset)

    def lines(matches: Iterator[Match]) -> Iterator[str]:
        nonlocal found
        for match in matches:
            found = True
            yield json.dumps(match_document(match)) if arguments.json_lines else match_text(match)

    looked = unknown = 0
    if arguments.sources:
        looked = len(arguments.sources)
        for name in arguments.sources:
            with opened(name, arguments) as (loaded, _):
                write_lines(lines(find_in_loaded(loaded, wanted)))
    else:
        with shown_progress("Asking the engine") as progress:
            for matches, complete in _find_everywhere(arguments, wanted, progress):
                write_lines(lines(matches))
                looked += 1
                unknown += not complete
    _warn_of_unread(unknown)
    if not found:
        warn(f"Nothing matches in {plural(looked, 'image')}.")
    if unread:
        count = plural(unread, "layer was", "layers were")
        warn(f"{count} listed without content, so no digests are known.")
    return 0 if found else 1


def _find_everywhere(
    arguments: argparse.Namespace, wanted: Finder, progress: Progress
) -> Iterator[tuple[Iterator[Match], bool]]:
    """Yields the matches in each image of the engine, and whether all its layers were known."""
    from layerscope.engines.docker import connect_any
    from layerscope.engines.find_files import engine_images, find_in, known_layers
    from layerscope.images.cache.changesets import ChangesetCache

    cache = ChangesetCache()
    with closing(connect_any()) as engine:
        for image, containers in engine_images(engine, arguments.platform):
            progress.what = f"Searching {image.reference}"
            changesets: Mapping[int, Changeset] = known_layers(image, cache)
            stack = None
            if arguments.index and len(changesets) < len(image.layers):
                loaded = _indexed(image.source, arguments)
                if loaded is None:
                    continue
                changesets, image, stack = loaded.changesets, loaded.image, loaded.stack
            complete = len(changesets) == len(image.layers)
            yield find_in(image, changesets, wanted, containers, stack), complete


def _indexed(source: str, asked: argparse.Namespace, platform: str | None = None) -> Loaded | None:
    """Loads an image for the requested platform, or any; None if it lacks the platform."""
    try:
        with opened(source, asked, platform) as (loaded, _):
            return loaded
    except PlatformMissingError as error:
        if platform or asked.platform or not error.platforms:
            return None
        return _indexed(source, asked, error.platforms[0])
