"""What each command does: opens sources, asks the core, writes what it says to stdout."""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from layerscope.commands_build import build as build
from layerscope.commands_build import jobs as jobs
from layerscope.errors import LayerscopeError, NotFoundError, PlatformMissingError, UsageError
from layerscope.output import write_bytes, write_lines
from layerscope.reports.narration import Narration
from layerscope.text import decode, docker_size, visible

if TYPE_CHECKING:
    from layerscope.filesystem.changeset import Changeset
    from layerscope.images.cache import ChangesetCache
    from layerscope.images.loading import Loaded
    from layerscope.images.reader import ImageReader


def inspect(arguments: argparse.Namespace) -> int:
    """`layerscope inspect`."""
    from layerscope.reports.inspect_report import inspect_json, inspect_text

    with _opened(arguments) as (loaded, _):
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

    with _opened(arguments) as (loaded, _):
        layer = _layer(arguments, loaded)
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
    with _opened(arguments) as (loaded, reader):
        versions = versions_at(loaded, reader, path)
        if arguments.json:
            write_lines([json.dumps(history_document(loaded, path, versions))])
        elif arguments.patch:
            from layerscope.images.contents import Contents
            from layerscope.reports.patch_report import history_patch

            form = _patch_form()
            contents = Contents(reader)
            _write_patch(history_patch(loaded, path, versions, contents, form), form)
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
    with _opened(arguments) as (loaded, reader):
        stack = loaded.stack
        layer = _layer(arguments, loaded)
        top = stack.height - 1 if layer is None else layer
        try:
            row = resolve(stack, path, top)
        except LookupFailedError as error:
            raise NotFoundError(
                f"/{visible(path)}: {error}.",
                "`layerscope history` tells which layers have a path.",
            ) from None
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
    with _opened(arguments) as (loaded, reader):
        layer = _layer(arguments, loaded)
        done = extract_paths(loaded, reader, paths, Path(arguments.output), layer=layer)
    for path, reason in done.skipped:
        print(f"layerscope: /{visible(path)}: {reason}.", file=sys.stderr)
    target = visible(arguments.output)
    what = "1 file" if done.files == 1 else f"{done.files} files"
    print(f"{what}, {docker_size(done.size)}, under {target}.", file=sys.stderr)
    return 0


def diff(arguments: argparse.Namespace) -> int:
    """`layerscope diff`."""
    from layerscope.reports.diff_report import Side, diff_document, diff_images, diff_text

    if arguments.path is not None and arguments.json:
        raise UsageError("--path is for people and for patch.", "Leave out --json.")
    with ExitStack() as opened:
        sides = [
            Side(*opened.enter_context(_source(name, arguments)))
            for name in (arguments.a, arguments.b)
        ]
        if arguments.path is not None:
            return _diff_path(arguments, *sides)
        result = diff_images(*sides)
        if arguments.json:
            write_lines([json.dumps(diff_document(result))])
        else:
            write_lines(diff_text(result))
    return 1 if arguments.exit_code and not result.same else 0


def _diff_path(arguments: argparse.Namespace, first: Side, second: Side) -> int:
    from layerscope.filesystem.lookup import clean_user_path
    from layerscope.images.contents import Contents
    from layerscope.reports.patch_report import path_patch

    form = _patch_form()
    one, other = ((side.loaded, Contents(side.reader)) for side in (first, second))
    changed, lines = path_patch(one, other, clean_user_path(arguments.path), form)
    _write_patch(lines, form)
    return 1 if arguments.exit_code and changed else 0


def _patch_form() -> Form:
    from layerscope.reports.patch_report import Form

    terminal = sys.stdout is not None and sys.stdout.isatty()
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM", "dumb") == "dumb"
    return Form(terminal, terminal and not plain)


def _write_patch(lines: Iterator[str], form: Form) -> None:
    """Writes lines of files as they are, unless a terminal is to show them."""
    if form.terminal:
        write_lines(lines)
    else:
        write_bytes(f"{line}\n".encode("utf-8", "surrogateescape") for line in lines)


def ci(arguments: argparse.Namespace) -> int:
    """`layerscope ci`."""
    from layerscope.reports.ci_report import ci_document, ci_text, judge
    from layerscope.reports.ci_rules import load_thresholds

    names = (
        "lowest_efficiency",
        "highest_wasted_bytes",
        "highest_wasted_percent",
        "highest_user_wasted_percent",
        "highest_size",
        "exclude",
    )
    flags = {name: getattr(arguments, name) for name in names}
    config = Path(arguments.config) if arguments.config else None
    thresholds = load_thresholds(flags, Path.cwd(), config)
    with _opened(arguments) as (loaded, _):
        gate = judge(loaded, thresholds)
    if arguments.json:
        write_lines([json.dumps(ci_document(gate))])
    else:
        write_lines(ci_text(gate))
    return 0 if gate.passed else 1


