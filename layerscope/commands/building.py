"""Builds: build."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from layerscope.commands.jobs import start_and_follow
from layerscope.commands.opening import dockerfile_on_stdin
from layerscope.errors import UsageError
from layerscope.output import write_report
from layerscope.reports.progress import shown_progress
from layerscope.text import visible

if TYPE_CHECKING:
    from layerscope.build.builders import Builders
    from layerscope.build.check import CheckedBuild, WrittenBuild


def build(arguments: argparse.Namespace) -> int:
    from layerscope.build.request import start_build

    if arguments.json and not arguments.dry_run:
        raise UsageError("--json needs --dry-run.", "For a build's events, use --json-lines.")
    if arguments.dry_run:
        if arguments.detach or arguments.quiet or arguments.json_lines:
            raise UsageError("--dry-run builds nothing.", "Leave out -d, -q and --json-lines.")
        return _preview(arguments)
    with shown_progress("Checking the build"):
        request = _check(arguments).checked()
    return start_and_follow(lambda: start_build(request), arguments)


def _preview(arguments: argparse.Namespace) -> int:
    from layerscope.build.preview import preview
    from layerscope.reports.preview_report import preview_document, preview_text

    with shown_progress("Reading the build context"):
        found = _check(arguments)
        found.checked()
        seen = preview(found)
    write_report(arguments.json, preview_document, preview_text, seen)
    return 1 if seen.problem else 0


def _check(arguments: argparse.Namespace) -> CheckedBuild:
    """Returns the build on the command line, or its problems."""
    from layerscope.build.check import WrittenBuild, check_build, filled, written_of
    from layerscope.build.known_builds import last_build
    from layerscope.build.request import BUILD

    written = _written(arguments)
    if not arguments.again:
        return check_build(written, builders=_builders(written))
    if written.text is not None:
        raise UsageError(
            "There is no last build of standard input.", "Name the Dockerfile with -f."
        )
    builders = _builders(written)
    found = check_build(WrittenBuild(written.context, written.dockerfile), builders=builders)
    found.checked()
    job = None if found.dockerfile is None else last_build(found.dockerfile)
    last = None if job is None else BUILD.request_of(job)
    if last is None:
        name = visible(str(found.dockerfile))
        raise UsageError(f"There is no last build of {name}.", "Build it without --again first.")
    return check_build(filled(written, written_of(last)), offer=found.offer, builders=builders)


def _builders(written: WrittenBuild) -> Builders | None:
    """Returns the engine's builders, if the choice of Dockerfile depends on them."""
    from layerscope.build.preview import engine_builders
    from layerscope.build.request import split_builder
    from layerscope.dockerfile.context.conventions import has_both

    if written.dockerfile or written.text is not None or not has_both(Path(written.context)):
        return None
    return engine_builders(split_builder(written.builder)[0])[0]


def _builder(arguments: argparse.Namespace) -> str:
    builder, instance = arguments.builder, arguments.builder_instance
    if instance is None:
        return str(builder)
    if builder not in ("", "auto", "buildkit"):
        raise UsageError("--builder-instance is for BuildKit.", f"Leave out --builder {builder}.")
    return f"buildkit:{instance}"


def _written(arguments: argparse.Namespace) -> WrittenBuild:
    from layerscope.build.check import WrittenBuild

    from_stdin = arguments.file == "-"
    return WrittenBuild(
        context=arguments.context,
        dockerfile="" if from_stdin else arguments.file or "",
        tags=arguments.tag,
        target=arguments.target or "",
        build_args=arguments.build_arg,
        labels=arguments.label,
        secrets=arguments.secret,
        ssh=arguments.ssh,
        platform=arguments.platform or "",
        network=arguments.network or "",
        builder=_builder(arguments),
        no_cache=arguments.no_cache,
        pull=arguments.pull,
        ignore_file=arguments.ignorefile or "",
        text=dockerfile_on_stdin("Name the Dockerfile with -f.") if from_stdin else None,
        export=arguments.export,
    )
