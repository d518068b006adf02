"""An image as an engine describes it, without an export.

Imports no numpy: lists describe all images of an engine while the first screen appears.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from layerscope import records
from layerscope.images.answers import HistoryAnswer, Inspected
from layerscope.images.image import Image, image_from_config
from layerscope.images.platforms import missing_platform, wanted_platform
from layerscope.oci.config import HistoryEntry, ImageConfig, instruction, known_time, shells
from layerscope.oci.platform import Platform, best_platform
from layerscope.text import rfc3339, visible

#: Instructions that create no layer.
_EMPTY = (
    "ARG CMD ENTRYPOINT ENV EXPOSE HEALTHCHECK LABEL MAINTAINER ONBUILD SHELL STOPSIGNAL USER "
    "VOLUME"
)


class Inspector(Protocol):
    """What an engine must offer to describe an image."""

    def inspect(self, name: str, platform: Platform | None = None) -> Inspected:
        """`GET /images/NAME/json`; without a platform, with all manifests."""


def described(
    inspected: Inspected, history: Sequence[HistoryAnswer], reference: str, name: str, source: str
) -> Image:
    """The image with the id `name`, as the engine describes it."""
    config = ImageConfig(
        os=inspected.os,
        architecture=inspected.full_architecture,
        created=known_time(inspected.created),
        diff_ids=inspected.layers,
        history=_history(history, len(inspected.layers)),
        raw={"config": inspected.config},
    )
    return image_from_config(config, reference=reference, image_id=name, source=source)


def inspect_platform(
    engine: Inspector, name: str, platform: str | None
) -> tuple[Inspected, Platform | None, tuple[Platform, ...]]:
    """An engine's description of an image for a platform.

    If the engine has several platforms, `platform` (`os/architecture[/variant]`) selects one; the
    default is this host's. Returns the description; the selected platform, if there are several;
    and all platforms, the selected one first. Raises PlatformMissingError if the engine does not
    have that platform, and NotFoundError if it has no such image.
    """
    inspected = engine.inspect(name)
    offered = inspected.platforms
    if len(offered) < 2:
        return inspected, None, offered
    wanted = wanted_platform(platform)
    chosen = best_platform(offered, wanted)
    if chosen is None:
        raise missing_platform(visible(name), wanted, map(str, offered))
    # The description of one platform has its manifest's digest as its id.
    one = engine.inspect(name, chosen)
    inspected = records.replace(one, id=inspected.id or one.id, descriptor=inspected.descriptor)
    return inspected, chosen, tuple(dict.fromkeys((chosen, *offered)))


def layer_sizes(history: Sequence[HistoryAnswer], layers: int) -> tuple[int | None, ...]:
    """The sizes of an image's layers in bytes, base first; None if the history has no size."""
    sizes = [entry.size for entry in reversed(history)]
    entries = zip(_history(history, layers), sizes, strict=True)
    known = {entry.layer: size for entry, size in entries if entry.layer is not None}
    return tuple(known.get(layer) for layer in range(layers))


def _history(entries: Sequence[HistoryAnswer], layers: int) -> tuple[HistoryEntry, ...]:
    """The engine's history, which does not record which entries created a layer.

    Entries with a size did. If there are fewer of them than layers, all entries whose instruction
    creates layers did. WORKDIR creates a layer only if the folder does not exist. If nothing fits,
    no entry has a layer.
    """
    oldest_first = list(reversed(entries))
    commands = [entry.created_by for entry in oldest_first]
    run_by = list(shells(commands))
    words = [instruction(*each).partition(" ")[0] for each in zip(commands, run_by, strict=True)]
    sized = [entry.size > 0 for entry in oldest_first]
    candidates = (
        sized,
        [word not in _EMPTY.split() for word in words],
        [
            has_size or word not in (*_EMPTY.split(), "WORKDIR")
            for has_size, word in zip(sized, words, strict=True)
        ],
    )
    made = [False] * len(sized)
    for candidate in candidates:
        fits = all(m or not s for s, m in zip(sized, candidate, strict=True))
        if sum(candidate) == layers and fits:
            made = candidate
            break
    result = []
    number = 0
    for entry, command, shell, layer in zip(oldest_first, commands, run_by, made, strict=True):
        time = rfc3339(entry.created) if isinstance(entry.created, int) else None
        own, comment = number if layer else None, entry.comment
        result.append(HistoryEntry(time, command, comment, not layer, own, shell))
        number += layer
    return tuple(result)
