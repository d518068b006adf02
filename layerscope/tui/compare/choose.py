"""Asks which image to compare with: one of the engine's, or any source."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from layerscope.text import docker_age, docker_size, short_name, visible
from layerscope.tui.destinations import Place
from layerscope.tui.keys.palette import Entry, PaletteScreen
from layerscope.tui.rows.format import cut, left
from layerscope.tui.session import Session
from layerscope.tui.work import Problem

if TYPE_CHECKING:
    from layerscope.images.summary import ImageSummary

_NAME = 40


class CompareWithScreen(PaletteScreen):
    def __init__(self, place: Place) -> None:
        self._first: Session | str
        if place.source:
            self._first = place.source
            name = short_name(place.source)
        else:
            assert place.session is not None  # noqa: S101 - the key needs an open image
            self._first = place.session
            name = place.session.name()[0]
        self._name = name
        hint = f"Compare {cut(name, 30)} with an image, or ./image.tar"
        super().__init__(hint, [])
        self.listed = False  # Whether the engine's images are listed.
        self._place = place
        self._sources: list[str] = []

    def on_mount(self) -> None:
        super().on_mount()
        self.set_placeholder(("Looking for images… You can type a source.", "muted"))
        connector = self._place.connector
        assert connector is not None  # noqa: S101 - only the main screen leads here
        self.work.start("images", lambda _: connector().images(), self._list)

    def _list(self, found: Sequence[ImageSummary]) -> None:
        self.listed = True
        now = time.time()
        others = [each for each in found if short_name(each.name or each.id) != self._name]
        images = sorted(others, key=lambda image: -image.created)
        self._sources = [image.name or image.id for image in images]
        if not images:
            no_other = f"The engine has no {'other image' if found else 'images'}. Type a source."
            self.set_placeholder((no_other, "muted"))
        self.show([_entry(image, now) for image in images])

    def report(self, problem: Problem) -> None:
        self.listed = True
        hint = "Type a source, such as ./image.tar."
        self.set_placeholder((problem.message, "muted"), (hint, "muted"))

    def typed(self, text: str) -> Entry | None:
        return Entry(f"The source {visible(text)}")

    def choose(self, place: int) -> None:
        from layerscope.tui.compare.screen import CompareScreen

        source = self._sources[place] if place < len(self._sources) else self.typed_text
        screen = CompareScreen(self._first, source, self._place)
        self.app.switch_screen(screen)


def _entry(image: ImageSummary, now: float) -> Entry:
    name = left(visible(image.name or image.id), _NAME)
    return Entry(f"{name}  {docker_size(image.size):>7}", docker_age(image.created, now))
