"""What the commands about Dockerfiles do: `lint` and `dockerfile`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from layerscope.commands.opening import open_source
from layerscope.errors import LayerscopeError, NotFoundError, UsageError
from layerscope.output import write_lines
from layerscope.text import visible

if TYPE_CHECKING:
    from layerscope.dockerfile.context import ContextFolder
    from layerscope.dockerfile.document import Document
    from layerscope.dockerfile.facts import BaseImage, StepWaste
    from layerscope.dockerfile.problems import Problem
    from layerscope.images.reader import ImageReader

_NAMES = ("Dockerfile", "Containerfile")


def lint(arguments: argparse.Namespace) -> int:
    """`layerscope lint`.

    Returns:
        1 if a problem is as bad as `--fail-on` says, else 0.
    """
    from layerscope.build.fields import target_of
    from layerscope.dockerfile.facts import World
    from layerscope.dockerfile.lint import lint as find_problems
    from layerscope.dockerfile.parser import parse
    from layerscope.dockerfile.problems import Severity
    from layerscope.dockerfile.stages import find_stages
    from layerscope.reports.lint_report import Linted, lint_document, lint_text

    name, text, path = _read(arguments.file)
    document = parse(text)
    # A stage that is not there is a slip of the pen, and no problem of the Dockerfile.
    target = target_of(arguments.target or "", (s.name for s in find_stages(document).stages))
    context = _context(arguments, path)
    waste: list[StepWaste] = []
    if arguments.image is not None:
        waste = _waste(arguments, document)
    elif arguments.builds and path is not None:
        waste = _waste_of_last_build(document, path)
    world = World(
        context=context,
        base=_look_up(arguments) if arguments.bases else None,
        arguments=_build_arguments(arguments.build_arg or ()),
        waste=waste,
        target=target or None,
    )
    others, tools = _others(arguments, document, path, context)
    problems = find_problems(document, world, others)
    linted = Linted(name, document, problems, ("layerscope", *tools))
    if arguments.json:
        write_lines([json.dumps(lint_document(linted))])
    else:
        write_lines(lint_text(linted))
    if arguments.fail_on == "never":
        return 0
    limit = Severity[arguments.fail_on.upper()]
    return 1 if any(problem.severity >= limit for problem in problems) else 0


def _read(file: str | None) -> tuple[str, str, Path | None]:
    """Name, text and path of the Dockerfile; no path for standard input."""
    from layerscope.dockerfile.text_file import read_dockerfile

    if file == "-":
        if sys.stdin is None:
            raise UsageError("Standard input is closed.")
        data = read_dockerfile(sys.stdin.buffer, "What comes by standard input")
        return "-", data.decode("utf-8", "surrogateescape"), None
    if file is None:
        found = next((name for name in _NAMES if Path(name).is_file()), None)
        if found is None:
            raise NotFoundError("There is no Dockerfile here.", "Name one: layerscope lint FILE.")
        file = found
    path = Path(file)
    if path.is_dir():
        path = path / "Dockerfile"
    try:
        with path.open("rb") as opened:
            data = read_dockerfile(opened, visible(str(path)))
    except FileNotFoundError:
        raise NotFoundError(f"There is no file {visible(str(path))}.") from None
    except OSError as error:
        raise UsageError(f"{visible(str(path))} cannot be read ({error.strerror}).") from None
    return str(path), data.decode("utf-8", "surrogateescape"), path


def _context(arguments: argparse.Namespace, path: Path | None) -> ContextFolder | None:
    """The build context: what was named, or the Dockerfile's folder; none for standard input."""
    from layerscope.dockerfile.context import open_context

    if arguments.context is not None:
        return open_context(Path(arguments.context), path)
    return None if path is None else open_context(path.parent, path)


def _build_arguments(given: list[str] | tuple[()]) -> dict[str, str]:
    values = {}
    for argument in given:
        name, equals, value = argument.partition("=")
        if not name:
            raise UsageError(
                f"--build-arg {visible(argument)} names no argument.",
                "Write --build-arg NAME=VALUE, or NAME for its value in the environment.",
            )
        if equals:
            values[name] = value
        elif name in os.environ:
            # As Docker does; one that is not there either is as good as not given.
            values[name] = os.environ[name]
    return values


def _others(
    arguments: argparse.Namespace,
    document: Document,
    path: Path | None,
    context: ContextFolder | None,
) -> tuple[list[Problem], list[str]]:
    """What other tools found, and which of them looked."""
    from layerscope.dockerfile.tools import build_check, hadolint

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
            print(f"layerscope: {visible(result.failure)}.", file=sys.stderr)
            continue
        problems += result.problems
        tools.append(name)
    return problems, tools


def _waste(arguments: argparse.Namespace, document: Document) -> list[StepWaste]:
    from layerscope.dockerfile.match_history import step_waste
    from layerscope.filesystem.waste import by_layer

    with open_source(arguments.image, arguments) as (loaded, _):
        return step_waste(document, loaded.image, by_layer(loaded.stack), arguments.target)


def _waste_of_last_build(document: Document, path: Path) -> list[StepWaste]:
    """What the job of the last build of a file says; no engine is asked, and no image read."""
    from layerscope.build.known_builds import finished_build, waste_of

    build = finished_build(path)
    return [] if build is None else waste_of(document, build)


def _look_up(arguments: argparse.Namespace) -> Callable[[str], BaseImage | None]:
    """Looks base images up: in the engine, then in their registry."""
    from layerscope.dockerfile.facts import BaseImage
    from layerscope.engines.resolve import open_image

    def environment(reader: ImageReader) -> dict[str, str]:
        config = reader.image.config.get("config")
        entries = config.get("Env") if isinstance(config, dict) else None
        pairs = [e.partition("=") for e in entries or () if isinstance(e, str)]
        return {name: value for name, _, value in pairs}

    def look(name: str) -> BaseImage | None:
        missing = False
        for source in (f"docker-daemon:{name}", f"docker://{name}"):
            try:
                reader = open_image(
                    source, platform=arguments.platform, insecure=arguments.insecure
                )
            except NotFoundError:
                missing = True
            except LayerscopeError:
                missing = False
            else:
                try:
                    return BaseImage(True, environment(reader))
                finally:
                    reader.close()
        return BaseImage(False) if missing else None

    return look


def dockerfile(arguments: argparse.Namespace) -> int:
    """`layerscope dockerfile`: no layer is read for it."""
    from layerscope.engines.resolve import open_image
    from layerscope.reports.dockerfile_report import dockerfile_document, dockerfile_text

    reader = open_image(
        arguments.source,
        platform=arguments.platform,
        export=arguments.export,
        cache=not arguments.no_cache,
        insecure=arguments.insecure,
    )
    try:
        if arguments.json:
            write_lines([json.dumps(dockerfile_document(reader.image))])
        else:
            write_lines(dockerfile_text(reader.image))
    finally:
        reader.close()
    return 0
