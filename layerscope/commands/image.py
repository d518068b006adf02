"""One image, or two: inspect, waste, packages, files, history, cat, extract, diff, ci."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from contextlib import ExitStack, closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from layerscope.commands.opening import layer_of, opened
from layerscope.commands.stopping import as_interrupt
from layerscope.errors import LayerscopeError, NotFoundError, UsageError
from layerscope.output import say, warn, write_content, write_lines, write_patch, write_report
from layerscope.reports.progress import shown_progress
from layerscope.text import decode, visible

if TYPE_CHECKING:
    from layerscope.images.files.extract import Extracted
    from layerscope.images.loading import Loaded
    from layerscope.images.reader import ImageReader
    from layerscope.reports.diff_report import Side

_HISTORY_HINT = "`layerscope history` shows which layers have a path."


def inspect(arguments: argparse.Namespace) -> int:
    from layerscope.reports.inspect_report import inspect_json, inspect_text, pull_lines

    with opened(arguments.source, arguments) as (loaded, _):
        if arguments.json:
            write_lines([inspect_json(loaded)])
        else:
            write_lines(inspect_text(loaded))
            with shown_progress("Asking the engine"):
                write_lines(pull_lines(loaded.image))
    return 0


def waste(arguments: argparse.Namespace) -> int:
    if arguments.all:
        from layerscope.commands.engine import all_waste

        if arguments.image:
            raise UsageError(
                "--all is about all images of the current engine.", "Leave out SOURCE."
            )
        return all_waste(arguments)
    if arguments.index:
        raise UsageError("--index needs --all.")
    if not arguments.image:
        raise UsageError("No image is named.", "Name one, or add --all for all of the engine.")
    from layerscope.filesystem.waste_causes import find_causes
    from layerscope.reports.waste_report import waste_document, waste_text

    with opened(arguments.image, arguments) as (loaded, reader):
        if arguments.compare:
            from layerscope.images.files.contents import Contents
            from layerscope.images.files.hidden import compare_hidden

            with shown_progress() as progress:
                compare_hidden(loaded.stack, Contents(reader), progress)
        with shown_progress("Looking for waste"):
            causes = find_causes(loaded.stack)
        write_report(arguments.json, waste_document, waste_text, loaded, causes)
    return 0


def packages(arguments: argparse.Namespace) -> int:
    from layerscope.images.files.contents import Contents
    from layerscope.images.files.packages import PackageReader
    from layerscope.reports.packages_report import packages_document, packages_text

    with opened(arguments.source, arguments) as (loaded, image):
        layer = layer_of(arguments, loaded)
        reader = PackageReader(loaded.stack, Contents(image))
        with shown_progress("Reading packages"):
            write_report(arguments.json, packages_document, packages_text, loaded, reader, layer)
    return 0


def files(arguments: argparse.Namespace) -> int:
    from layerscope.filesystem.lookup import clean_user_path
    from layerscope.reports.files_report import json_lines, text_lines

    path = clean_user_path(arguments.below or "")
    with opened(arguments.source, arguments) as (loaded, _):
        lines = json_lines if arguments.json_lines else text_lines
        write_lines(lines(loaded.stack, layer_of(arguments, loaded), path))
    return 0


def history(arguments: argparse.Namespace) -> int:
    from layerscope.filesystem.lookup import clean_user_path
    from layerscope.reports.history_report import history_document, history_text, versions_at

    if arguments.patch and arguments.json:
        raise UsageError("--patch prints a diff, not JSON.", "Leave out --json.")
    path = clean_user_path(arguments.path)
    with opened(arguments.source, arguments) as (loaded, reader):
        with shown_progress("Comparing versions"):
            versions = versions_at(loaded, reader, path)
        if arguments.patch:
            from layerscope.images.files.contents import Contents
            from layerscope.reports.patch_report import form_of_stdout, history_patch

            form, contents = form_of_stdout(), Contents(reader)
            with shown_progress("Comparing versions"):
                write_patch(history_patch(loaded, path, versions, contents, form), form)
        else:
            write_report(arguments.json, history_document, history_text, loaded, path, versions)
    return 0


def cat(arguments: argparse.Namespace) -> int:
    from layerscope.filesystem.changeset import EntryType
    from layerscope.filesystem.lookup import LookupFailedError, clean_user_path, resolve
    from layerscope.images.files.digests import content_of
    from layerscope.images.pieces import filled

    if arguments.json and not arguments.describe:
        raise UsageError("--json needs --describe.", "Content is written as it is.")
    path = clean_user_path(arguments.path)
    with opened(arguments.source, arguments) as (loaded, reader):
        stack = loaded.stack
        layer = layer_of(arguments, loaded)
        try:
            row = resolve(stack, path, stack.height - 1 if layer is None else layer)
        except LookupFailedError as error:
            problem = f"/{visible(path)}"
            if error.leads_to is not None:
                # A link can have thousands of characters.
                target = visible(b"/" + error.leads_to)[:200]
                problem += f" leads by a symbolic link to {target}"
            raise NotFoundError(f"{problem}: {error}.", _HISTORY_HINT) from None
        kind = EntryType(int(stack.types[row]))
        if kind is EntryType.HARDLINK:
            raise NotFoundError(f"/{visible(path)}: {stack.dangling(row)}.", _HISTORY_HINT)
        if kind is not EntryType.FILE:
            raise UsageError(f"/{visible(path)} is a {kind.noun}, which has no content.")
        if arguments.describe:
            _describe(loaded, reader, row, as_json=arguments.json)
        else:
            # On a terminal, the last line may be partial.
            silent = sys.stdout is not None and sys.stdout.isatty()
            with nullcontext() if silent else shown_progress("Reading the file"):
                write_content(filled(content_of(stack, reader, row)))
    return 0


def _describe(loaded: Loaded, reader: ImageReader, row: int, *, as_json: bool) -> None:
    from layerscope.content.kind import describe
    from layerscope.images.files.contents import Contents
    from layerscope.reports.description_report import description_document, description_text

    with closing(Contents(reader).open(loaded.stack, row)) as content:
        path = loaded.stack.tree.path(int(loaded.stack.nodes[row]))
        found, size = describe(content, decode(path)), content.size
    if as_json:
        write_lines([json.dumps(description_document(loaded, row, size, found))])
    else:
        write_lines(description_text(size, found))


def extract(arguments: argparse.Namespace) -> int:
    from layerscope.filesystem.lookup import clean_user_path
    from layerscope.images.files.extract import Extracted
    from layerscope.images.files.extract import extract as extract_paths

    paths = [clean_user_path(path) for path in arguments.paths]
    target = Path(arguments.output)
    with opened(arguments.source, arguments) as (loaded, reader):
        layer = layer_of(arguments, loaded)
        done = Extracted()
        try:
            with as_interrupt(signal.SIGTERM, signal.SIGHUP), shown_progress() as progress:
                progress.what = "Extracting"
                extract_paths(loaded, reader, paths, target, done, layer, progress)
        except BaseException:
            if done.files or done.folders:
                _say_extracted(done, target)
            raise
        _say_extracted(done, target)
    return 0


def _say_extracted(done: Extracted, target: Path) -> None:
    for path, reason in done.skipped:
        warn(f"/{visible(path)}: {reason}.")
    say(f"{done.text}, under {visible(str(target.absolute()))}.")


def diff(arguments: argparse.Namespace) -> int:
    from layerscope.reports.diff_report import Side, diff_document, diff_images, diff_text

    if arguments.path is not None and arguments.json:
        raise UsageError("--path prints a diff, not JSON.", "Leave out --json.")
    if arguments.path is not None and arguments.ignore_time:
        raise UsageError("--ignore-time compares whole images.", "Leave out --path.")
    with ExitStack() as stack:
        sides = [
            Side(*stack.enter_context(opened(name, arguments)))
            for name in (arguments.a, arguments.b)
        ]
        if arguments.path is not None:
            return _diff_path(arguments, *sides)
        with shown_progress("Comparing"):
            result = diff_images(*sides, ignore_time=arguments.ignore_time)
        write_report(arguments.json, diff_document, diff_text, result)
    return 1 if arguments.exit_code and not result.same else 0


def _diff_path(arguments: argparse.Namespace, first: Side, second: Side) -> int:
    from layerscope.filesystem.lookup import clean_user_path
    from layerscope.images.files.contents import Contents
    from layerscope.reports.patch_report import form_of_stdout, path_patch

    form = form_of_stdout()
    one, other = ((side.loaded, Contents(side.reader)) for side in (first, second))
    with shown_progress("Comparing"):
        changed, lines = path_patch(one, other, clean_user_path(arguments.path), form)
        write_patch(lines, form)
    return 1 if arguments.exit_code and changed else 0


def ci(arguments: argparse.Namespace) -> int:
    from layerscope.reports.ci_report import ci_document, ci_text, judge
    from layerscope.reports.ci_rules import RULES, load_thresholds

    flags = {name: getattr(arguments, name) for name in RULES}
    config = Path(arguments.config) if arguments.config else None
    thresholds = load_thresholds(flags, Path.cwd(), config)
    with opened(arguments.source, arguments) as (loaded, _):
        if loaded.image.missing:
            raise LayerscopeError(
                "An image with missing layers cannot be measured.",
                "Read it from an engine that has pulled it.",
            )
        gate = judge(loaded, thresholds)
    write_report(arguments.json, ci_document, ci_text, gate)
    return 0 if gate.passed else 1
