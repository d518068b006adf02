"""A build as the user's text, field by field, with the problems of each field.

The command line and the form fill in the same fields, so both accept and report the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from layerscope.build.fields import (
    checked_agent,
    context_folder,
    dockerfile_of,
    file_of,
    network_of,
    pair_of,
    platform_of,
    tag_of,
    target_of,
    words_of,
)
from layerscope.build.offer import Offer, offer_of, read_offer
from layerscope.build.request import BUILDERS, BuildRequest, split_builder
from layerscope.build.secrets import Secret, parse_secrets
from layerscope.errors import LayerscopeError, UsageError
from layerscope.text import visible

if TYPE_CHECKING:
    from layerscope.build.builders import Builders

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class WrittenBuild:
    """The fields of a build as written, unchecked; see `BuildRequest`."""

    context: str
    dockerfile: str = ""  # The Dockerfile; empty for the context's.
    tags: Sequence[str] = ()
    target: str = ""
    build_args: Sequence[str] = ()  # `NAME=VALUE`, or `NAME` for the value from the environment.
    labels: Sequence[str] = ()  # `NAME=VALUE`.
    secrets: Sequence[str] = ()
    ssh: Sequence[str] = ()  # `ID` or `ID=SOCKET`.
    platform: str = ""
    network: str = ""
    builder: str = ""  # One of `BUILDERS`; empty for `auto`.
    no_cache: bool = False
    pull: bool = False
    ignore_file: str = ""  # A file with the rules of the context; empty for its own.
    text: str | None = None  # Text of a Dockerfile that is not a file.
    export: bool = False


@dataclass(slots=True)
class CheckedBuild:
    request: BuildRequest | None = None  # None if something is wrong.
    #: By field, in the order of the fields.
    problems: dict[str, LayerscopeError] = field(default_factory=dict)
    context: Path | None = None  # The folder of the context, if it exists.
    dockerfile: Path | None = None  # The Dockerfile, if it is a file and exists.
    offer: Offer | None = None  # What the Dockerfile offers, if it could be read.

    def checked(self) -> BuildRequest:
        """Returns the build; raises LayerscopeError for the first mistake."""
        for error in self.problems.values():
            raise error
        if self.request is None:
            raise UsageError("There is nothing to build.")
        return self.request


def check_build(
    written: WrittenBuild,
    folder: Path | None = None,
    offer: Offer | None = None,
    builders: Builders | None = None,
) -> CheckedBuild:
    """Checks the fields of a build; names are relative to `folder`, or the current one.

    Reads what the Dockerfile offers unless it is given; the engine's builders are optional.
    """
    found = CheckedBuild()
    builder_name = _known(written.builder, builders)

    def take(name: str, read: Callable[[], T], otherwise: T) -> T:
        try:
            return read()
        except LayerscopeError as error:
            found.problems[name] = error
            return otherwise

    found.context = take("context", lambda: context_folder(written.context, folder), None)
    root = found.context
    if written.text is not None:
        offer = take("dockerfile", lambda: offer_of(written.text or ""), None)
    elif root is not None or written.dockerfile:
        found.dockerfile = take(
            "dockerfile",
            lambda: dockerfile_of(written.dockerfile, root or Path(), folder, builder_name),
            None,
        )
        path = found.dockerfile
        if offer is None and path is not None:
            offer = take("dockerfile", lambda: read_offer(path), None)
    found.offer = offer
    names = offer.stage_names if offer is not None else ()
    no_tags: tuple[str, ...] = ()
    no_pairs: dict[str, str | None] = {}
    no_secrets: tuple[Secret, ...] = ()
    tags = take("tags", lambda: tuple(map(tag_of, written.tags)), no_tags)
    target = take("target", lambda: target_of(written.target, names), "")
    arguments = take("build_args", lambda: dict(map(pair_of, written.build_args)), no_pairs)
    secrets = take("secrets", lambda: parse_secrets(written.secrets, folder), no_secrets)
    agents = take("ssh", lambda: tuple(map(checked_agent, written.ssh)), no_tags)
    labels = take("labels", lambda: dict(map(pair_of, written.labels)), no_pairs)
    platform = take("platform", lambda: platform_of(written.platform), "")
    network = take("network", lambda: network_of(written.network), "")
    rules = take("ignore_file", lambda: file_of(written.ignore_file, folder), "")
    builder, instance = take("builder", lambda: _builder(written.builder, builders), ("auto", ""))
    if found.problems or root is None:
        return found
    found.request = BuildRequest(
        context=str(root),
        dockerfile="-" if found.dockerfile is None else str(found.dockerfile),
        builder=builder,
        instance=instance,
        tags=tags,
        target=target,
        platform=platform,
        build_args=arguments,
        labels={name: value or "" for name, value in labels.items()},
        no_cache=written.no_cache,
        pull=written.pull,
        network=network,
        secrets=tuple(map(str, secrets)),
        ssh=agents,
        ignore_file=rules,
        text=written.text,
        export=written.export,
    )
    return found


def typed(
    values: Mapping[str, str], on: Mapping[str, bool]
) -> tuple[WrittenBuild, dict[str, LayerscopeError]]:
    """Returns the fields of a build as typed in a form, and errors in their quotes.

    Fields in `MANY` have words separated by spaces, quoted as in a shell; `on` are the checkboxes.
    """
    problems: dict[str, LayerscopeError] = {}
    fields_: dict[str, Any] = dict(on)
    for name, text in values.items():
        fields_[name] = text.strip()
        if name in MANY:
            try:
                fields_[name] = words_of(text)
            except LayerscopeError as error:
                fields_[name], problems[name] = [], error
    return WrittenBuild(**fields_), problems


MANY = frozenset(("tags", "build_args", "labels", "secrets"))  # Fields with several words.


def written_of(request: BuildRequest, folder: Path | None = None) -> WrittenBuild:
    """Returns the fields of an earlier build, with paths relative to `folder`.

    `no_cache` and `pull` do not carry over.
    """
    arguments = (request.build_args or {}).items()
    dockerfile = "" if request.text is not None else _short(request.dockerfile, folder)
    return WrittenBuild(
        context=_short(request.context, folder) or ".",
        dockerfile=dockerfile,
        tags=request.tags,
        target=request.target,
        build_args=[name if value is None else f"{name}={value}" for name, value in arguments],
        labels=[f"{name}={value}" for name, value in (request.labels or {}).items()],
        secrets=request.secrets,
        ssh=request.ssh,
        platform=request.platform,
        network=request.network,
        builder=f"{request.builder}:{request.instance}".removesuffix(":"),
        ignore_file=_short(request.ignore_file, folder),
        export=request.export,
    )


def filled(written: WrittenBuild, last: WrittenBuild) -> WrittenBuild:
    known = {
        each.name: getattr(last, each.name) for each in fields(WrittenBuild) if each.name in _AGAIN
    }
    empty = {name: value for name, value in known.items() if not getattr(written, name)}
    return replace(written, **empty)


#: Fields that `--again` copies from the last build.
_AGAIN = frozenset(
    (
        *("tags", "target", "build_args", "labels", "secrets", "ssh", "platform", "network"),
        *("builder", "ignore_file"),
    )
)


def _short(path: str, folder: Path | None) -> str:
    if folder is None:
        return path
    try:
        return str(Path(path).relative_to(folder)) or "."
    except ValueError:
        return path


def _known(text: str, builders: Builders | None) -> str:
    """Returns the builder that a text means; `auto` or the text itself if unknown."""
    builder, _ = split_builder(text)
    return builder if builders is None else builders.resolve(builder)


def _builder(text: str, builders: Builders | None) -> tuple[str, str]:
    builder, instance = split_builder(text)
    if builder not in BUILDERS:
        raise UsageError(f"There is no builder {visible(text)}.", f"One of {', '.join(BUILDERS)}.")
    if builders is not None:
        builders.chosen(builder)
    if instance and (builder != "buildkit" or instance.startswith("-")):
        raise UsageError(
            f"{visible(text)} is not a builder.",
            "With BuildKit, a colon and the name of a builder of buildx may follow.",
        )
    return builder, instance
