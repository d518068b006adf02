"""Shell completion: the script for a shell, and the answers when the user presses tab.

argcomplete parses the partial command line with the parsers of `layerscope.cli`, and calls the
functions here for the values of an argument. Its script runs layerscope for each answer, so answers
must be fast, and never an error: names that take too long to find are left out.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from layerscope.commands import COMMANDS
from layerscope.output import write_lines

if TYPE_CHECKING:
    from layerscope.images.reader import ImageReader

T = TypeVar("T")

#: Returns the values of an argument that begin with a text, each with a description or "".
Values = Callable[[str, argparse.Namespace], Mapping[str, str]]

_PATIENCE = 2.0  # Seconds to wait for an engine or an image.


def completion(arguments: argparse.Namespace) -> int:
    from argcomplete.shell_integration import shellcode

    name = Path(sys.argv[0]).name
    # A copy with another name, such as layerscope.pyz, completes under that name.
    called = name if name.startswith("layerscope") else "layerscope"
    write_lines([shellcode([called], shell=arguments.shell).rstrip("\n")])
    return 0


def answer(
    chosen: Callable[[list[str]], tuple[str, list[str]]],
    parser_of: Callable[[str], argparse.ArgumentParser],
    commands: Mapping[str, str],
) -> None:
    """Answers the shell and ends the process; for the environment variables, see argcomplete."""
    from argcomplete.finders import CompletionFinder
    from argcomplete.lexers import split_line

    line, point = os.environ["COMP_LINE"], int(os.environ["COMP_POINT"])
    words = split_line(line, point)[3][1:]
    name, rest = chosen(words)
    if rest is not words:
        # Its parser begins after the command's name.
        os.environ["_ARGCOMPLETE"] = str(words.index(name) + 2)
    parser = parser_of(name)
    first = commands if name == "tui" else {}
    for action in _actions(parser):
        if isinstance(action.choices, dict):
            continue  # Subcommands, each with its own description.
        values = _VALUES.get(action.dest, _nothing)
        if action.choices is not None:
            values = _choices(action.choices)
        action.completer = _completer(values, first)  # type: ignore[attr-defined]
    CompletionFinder()(parser, always_complete_options=False)


def _actions(parser: argparse.ArgumentParser) -> Iterable[argparse.Action]:
    for action in parser._actions:  # noqa: SLF001 - as argcomplete does
        yield action
        if isinstance(action.choices, dict):
            for inner in action.choices.values():
                yield from _actions(inner)


def _completer(values: Values, first: Mapping[str, str]) -> Callable[..., Mapping[str, str]]:
    def complete(
        prefix: str, action: argparse.Action, parsed_args: argparse.Namespace, **_: object
    ) -> Mapping[str, str]:
        found = dict(first) if action.dest == "image" else {}
        with suppress(Exception):
            found |= values(prefix, parsed_args)
        return {text: what for text, what in found.items() if text.isprintable()}

    return complete


def _in_time(values: Iterable[T]) -> list[T]:
    """Returns the values up to the first one that fails or takes too long."""
    found: list[T] = []

    def collect() -> None:
        with suppress(Exception):
            found.extend(values)

    thread = threading.Thread(target=collect, daemon=True)
    thread.start()
    thread.join(_PATIENCE)
    return list(found)


def _choices(choices: Iterable[str]) -> Values:
    return lambda _, __: dict.fromkeys(choices, "")


def _nothing(prefix: str, arguments: argparse.Namespace) -> Mapping[str, str]:
    return {}


def _files(prefix: str, arguments: argparse.Namespace) -> Mapping[str, str]:
    from layerscope.engines.named import files_below

    return dict.fromkeys(files_below(prefix), "")


def _folders(prefix: str, arguments: argparse.Namespace) -> Mapping[str, str]:
    return {path: what for path, what in _files(prefix, arguments).items() if path.endswith("/")}


def _sources(prefix: str, arguments: argparse.Namespace) -> Mapping[str, str]:
    from layerscope.engines.named import sources

    return dict.fromkeys(_in_time(sources(prefix)), "")


def _engines(prefix: str, arguments: argparse.Namespace) -> Mapping[str, str]:
    from layerscope.engines.known import known_engines

    return {"auto": "the one docker would use"} | {e.name: e.kind for e in known_engines()}


def _instances(prefix: str, arguments: argparse.Namespace) -> Mapping[str, str]:
    from layerscope.build.instances import known_instances

    return {each.name: each.driver for each in known_instances()}


def _images(prefix: str, arguments: argparse.Namespace) -> Mapping[str, str]:
    from layerscope.engines.named import image_names

    return dict.fromkeys(_in_time(image_names()), "")


def _containers(prefix: str, arguments: argparse.Namespace) -> Mapping[str, str]:
    from layerscope.engines.named import container_names

    return dict.fromkeys(_in_time(container_names()), "")


def _jobs(prefix: str, arguments: argparse.Namespace) -> Mapping[str, str]:
    from layerscope.jobs.folder import all_jobs

    return {job.id: f"{job.kind} {job.title}, {job.state.value}" for job in all_jobs()}


def _topics(prefix: str, arguments: argparse.Namespace) -> Mapping[str, str]:
    from layerscope.help import topics

    return dict.fromkeys(COMMANDS, "") | {topic.name: topic.summary for topic in topics()}


def _layers(prefix: str, arguments: argparse.Namespace) -> Mapping[str, str]:
    def layers() -> Iterator[tuple[str, str]]:
        with closing(_reader(arguments)) as reader:
            for layer in reader.image.layers:
                yield str(layer.index), layer.made_by

    return dict(_in_time(layers()))


def _platforms(prefix: str, arguments: argparse.Namespace) -> Mapping[str, str]:
    from layerscope.images.platforms import own_platform

    def platforms() -> Iterator[str]:
        with closing(_reader(arguments)) as reader:
            image = reader.image
            yield from map(str, image.platforms or filter(None, [own_platform(image)]))

    return dict.fromkeys(_in_time(platforms()), "")


def _stages(prefix: str, arguments: argparse.Namespace) -> Mapping[str, str]:
    """Returns the stages of the Dockerfile on the command line, or of the default one."""
    from layerscope.dockerfile.context.conventions import find_dockerfile
    from layerscope.dockerfile.editing.text_file import read_dockerfile
    from layerscope.dockerfile.meaning.stages import find_stages
    from layerscope.dockerfile.syntax.parser import parse

    path = Path(arguments.file or arguments.context or ".")
    found = find_dockerfile(path) if path.is_dir() else path
    if found is None:
        return {}
    with found.open("rb") as opened:
        text = read_dockerfile(opened, str(found)).decode("utf-8", "surrogateescape")
    return {stage.name: "" for stage in find_stages(parse(text)).stages if stage.name}


def _targets(prefix: str, arguments: argparse.Namespace) -> Mapping[str, str]:
    """Returns files and folders after the forms that a pull can write."""
    from layerscope.engines.named import files_below
    from layerscope.engines.sources import FILES

    form, colon, path = prefix.partition(":")
    if form in FILES and colon:
        return {f"{form}:{found}": "" for found in files_below(path)}
    return {f"{form}:": "" for form in FILES}


def _themes(prefix: str, arguments: argparse.Namespace) -> Mapping[str, str]:
    return dict.fromkeys(("auto", "dark", "light", "terminal", "plain"), "")


def _paths(prefix: str, arguments: argparse.Namespace) -> Mapping[str, str]:
    """Returns paths in the merged view of the image; for `history`, in any layer."""

    def paths() -> Iterator[str]:
        from layerscope.filesystem.lookup import entries_below
        from layerscope.images.cache.changesets import ChangesetCache
        from layerscope.images.loading import load
        from layerscope.images.progress import Progress

        cache = ChangesetCache()
        with closing(_reader(arguments)) as reader:
            keys = [reader.cache_key(layer.index) for layer in reader.image.layers]
            # An export or a download would take too long.
            if reader.fetches and not all(key is not None and cache.has(key) for key in keys):
                return
            stack = load(reader, Progress(), cache=cache).stack
        layer = getattr(arguments, "layer", None)
        top = None if arguments.command == "history" else stack.height - 1
        yield from entries_below(stack, prefix, top if layer is None else layer)

    return dict.fromkeys(_in_time(paths()), "")


def _reader(arguments: argparse.Namespace) -> ImageReader:
    from layerscope.commands.opening import open_reader

    known = vars(arguments)
    source = known.get("source") or known.get("image") or known["a"]
    return open_reader(source, argparse.Namespace(**{**known, "platform": None}))


#: Completes an argument or option, by the name of its value.
_VALUES: dict[str, Values] = {
    **dict.fromkeys(("a", "b", "image", "source", "sources", "onto", "old_base"), _sources),
    **dict.fromkeys(("below", "path", "paths"), _paths),
    **dict.fromkeys(
        ("archive", "archive_file", "config", "file", "ignorefile", "log", "save_changes"), _files
    ),
    **dict.fromkeys(("context", "output"), _folders),
    **dict.fromkeys(("chosen", "engine"), _engines),
    "container": _containers,
    "builder_instance": _instances,
    "id": _jobs,
    **dict.fromkeys(("destination", "images", "name", "names", "new_name", "image_name"), _images),
    **dict.fromkeys(("layer", "first", "last"), _layers),
    "platform": _platforms,
    "target": _stages,
    **dict.fromkeys(("to", "into"), _targets),
    "theme": _themes,
    "topic": _topics,
}
