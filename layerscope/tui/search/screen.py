"""The screen that searches registries for repositories."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from humanize import metric
from textual.widget import Widget
from textual.widgets import Input

from layerscope.errors import LayerscopeError
from layerscope.oci.reference import DEFAULT_DOMAIN, is_reference, parse_reference
from layerscope.text import one_line, visible
from layerscope.tui.destinations import Place
from layerscope.tui.dialogs.list_screen import list_keys
from layerscope.tui.dialogs.text_entry import TextEntry
from layerscope.tui.keys import common
from layerscope.tui.keys.key import LAST, Key
from layerscope.tui.keys.key_bar import key_of
from layerscope.tui.rows.columns import Cell, Column
from layerscope.tui.rows.facts import Fact
from layerscope.tui.rows.filtered import FilteredList
from layerscope.tui.rows.row_view import RowView
from layerscope.tui.search.limited import LimitedScreen
from layerscope.tui.work import Problem, Task

if TYPE_CHECKING:
    from layerscope.images.registry.search import Hit

_MOST = 100  # Repositories to request; Docker Hub lists no more.
_TYPED = "as you typed it; it was not listed"


def _number(number: int | None, text: str = "") -> Cell:
    return ("" if number is None else text or f"{number:,}"), "text"


class HitList(FilteredList["Hit"], screen="search", heading="Searching registries"):
    NOUN = ("repository", "repositories")
    NAME = "name"
    KEYS = (
        common.open_key(
            "hits.tags", "Tags", "Show the tags of the repository", "There is no repository here."
        ),
    )
    COLUMNS: ClassVar[Sequence[Column[Hit]]] = (
        Column(
            "name",
            "NAME",
            12,
            lambda hit: (visible(hit.name), "strong" if hit.official else "text"),
            grow=True,
            share=1 / 2,
            sort=lambda hit: hit.name,
        ),
        Column(
            "description",
            "DESCRIPTION",
            8,
            lambda hit: (one_line(hit.description), "muted"),
            flex=True,
            optional=True,
        ),
        Column(
            "stars",
            "STARS",
            7,
            lambda hit: _number(hit.stars),
            align="right",
            optional=True,
            kept=True,
            sort=lambda hit: hit.stars,
            descending=True,
        ),
        Column(
            "pulls",
            "PULLS",
            7,
            lambda hit: _number(hit.pulls, metric(hit.pulls or 0)),
            align="right",
            optional=True,
            sort=lambda hit: hit.pulls,
            descending=True,
        ),
        Column(
            "official",
            "OFFICIAL",
            10,
            lambda hit: ("official" if hit.official else "", "added"),
            optional=True,
            sort=lambda hit: hit.official,
            descending=True,
        ),
        # Docker before version 25 and Podman still report it.
        Column(
            "automated",
            "AUTOMATED",
            9,
            lambda hit: ("automated" if hit.automated else "", "muted"),
            optional=True,
        ),
    )

    def __init__(self) -> None:
        super().__init__("search", "Repositories")


class SearchEntry(TextEntry, screen="search", heading="Searching registries"):
    # Priority, so that the next key does not become part of the text.
    KEYS = (
        Key("search.start", "enter", "screen.start", "Search", "", None, "*", priority=True),
        Key("search.list", "down", "screen.list", "Results", "Go to the results", priority=True),
        Key("search.leave", "escape", "screen.back", "Back", "", None, "*", LAST, priority=True),
    )


class SearchScreen(LimitedScreen, screen="search", heading="Searching registries"):
    CSS_PATH = [*LimitedScreen.CSS_PATH, Path(__file__).with_name("search.tcss")]  # noqa: RUF012

    KEYS = (
        Key("search.edit", "F", "edit", "Other term", "Search for something else", None, "search"),
        *list_keys("search"),
        common.cancel_key("search", "Stop the search", "Nothing is being looked for."),
    )

    def __init__(self, place: Place) -> None:
        super().__init__(HitList())
        self._from = place
        self._entry = SearchEntry(
            id="search-text", placeholder="Part of a name, or HOST/NAME in another registry"
        )
        self._refused = False  # Whether the registry requires a login.

    def on_mount(self) -> None:
        self.title_bar.set_image("Search registries", "")
        self.list.set_placeholder(
            ("Type part of a name, and press enter.", "text"),
            ("Docker Hub is searched: nginx", "muted"),
            ("Another registry: registry.example.com:5000/app", "muted"),
            ("One without a search, by the whole name: ghcr.io/org/app", "muted"),
        )

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()

    # The search.

    @property
    def registry(self) -> str:
        from layerscope.images.registry.search import split_term

        with suppress(LayerscopeError):
            return split_term(self._entry.value)[0]
        return ""

    def logged_in(self) -> None:
        if self._refused:
            self._search()

    def _search(self) -> None:
        text, insecure = self._entry.value.strip(), self.base_app.insecure
        if not text:
            return
        self._refused = False
        self.list.needle = ""
        self.list.fill((), cursor=0)
        self.list.set_placeholder((f"Asking {visible(self.registry) or 'the registry'}…", "muted"))
        self.show_facts()

        def search(task: Task[None]) -> list[Hit]:
            # Not at the top: the screen opens before the registry client is imported.
            from layerscope.engines.searching import search_anywhere
            from layerscope.images.registry.search import split_term

            domain, term = split_term(text)
            return search_anywhere(term, domain, _MOST, insecure=insecure, check=task.check)

        self.work.start("search", search, partial(self._found, text))

    def _found(self, text: str, hits: Sequence[Hit]) -> None:
        self.list.set_placeholder(("Nothing was found.", "text"))
        note = f"the first {_MOST}" if len(hits) >= _MOST else ""
        # A catalog lists all repositories; a search lists no private ones.
        typed = _typed(text, hits) if self.registry == DEFAULT_DOMAIN else ()
        self.list.fill([*hits, *typed], note, cursor=0)
        self.show_facts()
        self.ask_limit()

    def report(self, problem: Problem) -> None:
        """Shows why there are no results; the typed text may still be a repository."""
        text = self._entry.value.strip()
        self._refused = bool(problem.login)
        typed = () if problem.cancelled else _typed(text, ())
        hint = "" if problem.cancelled else problem.hint
        if problem.login:
            hint = f"Press {key_of(self, 'app.login')} to log in. {hint}"
        self.list.set_placeholder((problem.message, "warning"), (hint, "text"))
        self.list.fill(typed, cursor=0)
        if typed:
            self.say(self.sentence_of(replace(problem, hint="")))
        self.show_facts()

    def row_facts(self) -> Sequence[Fact]:
        hit: Hit | None = self.list.item
        if hit is None:
            return []
        facts = [Fact("Name", visible(hit.name), "strong")]
        if hit.description:
            facts.append(Fact("About", one_line(hit.description)))
        if hit.official:
            facts.append(Fact("Official", "one of Docker's own selection", "added"))
        return [*facts, *self.limit_facts()]

    def on_row_view_chosen(self, message: RowView.Chosen) -> None:
        message.stop()
        hit: Hit | None = self.list.item
        if message.view is self.list and hit is not None:
            from layerscope.tui.search.tags import TagsScreen

            self.app.push_screen(TagsScreen(hit.name, self._from))

    @property
    def place(self) -> Place:
        hit: Hit | None = self.list.item
        name = "" if hit is None else hit.name
        return replace(
            self._from, session=None, view=None, pane="search", source="", marked=(),
            text=lambda: self.list.row_text, reference=name,
        )  # fmt: skip

    # Keys.

    @property
    def panes(self) -> Sequence[Widget]:
        return (self._entry, *super().panes)

    def action_start(self) -> None:
        """Searches and goes to the results, after the queued keys."""

        def start() -> None:
            self._search()
            self.set_focus(self.list, scroll_visible=False)

        self.call_later(start)

    def action_list(self) -> None:
        self.call_later(self.set_focus, self.list, False)

    def action_edit(self) -> None:
        self.set_focus(self._entry, scroll_visible=False)


def _typed(text: str, hits: Sequence[Hit]) -> Sequence[Hit]:
    """Returns the text as a hit if it may be an unlisted repository, such as a private one."""
    from layerscope.images.registry.search import Hit

    if "/" not in text or not is_reference(text):
        return ()
    name = parse_reference(text).repository
    return () if any(hit.name == name for hit in hits) else (Hit(name, _TYPED),)
