"""Squashes layers of an image, and drops paths from one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

import numpy as np

from layerscope.errors import UsageError
from layerscope.filesystem.changeset import Bool
from layerscope.filesystem.flatten import Flattened, merged, without
from layerscope.filesystem.stack import Stack
from layerscope.patterns import PathPattern
from layerscope.surgery.document import configured, dropped_history, squashed_history
from layerscope.surgery.edit import Edit, Rewritten, Source, Taken, check_whole
from layerscope.text import listed, short_name, visible


def squash(source: Source, first: int, last: int | None = None) -> Edit:
    """Merges the layers from `first` to `last`, by default the top one, into one layer.

    Raises LayerscopeError if there are no such layers.
    """
    check_whole(source.image)
    top = source.stack.height - 1
    last = top if last is None else last
    for layer in (first, last):
        check_layer(source, layer)
    if last <= first:
        raise UsageError(
            f"Layers {first} to {last} are not two or more layers.",
            f"Give --from a lower number than --to, or than the top layer, {top}."
            if top
            else "The image has just this one.",
        )
    layers = range(first, last + 1)
    return Edit(
        "squash",
        f"Squash layers {first} to {last} of {short_name(source.image.reference)}",
        source,
        _with(source, Rewritten(source, layers, partial(merged, first=first))),
        configured(partial(squashed_history, layers=layers)),
    )


def drop(source: Source, layer: int, wanted: Mapping[str, PathPattern]) -> Edit:
    """Removes matching paths, and everything below them, from a layer; patterns by name.

    Raises LayerscopeError if there is no such layer, or it has no such path.
    """
    check_whole(source.image)
    check_layer(source, layer)
    stack = source.below(layer + 1)
    own = stack.nodes[stack.bases[layer] : stack.bases[layer + 1]]
    own = own[own != 0]
    for name, pattern in wanted.items():
        if not stack.tree.search(pattern)[own].any():
            raise UsageError(
                f"Layer {layer} has nothing at {visible(name)}.",
                f"`layerscope files --layer {layer}` lists what it has.",
            )

    def flatten(stack: Stack) -> Flattened:
        return without(stack, _matching(stack, wanted.values()))

    shown = listed(map(visible, wanted))
    return Edit(
        "drop",
        f"Drop {shown} from layer {layer} of {short_name(source.image.reference)}",
        source,
        _with(source, Rewritten(source, range(layer, layer + 1), flatten)),
        configured(partial(dropped_history, layer=layer, names=list(wanted))),
    )


def check_layer(source: Source, layer: int) -> None:
    """Raises UsageError if the image has no such layer."""
    height = source.stack.height
    if not 0 <= layer < height:
        raise UsageError(
            f"There is no layer {layer}.",
            f"The image has layers 0 to {height - 1}." if height else "The image has no layers.",
        )


def _with(source: Source, new: Rewritten) -> list[Taken | Rewritten]:
    """Returns the layers of an image, with a new one among them."""
    layers = range(source.stack.height)
    return [
        *(Taken(source, layer) for layer in layers[: new.layers.start]),
        new,
        *(Taken(source, layer) for layer in layers[new.layers.stop :]),
    ]


def _matching(stack: Stack, patterns: Iterable[PathPattern]) -> Bool:
    found: Bool = np.logical_or.reduce([stack.tree.search(pattern) for pattern in patterns])
    found[0] = False
    return found
