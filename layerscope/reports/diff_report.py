"""`layerscope diff`: two images, from any two sources."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile, zip_longest
from typing import Any

from layerscope.content.line_matching import common_runs
from layerscope.filesystem.change import aspect_words
from layerscope.filesystem.compare import Difference, compare_unions
from layerscope.filesystem.waste import Waste, measure
from layerscope.images.files.digests import file_digests
from layerscope.images.image import Image
from layerscope.images.loading import Loaded
from layerscope.images.reader import ImageReader, shared_layers
from layerscope.reports.color import marked, sized
from layerscope.reports.entry import difference_text, version_document, version_text
from layerscope.reports.inspect_report import image_fields, size_fields
from layerscope.text import decode, docker_size, one_line, plural, short_id, visible


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two images, and the reader of its files."""

    loaded: Loaded
    reader: ImageReader


@dataclass(frozen=True, slots=True)
class ImageDiff:
    first: Loaded
    second: Loaded
    #: Dotted key and both values of each difference; None on a side that lacks it.
    config: list[tuple[str, Any, Any]]
    shared: int  # The number of equal layers from the base up.
    files: list[Difference]  # Paths that differ.
    time_only: int  # The number of further paths that differ only in their time.
    waste: tuple[Waste, Waste]

    @property
    def same(self) -> bool:
        """Whether a container would notice no difference."""
        return not self.config and not self.files


def diff_images(first: Side, second: Side, *, ignore_time: bool = False) -> ImageDiff:
    """Compares two images: configuration, layers, and files by their bytes.

    With `ignore_time`, paths that differ only in their time are left out.
    """
    one, other = first.loaded, second.loaded

    def same_contents(pairs: Sequence[tuple[int, int]]) -> Iterator[bool | None]:
        # This reads each layer only once.
        digests = [
            dict(file_digests(side.loaded.stack, side.reader, rows))
            for side, rows in zip((first, second), zip(*pairs, strict=True), strict=False)
        ]
        for row, match in pairs:
            a = digests[0][int(one.stack.inodes[row])]
            b = digests[1][int(other.stack.inodes[match])]
            yield None if a is None or b is None else a == b

    ids = [[layer.diff_id for layer in side.image.layers] for side in (one, other)]
    shared = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(*ids, strict=False))))
    found = compare_unions(
        one.stack, other.stack, same_contents, shared_layers(first.reader, second.reader)
    )
    files = [each for each in found if not (ignore_time and each.only_time)]
    return ImageDiff(
        first=one,
        second=other,
        config=list(config_differences(one.image.config, other.image.config)),
        shared=shared,
        files=files,
        time_only=len(found) - len(files),
        waste=(measure(one.stack), measure(other.stack)),
    )


@dataclass(frozen=True, slots=True)
class LayerPair:
    """Layers of two images in one row: their numbers, or None, and whether they are equal."""

    first: int | None
    second: int | None
    shared: bool = False


def pair_layers(one: Image, other: Image) -> list[LayerPair]:
    """The layers of two images side by side, base first.

    Equal layers share a row, and between these, layers of the same instruction do. The others are
    paired in order.
    """
    pairs: list[LayerPair] = []
    ids = [[layer.diff_id for layer in side.layers] for side in (one, other)]
    for first, second, same in _stretches(*ids):
        if same:
            pairs += [LayerPair(a, b, True) for a, b in zip(first, second, strict=True)]
            continue
        texts, others = (
            [side.layers[index].instruction or "" for index in indices]
            for side, indices in ((one, first), (other, second))
        )
        for left, right, _ in _stretches(texts, others):
            rows = zip_longest(first[left.start : left.stop], second[right.start : right.stop])
            pairs += [LayerPair(a, b) for a, b in rows]
    return pairs


def _stretches(one: list[str], other: list[str]) -> Iterator[tuple[range, range, bool]]:
    """The indices of two lists in alternating ranges: different, then equal items."""
    runs, _ = common_runs(one, other)
    i = j = 0
    for a, b, length in [*runs, (len(one), len(other), 0)]:
        yield range(i, a), range(j, b), False
        i, j = a + length, b + length
        yield range(a, i), range(b, j), True


def config_differences(
    one: Mapping[str, Any], other: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    """Dotted key and both values of each difference for a container; None if a side lacks it.

    The environment is compared by variable.
    """
    for key in ("os", "architecture", "variant"):
        if one.get(key) != other.get(key):
            yield key, one.get(key), other.get(key)
    inner = [side.get("config") or {} for side in (one, other)]
    # Docker's classic builder records the image of the previous step, which no container sees.
    for key in sorted((inner[0].keys() | inner[1].keys()) - {"Image"}):
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
    """The object of `diff --json`; sizes are bytes."""
    (a, layers_a), (b, layers_b) = (
        _side_documents(side, waste)
        for side, waste in zip((diff.first, diff.second), diff.waste, strict=True)
    )
    return {
        "schema": "layerscope.diff/1",
        "same": diff.same,
        "a": a,
        "b": b,
        "config": [{"key": key, "a": a, "b": b} for key, a, b in diff.config],
        "layers": {
            "shared": layers_a[: diff.shared],
            "only_a": layers_a[diff.shared :],
            "only_b": layers_b[diff.shared :],
        },
        "files": [_file_document(diff, difference) for difference in diff.files],
        "time_only": diff.time_only,
    }


def _side_documents(side: Loaded, waste: Waste) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    layers = [
        {
            "index": layer.index,
            "diff_id": layer.diff_id,
            "instruction": layer.instruction,
            "size": waste.layer_sizes[layer.index],
        }
        for layer in side.image.layers
    ]
    return image_fields(side.image) | size_fields(waste), layers


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
    for mark, side, waste in zip("AB", (diff.first, diff.second), diff.waste, strict=True):
        yield (
            f"{mark}  {visible(side.image.reference)}  {short_id(side.image.id)}  "
            f"{sized(waste.size)}, {plural(len(side.image.layers), 'layer')}"
        )
    change = diff.waste[1].visible_size - diff.waste[0].visible_size
    sign = "+" if change >= 0 else "-"
    yield f"Visible size {sign}{docker_size(abs(change))}, {plural(diff.shared, 'shared layer')}"
    if diff.time_only:
        yield f"{plural(diff.time_only, 'path')} left out: only the time differs"
    if diff.same:
        yield "No differences."
        return
    if diff.config:
        yield ""
        for key, one, other in diff.config:
            yield f"{one_line(key)}: {value_text(key, one)} → {value_text(key, other)}"
    if diff.files:
        yield ""
        for difference in diff.files:
            yield _file_line(diff, difference)


def _file_line(diff: ImageDiff, difference: Difference) -> str:
    path = f"/{visible(difference.path)}"
    one, other = diff.first.stack, diff.second.stack
    first, second = difference.first, difference.second
    if first is not None and second is not None:
        known = difference.content_known
        text = difference_text(one, first, other, second, difference.aspects, known)
        return f"{marked('M')} {path}  {text}"
    if second is not None:
        return f"{marked('A')} {path}  {version_text(other, second)}"
    return f"{marked('R')} {path}  {version_text(one, first or 0)}"


def value_text(key: str, value: object) -> str:
    """A value of a configuration in Dockerfile syntax; safe on a terminal."""
    parent, _, name = key.partition(".")
    if value == {} and name:
        return one_line(name)  # A member of a set, such as a port.
    if value in (None, [], {}) or (value == "" and parent != "Env"):
        return "(none)"
    if parent == "Healthcheck" and isinstance(value, int) and name != "Retries":
        return f"{value / 1e9:g}s"
    return one_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
