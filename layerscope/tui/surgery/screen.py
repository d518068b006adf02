"""Shows which paths a new image changes for containers; creates it, and goes to it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from layerscope.filesystem.change import Change
from layerscope.text import decode, plural, visible
from layerscope.tui.destinations import Place
from layerscope.tui.dialogs.claim import claim_name
from layerscope.tui.dialogs.new_image import ChangedPaths, NewImageScreen, change_column
from layerscope.tui.keys import common
from layerscope.tui.keys.key import Key
from layerscope.tui.keys.key_bar import key_of
from layerscope.tui.rows.columns import Column
from layerscope.tui.rows.facts import Fact, Facts
from layerscope.tui.terminal.glyphs import TO
from layerscope.tui.work import Problem, Task

if TYPE_CHECKING:
    from layerscope.engines.naming import Naming
    from layerscope.jobs.job import Job
    from layerscope.jobs.kind import Kind
    from layerscope.surgery.edit import Preview, Source
    from layerscope.transfer.events import TransferEvent
    from layerscope.transfer.request import SurgeryRequest

    _Plan = tuple[Kind[SurgeryRequest, TransferEvent], SurgeryRequest]


class _Row(NamedTuple):
    """A path that a container sees changed."""

    change: Change
    path: bytes
    text: str  # How it changes; safe to show.


def squash_at(place: Place) -> _Plan:
    """Squashes the layer under the cursor and all above it."""
    from layerscope.transfer.request import SQUASH

    return SQUASH, _request(place, first=place.layer or 0)


def drop_at(place: Place) -> _Plan:
    """Drops the path under the cursor from the layer, or in a merged view from the path's layer."""
    from layerscope.transfer.request import DROP

    view, node = place.view, place.node
    assert view is not None  # noqa: S101
    assert node is not None  # noqa: S101
    version = int(view.versions[node])
    removed = view.changes[node] == Change.REMOVED
    layer = view.layer if version < 0 or removed else int(view.stack.layers[version])
    path = f"/{decode(view.stack.tree.path(node))}"
    return DROP, _request(place, layer=layer, paths=(path,), literal=True)


def rebase_at(place: Place, onto: str, old_base: str) -> _Plan:
    """Moves the open image's own layers onto another base."""
    from layerscope.transfer.request import REBASE

    return REBASE, _request(place, onto=onto, old_base=old_base)


def _request(place: Place, **asked: Any) -> SurgeryRequest:
    from layerscope.transfer.request import SurgeryRequest

    session = place.session
    assert session is not None  # noqa: S101
    return SurgeryRequest(
        session.source, platform=session.platform or "", cache=place.cache, **asked
    )


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
            share=3 / 5,
            optional=True,
        ),
    )

    def __init__(self) -> None:
        super().__init__("surgery", "What a container sees", sorted_by="path")
        self.set_placeholder(("Comparing…", "muted"))


