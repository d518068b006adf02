"""Asks where to write a file or folder of an image, and writes it."""

from __future__ import annotations

from pathlib import Path

from textual.app import ComposeResult
from textual.widgets import Input

from layerscope.filesystem.change import Change
from layerscope.text import plural, visible
from layerscope.tui.destinations import Place
from layerscope.tui.dialogs.dialog import Dialog
from layerscope.tui.dialogs.path_completion import SourceSuggester
from layerscope.tui.dialogs.text_entry import TextEntry
from layerscope.tui.keys.key import Key
from layerscope.tui.work import Problem, Task


class ExtractScreen(Dialog[str | None], screen="extract", heading="Extracting"):
    """Returns a sentence on what was written, or None."""

    ANSWERS = "enter writes it, tab completes a path, esc goes back"
    KEYS = (
        Key("extract.back", "escape", "back", "Back", "Stop writing, or go back"),
        Key("extract.complete", "tab", "complete", "Complete the path", priority=True),
    )

    def __init__(self, place: Place) -> None:
        session, view, node = place.session, place.view, place.node
        assert session is not None and view is not None and node is not None  # noqa: S101, PT018
        assert session.loaded is not None and session.contents is not None  # noqa: S101, PT018
        self._loaded, self._contents = session.loaded, session.contents
        self._path = view.stack.tree.path(node)
        # A path that the layer removed exists in the layer below.
        self._layer = view.layer - (int(view.changes[node]) == Change.REMOVED)
        shown = f"/{visible(self._path)}"
        super().__init__(
            f"Extract {shown}",
            f"As it is with layer {self._layer} on top. Its path is kept: FOLDER{shown}",
        )

    def body(self) -> ComposeResult:
        yield TextEntry(id="open-source", value="extracted", suggester=SourceSuggester())

    def on_mount(self) -> None:
        self.set_focus(self.query_one(Input))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        name = event.value.strip()
        if not name or self.work.busy("extract"):
            return
        try:
            target = Path(name).expanduser()
        except RuntimeError:
            self.show_hint(f"{visible(name.partition('/')[0])} has no home folder.")
            return
        self.show_hint("Writing…")
        self.work.start("extract", lambda task: self._write(task, target), self._written)

    def _write(self, task: Task[None], target: Path) -> str:
        from layerscope.images.files.extract import Extracted, extract

        done, loaded = Extracted(), self._loaded
        with self._contents.alone(task.check) as reader:
            extract(loaded, reader, [self._path], target, done, self._layer, task.progress)
        text = f"Wrote {done.text}, under {visible(str(target.absolute()))}."
        if done.skipped:
            path, reason = done.skipped[0]
            text += f" Left out: {plural(len(done.skipped), 'path')}; /{visible(path)}: {reason}."
        return text

    def _written(self, sentence: str) -> None:
        self.dismiss(sentence)

    def report(self, problem: Problem) -> None:
        self.show_hint("Stopped; what was written stays." if problem.cancelled else str(problem))

    def action_back(self) -> None:
        if self.work.busy("extract"):
            self.work.cancel("extract")
        else:
            self.dismiss(None)
