"""The tour of the demo: a build, and a sentence about each of seven features."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.widgets import Static

from layerscope.jobs.job import Job, State
from layerscope.tui.build.screen import BuildScreen, BuildWatch
from layerscope.tui.destinations import Place
from layerscope.tui.keys.key_bar import key_of
from layerscope.tui.rows.row_view import RowView

#: The step and the text of each stop.
STOPS: Sequence[tuple[int, str]] = (
    (
        1,
        "A removal saves nothing: the second layer of this base image removes 3 MB of packages, "
        "which its first layer still holds; {image} opens the image with both.",
    ),
    (2, "An empty layer: ENV changes the configuration alone, so there are no files to see."),
    (
        3,
        "A cache hit: the image below, the instruction and the files are those of a build a moment "
        "ago, so its layer is used again.",
    ),
    (
        5,
        "A copy-up: the base image has this file, too. One changed line, and the whole file is "
        "stored again; {versions} on the file shows both.",
    ),
    (
        6,
        "Only the owner is different, and yet every byte is stored a second time: write --chown "
        "in the first COPY.",
    ),
    (
        7,
        "Waste: this file takes the place of one in the base image, whose 1 MB nobody can read "
        "any more, and everybody pulls.",
    ),
    (8, "An addition: a new file costs its own size, and hides nothing."),
)


class TourScreen(BuildScreen):
    """A build with a line of explanation; `enter` continues, `esc` leaves the tour."""

    CSS_PATH = "build.tcss"

    def __init__(self, job: Job, place: Place) -> None:
        super().__init__(job, place)
        self._stop: int | None = None
        self._left = False
        self._line = Static(id="tour", markup=False)
        self._line.display = False

    def body(self) -> ComposeResult:
        yield from super().body()
        yield self._line

    def _build_changed(self, build: BuildWatch) -> None:
        super()._build_changed(build)
        if build.ended is State.FINISHED and self._stop is None and not self._left:
            self._show(0)

    def _show(self, stop: int) -> None:
        step, text = STOPS[stop]
        self._stop = stop
        image, versions = key_of(self, "build.image"), key_of(self, "build.versions")
        enter, back = key_of(self, "steps.look"), key_of(self, "build.back")
        self._line.update(
            f"{stop + 1} of {len(STOPS)}  {text.format(image=image, versions=versions)}\n"
            f"{enter} goes on, {back} leaves the tour"
        )
        self._line.display = True
        self.steps.follow, self.steps.touring = False, True
        self.go(self.steps)
        rows = [row for row, item in enumerate(self.steps.items) if item.step.number == step]
        if rows:
            self.steps.move_to(rows[0])
            # Where only one fits, the files are more useful than the log.
            self.set_class(self.steps.items[rows[0]].step.has_layer, "-at-files")
        self.refresh_bindings()

    def _leave(self) -> None:
        self._stop, self._left = None, True
        self.steps.touring = False
        self.refresh_bindings()
        self._line.display = False
        image, back = key_of(self, "build.image"), key_of(self, "build.back")
        edit, again = key_of(self, "build.edit"), key_of(self, "build.again")
        self.say(
            f"{image} opens this image, {edit} its Dockerfile, {again} builds again; {back} goes "
            "to the images, where you open an archive or a registry."
        )

    def on_row_view_chosen(self, message: RowView.Chosen) -> None:
        if self._stop is None or message.view is not self.steps:
            return  # The build screen handles it.
        message.prevent_default()
        if self._stop + 1 < len(STOPS):
            self._show(self._stop + 1)
        else:
            self._leave()

    def action_back(self) -> None:
        if self._stop is not None and self.focused is self.steps:
            self._leave()
        else:
            super().action_back()
