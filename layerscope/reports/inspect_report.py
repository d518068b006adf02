"""`layerscope inspect`: an image, its layers and its waste."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from layerscope.errors import LayerscopeError
from layerscope.filesystem.change import Change
from layerscope.filesystem.suspicious import suspicions
from layerscope.filesystem.waste import Waste, measure
from layerscope.filesystem.waste_causes import find_causes
from layerscope.images.image import Image, history_of, maker, missing_text
from layerscope.images.loading import Loaded
from layerscope.images.platforms import other_platforms, own_platform
from layerscope.reports.color import BOLD, by_change, clip, painted, sized
from layerscope.reports.findings import finding_fields, group_lines
from layerscope.reports.layout import terminal_width
from layerscope.text import decode, docker_size, one_line, plural, short_id, visible

_TEXT_FINDINGS = 5  # Findings per cause in the text; the JSON has all.


def image_fields(image: Image) -> dict[str, Any]:
    return {"reference": image.reference, "id": image.id, "source": image.source}


def size_fields(waste: Waste) -> dict[str, int]:
    return {
        "size": waste.size,
        "visible_size": waste.visible_size,
        "wasted_size": waste.wasted_size,
    }


def inspect_json(loaded: Loaded) -> str:
    """The object of `inspect --json`; sizes are bytes."""
    waste = measure(loaded.stack)
    causes = find_causes(loaded.stack, paths=False, left_over=False)
    findings = json.dumps([finding_fields(finding) for finding in causes.wasted])
    return (
        f'{json.dumps(_document(loaded, waste))[:-1]}, "wasted": [{_wasted_json(waste)}], '
        f'"findings": {findings}}}'
    )


def _wasted_json(waste: Waste) -> str:
    """The members of the list of wasted paths.

    There may be tens of thousands; this is several times as fast as a dict for each.
    """
    paths, sizes, versions, hiders = waste.columns
    joined = b"\0".join(paths)
    quote = json.encoder.encode_basestring_ascii
    if b"\\" in joined:
        quoted = [quote(decode(path))[1:-1] for path in paths]
    else:
        # Nothing else is escaped in the same way as the NUL between two paths.
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
    image, stack = loaded.image, loaded.stack
    return {
        "schema": "layerscope.inspect/1",
        "image": {
            **image_fields(image),
            "os": image.os,
            "architecture": image.architecture,
            "platforms": [str(each) for each in image.platforms or (own_platform(image),) if each],
            "created": image.created,
            **size_fields(waste),
            "efficiency": waste.efficiency,
            # Sizes and counts exclude missing layers.
            "complete": not image.missing,
            "missing": [layer.index for layer in image.missing],
        },
        "layers": [
            {
                "index": layer.index,
                "diff_id": layer.diff_id,
                "digest": layer.digest,
                "instruction": layer.instruction,
                "size": waste.layer_sizes[layer.index],
                # Bytes of the layer that are hidden, and bytes of lower layers that it hides.
                "wasted_size": waste.layer_wasted[layer.index],
                "hides_size": waste.layer_hides[layer.index],
                "entries": stack.entries(layer.index),
                **_counts(loaded, layer.index),
                # Folders that no entry of the layer describes; they count as added too.
                "implied": stack.implied_folders(layer.index),
                # The download size of layers in a registry and of missing layers.
                **({} if layer.stored_size is None else {"stored_size": layer.stored_size}),
                **({"missing": layer.missing} if layer.missing else {}),
                **({"suspicious": found} if (found := suspicions(stack, layer.index)) else {}),
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


_KINDS = (Change.ADDED, Change.MODIFIED, Change.REMOVED)


def _counts(loaded: Loaded, layer: int) -> dict[str, int]:
    counts = loaded.stack.counts(layer)
    return {change.label: counts[change] for change in _KINDS}


def inspect_text(loaded: Loaded) -> Iterator[str]:
    image, waste = loaded.image, measure(loaded.stack)
    width = terminal_width()
    yield f"{visible(image.reference)}  {short_id(image.id)}"
    # To the second: engines record nanoseconds.
    created = re.sub(r"T([\d:]{8})(\.\d+)?Z$", r" \1 UTC", visible(image.created or "unknown"))
    others = other_platforms(image)
    also = f" (also: {others})" if others else ""
    own = visible(str(own_platform(image) or "unknown"))
    yield f"Platform {own}{also}, created {created}"
    yield (
        f"Size {sized(waste.size)}, visible {sized(waste.visible_size)}, "
        f"wasted {sized(waste.wasted_size)}, efficiency {waste.efficiency:.1%}"
    )
    if loaded.way:
        because = f" ({one_line(loaded.why)})" if loaded.why else ""
        yield f"Read from {one_line(loaded.way)}{because}"
    if image.missing:
        text = missing_text(image)
        yield f"Incomplete: {text[0].lower()}{text[1:]}"
    yield ""
    heads = (
        f"{'LAYER':>5} {'SIZE':>8} {'WASTED':>8} {'ADDED':>7} {'MOD':>7} {'REM':>7}  INSTRUCTION"
    )
    yield painted(heads, BOLD)
    for entry, layer in history_of(image):
        if layer is not None:
            yield clip(_layer_line(loaded, waste, layer), width)
        elif entry is not None:
            text = maker(entry.instruction, entry.comment)
            number = "-" if entry.empty_layer else "?"
            yield clip(f"{number:>5} {'':>8} {'':>8} {'':>7} {'':>7} {'':>7}  {text}", width)
    for each in image.layers:
        for suspicious in suspicions(loaded.stack, each.index):
            yield f"Suspicious: in layer {each.index}, {suspicious}"
    if waste.count:
        yield ""
        causes = find_causes(loaded.stack, left_over=False)
        yield from group_lines(causes, _TEXT_FINDINGS, width)


def _layer_line(loaded: Loaded, waste: Waste, index: int) -> str:
    layer = loaded.image.layers[index]
    instruction = layer.made_by
    if layer.missing:
        stored = docker_size(layer.stored_size or 0)
        text = f"({stored} stored) {instruction}".rstrip()
        return f"{index:>5} {'missing':>8} {'-':>8} {'-':>7} {'-':>7} {'-':>7}  {text}"
    numbers = loaded.stack.counts(index)
    counts = " ".join(
        by_change(f"{numbers[change]:>7,}", change) if numbers[change] else f"{0:>7}"
        for change in _KINDS
    )
    size, wasted = (
        sized(each, 8) for each in (waste.layer_sizes[index], waste.layer_wasted[index])
    )
    return f"{index:>5} {size} {wasted} {counts}  {instruction}"


def pull_lines(image: Image) -> Iterator[str]:
    """What a pull of an image in a registry would fetch; empty for other images."""
    if not image.source.startswith("docker://"):
        return
    from layerscope.images.registry.pull_estimate import pull_estimate

    layers = [(layer.diff_id, layer.stored_size or 0) for layer in image.layers]
    yield ""
    size = docker_size(pull_estimate(layers, ()).total)
    count = plural(len(layers), "layer")
    try:
        from layerscope.engines.docker import connect_any
        from layerscope.engines.local_layers import local_layers

        with closing(connect_any()) as engine:
            local = local_layers(engine)
    except LayerscopeError:
        yield f"A pull fetches {size}, in {count}. Without an engine, it is unknown what is here."
        return
    estimate = pull_estimate(layers, local.images, by_blob=local.by_blob)
    if estimate.count == len(layers):
        those = f"all {count}" if estimate.count > 1 else "the layer"
        yield f"{local.engine} has {those} ({size} in the registry)."
        return
    present = [str(index) for index, here in enumerate(estimate.present) if here]
    yield (
        f"A pull fetches {docker_size(estimate.missing)} of {size}: {local.engine} has "
        f"{estimate.count} of {count} ({', '.join(present) or 'none'})."
    )