class SurgeryScreen(NewImageScreen, screen="surgery", heading="What a new image changes"):
    CSS_PATH = "surgery.tcss"

    @property
    def _asks(self) -> bool:
        """Whether to ask for the base: it is unknown or wrong."""
        plan = self._plan
        return self._preview is None and (plan is None or bool(plan[1].onto))

    def _not_now(self) -> str:
        if self._preview is not None or (self._asks and not self.work.busy("look")):
            return ""
        return "What it changes is not known yet."

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
        *common.sort_keys("surgery", hint="surgery"),
        *common.pane_keys("surgery"),
    )

    def __init__(self, place: Place, plan: _Plan | None) -> None:
        """Without a plan, asks for the new base."""
        super().__init__(place, ChangeList(), Facts("surgery-facts"))
        self._plan = plan
        self._preview: Preview | None = None
        self._shown: tuple[str, ...] = ()

    def on_mount(self) -> None:
        assert self._from.session is not None  # noqa: S101
        self.title_bar.set_image(self._from.session.name()[0], "a new image of it")
        if self._plan is not None:
            self.look(self._look, self._show)
            return
        self.go(self._list)
        self._list.set_placeholder(("Which base?", "text"), self._again)
        self.call_after_refresh(self._ask_base)

    @property
    def _again(self) -> tuple[str, str]:
        return f"{key_of(self, 'surgery.yes')} asks for the bases again.", "muted"

    def _not_seen(self, problem: Problem) -> None:
        super()._not_seen(problem)
        if self._asks and not problem.cancelled:
            self._list.set_placeholder((problem.message, "warning"), self._again)
        self.refresh_bindings()

    def _ask_base(self) -> None:
        hint = "[HOST/]NAME[:TAG] or another source"
        self.ask("New base: ", "", hint, self._ask_old_base)

    def _ask_old_base(self, onto: str) -> None:
        from layerscope.surgery.rebase import named_base

        session = self._from.session
        assert session is not None  # noqa: S101
        assert session.image is not None  # noqa: S101
        name, _ = named_base(session.image)

        def answered(old_base: str) -> None:
            # Finds the base that the image names as it was at the time.
            given = "" if old_base == name else old_base
            self._plan = rebase_at(self._from, onto.strip(), given.strip())
            self._list.set_placeholder(("Comparing…", "muted"))
            self.look(self._look, self._show)

        self.ask("Old base: ", name, "the base as it was when the image was built", answered)

    def _look(self, task: Task[None]) -> tuple[Preview, list[_Row], tuple[str, ...]]:
        from layerscope.reports.surgery_report import change_text
        from layerscope.surgery.edit import Comparer, look
        from layerscope.transfer.remade import ids_of, opener, planned

        assert self._plan is not None  # noqa: S101
        kind, request = self._plan
        others = opener(request, task.progress)

        @contextmanager
        def opened(source: str, platform: str | None) -> Iterator[Source]:
            from layerscope.surgery.edit import Source

            session = self._from.session
            assert session is not None  # noqa: S101
            if source != session.source:
                with others(source, platform) as other:
                    yield other
                return
            assert session.loaded is not None  # noqa: S101
            assert session.contents is not None  # noqa: S101
            yield Source(session.loaded, session.contents)

        compare = Comparer(task.progress.check)
        with planned(kind.name, request, compare, opened) as edit:
            preview = look(edit, compare)
            shown = ids_of(edit)
        rows = [
            _Row(each.change, each.path, change_text(preview, each)) for each in preview.changes
        ]
        conflicts = [
            _Row(Change.UNCHANGED, each.path, f"conflict: layer {each.layer} {each.text}")
            for each in edit.conflicts
        ]
        return preview, [*conflicts, *rows], shown

    def _show(self, found: tuple[Preview, list[_Row], tuple[str, ...]]) -> None:
        from layerscope.reports.surgery_report import notes, seen_sentence, sizes

        self._preview, rows, self._shown = found
        self._list.set_placeholder(("A container sees no difference.", "muted"))
        self._list.show(rows)
        edit = self._preview.edit
        facts = [Fact("Does", f"{edit.what}.")]
        facts.append(Fact("Changes", seen_sentence(self._preview)))
        if edit.conflicts:
            number = plural(len(edit.conflicts), "conflict")
            facts.append(Fact("Note", f"{number} of the layers with the new base.", "warning"))
        facts += [
            Fact(title, f"{before} {TO} {after}")
            for title, (before, after) in sizes(self._preview)
            if title != "Visible"
        ]
        facts += [Fact("Note", note, "warning") for note in notes(edit)]
        self._facts.show(facts)
        self.refresh_bindings()

    # The image.

    def action_make(self) -> None:
        if self._preview is not None:
            self.ask("Name of the image: ", "", "[HOST/]NAME[:TAG]; esc makes nothing", self._named)
        elif reason := self._not_now():
            self.say(reason)
        else:
            self._ask_base()

    def _named(self, text: str) -> None:
        place = self._from
        claim_name(self.app, self.work, place.connector, text, "Make nothing", self._make)

    def _make(self, naming: Naming) -> None:
        from layerscope.records import replace
        from layerscope.transfer.request import start_surgery

        assert self._plan is not None  # noqa: S101
        kind, asked = self._plan
        moves = {naming.name: naming.held_by} if naming.taken else {}
        request = replace(asked, name=naming.name, moves=moves, shown=self._shown)
        self.work.start("make", lambda _: start_surgery(kind, request), self._started)

    def _started(self, job: Job) -> None:
        self.dismiss(None)
        self.visit("transfer_job", dataclasses.replace(self._from, build=(job, None, None)))
