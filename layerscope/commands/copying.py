"""Copies images between engines and files: save, load."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from layerscope.commands.opening import open_reader
from layerscope.errors import UsageError
from layerscope.output import write_bytes
from layerscope.reports.progress import shown_progress
from layerscope.text import docker_size, plural, short_id, visible

if TYPE_CHECKING:
    from layerscope.images.archives.writing import PackedImage
    from layerscope.images.progress import Progress
    from layerscope.images.reader import ImageReader

_PIECE = 1 << 20


def save(arguments: argparse.Namespace) -> int:
    from layerscope.images.archives.writing import archive_pieces, write_archive, write_layout

    form, target = arguments.format, arguments.archive
    if arguments.without_layers_of:
        # Only a layout says what it lacks.
        if form == "docker-archive":
            raise UsageError(
                "A docker-archive cannot leave out layers.", "Use --format oci-archive or oci."
            )
        form = form or "oci-archive"
    form = form or "docker-archive"
    if target is None:
        if form == "oci" or sys.stdout is None or sys.stdout.isatty():
            raise UsageError("It is not said where to save the image.", "Add -o FILE.")
        target = "-"
    if form == "oci" and target == "-":
        raise UsageError("A folder cannot be written to standard output.", "Add -o DIR.")
    if form == "docker-archive" and arguments.compression == "zstd":
        raise UsageError(
            "Docker loads no zstd layers from archives of its own form everywhere.",
            "Use --format oci-archive, or --compression gzip.",
        )
    path = Path(target)
    with shown_progress("Reading the image") as progress, _to_save(arguments, progress) as image:
        progress.what, progress.done, progress.total = "Saving the image", 0, image.size
        if form == "oci":
            write_layout(path, [image], advance=progress.advance)
        elif target == "-":
            docker = form == "docker-archive"
            write_bytes(archive_pieces([image], docker=docker, advance=progress.advance))
        else:
            write_archive(
                path,
                [image],
                docker=form == "docker-archive",
                overwrite=arguments.force,
                advance=progress.advance,
            )
    if target != "-":
        name = visible(image.tags[0]) if image.tags else short_id(image.config.digest)
        _say(f"Saved {name} to {visible(target)}: {docker_size(image.size)}.")
    return 0


@contextmanager
def _to_save(arguments: argparse.Namespace, progress: Progress) -> Iterator[PackedImage]:
    """The image; as it is stored, if that is in a file and no compression is asked for."""
    from layerscope.images.archives.packing import packed
    from layerscope.images.archives.writing import named
    from layerscope.transfer.loading import reference_of
    from layerscope.transfer.push_sources import file_source, opened_source

    source, compression = arguments.source, arguments.compression
    other = arguments.without_layers_of
    stored = compression is None and not arguments.platform and not other and _in_file(source)
    if stored and file_source(source) is not None:
        with opened_source(source, None, progress.check) as (image, name):
            yield named(image, reference_of(name))
        return
    with closing(open_reader(source, arguments, progress)) as reader:
        omitted = _in_common(reader, other, arguments, progress) if other else 0
        progress.what = "Reading the image"
        compression = None if compression in (None, "none") else compression
        with packed(reader, progress, compression, omitted=omitted) as image:
            yield named(image, reference_of(reader.image.reference))


def _in_common(
    reader: ImageReader, other: str, arguments: argparse.Namespace, progress: Progress
) -> int:
    """How many of the lowest layers another image has; raises UsageError if it has none."""
    from layerscope.images.registry.pull_estimate import in_common

    ours = [layer.diff_id for layer in reader.image.layers]
    with closing(open_reader(other, arguments, progress)) as second:
        count = in_common(ours, [layer.diff_id for layer in second.image.layers])
    if not count:
        raise UsageError(
            f"{visible(other)} and {visible(arguments.source)} share no lowest layers.",
            "Save the whole image.",
        )
    _say(f"Leaving out {count} of {plural(len(ours), 'layer')}.")
    return count


def _in_file(source: str) -> bool:
    from layerscope.engines.sources import is_path

    return is_path(source) or source.partition(":")[0] in ("docker-archive", "oci-archive", "oci")


def load(arguments: argparse.Namespace) -> int:
    from layerscope.engines.docker import connect_any
    from layerscope.transfer.loading import load_images

    with ExitStack() as stack:
        progress = stack.enter_context(shown_progress("Reading the archive"))
        engine = stack.enter_context(closing(connect_any()))
        source = arguments.archive_file
        if source == "-":
            source = stack.enter_context(_from_stdin(progress))
        found = [*load_images(engine, source, progress)]
    for image in found:
        name = f"{visible(image.name)}  " if image.name else ""
        before = f", in place of {short_id(image.before)}" if image.before else ""
        _say(f"Loaded {name}{short_id(image.id)}{before}")
    return 0


@contextmanager
def _from_stdin(progress: Progress) -> Iterator[str]:
    from layerscope.images.archives.packing import spooled
    from layerscope.transfer.push_sources import copy_all

    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("There is no archive on standard input.", "Name a file.")
    stdin = sys.stdin.buffer
    with spooled() as file:
        copy_all(lambda size: os.read(stdin.fileno(), size), file, progress.check)
        # Everything that opens an archive opens it by a path.
        yield f"/proc/self/fd/{file.fileno()}"


def _say(text: str) -> None:
    print(text, file=sys.stderr)
