"""Asks which image to compare with: one of the engine's, or any source that is typed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.screen import Screen

from layerscope.text import docker_age, docker_size, visible
from layerscope.tui.format import cut, left
from layerscope.tui.screens.palette import Entry, PaletteScreen
from layerscope.tui.screens.palette import _Rows as EntryRows
from layerscope.tui.session import Connector, EngineListed, list_images

if TYPE_CHECKING:
    from layerscope.images.stored import ImageSummary

_NAME = 40


class _SourceRows(EntryRows):
    """The images that fit to what is typed, and what is typed itself."""

    def set_entries(self, entries: list[Entry]) -> None:
        self._entries = entries
        self._keys = max((len(entry.key) for entry in entries), default=0)

    def pick(self, query: str, place: int | None = None) -> None:
        images = self._entries
        super().pick(query, place)
        if query:
            # At the end, so that enter takes an image if one fits.
            typed = Entry(f"The source {visible(query)}")
            self._entries = [*images, typed]
            self._shown.append((len(images), frozenset()))
            self.set_rows(len(self._shown))


class CompareWithScreen(PaletteScreen):
    """The list; goes on to the screen that compares.

    Attributes:
        listed: Whether the engine has answered.
    """

    CSS_PATH = "palette.tcss"

    def __init__(
        self, name: str, connector: Connector, compare: Callable[[str], Screen[None]]
    ) -> None:
        """Makes the list.

        Args:
            name: What is to be compared; safe to show.
            connector: Connects to the engine whose images are offered.
            compare: Makes the screen that compares with a source.
        """
        super().__init__(f"Compare {cut(name, 30)} with: an image, or a source as ./image.tar", [])
        self.listed = False
        self._rows = _SourceRows([])
        self._connector = connector
        self._compare = compare
        self._images: list[Entry] = []
        self._sources: list[str] = []

    def on_mount(self) -> None:
        """Asks the engine."""
        super().on_mount()
        # Room for what the engine says.
        self._rows.styles.min_height = 4
        self._rows.set_placeholder(("Looking for images… A source can be typed.", "muted"))
        list_images(self._connector, self.post_message)

    def on_engine_listed(self, message: EngineListed) -> None:
        """Offers what the engine has."""
        message.stop()
        self.listed = True
        now = time.time()
        images = sorted(message.images, key=lambda image: -image.created)
        self._images = [_entry(image, now) for image in images]
        self._sources = [source_of(image) for image in images]
        if message.problem is not None:
            hint = "Type a source, such as ./image.tar."
            self._rows.set_placeholder((message.problem.message, "muted"), (hint, "muted"))
        elif not images:
            self._rows.set_placeholder(("The engine has no images. Type a source.", "muted"))
        self._pick()

    def on_input_changed(self, event: object) -> None:
        """Picks."""
        getattr(event, "stop", lambda: None)()
        self._pick()

    def _pick(self) -> None:
        rows = self._rows
        if isinstance(rows, _SourceRows):
            rows.set_entries(self._images)
            rows.pick(self._entry.value.strip())

    def _choose(self) -> None:
        place, typed = self._rows.place, self._entry.value.strip()
        if place is not None and place < len(self._sources):
            self.app.switch_screen(self._compare(self._sources[place]))
        elif typed:
            self.app.switch_screen(self._compare(typed))


def source_of(image: ImageSummary) -> str:
    """The source that names an image of the engine."""
    named = "<none>" not in (image.repository, image.tag)
    return f"{image.repository}:{image.tag}" if named else image.id


def _entry(image: ImageSummary, now: float) -> Entry:
    name = left(visible(source_of(image)), _NAME)
    return Entry(f"{name}  {docker_size(image.size):>7}", docker_age(image.created, now))
