"""Dockerfiles: lint, dockerfile."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from layerscope.commands.opening import dockerfile_on_stdin, open_reader, opened
from layerscope.errors import LayerscopeError, NotFoundError, UsageError
from layerscope.output import say, warn, write_report
from layerscope.reports.progress import shown_progress
from layerscope.text import visible

if TYPE_CHECKING:
    from layerscope.dockerfile.checks.facts import BaseImage
    from layerscope.dockerfile.checks.problems import Problem
    from layerscope.dockerfile.checks.support import Builder
    from layerscope.dockerfile.context.context import ContextFolder
    from layerscope.dockerfile.meaning.match_history import StepWaste
    from layerscope.dockerfile.syntax.document import Document
    from layerscope.images.image import Image


def lint(arguments: argparse.Namespace) -> int:
    """Returns 1 if a problem is at least as severe as `--fail-on`, else 0."""
    from layerscope.build.fields import target_of
    from layerscope.dockerfile.checks.facts import World
    from layerscope.dockerfile.checks.lint import lint as find_problems
    from layerscope.dockerfile.checks.overruled import overrule
    from layerscope.dockerfile.checks.problems import Severity
    from layerscope.dockerfile.meaning.stages import find_stages
    from layerscope.dockerfile.syntax.parser import parse
    from layerscope.reports.lint_report import Linted, lint_document, lint_text

    builder = _builder(arguments.builder)
    builder_name = builder.name if builder is not None else ""
    name, text, path = _read(arguments.file, builder_name)
    document = parse(text)
    if path is not None and path.suffix == ".in":
        shown = visible(path.name)
        say(f"{shown} is read as it is; Podman passes it through cpp first.")
    # A missing stage is a typo, not a problem of the Dockerfile.
    target = target_of(arguments.target or "", (s.name for s in find_stages(document).stages))
    context = _context(arguments, path, builder_name)
    waste: list[StepWaste] = []
    if arguments.image is not None:
        waste = _waste(arguments, document)
    elif arguments.builds and path is not None:
        from layerscope.build.known_builds import finished_build, waste_of

        # From the journal; this needs no engine and no image.
        build = finished_build(path)
        waste = [] if build is None else waste_of(document, build)
    world = World(
        context=context,
        base=_look_up(arguments) if arguments.bases else None,
        arguments=_build_arguments(arguments.build_arg or ()),
        waste=waste,
        target=target or None,
        builder=builder,
    )
    with shown_progress("Checking"):
        others, tools = _others(arguments, document, path, context)
        others, wrong = overrule(document, world, others)
        problems = find_problems(document, world, others)
    linted = Linted(name, document, problems, ("layerscope", *tools), wrong)
    write_report(arguments.json, lint_document, lint_text, linted)
    if arguments.fail_on == "never":
        return 0
    limit = Severity[arguments.fail_on.upper()]
    return 1 if any(problem.severity >= limit for problem in problems) else 0


def _read(file: str | None, builder: str) -> tuple[str, str, Path | None]:
    """Returns name, text and path of the Dockerfile; no path for standard input."""
    from layerscope.build.preview import builder_that_matters
    from layerscope.dockerfile.context.conventions import find_dockerfile
    from layerscope.dockerfile.editing.text_file import read_dockerfile

    if file == "-":
        return "-", dockerfile_on_stdin("Name the Dockerfile."), None
    path = Path(file or ".")
    if path.is_dir():
        found = find_dockerfile(path, builder or builder_that_matters(path))
        if found is None and file is None:
            raise NotFoundError("There is no Dockerfile here.", "Name one: layerscope lint FILE.")
        path = found or path / "Dockerfile"
    try:
        with path.open("rb") as opened:
            data = read_dockerfile(opened, visible(str(path)))
    except FileNotFoundError:
        raise NotFoundError(f"There is no file {visible(str(path))}.") from None
    except OSError as error:
        raise UsageError(f"{visible(str(path))} cannot be read ({error.strerror}).") from None
    return str(path), data.decode("utf-8", "surrogateescape"), path


def _builder(name: str) -> Builder | None:
    from layerscope.build.builders import known_builder
    from layerscope.build.preview import engine_builders

    if not name:
        return None
    builders, problem = engine_builders(name)
    if name == "auto":
        if builders is None:
            raise UsageError(problem, "Name the builder instead of auto.")
        name = builders.auto
    return known_builder(builders, name)


def _context(
    arguments: argparse.Namespace, path: Path | None, builder: str
) -> ContextFolder | None:
    """Returns the build context: `--context`, or the Dockerfile's folder; None for stdin."""
    from layerscope.build.preview import builder_that_matters
    from layerscope.dockerfile.context.context import open_context

    root = Path(arguments.context) if arguments.context is not None else path and path.parent
    if root is None:
        return None
    return open_context(root, path, builder or builder_that_matters(root, path))


