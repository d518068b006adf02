"""`layerscope inspect`: an image, its layers and its waste."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from typing import Any

from layerscope.filesystem.change import Change
from layerscope.filesystem.waste import Waste, measure
from layerscope.images.image import history_of, told_missing
from layerscope.images.loading import Loaded
from layerscope.images.platforms import other_platforms, own_platform
from layerscope.text import decode, docker_size, one_line, short_id, visible

SCHEMA = "layerscope.inspect/1"

#: How many wasted paths the text form shows; the JSON has them all.
_TEXT_PATHS = 15


def inspect_json(loaded: Loaded) -> str:
    """The object that `inspect --json` prints; sizes are bytes."""
    waste = measure(loaded.stack)
    return f'{json.dumps(_document(loaded, waste))[:-1]}, "wasted": [{_wasted_json(waste)}]}}'


def _wasted_json(waste: Waste) -> str:
    """The members of the list of wasted paths.

    Tens of thousands of them are no rarity, and this is several times as fast as a dict for each.
    """
    paths, sizes, versions, hiders = waste.columns
    joined = b"\0".join(paths)
    quote = json.encoder.encode_basestring_ascii
    if b"\\" in joined:
        quoted = [quote(decode(path))[1:-1] for path in paths]
    else:
        # Nothing else is escaped as the NUL between two paths is.
        quoted = quote(decode(joined))[1:-1].split("\\u0000")
    rows = zip(quoted, sizes, versions, hiders, strict=False)
    return ", ".join(
        [
            f'{{"path": "/{path}", "size": {size}, "versions": {count}, "hidden_by": '
            f"{'null' if hider is None else hider}}}"
            for path, size, count, hider in rows
        ]
    )


def _document(loaded: Loaded, waste: Waste) -> dict[str, Any]:
    """The object without what is wasted."""
    image, stack = loaded.image, loaded.stack
    return {
        "schema": SCHEMA,
        "image": {
            "reference": image.reference,
            "id": image.id,
            "source": image.source,
            "os": image.os,
            "architecture": image.architecture,
            "platforms": [str(each) for each in image.platforms or (own_platform(image),) if each],
            "created": image.created,
            "size": waste.size,
            "visible_size": waste.visible_size,
            "wasted_size": waste.wasted_size,
            "efficiency": waste.efficiency,
            # Without a layer, sizes and counts are those of what is there.
            "complete": not image.missing,
        },
        "layers": [
            {
                "index": layer.index,
                "diff_id": layer.diff_id,
                "digest": layer.digest,
                "instruction": layer.instruction,
                "size": waste.layer_sizes[layer.index],
                "entries": stack.entries(layer.index),
                **_counts(loaded, layer.index),
                # How much a pull fetches, of images in a registry, and of missing layers.
                **({} if layer.stored_size is None else {"stored_size": layer.stored_size}),
                **({"missing": layer.missing} if layer.missing else {}),
            }
            for layer in image.layers
        ],
        "history": [
            {
                "created": entry.created,
                "created_by": entry.created_by,
                "comment": entry.comment,
                "empty_layer": entry.empty_layer,
                "layer": entry.layer,
            }
            for entry in image.history
        ],
    }


def _counts(loaded: Loaded, layer: int) -> dict[str, int]:
    counts = loaded.stack.counts(layer)
    kinds = (Change.ADDED, Change.MODIFIED, Change.REMOVED)
    return {change.label: counts[change] for change in kinds}


def inspect_text(loaded: Loaded) -> Iterator[str]:
    """The same for people, line by line."""
    image, waste = loaded.image, measure(loaded.stack)
    width = max(60, min(shutil.get_terminal_size((100, 24)).columns, 200))
    yield f"{visible(image.reference)}  {short_id(image.id)}"
    created = visible(image.created or "unknown")
    others = other_platforms(image)
    also = f" (also: {others})" if others else ""
    own = visible(str(own_platform(image) or "unknown"))
    yield f"Platform {own}{also}, created {created}"
    yield (
        f"Size {docker_size(waste.size)}, visible {docker_size(waste.visible_size)}, "
        f"wasted {docker_size(waste.wasted_size)}, efficiency {waste.efficiency:.1%}"
    )
    if loaded.way:
        because = f" ({one_line(loaded.why)})" if loaded.why else ""
        yield f"Read from {one_line(loaded.way)}{because}"
    if image.missing:
        yield f"Incomplete: {told_missing(image)[0].lower()}{told_missing(image)[1:]}"
    yield ""
    yield f"{'LAYER':>5} {'SIZE':>8} {'ADDED':>7} {'MOD':>7} {'REM':>7}  INSTRUCTION"
    for entry, layer in history_of(image):
        if layer is not None:
            yield _cut(_layer_line(loaded, waste, layer), width)
        elif entry is not None:
            text = one_line(entry.instruction)
            yield _cut(f"{'-':>5} {'':>8} {'':>7} {'':>7} {'':>7}  {text}", width)
    yield from _wasted_lines(waste, width)


def _layer_line(loaded: Loaded, waste: Waste, index: int) -> str:
    layer = loaded.image.layers[index]
    if layer.missing:
        stored = docker_size(layer.stored_size or 0)
        text = f"({stored} stored) {one_line(layer.instruction)}"
        return f"{index:>5} {'missing':>8} {'-':>7} {'-':>7} {'-':>7}  {text.rstrip()}"
    counts = loaded.stack.counts(index)
    return (
        f"{index:>5} {docker_size(waste.layer_sizes[index]):>8} {counts[Change.ADDED]:>7}"
        f" {counts[Change.MODIFIED]:>7} {counts[Change.REMOVED]:>7}"
        f"  {one_line(loaded.image.layers[index].instruction)}"
    )


def _wasted_lines(waste: Waste, width: int) -> Iterator[str]:
    paths = waste.paths
    if not paths:
        return
    yield ""
    yield f"{'WASTED':>8} {'VERSIONS':>8} {'HIDDEN BY':>9}  PATH"
    for wasted in paths[:_TEXT_PATHS]:
        hidden_by = "-" if wasted.hidden_by is None else str(wasted.hidden_by)
        yield _cut(
            f"{docker_size(wasted.size):>8} {wasted.versions:>8} {hidden_by:>9}"
            f"  /{visible(wasted.path)}",
            width,
        )
    more = len(paths) - _TEXT_PATHS
    if more > 0:
        size = docker_size(sum(wasted.size for wasted in paths[_TEXT_PATHS:]))
        yield f"{size:>8} {'':>8} {'':>9}  in {more} more paths"


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else line[: width - 1] + "…"
