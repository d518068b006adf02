"""`layerscope diff`: two images, of any two sources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from layerscope.content.line_matching import common_runs
from layerscope.filesystem.change import Change
from layerscope.filesystem.compare import Difference, compare_unions
from layerscope.filesystem.waste import Waste, measure
from layerscope.images.file_digests import file_digests
from layerscope.images.image import Image
from layerscope.images.loading import Loaded
from layerscope.images.reader import ImageReader
from layerscope.images.shared_layers import shared_layers
from layerscope.reports.entry import aspect_words, difference_text, version_document, version_text
from layerscope.text import decode, docker_size, one_line, short_id, visible

SCHEMA = "layerscope.diff/1"


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two images.

    Attributes:
        loaded: The image and its layers.
        reader: What its files are read from.
    """

    loaded: Loaded
    reader: ImageReader


@dataclass(frozen=True, slots=True)
class ImageDiff:
    """What differs between two images.

    Attributes:
        first: One image.
        second: The other.
        config: Values that differ, by dotted key; None on the side that lacks it.
        shared: How many layers from the base up are the same in both.
        files: Paths that differ.
        waste: The waste of both.
    """

    first: Loaded
    second: Loaded
    config: list[tuple[str, Any, Any]]
    shared: int
    files: list[Difference]
    waste: tuple[Waste, Waste]

    @property
    def same(self) -> bool:
        """Whether nothing differs that a container would notice."""
        return not self.config and not self.files


def diff_images(first: Side, second: Side) -> ImageDiff:
    """Compares two images: configuration, layers, and files by their bytes."""
    one, other = first.loaded, second.loaded

    def same_contents(pairs: Sequence[tuple[int, int]]) -> Iterator[bool | None]:
        # Each layer of either image is gone through once.
        digests = [
            dict(file_digests(side.loaded.stack, side.reader, rows))
            for side, rows in zip((first, second), zip(*pairs, strict=True), strict=False)
        ]
        for row, match in pairs:
            a = digests[0][int(one.stack.inodes[row])]
            b = digests[1][int(other.stack.inodes[match])]
            yield None if a is None or b is None else a == b

    ids = [[layer.diff_id for layer in side.image.layers] for side in (one, other)]
    shared = 0
    while shared < min(map(len, ids)) and ids[0][shared] == ids[1][shared]:
        shared += 1
    return ImageDiff(
        first=one,
        second=other,
        config=list(config_differences(one.image.config, other.image.config)),
        shared=shared,
        files=compare_unions(
            one.stack, other.stack, same_contents, shared_layers(first.reader, second.reader)
        ),
        waste=(measure(one.stack), measure(other.stack)),
    )


@dataclass(frozen=True, slots=True)
class LayerPair:
    """Layers of two images that stand beside each other.

    Attributes:
        first: Number of the layer of the one; None if there is none.
        second: Number of the layer of the other; likewise.
        shared: Whether they are the same.
    """

    first: int | None
    second: int | None
    shared: bool = False


def pair_layers(one: Image, other: Image) -> list[LayerPair]:
    """The layers of two images side by side, base first.

    Those that are the same stand beside each other, and between them those that the same
    instruction made; what is left stands beside whatever is left there.
    """
    ids, others = ([layer.diff_id for layer in side.layers] for side in (one, other))
    runs, _ = common_runs(ids, others)
    pairs: list[LayerPair] = []
    i = j = 0
    for a, b, length in [*runs, (len(one.layers), len(other.layers), 0)]:
        pairs += _beside(one, other, range(i, a), range(j, b))
        pairs += [LayerPair(a + step, b + step, True) for step in range(length)]
        i, j = a + length, b + length
    return pairs


def _beside(one: Image, other: Image, first: range, second: range) -> Iterator[LayerPair]:
    """Layers that are not the same, those that the same instruction made beside each other."""
    texts, others = (
        [side.layers[index].instruction for index in indices]
        for side, indices in ((one, first), (other, second))
    )
    runs, _ = common_runs(texts, others)
    same = [(a + step, b + step) for a, b, length in runs for step in range(length)]
    i = j = 0
    for a, b in [*same, (len(first), len(second))]:
        while i < a or j < b:
            yield LayerPair(
                first[i] if i < a else None,
                second[j] if j < b else None,
            )
            i, j = min(i + 1, a), min(j + 1, b)
        if a < len(first) and b < len(second):
            yield LayerPair(first[a], second[b])
            i, j = a + 1, b + 1