def _build_arguments(given: Iterable[str]) -> dict[str, str]:
    from layerscope.build.fields import pair_of

    pairs = dict(map(pair_of, given))
    values = {name: os.environ.get(name) if v is None else v for name, v in pairs.items()}
    # As in Docker, a name without a value in the environment does not count.
    return {name: value for name, value in values.items() if value is not None}


def _others(
    arguments: argparse.Namespace,
    document: Document,
    path: Path | None,
    context: ContextFolder | None,
) -> tuple[list[Problem], list[str]]:
    from layerscope.dockerfile.checks.tools import build_check, hadolint

    results = []
    if arguments.hadolint:
        results.append(("hadolint", hadolint(document, path.parent if path else None)))
    if arguments.buildkit and context is not None:
        results.append(("buildkit", build_check(document, context.root)))
    problems: list[Problem] = []
    tools = []
    for name, result in results:
        if result is None:
            continue
        if result.failure:
            warn(f"{visible(result.failure)}.")
            continue
        problems += result.problems
        tools.append(name)
    return problems, tools


def _waste(arguments: argparse.Namespace, document: Document) -> list[StepWaste]:
    from layerscope.dockerfile.meaning.match_history import step_waste
    from layerscope.filesystem.waste import by_layer

    with opened(arguments.image, arguments) as (loaded, _):
        return step_waste(document, loaded.image, by_layer(loaded.stack), arguments.target)


def _look_up(arguments: argparse.Namespace) -> Callable[[str], BaseImage | None]:
    """Returns a function that looks up base images in the engine, then in their registry."""
    from layerscope.dockerfile.checks.facts import BaseImage

    def environment(image: Image) -> dict[str, str]:
        config = image.config.get("config")
        entries = config.get("Env") if isinstance(config, dict) else None
        pairs = [e.partition("=") for e in entries or () if isinstance(e, str)]
        return {name: value for name, _, value in pairs}

    def look(name: str) -> BaseImage | None:
        missing = False
        for source in (f"docker-daemon:{name}", f"docker://{name}"):
            try:
                with closing(open_reader(source, arguments)) as reader:
                    return BaseImage(True, environment(reader.image))
            except LayerscopeError as error:
                missing = isinstance(error, NotFoundError)
        return BaseImage(False) if missing else None

    return look


def dockerfile(arguments: argparse.Namespace) -> int:
    if arguments.source.startswith("container:"):
        return _draft(arguments)
    from layerscope.reports.dockerfile_report import dockerfile_document, dockerfile_text

    with shown_progress() as progress:
        reader = open_reader(arguments.source, arguments, progress)
    with closing(reader):
        write_report(arguments.json, dockerfile_document, dockerfile_text, reader.image)
    return 0


def _draft(arguments: argparse.Namespace) -> int:
    """Writes a Dockerfile with a container's changes, as far as they can be reconstructed."""
    from layerscope.dockerfile.meaning.draft import draft
    from layerscope.engines.docker import connect_any
    from layerscope.images.containers.written import written
    from layerscope.images.files.contents import Contents
    from layerscope.images.files.packages import PackageReader
    from layerscope.reports.dockerfile_report import Drafted, draft_document, draft_text

    with closing(connect_any()) as engine:
        given = engine.inspect_container(arguments.source.removeprefix("container:"))
    with (
        opened(f"container:{given.id}", arguments) as (loaded, image),
        shown_progress("Looking at what it has written"),
    ):
        contents = Contents(image)
        packages = PackageReader(loaded.stack, contents)
        glance = packages.glance(loaded.stack.height - 1)
        found = draft(
            given.config.image,
            loaded.stack,
            written(loaded, contents),
            glance,
            packages.wanted(glance),
            packages.owned(glance),
        )
    drafted = Drafted(given.name.removeprefix("/"), given.id, found)
    write_report(arguments.json, draft_document, draft_text, drafted)
    return 0