def find(arguments: argparse.Namespace) -> int:
    """`layerscope find`."""
    from layerscope.reports.find_report import find_in_loaded, finder, match_document
    from layerscope.reports.find_report import match_text as text

    wanted = finder(arguments.pattern, regex=arguments.regex)
    found = False

    def lines(matches: Iterator[Match]) -> Iterator[str]:
        nonlocal found
        for match in matches:
            found = True
            yield json.dumps(match_document(match)) if arguments.json_lines else text(match)

    if arguments.sources:
        for name in arguments.sources:
            with _source(name, arguments) as (loaded, _):
                write_lines(lines(find_in_loaded(loaded, wanted)))
        return 0 if found else 1
    unknown = 0
    for matches, complete in _find_everywhere(arguments, wanted):
        write_lines(lines(matches))
        unknown += not complete
    if unknown:
        print(
            f"layerscope: {unknown} images have layers that are not known yet; --index reads them.",
            file=sys.stderr,
        )
    return 0 if found else 1


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
        with _source(source, asked, platform) as (loaded, _):
            return loaded
    except PlatformMissingError as error:
        if platform or asked.platform or not error.platforms:
            return None
        return _indexed(source, asked, error.platforms[0])


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


def config(arguments: argparse.Namespace) -> int:
    """`layerscope config`."""
    from layerscope.config import load, settings_file
    from layerscope.reports.config_report import config_document, config_text

    if arguments.what == "path":
        write_lines([str(settings_file())])
        return 0
    from layerscope.tui.settings import checked

    settings = load()
    bindings = checked(settings)
    if arguments.json:
        write_lines([json.dumps(config_document(settings, bindings))])
    else:
        write_lines(config_text(settings, bindings))
    for warning in settings.warnings:
        print(f"layerscope: {warning}", file=sys.stderr)
    return 0


def tui(arguments: argparse.Namespace) -> int:
    """The TUI."""
    from layerscope.config import load
    from layerscope.images.spawned import prepare

    if arguments.source:
        # It starts while Textual is imported.
        prepare(arguments.source)
    from layerscope.tui.app import run

    # What it makes and drops while it runs has cycles; what was imported stays.
    gc.freeze()
    gc.enable()
    mouse = False if arguments.no_mouse else None
    code: int = run(
        arguments.source,
        load({"theme": arguments.theme, "ascii": arguments.ascii, "mouse": mouse}),
        platform=arguments.platform,
        export=arguments.export,
        cache=not arguments.no_cache,
        insecure=arguments.insecure,
    )
    return code


def lint(arguments: argparse.Namespace) -> int:
    """`layerscope lint`."""
    from layerscope.commands_dockerfile import lint as run

    return run(arguments, _source)


def dockerfile(arguments: argparse.Namespace) -> int:
    """`layerscope dockerfile`."""
    from layerscope.commands_dockerfile import dockerfile as run

    return run(arguments)


def waste(arguments: argparse.Namespace) -> int:
    """`layerscope waste`."""
    from layerscope.commands_saving import waste as run

    return run(arguments, _source)


def packages(arguments: argparse.Namespace) -> int:
    """`layerscope packages`."""
    from layerscope.commands_saving import packages as run

    return run(arguments, _source)


def rm(arguments: argparse.Namespace) -> int:
    """`layerscope rm`."""
    from layerscope.commands_saving import rm as run

    return run(arguments)


@contextmanager
def _opened(arguments: argparse.Namespace) -> Iterator[tuple[Loaded, ImageReader]]:
    with _source(arguments.source, arguments) as opened:
        yield opened


@contextmanager
def _source(
    source: str, arguments: argparse.Namespace, platform: str | None = None
) -> Iterator[tuple[Loaded, ImageReader]]:
    """An image that has been read; open, so that content can be read too."""
    from layerscope.engines.resolve import open_image
    from layerscope.images.loading import load

    with ExitStack() as stack:
        with Narration() as narration:
            reader = open_image(
                source,
                narration.progress,
                platform=platform or arguments.platform,
                export=arguments.export,
                cache=not arguments.no_cache,
                insecure=arguments.insecure,
            )
            stack.callback(reader.close)
            loaded = load(reader, narration.progress, cache=_cache(arguments))
        yield loaded, reader


def _cache(arguments: argparse.Namespace) -> ChangesetCache | None:
    from layerscope.images.cache import ChangesetCache

    return None if arguments.no_cache else ChangesetCache()


def _layer(arguments: argparse.Namespace, loaded: Loaded) -> int | None:
    layer: int | None = arguments.layer
    height = loaded.stack.height
    if layer is not None and not 0 <= layer < height:
        raise UsageError(
            f"There is no layer {layer}.",
            f"The image has layers 0 to {height - 1}." if height else "The image has no layers.",
        )
    if not height and layer is None and not loaded.complete:
        raise LayerscopeError("The image has not been read.")
    return layer


if TYPE_CHECKING:
    from layerscope.reports.diff_report import Side
    from layerscope.reports.find_report import Finder, Match
    from layerscope.reports.patch_report import Form
