"""The screen with the tags of a repository."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from layerscope.oci.reference import Reference, is_reference, parse_reference
from layerscope.text import docker_age, short_id, visible
from layerscope.tui.destinations import Goal, Place
from layerscope.tui.dialogs.choice import ChoiceScreen
from layerscope.tui.dialogs.list_screen import list_keys
from layerscope.tui.keys import common
from layerscope.tui.keys.key import Key
from layerscope.tui.keys.key_bar import key_of
from layerscope.tui.rows.columns import Cell, Column, created_column, size_column
from layerscope.tui.rows.facts import Fact
from layerscope.tui.rows.filtered import FilteredList
from layerscope.tui.rows.row_view import RowView
from layerscope.tui.search.limited import LimitedScreen
from layerscope.tui.terminal import glyphs
from layerscope.tui.work import Problem, Task

if TYPE_CHECKING:
    from layerscope.images.registry.tags import Tag, TagList

_PAGE = 50  # Tags per request.


@dataclass(frozen=True, slots=True)
class _Row:
    tag: Tag
    age: str
    here: bool  # Whether the engine has an image with this name.


def _platforms(row: _Row) -> Cell:
    if row.tag.artifact:
        return "not an image", "faint"
    return visible(", ".join(row.tag.platforms)), "muted"


class TagRows(FilteredList[_Row], screen="tags", heading="Tags of a repository"):
    NOUN = ("image", "images")
    NAME = "tag"
    MARK_WIDTH = 2
    KEYS = (
        Key(
            "tags.open",
            "enter",
            "choose",
            "Layers",
            "Show the layers of the image, without a pull",
            lambda self: self.no_image(),
            "*",
        ),
    )
    COLUMNS: ClassVar[Sequence[Column[_Row]]] = (
        Column(
            "tag",
            "TAG",
            8,
            lambda row: (visible(", ".join(row.tag.names)), "accent"),
            grow=True,
            share=1 / 2,
            sort=lambda row: row.tag.names,
        ),
        created_column(lambda row: row.age, lambda row: row.tag.created),
        size_column(lambda row: row.tag.size),
        Column(
            "digest",
            "DIGEST",
            12,
            lambda row: (short_id(row.tag.digest or ""), "muted"),
            from_width=96,
        ),
        Column("platforms", "PLATFORMS", 11, _platforms, flex=True),
    )

    def __init__(self) -> None:
        super().__init__("tags", "Tags", sorted_by="created")

    def same(self, one: _Row, other: _Row) -> bool:
        return one.tag.names[0] == other.tag.names[0]

    def mark(self, row: int) -> Cell:
        return (glyphs.DONE if self.items[row].here else " "), "added"

    def no_image(self) -> str:
        if self.item is None:
            return "There is no tag here."
        return "This is not an image." if self.item.tag.artifact else ""


class TagsScreen(LimitedScreen, screen="tags", heading="Tags of a repository"):
    def _no_image(self) -> str:
        return self.rows.no_image()

    def _nothing_local(self) -> str:
        if reason := self._no_image():
            return reason
        return "" if self._local else f"The engine has no image of {visible(self._repository)}."

    def _no_more(self) -> str:
        found = self._found
        return "" if found is not None and found.seen < found.total else "There are no more tags."

    KEYS = (
        Key(
            "tags.compare",
            "c",
            "compare",
            "Compare",
            "Compare with the local image of this name, without a pull",
            _nothing_local,
            "tags",
        ),
        Key("tags.pull", "less_than_sign", "pull", "Pull…", "Pull the image", _no_image, "tags"),
        Key("tags.more", "M", "more", "More tags", "Show more tags", _no_more, "tags"),
        Key("tags.reload", "R", "reload", "Reload", "Ask the registry again", None, "tags"),
        *list_keys("tags"),
        common.cancel_key("tags", "Stop asking the registry", "Nothing is being looked for."),
    )

    def __init__(self, name: str, place: Place) -> None:
        self.rows = TagRows()
        super().__init__(self.rows)
        self._of = parse_reference(name)
        self._repository = self._of.repository
        self._from = place
        self._found: TagList | None = None
        self._local: list[str] = []  # The engine's images from this repository.
        self._refused = False

    def on_mount(self) -> None:
        self.title_bar.set_image(visible(self._repository), "tags")
        self.go(self.list)
        self.work.start("local", self._ask_engine, self._show_local, failed=lambda _: None)
        self.action_reload()

    # What is known.

    def action_reload(self) -> None:
        self._found, self._refused = None, False
        self._load()

    def action_more(self) -> None:
        self._load()

    def _load(self) -> None:
        known, insecure = self._found, self.base_app.insecure
        cache = self._from.cache

        def ask(task: Task[None]) -> TagList:
            from layerscope.images.registry.tags import list_tags

            start = known.seen if known is not None else 0
            found = list_tags(
                str(self._of), _PAGE, start=start, insecure=insecure, cache=cache,
                check=task.check,
            )  # fmt: skip
            return found if known is None else known + found

        if known is None:
            self.rows.fill(())
            self.list.set_placeholder((f"Asking {visible(self.registry)}…", "muted"))
        self.title_bar.set_right("Asking the registry", "accent")
        self.work.start("tags", ask, self._show)

    def _show(self, found: TagList) -> None:
        self.title_bar.set_right("")
        self._found = found
        self.list.set_placeholder(("The repository has no tags.", "text"))
        self._fill()
        self.ask_limit()

    def _fill(self) -> None:
        found, now = self._found, time.time()
        if found is None:
            return
        local = {parse_reference(name) for name in self._local}
        rows = [
            _Row(
                tag,
                "" if tag.created is None else docker_age(tag.created, now),
                any(replace(self._of, tag=name) in local for name in tag.names),
            )
            for tag in found.tags
        ]
        note = ""
        if (left := found.total - found.seen) > 0:
            note = f"{left:,} more tags ({key_of(self, 'tags.more')})"
        self.rows.fill(rows, note)
        self.show_facts()

    def report(self, problem: Problem) -> None:
        self.title_bar.set_right("")
        self._refused = bool(problem.login)
        if self._found is not None:
            super().report(problem)  # Keeps the results so far.
            return
        hint = problem.hint
        if problem.login:
            hint = f"Press {key_of(self, 'app.login')} to log in."
        self.list.set_placeholder((problem.message, "warning"), (hint, "text"))
        self.refresh_bindings()

    @property
    def registry(self) -> str:
        return self._of.domain

    def logged_in(self) -> None:
        if self._refused:
            self.action_reload()

    def _ask_engine(self, _: object) -> list[str]:
        connector = self._from.connector
        if connector is None:
            return []
        names = (image.name for image in connector().images())
        return [name for name in names if name and _is_of(name, self._of)]

    def _show_local(self, names: list[str]) -> None:
        self._local = names
        self._fill()

    def row_facts(self) -> Sequence[Fact]:
        row, found = self.rows.item, self._found
        requests = None if found is None else found.requests
        limits = self.limit_facts("; opening an image counts as one", requests)
        facts = []
        if row is not None:
            tag = row.tag
            facts = [Fact("Tags", visible(", ".join(tag.names)), "strong")]
            if tag.digest:
                facts.append(Fact("Digest", visible(tag.digest)))
        facts += limits
        if row is not None:
            if tag.platforms:
                facts.append(Fact("Platforms", visible(", ".join(tag.platforms))))
            if row.here:
                facts.append(Fact("Local", "The engine has an image of this name."))
        return facts

    # Actions on a tag.

    @property
    def _chosen(self) -> str:
        row = self.rows.item
        return "" if row is None else f"{self._repository}:{row.tag.names[0]}"

    @property
    def place(self) -> Place:
        return replace(
            self._from, session=None, view=None, pane="tags", source="", marked=(),
            text=lambda: self.list.row_text, reference=self._chosen,
        )  # fmt: skip

    def on_row_view_chosen(self, message: RowView.Chosen) -> None:
        message.stop()
        if message.view is self.list and not self._no_image():
            self._from.go(Goal(source=f"docker://{self._chosen}"))

    def action_pull(self) -> None:
        self.visit("pull", self.place)

    def action_compare(self) -> None:
        """Compares with the local image of this name, or with a chosen one."""
        chosen = self._chosen

        def compare(local: str | None) -> None:
            if local is not None:
                marked = (f"docker-daemon:{local}", f"docker://{chosen}")
                self.visit("compare_marked", replace(self.place, marked=marked))

        same = [name for name in self._local if parse_reference(name) == parse_reference(chosen)]
        if same:
            compare(same[0])
        else:
            title = f"Compare {visible(chosen)} with which local image?"
            self.app.push_screen(ChoiceScreen(title, self._local), compare)


def _is_of(name: str, repository: Reference) -> bool:
    """Whether an image's name is in a repository."""
    if not is_reference(name):
        return False
    found = parse_reference(name)
    return (found.domain, found.path) == (repository.domain, repository.path)