def config_differences(
    one: Mapping[str, Any], other: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    """Differences in what a container gets of the configuration; environment by variable.

    Yields:
        Dotted key and both values; None on the side that lacks it.
    """
    for key in ("os", "architecture", "variant"):
        if one.get(key) != other.get(key):
            yield key, one.get(key), other.get(key)
    inner = [side.get("config") or {} for side in (one, other)]
    for key in sorted(inner[0].keys() | inner[1].keys()):
        values = [side.get(key) for side in inner]
        if key == "Env":
            values = [_environment(value) for value in values]
        if isinstance(values[0] or {}, dict) and isinstance(values[1] or {}, dict):
            left, right = values[0] or {}, values[1] or {}
            for name in sorted(left.keys() | right.keys()):
                if left.get(name) != right.get(name):
                    yield f"{key}.{name}", left.get(name), right.get(name)
        elif (values[0] or None) != (values[1] or None):
            yield key, values[0], values[1]


def _environment(value: object) -> dict[str, str]:
    pairs = value if isinstance(value, list) else []
    return {name: text for name, _, text in (str(pair).partition("=") for pair in pairs)}


def diff_document(diff: ImageDiff) -> dict[str, Any]:
    """The object that `diff --json` prints; sizes are bytes."""
    sides = ((diff.first, diff.waste[0]), (diff.second, diff.waste[1]))
    images = [
        {
            "reference": side.image.reference,
            "id": side.image.id,
            "source": side.image.source,
            "size": waste.size,
            "visible_size": waste.visible_size,
            "wasted_size": waste.wasted_size,
        }
        for side, waste in sides
    ]
    layers = [
        [
            {
                "index": layer.index,
                "diff_id": layer.diff_id,
                "instruction": layer.instruction,
                "size": waste.layer_sizes[layer.index],
            }
            for layer in side.image.layers
        ]
        for side, waste in sides
    ]
    return {
        "schema": SCHEMA,
        "same": diff.same,
        "a": images[0],
        "b": images[1],
        "config": [{"key": key, "a": a, "b": b} for key, a, b in diff.config],
        "layers": {
            "shared": layers[0][: diff.shared],
            "only_a": layers[0][diff.shared :],
            "only_b": layers[1][diff.shared :],
        },
        "files": [_file_document(diff, difference) for difference in diff.files],
    }


def _file_document(diff: ImageDiff, difference: Difference) -> dict[str, Any]:
    sides = ((diff.first.stack, difference.first), (diff.second.stack, difference.second))
    a, b = (None if row is None else version_document(stack, row) for stack, row in sides)
    return {
        "path": "/" + decode(difference.path),
        "change": difference.change.label,
        "changed": aspect_words(difference.aspects),
        "a": a,
        "b": b,
    }


def diff_text(diff: ImageDiff) -> Iterator[str]:
    """The same for people, line by line."""
    for mark, side, waste in zip("AB", (diff.first, diff.second), diff.waste, strict=True):
        yield (
            f"{mark}  {visible(side.image.reference)}  {short_id(side.image.id)}  "
            f"{docker_size(waste.size)}, {len(side.image.layers)} layers"
        )
    change = diff.waste[1].visible_size - diff.waste[0].visible_size
    sign = "+" if change >= 0 else "-"
    yield f"Visible size {sign}{docker_size(abs(change))}, {diff.shared} layers shared"
    if diff.same:
        yield "No differences."
        return
    if diff.config:
        yield ""
        for key, one, other in diff.config:
            yield f"{one_line(key)}: {value_text(one)} → {value_text(other)}"
    if diff.files:
        yield ""
        for difference in diff.files:
            yield _file_line(diff, difference)


def _file_line(diff: ImageDiff, difference: Difference) -> str:
    path = f"/{visible(difference.path)}"
    first, second = difference.first, difference.second
    if first is not None and second is not None:
        changed = difference_text(
            diff.first.stack,
            first,
            diff.second.stack,
            second,
            difference.aspects,
            difference.content_known,
        )
        return f"M {path}  {changed}"
    if difference.change is Change.ADDED and second is not None:
        return f"A {path}  {version_text(diff.second.stack, second)}"
    return f"R {path}  {version_text(diff.first.stack, first or 0)}"


def value_text(value: object) -> str:
    """A value of a configuration for people; safe to show."""
    return "(none)" if value is None else one_line(str(value))
