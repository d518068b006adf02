"""Shows what a container would add to an image; commits it, and goes to the new layer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from layerscope.errors import NotFoundError
from layerscope.filesystem.changeset import EntryType
from layerscope.text import docker_size, short_name, visible
from layerscope.tui.destinations import Goal, Place
from layerscope.tui.dialogs.claim import claim_name
from layerscope.tui.dialogs.new_image import ChangedPaths, NewImageScreen, change_column
from layerscope.tui.keys import common
from layerscope.tui.keys.key import Key
from layerscope.tui.rows.columns import Cell, Column, size_column
from layerscope.tui.rows.facts import Fact, Facts
from layerscope.tui.work import Task

if TYPE_CHECKING:
    from layerscope.engines.committing import Committed
    from layerscope.engines.engine import CommitRequest, ContainerSummary
    from layerscope.engines.naming import Naming
    from layerscope.images.containers.written import Written


class _Look(NamedTuple):
    container: ContainerSummary
    changes: Sequence[Written]


def _size(each: Written) -> Cell:
    return (docker_size(each.size) if each.size else ""), "text"


def _path(each: Written) -> Cell:
    slash = "/" if each.kind is EntryType.DIR else ""
    return f"/{visible(each.path)}{slash}", "warning" if each.unwanted else "text"


class WrittenList(ChangedPaths["Written"], screen="commit", heading="What a commit adds"):
    COLUMNS: ClassVar[Sequence[Column[Written]]] = (
        change_column(),
        size_column(lambda each: each.size, _size, width=8),
        Column("path", "PATH", 16, _path, flex=True, sort=lambda each: each.path),
        Column(
            "unwanted",
            "SHOULD NOT GO IN",
            16,
            lambda each: (each.unwanted, "warning"),
            grow=True,
            share=2 / 5,
            optional=True,
            sort=lambda each: each.unwanted or None,
        ),
    )

    def __init__(self) -> None:
        super().__init__("commit", "Changes", sorted_by="size")
        self.set_placeholder(("Looking at what it has written…", "muted"))


class CommitScreen(NewImageScreen, screen="commit", heading="What a commit adds"):
    CSS_PATH = "commit.tcss"

    def _not_now(self) -> str:
        if self.work.busy("commit"):
            return "It is being committed."
        return "" if self._look is not None else "What it has written is not known yet."

    KEYS = (
        common.back_key("commit", "escape,q"),
        Key(
            "commit.yes",
            "enter",
            "make",
            "Commit…",
            "Commit the container",
            _not_now,
            "commit commit-facts",
        ),
        *common.sort_keys("commit", hint="commit"),
        *common.pane_keys("commit"),
    )

    def __init__(self, place: Place, name: str) -> None:
        super().__init__(place, WrittenList(), Facts("commit-facts"))
        self._called = name
        self._look: _Look | None = None

    def on_mount(self) -> None:
        self.title_bar.set_image(visible(self._called), "what a commit adds")
        self.look(self._looked_at, self._show)

    def _looked_at(self, task: Task[None]) -> _Look:
        from layerscope.images.cache.changesets import ChangesetCache
        from layerscope.images.containers.written import written
        from layerscope.images.files.contents import Contents
        from layerscope.images.loading import load

        assert self._from.connector is not None  # noqa: S101
        there = self._from.connector().containers()
        container = next((each for each in there if each.name == self._called), None)
        if container is None:
            raise NotFoundError("The container is gone.", "Reload the list.")
        reader = self._from.opener(f"container:{container.id}", task.progress)
        contents = Contents(reader)
        try:
            cache = ChangesetCache() if self._from.cache else None
            loaded = load(reader, task.progress, cache=cache)
            return _Look(container, written(loaded, contents, task.check))
        finally:
            contents.close()

    def _show(self, look: _Look) -> None:
        from layerscope.reports.commit_report import alternative, summary, unwanted_summary

        self._look = look
        self._list.set_placeholder(("It has changed nothing.", "muted"))
        self._list.show([each for each in look.changes if not each.minor])
        facts = [Fact("Adds", summary(look.changes))]
        if text := unwanted_summary(look.changes):
            facts.append(Fact("Warning", text, "warning"))
        if look.container.state == "running":
            facts.append(Fact("Running", "What it writes until the commit goes in, too.", "muted"))
        facts.append(Fact("Instead", alternative(look.container.name), "muted"))
        self._facts.show(facts)
        image = short_name(look.container.image or look.container.image_id)
        self.title_bar.set_right(f"of {image}")
        self.refresh_bindings()

    # The commit.

    def action_make(self) -> None:
        if reason := self._not_now():
            self.say(reason)
        else:
            from layerscope.tui.commit.dialog import CommitDialog

            keeps = not self._from.engine.startswith("Podman")
            self.app.push_screen(CommitDialog(keeps_message=keeps), self._asked)

    def _asked(self, request: CommitRequest | None) -> None:
        if request is not None:
            connector, make = self._from.connector, partial(self._commit, request)
            claim_name(self.app, self.work, connector, request.name, "Commit nothing", make)

    def _commit(self, request: CommitRequest, naming: Naming) -> None:
        look = self._look
        assert look is not None  # noqa: S101

        def commit(_: object) -> Committed:
            from layerscope.engines.committing import commit as committed

            assert self._from.connector is not None  # noqa: S101
            engine, container = self._from.connector(), look.container
            return committed(engine, container.id, container.image_id, request, naming)

        self.say("Committing…")
        self.work.start("commit", commit, self._done)

    def _done(self, made: Committed) -> None:
        from layerscope.reports.commit_report import committed_sentence

        self.dismiss(None)
        self._from.go(Goal(source=made.source, layer=made.layer))
        self._from.changed(committed_sentence(made))
