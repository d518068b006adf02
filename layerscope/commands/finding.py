"""A file in all images: find."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from layerscope.commands.opening import open_source
from layerscope.errors import PlatformMissingError
from layerscope.output import write_lines

if TYPE_CHECKING:
    from layerscope.filesystem.changeset import Changeset
    from layerscope.images.loading import Loaded
    from layerscope.reports.find_report import Finder, Match


def find(arguments: argparse.Namespace) -> int:
    """`layerscope find`."""
    from layerscope.reports.find_report import find_in_loaded, finder, match_document
    from layerscope.reports.find_report import match_text as text

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
            yield json.dumps(match_document(match)) if arguments.json_lines else text(match)

    unknown = 0
    if arguments.sources:
        for name in arguments.sources:
            with open_source(name, arguments) as (loaded, _):
                write_lines(lines(find_in_loaded(loaded, wanted)))
    else:
        for matches, complete in _find_everywhere(arguments, wanted):
            write_lines(lines(matches))
            unknown += not complete
    if unknown:
        images = "1 image has" if unknown == 1 else f"{unknown} images have"
        _say(f"{images} layers that are not known yet; --index reads them.")
    if unread:
        layers = "1 layer was" if unread == 1 else f"{unread} layers were"
        _say(f"{layers} listed without their content, which no digest is known of.")
    return 0 if found else 1


def _say(text: str) -> None:
    print(f"layerscope: {text}", file=sys.stderr)


def _find_everywhere(
    arguments: argparse.Namespace, wanted: Finder
) -> Iterator[tuple[Iterator[Match], bool]]:
    """Matches in each image of the engine, and whether all its layers were known."""
    from layerscope.engines.docker import connect
    from layerscope.images.cache import ChangesetCache
    from layerscope.reports.find_report import engine_images, find_in, known_layers

    cache = ChangesetCache()
    engine = connect()
    try:
        for image, containers in engine_images(engine, arguments.platform):
            changesets: Mapping[int, Changeset] = known_layers(image, cache)
            stack = None
            if arguments.index and len(changesets) < len(image.layers):
                loaded = _indexed(image.source, arguments)
                if loaded is None:
                    continue
                changesets, image, stack = loaded.changesets, loaded.image, loaded.stack
            complete = len(changesets) == len(image.layers)
            yield find_in(image, changesets, wanted, containers, stack), complete
    finally:
        engine.close()


def _indexed(source: str, asked: argparse.Namespace, platform: str | None = None) -> Loaded | None:
    """An image, for any platform if none is asked for; None if it is not there for that one."""
    try:
        with open_source(source, asked, platform) as (loaded, _):
            return loaded
    except PlatformMissingError as error:
        if platform or asked.platform or not error.platforms:
            return None
        return _indexed(source, asked, error.platforms[0])
