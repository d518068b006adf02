"""A build as a user asks for it, in words, and what is wrong with them, field by field.

The command line and the form fill in the same fields, so they accept the same and say the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from layerscope.build.fields import (
    context_folder,
    dockerfile_of,
    network_of,
    pair_of,
    platform_of,
    tag_of,
    target_of,
    words_of,
)
from layerscope.build.offer import Offer, offer_of, read_offer
from layerscope.build.request import BUILDERS, BuildRequest
from layerscope.build.secrets import Secret, parse_secrets
from layerscope.errors import LayerscopeError, UsageError
from layerscope.text import visible

if TYPE_CHECKING:
    from layerscope.build.builders import Builders

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asked:
    """The fields of a build, as they are written.

    Attributes:
        context: Folder of the build context.
        dockerfile: The Dockerfile; empty for the context's.
        tags: Names of the image.
        target: The stage to build; empty for the last.
        build_args: `NAME=VALUE`, or `NAME` for the value of the environment.
        labels: `NAME=VALUE`.
        secrets: As `docker build --secret` takes them.
        platform: The platform; empty for the engine's own.
        network: The network of RUN instructions; empty for the engine's choice.
        builder: One of `BUILDERS`; empty for `auto`.
        no_cache: Whether nothing of earlier builds is used.
        pull: Whether base images are looked for anew.
        text: Text of a Dockerfile that is no file.
        export: Whether layers are read from the engine's exports even where its data folder can be.
    """

    context: str
    dockerfile: str = ""
    tags: Sequence[str] = ()
    target: str = ""
    build_args: Sequence[str] = ()
    labels: Sequence[str] = ()
    secrets: Sequence[str] = ()
    platform: str = ""
    network: str = ""
    builder: str = ""
    no_cache: bool = False
    pull: bool = False
    text: str | None = None
    export: bool = False


@dataclass(slots=True)
class Answer:
    """What was asked for.

    Attributes:
        request: The build; None if something is wrong.
        problems: What is wrong, by the name of the field, in the order of the fields.
        context: The folder of the context; None if there is none.
        dockerfile: The Dockerfile; None if there is none, or it is no file.
        offer: What the Dockerfile offers; None if it could not be read.
    """

    request: BuildRequest | None = None
    problems: dict[str, LayerscopeError] = field(default_factory=dict)
    context: Path | None = None
    dockerfile: Path | None = None
    offer: Offer | None = None

    def checked(self) -> BuildRequest:
        """The build.

        Raises:
            LayerscopeError: The first thing that is wrong.
        """
        for error in self.problems.values():
            raise error
        if self.request is None:
            raise UsageError("There is nothing to build.")
        return self.request


def answer(
    asked: Asked,
    folder: Path | None = None,
    offer: Offer | None = None,
    builders: Builders | None = None,
) -> Answer:
    """Reads the fields of a build.

    Args:
        asked: The fields.
        folder: The folder that names are relative to; None for the current one.
        offer: What the Dockerfile offers, where that is known; None reads it.
        builders: The engine's builders, where they are known.
    """
    found = Answer()

    def take(name: str, read: Callable[[], T], otherwise: T) -> T:
        try:
            return read()
        except LayerscopeError as error:
            found.problems[name] = error
            return otherwise

    found.context = take("context", lambda: context_folder(asked.context, folder), None)
    root = found.context
    if asked.text is not None:
        offer = take("dockerfile", lambda: offer_of(asked.text or ""), None)
    elif root is not None or asked.dockerfile:
        found.dockerfile = take(
            "dockerfile",
            lambda: dockerfile_of(asked.dockerfile, root or Path(), folder),
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
    tags = take("tags", lambda: tuple(map(tag_of, asked.tags)), no_tags)
    target = take("target", lambda: target_of(asked.target, names), "")
    arguments = take("build_args", lambda: dict(map(pair_of, asked.build_args)), no_pairs)
    secrets = take("secrets", lambda: parse_secrets(asked.secrets, folder), no_secrets)
    labels = take("labels", lambda: dict(map(pair_of, asked.labels)), no_pairs)
    platform = take("platform", lambda: platform_of(asked.platform), "")
    network = take("network", lambda: network_of(asked.network), "")
    builder = take("builder", lambda: _builder(asked.builder, builders), "auto")
    if found.problems or root is None:
        return found
    found.request = BuildRequest(
        context=str(root),
        dockerfile="-" if found.dockerfile is None else str(found.dockerfile),
        builder=builder,
        tags=tags,
        target=target,
        platform=platform,
        build_args=arguments,
        labels={name: value or "" for name, value in labels.items()},
        no_cache=asked.no_cache,
        pull=asked.pull,
        network=network,
        secrets=tuple(map(str, secrets)),
        text=asked.text,
        export=asked.export,
    )
    return found


def typed(
    values: Mapping[str, str], on: Mapping[str, bool]
) -> tuple[Asked, dict[str, LayerscopeError]]:
    """The fields of a build as they are typed, each in one line.

    Args:
        values: What is typed, by field. Where a field has several words there are blanks between
            them, and quotes as in a shell.
        on: Fields that are on or off.

    Returns:
        The fields, and what is wrong with quotes.
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
    return Asked(**fields_), problems


#: Fields that have several words.
MANY = frozenset(("tags", "build_args", "labels", "secrets"))


def asked_of(request: BuildRequest, folder: Path | None = None) -> Asked:
    """The fields that a build was asked for with.

    Whether the cache is used and bases are pulled is not among them: it is asked anew each time.

    Args:
        request: The build.
        folder: The folder that names are to be relative to, where they lie in it.
    """
    arguments = (request.build_args or {}).items()
    dockerfile = "" if request.text is not None else _short(request.dockerfile, folder)
    return Asked(
        context=_short(request.context, folder) or ".",
        dockerfile=dockerfile,
        tags=request.tags,
        target=request.target,
        build_args=[name if value is None else f"{name}={value}" for name, value in arguments],
        labels=[f"{name}={value}" for name, value in (request.labels or {}).items()],
        secrets=request.secrets,
        platform=request.platform,
        network=request.network,
        builder=request.builder,
        export=request.export,
    )


def filled(asked: Asked, last: Asked) -> Asked:
    """What is asked for, with what the last build was asked for where nothing is said.

    Args:
        asked: The fields.
        last: Those of the last build.
    """
    known = {each.name: getattr(last, each.name) for each in fields(Asked) if each.name in _AGAIN}
    empty = {name: value for name, value in known.items() if not getattr(asked, name)}
    return replace(asked, **empty)


#: What `--again` takes from the last build.
_AGAIN = frozenset(
    ("tags", "target", "build_args", "labels", "secrets", "platform", "network", "builder")
)


def _short(path: str, folder: Path | None) -> str:
    if folder is None:
        return path
    try:
        return str(Path(path).relative_to(folder)) or "."
    except ValueError:
        return path


def _builder(text: str, builders: Builders | None) -> str:
    builder = text.strip().lower() or "auto"
    if builder not in BUILDERS:
        raise UsageError(f"There is no builder {visible(text)}.", f"One of {', '.join(BUILDERS)}.")
    if builders is not None:
        builders.chosen(builder)
    return builder
