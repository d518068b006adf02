"""`layerscope find`: which images, layers and containers have a file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from layerscope.errors import NotFoundError, PlatformMissingError, UsageError
from layerscope.filesystem.changeset import Changeset, EntryType
from layerscope.filesystem.rows import filter_pattern
from layerscope.filesystem.search import find_digest, find_paths
from layerscope.filesystem.stack import Stack
from layerscope.images.cache import ChangesetCache
from layerscope.images.engine_export import architecture_of, inspect_platform
from layerscope.images.image import Image, image_from_config
from layerscope.images.loading import Loaded
from layerscope.images.platforms import check_platform, wanted_platform
from layerscope.oci.config import ImageConfig, instruction, shells
from layerscope.text import decode, docker_size, one_line, short_id, visible

if TYPE_CHECKING:
    from layerscope.engines.docker import Engine

#: Finds rows of a layer.
Finder = Callable[[Changeset], list[int]]


@dataclass(frozen=True, slots=True)
class Match:
    """An entry that was found.

    Attributes:
        image: The image.
        layer: Number of the layer.
        path: The path, without slash in front.
        kind: What it is.
        size: Bytes.
        visible: Whether it can be seen in the image; None if layers above are not known.
        containers: Names of the containers of the image.
    """

    image: Image
    layer: int
    path: bytes
    kind: EntryType
    size: int
    visible: bool | None
    containers: tuple[str, ...]


def finder(pattern: str, *, regex: bool) -> Finder:
    """What a pattern finds: part of a path, a glob, a regular expression, or `sha256:` of content.

    Raises:
        UsageError: It makes no sense.
    """
    digest = re.fullmatch(r"sha256:([0-9a-fA-F]{64})", pattern)
    if digest is not None and not regex:
        wanted = bytes.fromhex(digest[1])
        return lambda changeset: find_digest(changeset, wanted)
    if pattern.startswith("sha256:") and not regex:
        raise UsageError(f"{visible(pattern)} is no digest.", "It has 64 digits from 0 to f.")
    if regex:
        try:
            compiled = re.compile(pattern.encode("utf-8", "surrogateescape"))
        except re.error as error:
            raise UsageError(f"{visible(pattern)} is not a regular expression ({error}).") from None
    else:
        plain = filter_pattern(pattern)
        if plain is None:
            raise UsageError("The pattern is empty.", "Name a part of a path, or a glob.")
        compiled = plain
    return lambda changeset: find_paths(changeset, compiled, slash=regex)


def find_in(
    image: Image,
    changesets: Mapping[int, Changeset],
    find: Finder,
    containers: Sequence[str] = (),
    stack: Stack | None = None,
) -> Iterator[Match]:
    """Finds entries in the known layers of an image.

    Args:
        image: The image.
        changesets: Its known layers, by number.
        find: Finds rows of a layer.
        containers: Names of the image's containers.
        stack: All its layers, if they have been put on each other already.
    """
    found = {layer: rows for layer, changeset in changesets.items() if (rows := find(changeset))}
    if not found:
        return
    # Only with all layers can it be said what is hidden.
    if stack is None and len(changesets) == len(image.layers):
        stack = Stack([changesets[index] for index in range(len(image.layers))])
    for layer, rows in sorted(found.items()):
        changeset = changesets[layer]
        paths = changeset.paths()
        for row in rows:
            seen, size = None, int(changeset.sizes[row])
            if stack is not None:
                version = stack.bases[layer] + row
                seen = bool(stack.hidden_by[version] >= stack.height)
                size = int(stack.sizes[version])  # A hard link has that of its file.
            yield Match(
                image=image,
                layer=layer,
                path=paths[row],
                kind=EntryType(int(changeset.kinds[row])),
                size=size,
                visible=seen,
                containers=tuple(containers),
            )


def find_in_loaded(loaded: Loaded, find: Finder) -> Iterator[Match]:
    """Finds entries in an image that has been read."""
    return find_in(loaded.image, loaded.changesets, find, stack=loaded.stack)


def known_layers(image: Image, cache: ChangesetCache) -> dict[int, Changeset]:
    """The layers of an engine's image that the cache has."""
    found = {layer.index: cache.get(layer.diff_id) for layer in image.layers}
    return {index: changeset for index, changeset in found.items() if changeset is not None}


