"""An image, its files and their content: inspect, files, history, cat, extract, images."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from layerscope.commands.opening import layer_of, opened
from layerscope.commands.patches import patch_form, write_patch
from layerscope.errors import NotFoundError, UsageError
from layerscope.output import write_bytes, write_lines
from layerscope.text import decode, docker_size, visible

if TYPE_CHECKING:
    from layerscope.images.loading import Loaded
    from layerscope.images.reader import ImageReader


def inspect(arguments: argparse.Namespace) -> int:
    """`layerscope inspect`."""
    from layerscope.reports.inspect_report import inspect_json, inspect_text

    with opened(arguments) as (loaded, _):
        if arguments.json:
            write_lines([inspect_json(loaded)])
        else:
            from layerscope.reports.pull_report import pull_lines

            write_lines(inspect_text(loaded))
            write_lines(pull_lines(loaded.image))
    return 0


def files(arguments: argparse.Namespace) -> int:
    """`layerscope files`."""
    from layerscope.reports.files_report import json_lines, text_lines

    with opened(arguments) as (loaded, _):
        layer = layer_of(arguments, loaded)
        lines = json_lines if arguments.json_lines else text_lines
        write_lines(lines(loaded.stack, layer))
    return 0


def history(arguments: argparse.Namespace) -> int:
    """`layerscope history`."""
    from layerscope.filesystem.lookup import clean_user_path
    from layerscope.reports.history_report import history_document, history_text, versions_at

    if arguments.patch and arguments.json:
        raise UsageError("--patch is for people and for patch.", "Leave out --json.")
    path = clean_user_path(arguments.path)
    with opened(arguments) as (loaded, reader):
        versions = versions_at(loaded, reader, path)
        if arguments.json:
            write_lines([json.dumps(history_document(loaded, path, versions))])
        elif arguments.patch:
            from layerscope.images.contents import Contents
            from layerscope.reports.patch_report import history_patch

            form = patch_form()
            contents = Contents(reader)
            write_patch(history_patch(loaded, path, versions, contents, form), form)
        else:
            write_lines(history_text(loaded, path, versions))
    return 0


def cat(arguments: argparse.Namespace) -> int:
    """`layerscope cat`."""
    from layerscope.filesystem.changeset import EntryType
    from layerscope.filesystem.lookup import LookupFailedError, clean_user_path, resolve
    from layerscope.images.file_digests import content_of

    if arguments.json and not arguments.describe:
        raise UsageError("--json is for --describe.", "Content is written as it is.")
    path = clean_user_path(arguments.path)
    with opened(arguments) as (loaded, reader):
        stack = loaded.stack
        layer = layer_of(arguments, loaded)
        top = stack.height - 1 if layer is None else layer
        try:
            row = resolve(stack, path, top)
        except LookupFailedError as error:
            hint = "`layerscope history` tells which layers have a path."
            if error.leads_to is not None:
                # A link can be as long as the kernel takes it.
                missing = visible(b"/" + error.leads_to)[:200]
                problem = f"/{visible(path)} leads by a symbolic link to {missing}: {error}."
                raise NotFoundError(problem, hint) from None
            raise NotFoundError(f"/{visible(path)}: {error}.", hint) from None
        kind = EntryType(int(stack.types[row]))
        if kind is not EntryType.FILE:
            raise UsageError(f"/{visible(path)} is a {kind.label}, which has no content.")
        if arguments.describe:
            _describe(loaded, reader, row, as_json=arguments.json)
        else:
            write_bytes(content_of(stack, reader, row))
    return 0


def _describe(loaded: Loaded, reader: ImageReader, row: int, *, as_json: bool) -> None:
    from layerscope.content.kind import describe
    from layerscope.images.contents import Contents
    from layerscope.reports.description_report import description_document, description_text

    content = Contents(reader).open(loaded.stack, row)
    try:
        path = loaded.stack.tree.path(int(loaded.stack.nodes[row]))
        found = describe(content, decode(path))
        size = content.size
    finally:
        content.close()
    if as_json:
        write_lines([json.dumps(description_document(loaded, row, size, found))])
    else:
        write_lines(description_text(size, found))


def extract(arguments: argparse.Namespace) -> int:
    """`layerscope extract`."""
    from layerscope.filesystem.lookup import clean_user_path
    from layerscope.images.extract import extract as extract_paths

    paths = [clean_user_path(path) for path in arguments.paths]
    with opened(arguments) as (loaded, reader):
        layer = layer_of(arguments, loaded)
        done = extract_paths(loaded, reader, paths, Path(arguments.output), layer=layer)
    for path, reason in done.skipped:
        print(f"layerscope: /{visible(path)}: {reason}.", file=sys.stderr)
    target = visible(arguments.output)
    what = "1 file" if done.files == 1 else f"{done.files} files"
    print(f"{what}, {docker_size(done.size)}, under {target}.", file=sys.stderr)
    return 0


def images(arguments: argparse.Namespace) -> int:
    """`layerscope images`."""
    from layerscope.engines.resolve import list_images
    from layerscope.reports.images_report import images_document, images_text

    found = list_images(arguments.source)
    if arguments.json:
        write_lines([json.dumps(images_document(found))])
    else:
        write_lines(images_text(found, time.time()))
    return 0
