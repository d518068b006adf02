"""Moves the layers of an image above its base onto another base."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from layerscope.errors import UsageError
from layerscope.filesystem.change import Aspect, Change, aspect_words
from layerscope.filesystem.changeset import EntryType
from layerscope.filesystem.compare import Difference, compare_unions
from layerscope.filesystem.stack import Stack
from layerscope.images.image import Image
from layerscope.images.platforms import own_platform
from layerscope.surgery.document import rebased
from layerscope.surgery.edit import Comparer, Conflict, Edit, Source, Taken, check_whole
from layerscope.text import listed, plural, short_name, visible

#: Annotations of a manifest, or labels, that name the base (annotations.md).
_BASE_NAME, _BASE_DIGEST = (
    "org.opencontainers.image.base.name",
    "org.opencontainers.image.base.digest",
)


def named_base(image: Image) -> tuple[str, str]:
    """Returns the name and digest of the base from the image's annotations or labels, or ""."""
    config = image.config.get("config")
    labels = config.get("Labels") if isinstance(config, dict) else None
    known: Mapping[str, Any] = {**(labels or {}), **image.annotations}
    name, digest = (known.get(key, "") for key in (_BASE_NAME, _BASE_DIGEST))
    return (name, digest) if isinstance(name, str) and isinstance(digest, str) else ("", "")


def is_base(image: Image, base: Image) -> bool:
    """Whether an image was built on another: whether it begins with all its layers."""
    ids = [[layer.diff_id for layer in each.layers] for each in (image, base)]
    return bool(ids[1]) and ids[0][: len(ids[1])] == ids[1]


def rebase(source: Source, old: Image, new: Source, compare: Comparer | None) -> Edit:
    """Moves the layers above `old`, the image's base, onto another image.

    Finds conflicts only with `compare`, since that may read the files of both bases.

    Raises UsageError if `old` is not its base, if `new` already is, was built on the image or is
    for another platform, or if there is nothing to move.
    """
    image, height = source.image, len(old.layers)
    check_whole(image)
    check_whole(new.image)
    name, base = short_name(image.reference), short_name(new.image.reference)
    if not is_base(image, old):
        shared = _in_common(image, old)
        raise UsageError(
            f"{name} was not built on {short_name(old.reference)} as it is now: they share "
            f"{shared or 'none'} of its {plural(height, 'layer')}.",
            "Give --old-base IMAGE: the base as it was when the image was built.",
        )
    if height == len(image.layers):
        raise UsageError(
            f"{name} has no layers above those of {short_name(old.reference)}.",
            "There is nothing to move.",
        )
    if is_base(new.image, image):
        raise UsageError(
            f"{name} cannot move onto {base}, which has all of its layers.",
            "Name another image with --onto.",
        )
    if is_base(image, new.image) and len(new.image.layers) >= height:
        raise UsageError(f"{name} is based on {base} already.", "Nothing would change.")
    platforms = [own_platform(each) for each in (image, new.image)]
    if platforms[0] != platforms[1]:
        mine, other = (visible(str(platform or "an unknown one")) for platform in platforms)
        raise UsageError(
            f"{base} is for another platform: {other}, and not {mine}.",
            "Name a base for that platform.",
        )
    layers = range(height, source.stack.height)
    return Edit(
        "rebase",
        f"Move {plural(len(layers), 'layer')} of {name} from {short_name(old.reference)} "
        f"onto {base}",
        source,
        [
            *(Taken(new, layer) for layer in range(new.stack.height)),
            *(Taken(source, layer) for layer in layers),
        ],
        rebased(old.config, height),
        new,
        [] if compare is None else _conflicts(source, height, new, compare),
    )


def _in_common(image: Image, other: Image) -> int:
    pairs = zip(image.layers, other.layers, strict=False)
    return next(
        (n for n, (a, b) in enumerate(pairs) if a.diff_id != b.diff_id),
        min(len(image.layers), len(other.layers)),
    )


def _conflicts(source: Source, height: int, new: Source, compare: Comparer) -> list[Conflict]:
    found = _conflicting(source, height, new, compare)
    return sorted(found, key=lambda each: (each.layer, each.path))


def _conflicting(source: Source, height: int, new: Source, compare: Comparer) -> Iterator[Conflict]:
    """Yields changes of the upper layers to paths that differ between the bases."""
    stack, old = source.stack, source.below(height)

    def same(pairs: Any) -> Any:
        # Entries of the old base have the same rows in the whole image.
        return compare([(source.side(int(old.inodes[a])), new.side(b)) for a, b in pairs])

    found = {each.path: each for each in compare_unions(old, new.stack, same)}
    upper = np.arange(stack.bases[height], stack.bases[-1])
    upper = upper[(stack.kinds[upper] != EntryType.OPAQUE) & (stack.nodes[upper] != 0)]
    top = stack.height - 1
    for row in upper.tolist():
        path = stack.tree.path(int(stack.nodes[row]))
        difference = found.get(path)
        layer, kind = int(stack.layers[row]), int(stack.kinds[row])
        if difference is None:
            continue
        if kind == EntryType.WHITEOUT:
            if difference.change is Change.REMOVED and _is_of(stack, old, row):
                text = "removes a path that the new base does not have"
                yield Conflict(path, layer, "whiteout", text)
        elif kind != EntryType.DIR and stack.hidden_by[row] > top:
            yield from _replaced(difference, layer, old, new.stack)
    for path, difference in found.items():
        if difference.aspects & Aspect.TYPE and _kind(old, difference.first) is EntryType.DIR:
            node = stack.tree.find(path)
            if node is None:
                continue
            inside = upper[
                (stack.nodes[upper] >= node) & (stack.nodes[upper] < stack.tree.ends[node])
            ]
            if len(inside):
                kind = _kind(new.stack, difference.second)
                target = new.stack.link(difference.second or 0)
                to = f" to {visible(target)}" if kind is EntryType.SYMLINK and target else ""
                yield Conflict(
                    path,
                    int(stack.layers[inside].min()),
                    "folder",
                    f"has a folder where the new base has a {kind.noun}{to}",
                )


def _is_of(stack: Stack, old: Stack, row: int) -> bool:
    """Whether a whiteout hides something in the old base."""
    below = int(stack.below[row])
    return below >= 0 and stack.layers[below] < old.height


def _kind(stack: Stack, row: int | None) -> EntryType:
    return EntryType(int(stack.types[row or 0]))


def _replaced(difference: Difference, layer: int, old: Stack, new: Stack) -> Iterator[Conflict]:
    """Yields the conflict of an upper layer's file with the difference between the bases."""
    path, aspects = difference.path, difference.aspects & ~Aspect.MTIME
    if difference.change is Change.ADDED:
        noun = _kind(new, difference.second).noun
        text = f"replaces a {noun} that only the new base has"
        yield Conflict(path, layer, "added", text)
    elif difference.change is Change.REMOVED:
        noun = _kind(old, difference.first).noun
        text = f"replaces a {noun} that the new base no longer has"
        yield Conflict(path, layer, "gone", text)
    elif aspects:
        noun, words = _kind(old, difference.first).noun, listed(aspect_words(aspects))
        text = f"replaces a {noun} that differs in the new base ({words})"
        yield Conflict(path, layer, "replaced", text)
