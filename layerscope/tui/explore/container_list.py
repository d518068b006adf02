"""Pane 5: the containers of an engine, and the sizes of their read-write layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from layerscope.text import docker_age, docker_size, short_name, visible
from layerscope.tui.explore.engine_list import EngineList
from layerscope.tui.keys import common
from layerscope.tui.keys.key import Key
from layerscope.tui.rows.columns import Cell, Column, created_column, size_column
from layerscope.tui.terminal.glyphs import ELLIPSIS

if TYPE_CHECKING:
    from layerscope.engines.engine import ContainerSummary

_STYLES = {"running": "added", "exited": "muted", "dead": "removed", "restarting": "warning"}


@dataclass(frozen=True, slots=True)
class _Row:
    container: ContainerSummary
    created: str
    size: int | None  # Bytes in its read-write layer; None until known.

    @property
    def name(self) -> str:
        return visible(self.container.name)

    @property
    def image(self) -> str:
        return short_name(self.container.image or self.container.image_id)


def _state(row: _Row) -> Cell:
    return visible(row.container.state), _STYLES.get(row.container.state, "text")


def _size(row: _Row) -> Cell:
    return (ELLIPSIS, "faint") if row.size is None else (docker_size(row.size), "text")


class ContainerList(EngineList[_Row], screen="main", heading="5 Containers"):
    NOUN = "container"
    COLUMNS: ClassVar[Sequence[Column[_Row]]] = (
        Column(
            "name",
            "NAME",
            10,
            lambda row: (row.name, "text"),
            grow=True,
            flex=True,
            sort=lambda row: row.name,
        ),
        Column(
            "image",
            "IMAGE",
            10,
            lambda row: (row.image, "accent"),
            grow=True,
            share=2 / 5,
            sort=lambda row: row.image,
        ),
        Column("state", "STATE", 10, _state, sort=lambda row: row.container.state),
        created_column(lambda row: row.created, lambda row: row.container.created, from_width=70),
        size_column(lambda row: row.size, _size, title="WRITTEN", width=8),
    )
    KEYS = (
        common.open_key(
            "containers.open",
            "Open",
            "Open the container: its image, and what it has written",
            "There is no container here to open.",
        ),
        Key(
            "containers.commit",
            "K",
            "screen.visit('commit')",
            "Commit…",
            "Make an image of the container, after a preview",
            hint="*",
        ),
        Key(
            "containers.remove",
            "D,delete",
            "screen.visit('remove')",
            "Remove…",
            "Remove the container, with what it has written",
            hint="*",
        ),
        Key(
            "containers.prune",
            "W",
            "screen.visit('prune')",
            "Prune…",
            "Prune images, containers and build cache that nothing needs",
        ),
    )

    def __init__(self) -> None:
        super().__init__("containers", sorted_by="created")
        self._all: Sequence[ContainerSummary] = ()
        self._sizes: dict[str, int] = {}  # By id.
        self._now = 0.0

    @property
    def source(self) -> str:
        return "" if self.item is None else f"container:{self.item.container.name}"

    @property
    def names(self) -> list[str]:
        """Returns all containers, as sources to open."""
        return [f"container:{each.name}" for each in self._all]

    @property
    def total(self) -> int:
        return len(self._all)

    @property
    def listed(self) -> int:
        return len(self.items)

    def set_listed(self, containers: Sequence[ContainerSummary], now: float) -> None:
        self._all = containers
        sizes = {each.id: each.size for each in containers if each.size is not None}
        # Keeps known sizes until they are measured again.
        self._sizes = {
            each.id: self._sizes[each.id] for each in containers if each.id in self._sizes
        }
        self._sizes |= sizes
        self.answered(("The engine has no containers.", "text"))
        self.set_time(now)

    def set_time(self, now: float) -> None:
        """Updates the ages of the containers to a Unix time."""
        self._now = now
        self.update()

    def same(self, one: _Row, other: _Row) -> bool:
        return one.container.id == other.container.id

    def matching(self, needle: str) -> list[_Row]:
        return [
            _Row(each, docker_age(each.created, self._now), self._sizes.get(each.id))
            for each in self._all
            if needle in f"{each.name} {each.image} {each.state}".lower()
            or (needle and each.id.startswith(needle))
        ]
