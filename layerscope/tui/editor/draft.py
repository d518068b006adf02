"""The text being edited, and its analysis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from layerscope.dockerfile.editing import shown_text
from layerscope.dockerfile.editing.format import Edit, apply, edits
from layerscope.dockerfile.editing.highlight import ColourSpan, ColoursWhenSeen, line_colours
from layerscope.dockerfile.syntax.document import Document
from layerscope.dockerfile.syntax.parser import parse
from layerscope.tui.work import (
    Task,
    Work,
    collect_garbage,
    run_in_background,
    without_garbage_collection,
)

if TYPE_CHECKING:
    from textual.timer import Timer

    from layerscope.tui.editor.dockerfile_area import DockerfileArea

#: The most characters to analyse on each key; longer texts are analysed in the background.
SMALL = 20_000
#: Seconds without a key before a long text is analysed, and before any text is linted.
_BREATH, _PAUSE = 0.12, 0.4


@dataclass(frozen=True, slots=True)
class Analysis:
    text: str  # As on disk.
    document: Document
    colours: Sequence[Sequence[ColourSpan]]  # For each line.
    complete: bool = True  # Whether all instructions are highlighted completely.


def analyse(text: str) -> Analysis:
    if len(text) <= SMALL:
        return Analysis(text, parse(text), line_colours(text))
    with without_garbage_collection():
        document = parse(text)
        seen = ColoursWhenSeen(document)
    return Analysis(text, document, seen, seen.complete)


class Draft:
    def __init__(
        self,
        area: DockerfileArea,
        work: Work,
        *,
        on_edit: Callable[[], object],
        on_analysis: Callable[[Analysis | None, Analysis], object],
        on_rest: Callable[[Analysis], object],
    ) -> None:
        self.area = area
        self.text = ""  # As it would be on disk.
        #: For a long text, perhaps some keys old.
        self.analysis: Analysis | None = None
        self.rested = False  # Whether the user has paused since the last edit.
        self._work = work
        self.on_edit = on_edit  # Called when the text or its write protection changes.
        self.on_analysis = on_analysis  # Called with the analyses before and after an edit.
        self.on_rest = on_rest  # Called with the analysis after a pause.
        self._timers: dict[str, Timer] = {}
        self._long = False

    @property
    def current(self) -> Analysis | None:
        """The analysis of the current text; None until it is ready."""
        found = self.analysis
        return found if found is not None and found.text == self.text else None

    def load(self, text: str, reason: str = "") -> None:
        self.text, self.analysis = text, None
        self.area.load(shown_text.held(text))
        self.protect(reason)
        self._analyse()

    def protect(self, reason: str) -> None:
        """Makes the text read-only for a reason, or editable if the reason is empty."""
        self.area.reason = reason
        self.area.read_only = bool(reason)
        self.on_edit()

    def replace(self, text: str, place: int | None = None) -> None:
        """Replaces the whole text as one undoable edit; the cursor stays, or goes to `place`."""
        place = self.area.place if place is None else place
        self.area.replace_all(shown_text.held(text), min(place, len(text)))
        self._take_text(text)

    def catch_up(self) -> None:
        # The area cannot represent every read-only text.
        if not self.area.reason:
            self._take_text(shown_text.written(self.area.whole))

    def _take_text(self, text: str) -> None:
        if text != self.text:
            self.text = text
            self._analyse()

    def _analyse(self) -> None:
        self.rested = False
        if len(self.text) <= SMALL:
            self._take(analyse(self.text))
        else:
            self._long = True
            self.area.shift_colours()
            self._later("analyse", _BREATH, self._analyse_long)
            self.on_edit()
        self._later("rest", _PAUSE, self._rest)

    def _later(self, name: str, seconds: float, call: Callable[[], None]) -> None:
        if name in self._timers:
            self._timers[name].stop()
        self._timers[name] = self.area.set_timer(seconds, call)

    def _analyse_long(self) -> None:
        text = self.text
        self._work.queue("analyse", lambda _: analyse(text), self._analysed)

    def _analysed(self, found: Analysis) -> None:
        if found.text == self.text:
            self._take(found)
            if self.rested:
                self._rest()

    def _take(self, found: Analysis) -> None:
        before, self.analysis = self.analysis, found
        self.area.set_colours(found.colours)
        self.on_analysis(before, found)

    def _rest(self) -> None:
        self.rested = True
        if self.current is not None:
            self.on_rest(self.current)

    def format(self, say: Callable[[str], object]) -> None:
        """Formats the text as one edit; the cursor stays where it is."""
        text, known = self.text, self.current
        if len(text) > SMALL:
            say("Formatting…")

        def run(_: Task[None]) -> tuple[str, list[Edit]]:
            document = (known or analyse(text)).document
            with without_garbage_collection():
                changes = edits(document)
            return apply(text, changes), changes

        def done(found: tuple[str, list[Edit]]) -> None:
            formatted, changes = found
            if text != self.text:
                say("Not formatted: the text has changed meanwhile.")
            elif not changes:
                say("It is already formatted.")
            else:
                place = self.area.place
                shift = sum(len(new) - (s.end - s.start) for s, new in changes if s.end <= place)
                self.replace(formatted, place + shift)
                say("Formatted. ctrl+z undoes it.")

        self._work.start("format", run, done)

    def close(self) -> None:
        if self._long:
            run_in_background("garbage", collect_garbage)
