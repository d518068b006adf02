"""The rows and columns of the list of images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from layerscope.images.summary import NONE
from layerscope.text import docker_size, short_id, visible
from layerscope.tui.rows.columns import Cell, Column, created_column, size_column
from layerscope.tui.rows.format import cut
from layerscope.tui.terminal.glyphs import ELLIPSIS

if TYPE_CHECKING:
    from layerscope.engines.drift import Drift
    from layerscope.images.sizes import ImageFacts
    from layerscope.images.summary import ImageSummary
    from layerscope.tui.drifts import Drifts
    from layerscope.tui.removal import Names

#: Replaces the tag of an untagged image.
_DANGLING = "dangling"


@dataclass(slots=True)
class ImageEntry:
    """An image with all its names, and what is known about it."""

    lines: tuple[ImageSummary, ...]  # One for each name.
    created: str = ""
    shared: int | None = None
    unique: int | None = None
    users: tuple[str, ...] = ()  # Names of its containers, safe to show.
    facts: ImageFacts | None = None
    #: By name, whether a registry has a newer image; empty if not checked.
    behind: Mapping[str, Cell] = field(default_factory=dict)
    seconds_behind: int | None = None  # The largest time that one of the names is behind.

    def set_drift(self, drifts: Drifts) -> None:
        keys = [(name, identifier) for identifier, name in self.names]
        known = [drifts.known[key] for key in keys if key in drifts.known]
        waiting = {key[0]: (ELLIPSIS, "faint") for key in keys if key in drifts.waiting}
        self.behind = {each.reference: _behind(each) for each in known} | waiting
        ages = (each.seconds_behind for each in known if each.seconds_behind is not None)
        self.seconds_behind = max(ages, default=None)

    @property
    def first(self) -> ImageSummary:
        return self.lines[0]

    @property
    def names(self) -> Names:
        """Its id with each of its names, or with "" if it has none."""
        return tuple((line.id, line.name) for line in self.lines)

    @property
    def dangling(self) -> bool:
        return not self.first.name

    @property
    def wasted(self) -> int | None:
        sizes = None if self.facts is None else self.facts.sizes
        return None if sizes is None else sizes.wasted

    @property
    def efficiency(self) -> float | None:
        sizes = None if self.facts is None else self.facts.sizes
        return None if sizes is None else sizes.efficiency

    @property
    def platforms(self) -> str | None:
        return None if self.facts is None else visible(", ".join(self.facts.platforms))


@dataclass(frozen=True, slots=True)
class ImageRow:
    """An image, or one of its names below it."""

    image: ImageEntry
    line: ImageSummary
    nested: bool = False

    @property
    def names(self) -> Names:
        return ((self.line.id, self.line.name),) if self.nested else self.image.names

    @property
    def key(self) -> tuple[str, str, bool]:
        return self.line.id, self.line.name if self.nested else "", self.nested


def _repository(row: ImageRow) -> Cell:
    text = visible(row.line.repository)
    if text == NONE:
        # Distinguishes images without a name.
        return short_id(row.line.id), "muted"
    return (f"  {text}", "muted") if row.nested else (text, "text")


def _tag(row: ImageRow) -> Cell:
    text = visible(row.line.tag)
    if row.nested:
        return text, "accent"
    if row.image.dangling:
        return _DANGLING, "warning"
    more = len(row.image.lines) - 1
    return f"{text} +{more}" if more else text, "accent"


def _tag_pieces(row: ImageRow, width: int) -> Sequence[Cell]:
    """Returns the tag, and the number of others even if the tag is cut."""
    text, style = _tag(row)
    name, plus, more = text.rpartition(" +")
    if row.nested or not plus:
        return [(cut(text, width), style)]
    return [(cut(name, width - len(more) - 2), style), (f" +{more}", "muted")]


def _of_image(cell: Callable[[ImageEntry], Cell]) -> Callable[[ImageRow], Cell]:
    """Returns a cell that is empty in the names below an image."""
    return lambda row: ("", "text") if row.nested else cell(row.image)


def _known(text: str | None, style: str) -> Cell:
    return (ELLIPSIS, "faint") if text is None else (text, style)


def _bytes(size: int | None, style: str) -> Cell:
    return _known(None if size is None else docker_size(size), style)


def _sort(value: Callable[[ImageEntry], Any]) -> Callable[[ImageRow], Any]:
    """Returns a sort key that keeps the names of an image below it."""
    return lambda row: value(row.image)


def _size_column(
    key: str, width: int, value: Callable[[ImageEntry], int | None], style: str, from_width: int
) -> Column[ImageRow]:
    return size_column(
        _sort(value),
        _of_image(lambda image: _bytes(value(image), style)),
        key=key,
        title=key.upper(),
        width=width,
        from_width=from_width,
        kept=not from_width,
    )


def _behind(drift: Drift) -> Cell:
    """Returns whether a registry has a newer image, and how much newer, if known."""
    # Not at the top: rarely needed.
    from layerscope.reports.drift_report import time_behind

    state = drift.state.value
    if state == "behind":
        return time_behind(drift) or "yes", "warning"
    return {"current": "no", "local": "-"}.get(state, state), "muted"


IMAGE_COLUMNS: Sequence[Column[ImageRow]] = (
    Column(
        "name",
        "REPOSITORY",
        10,
        _repository,
        grow=True,
        flex=True,
        sort=_sort(lambda image: (image.first.repository, image.first.tag)),
    ),
    Column(
        "tag",
        "TAG",
        6,
        _tag,
        grow=True,
        share=1 / 4,
        sort=_sort(lambda image: (image.first.tag, image.first.repository)),
        pieces=_tag_pieces,
    ),
    Column(
        "id",
        "IMAGE ID",
        12,
        _of_image(lambda image: (short_id(visible(image.first.id)), "muted")),
        from_width=96,
        sort=_sort(lambda image: image.first.id),
    ),
    created_column(
        lambda row: "" if row.nested else row.image.created,
        _sort(lambda image: image.first.created),
        from_width=54,
    ),
    _size_column("size", 7, lambda image: image.first.size, "text", 0),
    _size_column("wasted", 8, lambda image: image.wasted, "warning", 62),
    Column(
        "efficiency",
        "EFF",
        6,
        _of_image(
            lambda image: _known(
                None if image.efficiency is None else f"{image.efficiency:.1%}", "muted"
            )
        ),
        align="right",
        from_width=76,
        sort=_sort(lambda image: image.efficiency),
    ),
    _size_column("unique", 8, lambda image: image.unique, "text", 104),
    _size_column("shared", 8, lambda image: image.shared, "muted", 150),
    Column(
        "behind",
        "BEHIND",
        8,
        lambda row: row.image.behind.get(row.line.name, ("", "muted")),
        grow=True,
        most=12,
        from_width=70,
        optional=True,
        sort=lambda row: row.image.seconds_behind,
        descending=True,
    ),
    Column(
        "users",
        "USED BY",
        9,
        _of_image(lambda image: (", ".join(image.users), "accent")),
        grow=True,
        share=1 / 6,
        from_width=112,
        sort=_sort(lambda image: image.users or None),
    ),
    Column(
        "platforms",
        "PLATFORMS",
        11,
        _of_image(lambda image: _known(image.platforms, "muted")),
        grow=True,
        share=1 / 5,
        from_width=130,
        sort=_sort(lambda image: image.platforms),
    ),
)
