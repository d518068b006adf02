"""`layerscope squash`, `rebase` and `drop`: the new image, and the changes containers see."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from layerscope.filesystem.change import Change, aspect_words
from layerscope.filesystem.compare import Difference
from layerscope.reports.color import YELLOW, marked, painted
from layerscope.reports.diff_report import config_differences, value_text
from layerscope.reports.entry import difference_text, version_document, version_text
from layerscope.reports.inspect_report import image_fields, size_fields
from layerscope.surgery.document import fits
from layerscope.surgery.edit import Edit, Preview, Taken
from layerscope.text import decode, docker_size, one_line, plural, visible

_WIDTH = 9


def surgery_document(preview: Preview) -> dict[str, Any]:
    """The object of `squash --dry-run --json` and the like."""
    edit = preview.edit
    heights = edit.image.stack.height, preview.stack.height
    before, after = (
        {"layers": height, **size_fields(waste), "efficiency": waste.efficiency}
        for height, waste in zip(heights, preview.waste, strict=True)
    )
    return {
        "schema": "layerscope.surgery/1",
        "operation": edit.kind,
        "image": image_fields(edit.image.image),
        "base": None if edit.base is None else image_fields(edit.base.image),
        "before": before,
        "after": after,
        "layers": [
            {
                "index": index,
                "of": "base" if part.source is edit.base else "image",
                "layers": [part.layer] if isinstance(part, Taken) else list(part.layers),
                "new": not isinstance(part, Taken),
                "size": size,
            }
            for index, (part, size) in enumerate(
                zip(edit.parts, preview.waste[1].layer_sizes, strict=True)
            )
        ],
        "history": history_kept(edit),
        "config": [
            {"key": key, "before": old, "after": new} for key, old, new in config_changes(edit)
        ],
        "conflicts": [
            {
                "path": f"/{decode(each.path)}",
                "layer": each.layer,
                "kind": each.kind,
                "text": each.text,
            }
            for each in edit.conflicts
        ],
        "changes": [_change(preview, each) for each in preview.changes],
    }


def _change(preview: Preview, change: Difference) -> dict[str, Any]:
    before, after = preview.edit.image.stack, preview.stack
    return {
        "path": f"/{decode(change.path)}",
        "change": change.change.label,
        "changed": aspect_words(change.aspects),
        "before": None if change.first is None else version_document(before, change.first),
        "after": None if change.second is None else version_document(after, change.second),
        "reappears": reappears(preview, change),
    }


def surgery_text(preview: Preview) -> Iterator[str]:
    edit = preview.edit
    yield f"{edit.what}."
    yield f"{'':10}{'before':>{_WIDTH}}{'after':>{_WIDTH}}"
    for title, pair in sizes(preview):
        yield f"{title:<10}" + "".join(f"{text:>{_WIDTH}}" for text in pair)
    yield from notes(edit)
    config = config_changes(edit)
    if config:
        yield ""
        yield "Of the configuration, this changes:"
        for key, old, new in config:
            yield f"{one_line(key)}: {value_text(key, old)} → {value_text(key, new)}"
    if edit.conflicts:
        yield ""
        number = plural(len(edit.conflicts), "conflict")
        yield painted(f"{number} of the layers with the new base:", YELLOW)
        for each in edit.conflicts:
            yield f"/{visible(each.path)}: layer {each.layer} {each.text}"
    yield ""
    yield seen_sentence(preview)
    yield from (change_line(preview, each) for each in preview.changes)


def notes(edit: Edit) -> Iterator[str]:
    """Further information for users, in sentences."""
    if not history_kept(edit):
        yield "The history does not say which entry made which layer, and is left out."
    config = None if edit.base is None else edit.base.image.config.get("config")
    if isinstance(config, dict) and config.get("OnBuild"):
        yield "The new base has ONBUILD triggers, which only a build runs."


def sizes(preview: Preview) -> Iterator[tuple[str, tuple[str, str]]]:
    """The measurements of the image, before and after."""
    one, other = preview.waste
    layers = preview.edit.image.stack.height, preview.stack.height
    yield "Layers", (str(layers[0]), str(layers[1]))
    yield "Size", (docker_size(one.size), docker_size(other.size))
    yield "Visible", (docker_size(one.visible_size), docker_size(other.visible_size))
    yield "Wasted", (docker_size(one.wasted_size), docker_size(other.wasted_size))


def seen_sentence(preview: Preview) -> str:
    """How much changes for a container."""
    numbers = dict.fromkeys((Change.ADDED, Change.MODIFIED, Change.REMOVED), 0)
    for each in preview.changes:
        numbers[each.change] += 1
    if not preview.changes:
        return "A container sees no difference."
    parts = [f"{number:,} {change.label}" for change, number in numbers.items() if number]
    return f"A container sees {plural(len(preview.changes), 'change')}: {', '.join(parts)}."


def change_line(preview: Preview, change: Difference) -> str:
    """A path that looks different to a container, in one line that is safe on a terminal."""
    letter, text = marked(change.change.letter), change_text(preview, change)
    return f"{letter} /{visible(change.path)}  {text}"


def change_text(preview: Preview, change: Difference) -> str:
    """What a container sees at the path, safe on a terminal."""
    before, after = preview.edit.image.stack, preview.stack
    first, second = change.first, change.second
    if second is None:
        return version_text(before, first or 0)
    text = (
        version_text(after, second)
        if first is None
        else difference_text(before, first, after, second, change.aspects, change.content_known)
    )
    layer = reappears(preview, change)
    return text if layer is None else f"{text}; that of layer {layer} reappears"


def reappears(preview: Preview, change: Difference) -> int | None:
    """The layer whose version of a path reappears, as a dropped one no longer hides it."""
    if preview.edit.kind != "drop" or change.second is None:
        return None
    stack, layer = preview.edit.image.stack, preview.origins(change.second)
    shown = None if change.first is None else int(stack.layers[stack.inodes[change.first]])
    return None if layer == shown else layer


def config_changes(edit: Edit) -> list[tuple[str, Any, Any]]:
    config = edit.image.image.config
    base = {} if edit.base is None else edit.base.image.config
    return list(config_differences(config, edit.configure(config, base, "")))


def history_kept(edit: Edit) -> bool:
    return all(fits(each.image.history) for each in (edit.image, edit.base) if each is not None)
