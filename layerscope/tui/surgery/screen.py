"""What a new image changes for a container, path by path; makes it, and goes to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from layerscope.filesystem.change import Change
from layerscope.text import decode, visible
from layerscope.tui.destinations import Goal, Place
from layerscope.tui.dialogs.claim import claim_name
from layerscope.tui.dialogs.new_image import ChangedPaths, NewImageScreen, change_column
from layerscope.tui.keys import common
from layerscope.tui.keys.key import Key
from layerscope.tui.rows.columns import Column
from layerscope.tui.rows.facts import Fact, Facts
from layerscope.tui.terminal.glyphs import TO
from layerscope.tui.work import Task

if TYPE_CHECKING:
    from layerscope.engines.naming import Naming
    from layerscope.surgery.edit import Edit, Preview, Source
    from layerscope.transfer.remade import MadeImage


class _Row(NamedTuple):
    """A path that a container sees changed."""

    change: Change
    path: bytes
    text: str  # How; safe to show.


class _Plan(NamedTuple):
    layer: int  # The layer of the new image that is new.
    edit: Callable[[Source], Edit]


def squash_at(place: Place) -> _Plan:
    """Squashes the layer under the cursor and all above it."""
    from layerscope.surgery.layers import squash

    layer = place.layer or 0
    return _Plan(layer, lambda source: squash(source, layer))


def drop_at(place: Place) -> _Plan:
    """Drops the path under the cursor from the layer, or in a merged view from the path's layer."""
    from layerscope.patterns import path_pattern
    from layerscope.surgery.layers import drop

    view, node = place.view, place.node
    assert view is not None  # noqa: S101
    assert node is not None  # noqa: S101
    version = int(view.versions[node])
    removed = view.changes[node] == Change.REMOVED
    layer = view.layer if version < 0 or removed else int(view.stack.layers[version])
    path = decode(view.stack.tree.path(node))
    return _Plan(layer, lambda source: drop(source, layer, {f"/{path}": path_pattern(path)}))


class ChangeList(ChangedPaths[_Row], screen="surgery", heading="What a new image changes"):
    COLUMNS: ClassVar[Sequence[Column[_Row]]] = (
        change_column(),
        Column(
            "path",
            "PATH",
            16,
            lambda each: (f"/{visible(each.path)}", "text"),
            flex=True,
            sort=lambda each: each.path,
        ),
        Column(
            "how",
            "HOW",
            20,
            lambda each: (each.text, "muted"),
            grow=True,
            share=1 / 2,
            optional=True,
        ),
    )

    def __init__(self) -> None:
        super().__init__("surgery", "What a container sees", sorted_by="path")
        self.set_placeholder(("Comparing…", "muted"))


class SurgeryScreen(NewImageScreen, screen="surgery", heading="What a new image changes"):
    CSS_PATH = "surgery.tcss"

    def _not_now(self) -> str:
        if self.work.busy("make"):
            return "It is being made."
        return "" if self._preview is not None else "What it changes is not known yet."

    KEYS = (
        common.back_key("surgery", "escape,q"),
        Key(
            "surgery.yes",
            "enter",
            "make",
            "Make…",
            "Make the image",
            _not_now,
            "surgery surgery-facts",
        ),
        common.cancel_key("surgery", "Stop making the image", lambda self: self._not_making()),
        *common.sort_keys("surgery", hint="surgery"),
        *common.pane_keys("surgery"),
    )

    def __init__(self, place: Place, plan: _Plan) -> None:
        super().__init__(place, ChangeList(), Facts("surgery-facts"))
        self._plan = plan
        self._preview: Preview | None = None

    def on_mount(self) -> None:
        assert self._from.session is not None  # noqa: S101
        self.title_bar.set_image(self._from.session.name()[0], "a new image of it")
        self.look(self._look, self._show)

    def _look(self, task: Task[None]) -> tuple[Preview, list[_Row]]:
        from layerscope.reports.surgery_report import change_text
        from layerscope.surgery.edit import Comparer, Source, look

        session = self._from.session
        assert session is not None  # noqa: S101
        assert session.loaded is not None  # noqa: S101
        assert session.contents is not None  # noqa: S101
        edit = self._plan.edit(Source(session.loaded, session.contents))
        preview = look(edit, Comparer(task.progress.check))
        rows = [
            _Row(each.change, each.path, change_text(preview, each)) for each in preview.changes
        ]
        return preview, rows

    def _show(self, found: tuple[Preview, list[_Row]]) -> None:
        from layerscope.reports.surgery_report import notes, seen_sentence, sizes

        self._preview, rows = found
        self._list.set_placeholder(("A container sees no difference.", "muted"))
        self._list.show(rows)
        facts = [Fact("Does", f"{self._preview.edit.what}.")]
        facts.append(Fact("Changes", seen_sentence(self._preview)))
        facts += [
            Fact(title, f"{before} {TO} {after}")
            for title, (before, after) in sizes(self._preview)
            if title != "Visible"
        ]
        facts += [Fact("Note", note, "warning") for note in notes(self._preview.edit)]
        self._facts.show(facts)
        self.refresh_bindings()

    # The image.

    def action_make(self) -> None:
        if reason := self._not_now():
            self.say(reason)
        else:
            self.ask("Name of the image: ", "", "[HOST/]NAME[:TAG]; esc makes nothing", self._named)

    def action_cancel(self) -> None:
        self.work.cancel("make")

    def _not_making(self) -> str:
        return "" if self.work.busy("make") else "Nothing is being made."

    def _named(self, text: str) -> None:
        place = self._from
        claim_name(self.app, self.work, place.connector, text, "Make nothing", self._make)

    def _make(self, naming: Naming) -> None:
        preview = self._preview
        assert preview is not None  # noqa: S101

        def make(task: Task[None]) -> tuple[MadeImage, str]:
            from layerscope.transfer.remade import MadePlace, put

            assert self._from.connector is not None  # noqa: S101
            engine = self._from.connector()
            found = put(preview.edit, MadePlace(engine, naming.name, naming), task.progress)
            return found, engine.transport

        self.say("Making the image…")
        self.work.start("make", make, self._done)
        self.refresh_bindings()

    def _done(self, found: tuple[MadeImage, str]) -> None:
        from layerscope.reports.surgery_report import done_sentence

        made, transport = found
        self.dismiss(None)
        self._from.go(Goal(source=f"{transport}:{made.name}", layer=self._plan.layer))
        self._from.changed(done_sentence(made))
