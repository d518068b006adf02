"""Makes an image of another one: squash, rebase, drop."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING

from layerscope.commands.asking import agreed, check_may_ask
from layerscope.commands.making import may_take
from layerscope.commands.opening import open_reader, opened
from layerscope.errors import LayerscopeError, UsageError
from layerscope.output import write_lines
from layerscope.reports.progress import shown_progress
from layerscope.text import short_name, visible

if TYPE_CHECKING:
    from layerscope.images.image import Image
    from layerscope.surgery.edit import Comparer, Edit, Source

#: Plans an edit of an image.
Plan = Callable[["Source", "Comparer"], "Edit"]


def squash(arguments: argparse.Namespace) -> int:
    """Returns 1 if the user did not want it; else 0."""
    from layerscope.surgery.layers import squash as plan

    return _edit(arguments, lambda image, _: plan(image, arguments.first, arguments.last))


def drop(arguments: argparse.Namespace) -> int:
    """Returns 1 if the user did not want it; else 0."""
    from layerscope.patterns import glob_pattern
    from layerscope.surgery.layers import drop as plan

    if arguments.layer is None:
        raise UsageError("layerscope drop needs --layer.", "See layerscope drop --help.")
    wanted = {glob: glob_pattern(glob) for glob in arguments.paths}
    return _edit(arguments, lambda image, _: plan(image, arguments.layer, wanted))


def rebase(arguments: argparse.Namespace) -> int:
    """Returns 1 if the user did not want it; else 0."""
    from layerscope.surgery.rebase import rebase as plan

    with ExitStack() as stack:

        def planned(image: Source, compare: Comparer) -> Edit:
            platform = _platform(image.image)
            base = stack.enter_context(_source(arguments.onto, arguments, platform))
            with _old_base(image.image, base.image, arguments, platform) as old:
                return plan(image, old, base, compare)

        return _edit(arguments, planned)


def _edit(arguments: argparse.Namespace, plan: Plan) -> int:
    """Shows what an edit changes, and makes the image if that is agreed to."""
    from layerscope.reports.surgery_report import done_sentence, surgery_document, surgery_text
    from layerscope.surgery.edit import Comparer, look
    from layerscope.transfer.remade import find_place, put

    check_may_ask(arguments, "A new image")
    if arguments.source.startswith("container:"):
        raise UsageError("A container is not an image.", "Commit it first, or name its image.")
    with ExitStack() as stack:
        place = None
        if not arguments.dry_run:
            place = stack.enter_context(closing(find_place(arguments.into, arguments.tag)))
        source = stack.enter_context(_source(arguments.source, arguments))
        with shown_progress("Comparing") as progress:
            compare = Comparer(progress.check)
            edit = plan(source, compare)
            preview = look(edit, compare)
        if not arguments.json:
            write_lines(surgery_text(preview))
        done = None
        if place is not None:
            what = f"as {visible(place.name)}" if place.name else "without a name"
            naming = place.naming
            if (naming is not None and not may_take(naming, arguments.force)) or not (
                arguments.yes or agreed(f"Make the image {what}? (y/N) ")
            ):
                print("Nothing was made.", file=sys.stderr)
                return 1
            with shown_progress() as progress:
                done = put(edit, place, progress)
        if arguments.json:
            write_lines([json.dumps(surgery_document(preview, done))])
        elif done is not None:
            write_lines(["", done_sentence(done)])
    return 0


@contextmanager
def _source(
    name: str, arguments: argparse.Namespace, platform: str | None = None
) -> Iterator[Source]:
    from layerscope.images.files.contents import Contents
    from layerscope.surgery.edit import Source

    with opened(name, arguments, platform) as (loaded, reader):
        yield Source(loaded, Contents(reader))


def _platform(image: Image) -> str | None:
    from layerscope.images.platforms import own_platform

    found = own_platform(image)
    return None if found is None else str(found)


@contextmanager
def _old_base(
    image: Image, new: Image, arguments: argparse.Namespace, platform: str | None
) -> Iterator[Image]:
    """The base that an image was built on: the one that is given, or the one that it names."""
    from layerscope.surgery.rebase import is_base, named_base

    hint = "Give --old-base IMAGE: the base as it was when the image was built."
    name, digest = named_base(image)
    sources = [arguments.old_base] if arguments.old_base else [name] if name else []
    shown = short_name(image.reference)
    if not sources and is_base(image, new) and not is_base(new, image):
        raise UsageError(f"{shown} is based on {short_name(new.reference)} already.", hint)
    if not sources:
        raise UsageError(f"{shown} does not say what it is based on.", hint)
    if digest and not arguments.old_base:
        # By now, the name can stand for another image.
        sources.append(f"docker://{name.partition('@')[0]}@{digest}")
    for source in sources:
        try:
            with closing(open_reader(source, arguments, platform=platform)) as reader:
                base = reader.image
        except LayerscopeError:
            if arguments.old_base:
                raise
            continue
        if arguments.old_base or is_base(image, base):
            yield base
            return
    raise UsageError(
        f"{shown} was built on {visible(name)}, which is no longer available as it was then.", hint
    )