def engine_images(
    engine: Engine, platform: str | None = None
) -> Iterator[tuple[Image, tuple[str, ...]]]:
    """All images of an engine, each once, and the names of their containers.

    Args:
        engine: The engine.
        platform: `os/architecture[/variant]` for those of a platform; None for all, each for this
            host's platform if it is there for it.

    Raises:
        UsageError: That is no platform.
        EngineError: The engine did not answer as it should.
    """
    wanted_platform(platform)
    containers: dict[str, list[str]] = {}
    for container in engine.containers():
        containers.setdefault(container.image_id, []).append(container.name)
    for identifier in dict.fromkeys(summary.id for summary in engine.images()):
        try:
            image = _engine_image(engine, identifier, platform)
        except (PlatformMissingError, NotFoundError):
            continue  # It is for others, or has been removed meanwhile.
        yield image, tuple(containers.get(identifier, ()))


def _engine_image(engine: Engine, identifier: str, platform: str | None) -> Image:
    """An image as far as an engine tells without giving it out.

    Raises:
        PlatformMissingError: It is not for the platform.
        NotFoundError: It is not there.
    """
    try:
        inspected, _, offered = inspect_platform(engine, identifier, platform)
    except PlatformMissingError as error:
        if platform is not None or not error.platforms:
            raise
        inspected, _, offered = inspect_platform(engine, identifier, error.platforms[0])
    tags = inspected.get("RepoTags") or []
    config = ImageConfig(
        os=str(inspected.get("Os") or ""),
        architecture=architecture_of(inspected),
        created=inspected.get("Created") or None,
        diff_ids=tuple((inspected.get("RootFS") or {}).get("Layers") or ()),
        history=(),
        raw={},
    )
    reference = str(tags[0]) if tags else short_id(identifier)
    image = image_from_config(
        config, reference=reference, image_id=identifier, source=f"docker-daemon:{identifier}"
    )
    image = replace(image, platforms=offered)
    check_platform(image, platform, visible(reference))
    return image


def with_instructions(image: Image, engine: Engine) -> Image:
    """An image with the instructions of its layers, where the engine's history tells them.

    It does not say which entries have a layer; where as many of them have a size as there are
    layers, those are meant.
    """
    platform = image.platforms[0] if len(image.platforms) > 1 else None
    history = list(reversed(engine.history(image.id, platform)))
    commands = [str(entry.get("CreatedBy") or "") for entry in history]
    sized = [
        instruction(command, shell)
        for entry, command, shell in zip(history, commands, shells(commands), strict=True)
        if entry.get("Size")
    ]
    if len(sized) != len(image.layers):
        return image
    layers = tuple(
        replace(layer, instruction=text) for layer, text in zip(image.layers, sized, strict=True)
    )
    return replace(image, layers=layers)


def match_document(match: Match) -> dict[str, Any]:
    """The object that `find --json-lines` prints for a match."""
    return {
        "path": "/" + decode(match.path),
        "image": match.image.reference,
        "id": match.image.id,
        "layer": match.layer,
        "diff_id": match.image.layers[match.layer].diff_id,
        "instruction": match.image.layers[match.layer].instruction,
        "type": match.kind.label,
        "size": match.size,
        "visible": match.visible,
        "containers": list(match.containers),
    }


def match_text(match: Match) -> str:
    """A match for people, in one line."""
    state = {True: "visible", False: "hidden", None: "unknown"}[match.visible]
    line = (
        f"{visible(match.image.reference)}  layer {match.layer}  {docker_size(match.size)}  "
        f"{state}  /{visible(match.path)}"
    )
    instruction = one_line(match.image.layers[match.layer].instruction)
    if instruction:
        line += f"  ({instruction[:60]})"
    if match.containers:
        line += f"  in {', '.join(visible(name) for name in match.containers)}"
    return line
