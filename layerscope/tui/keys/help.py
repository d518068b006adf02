"""The help page: the keys of this screen, all others, and the topics of `layerscope help`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from itertools import zip_longest
from typing import NamedTuple

from textual.app import ComposeResult
from textual.containers import Container
from textual.screen import Screen

from layerscope import help as help_topics
from layerscope.tui.base_app import BaseApp
from layerscope.tui.base_screen import AppModal
from layerscope.tui.destinations import Room
from layerscope.tui.dialogs.filter_bar import FilterBar
from layerscope.tui.keys import common
from layerscope.tui.keys.key import ALWAYS, LAST, Key, Keyed
from layerscope.tui.keys.keymap import owners
from layerscope.tui.rows.format import Line, left, length, wrap
from layerscope.tui.rows.row_view import RowView
from layerscope.tui.terminal.glyphs import CLOSED, OPEN

#: Width of the column of keys.
_KEYS = 14
#: Replaces the key in a row of text.
_TEXT = "\t"
#: Replaces the key in a row that leads to a topic; the topic's name follows.
_TOPIC = "\v"
#: Width of a column of keys with descriptions; wide pages have two.
_COLUMN = 46
_TOPICS = "Topics"
#: A heading and the rows below it: a key and what it does.
Group = tuple[str, list[tuple[str, str]]]
_MARKS = re.compile(r"`([^`]*)`|\*\*?([^*\s][^*]*)\*\*?")


def topic_groups(markdown: str) -> list[Group]:
    """Returns the sections of a help topic; table rows become keys."""
    groups: list[Group] = []
    code = paragraph = False
    for line in markdown.splitlines():
        if line.startswith("```"):
            code, paragraph = not code, False
            continue
        text = line if code else _MARKS.sub(lambda match: match[1] or match[2], line)
        if not code and line.startswith("#"):
            groups.append((text.lstrip("# "), []))
        elif not code and line.startswith("|---"):
            groups[-1][1].pop()  # The table's heading.
        elif not code and line.startswith("|"):
            key, does = (cell.strip() for cell in text.strip("|").split("|", 1))
            groups[-1][1].append((key, does) if len(key) <= _KEYS else (_TEXT, f"{key}: {does}"))
        else:
            rows = groups[-1][1]
            if not code and paragraph and text and not text.startswith("- "):
                text = f"{rows.pop()[1]} {text.strip()}"
            rows.append((_TEXT, text))
            paragraph = not code and bool(text)
            continue
        paragraph = False
    return groups


class _Row(NamedTuple):
    """A line of the page."""

    line: Line
    heading: str = ""  # The heading that it opens and folds.
    topic: str = ""  # The topic that it leads to.


class HelpRows(RowView, screen="help", heading="This page"):
    KEYS = (
        Key("help.open", "enter,space,l,right", "choose", "Open", "", None, "help-rows"),
        Key("help.filter", "slash", "screen.filter", "Filter", "", None, "help-rows"),
    )

    def __init__(self, groups: Sequence[Group], folded: Collection[str]) -> None:
        super().__init__("help-rows")
        self._groups = groups
        #: The open headings; a filter shows all its matches.
        self._open = {heading for heading, _ in groups if heading not in folded}
        self._needle = ""
        self._rows: list[_Row] = []
        self._rows_for: tuple[int, str] = (0, "")

    def on_mount(self) -> None:
        self.show("Help", self._groups)
        self.set_placeholder(("Nothing matches.", "muted"))

    @property
    def topic(self) -> str:
        return self._rows[self.cursor].topic if self._rows else ""

    def show(self, title: str, groups: Sequence[Group], needle: str = "") -> None:
        self.set_texts(title, "[ ] topics")
        self._groups, self._needle = groups, needle.lower()
        self._update()
        self.move_to(0)

    def unfold(self, groups: Sequence[Group]) -> None:
        self._open |= {heading for heading, _ in groups}

    def toggle(self) -> None:
        """Opens or folds the heading under the cursor."""
        if self._rows and (heading := self._rows[self.cursor].heading):
            self._open ^= {heading}
            self._make()
            rows = [row.heading for row in self._rows]
            place = rows.index(heading)
            below = next((n for n in range(place + 1, len(rows)) if rows[n]), len(rows)) - 1
            # Scrolls to the last opened row first, then to the heading.
            self.set_rows(len(rows), below)
            self.set_rows(len(rows), place)

    def on_resize(self) -> None:
        self._update()

    def row(self, row: int, width: int) -> Line:
        if self._rows_for != (self._width, self.app.theme):
            self._make()
        return self._rows[row].line if row < len(self._rows) else []

    @property
    def _width(self) -> int:
        # The last cell is for the scroll bar.
        return max(20, self.size.width - 1)

    def _update(self) -> None:
        self._make()
        self.set_rows(len(self._rows))

    def _make(self) -> None:
        self._rows_for = self._width, self.app.theme
        colors, rows, above = self.palette, list[_Row](), False
        for heading, keys in self._groups:
            fitting = [row for row in keys if self._fits(heading, row)]
            if not fitting:
                continue
            shown = bool(self._needle) or heading in self._open
            rows += [_Row([])] if rows and (shown or above) else []
            above = shown
            mark = OPEN if shown else CLOSED
            title: Line = [(f" {mark} ", colors.muted), (heading, colors.strong)]
            rows.append(_Row(title if shown else [*title, (f"  {len(fitting)}", colors.muted)]))
            rows[-1] = rows[-1]._replace(heading=heading)
            rows += self._below(fitting) if shown else ()
        self._rows = rows

    def _fits(self, heading: str, row: tuple[str, str]) -> bool:
        if not self._needle:
            return True
        key, text = row
        if key.startswith(_TOPIC) and self._needle in help_topics.read(key[1:]).lower():
            return True
        whole = f"{heading} {key} {text}".lower()
        return all(word in whole for word in self._needle.split())

    def _below(self, rows: Sequence[tuple[str, str]]) -> list[_Row]:
        colors, width = self.palette, self._width
        if any(key == _TEXT for key, _ in rows):
            return [made for row in rows for made in self._of(*row, width)]
        columns = 2 if width >= 2 * _COLUMN and not rows[0][0].startswith(_TOPIC) else 1
        size = width // columns
        share = -(-len(rows) // columns)
        parts = [
            [made for row in rows[start : start + share] for made in self._of(*row, size)]
            for start in range(0, len(rows), share)
        ]
        if len(parts) == 1:
            return parts[0]
        made = []
        for one, other in zip_longest(*parts, fillvalue=_Row([])):
            gap = " " * (size - length(one.line))
            made.append(_Row([*one.line, (gap, colors.text), *other.line]))
        return made

    def _of(self, key: str, text: str, width: int) -> list[_Row]:
        colors = self.palette
        if key == _TEXT:
            return [_Row([(f"   {row}", colors.text)]) for row in wrap(text, max(10, width - 4))]
        name = key[1:] if key.startswith(_TOPIC) else key
        rows = [
            _Row(
                [
                    (f"   {left('' if place else name, _KEYS)} ", colors.accent),
                    (row, colors.text),
                ]
            )
            for place, row in enumerate(wrap(text, max(10, width - _KEYS - 5)))
        ]
        return rows if name == key else [row._replace(topic=name) for row in rows]


class HelpScreen(AppModal[None], screen="help", heading="This page"):
    CSS_PATH = "help.tcss"
    AUTO_FOCUS = "#help-rows"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (114, "-wide")]  # noqa: RUF012
    KEYS = (
        Key("help.back", "escape", "back", "Back", "", None, "*", ALWAYS),
        Key("help.close", "q,question_mark", "dismiss", "Close", "", None, "*", LAST),
        *common.step_keys(
            "page",
            ("help.previous", "left_square_bracket", -1, "Previous help topic", ""),
            ("help.next", "right_square_bracket", 1, "Next help topic", ""),
            hint="*",
            group="Topics",
        ),
    )

    def __init__(self, groups: Sequence[Group], folded: Collection[str] = ()) -> None:
        super().__init__()
        topics = [(f"{_TOPIC}{topic.name}", topic.summary) for topic in help_topics.topics()]
        near = [group for group in groups if group[0] not in folded]
        far = [group for group in groups if group[0] in folded]
        self._groups = [*near, (_TOPICS, topics), *far]
        self._page = 0
        self._rows = HelpRows(self._groups, folded)
        self._filter = FilterBar(self.keys, lambda: self._rows)
        self.bottom_line.append(self._filter)

    def compose(self) -> ComposeResult:
        self.fit_size()
        yield self._rows
        yield Container(*self.bottom_line, id="bottom")

    def action_page(self, step: int) -> None:
        """Shows the next or previous page; the first one is the keys."""
        topics = help_topics.topics()
        self._page = (self._page + step) % (len(topics) + 1)
        self._show()

    def action_filter(self) -> None:
        self._filter.open(self._filter.value, "Words to look for", anew=True)

    def action_back(self) -> None:
        """Clears the filter, or goes from a topic back to the keys, or leaves."""
        if self._filter.value:
            self._filter.value = ""
            self._show()
        elif self._page:
            self._page = 0
            self._show()
        else:
            self.dismiss(None)

    def on_filter_bar_typed(self, message: FilterBar.Typed) -> None:
        message.stop()
        self._show()

    def on_row_view_chosen(self, message: RowView.Chosen) -> None:
        message.stop()
        if topic := self._rows.topic:
            self._filter.value = ""
            self._page = 1 + [each.name for each in help_topics.topics()].index(topic)
            self._show()
        else:
            self._rows.toggle()

    def _show(self) -> None:
        title, groups = "Help", self._groups
        if self._page:
            topic = help_topics.topics()[self._page - 1]
            title, groups = f"Help: {topic.name}", topic_groups(help_topics.read(topic.name))
            self._rows.unfold(groups)
        self._rows.show(title, groups, self._filter.value)


def help_groups(app: BaseApp, screen: Screen[object], rooms: Iterable[Room]) -> list[Group]:
    """Returns all keys by where they work, those of the focused pane first."""
    near, everywhere, far = _by_distance(screen, rooms)
    groups: dict[str, list[tuple[str, str]]] = {}
    for owner in [*near, *everywhere, *far]:
        rows = groups.setdefault(owner.HEADING, [])
        for key in owner.__dict__.get("KEYS", ()):
            rows.append((_keys_of(app, key), key.text))
    return list(groups.items())


def far_headings(screen: Screen[object], rooms: Iterable[Room]) -> set[str]:
    """Returns the headings of keys that work only on other screens."""
    near, everywhere, far = _by_distance(screen, rooms)
    return {owner.HEADING for owner in far} - {owner.HEADING for owner in (*near, *everywhere)}


def _by_distance(
    screen: Screen[object], rooms: Iterable[Room]
) -> tuple[list[type[Keyed]], list[type[Keyed]], list[type[Keyed]]]:
    """Returns the owners whose keys work on this screen, on all screens, and on others."""
    here = screen.SCREEN if isinstance(screen, Keyed) else ""
    found = owners(rooms)
    pane = type(screen.focused).__mro__ if screen.focused is not None else ()
    at = [owner for owner in found if owner in pane and owner is not RowView]
    near = [owner for owner in found if owner not in at and owner.SCREEN and here == owner.SCREEN]
    everywhere = [owner for owner in found if owner not in at and not owner.SCREEN]
    # Lists and the app come first: other panes and inputs are only on some screens.
    everywhere.sort(key=lambda owner: not (owner is RowView or issubclass(owner, BaseApp)))
    far = [owner for owner in found if owner not in (*at, *near, *everywhere)]
    return [*at, *near], everywhere[:2], [*everywhere[2:], *far]


def _keys_of(app: BaseApp, key: Key) -> str:
    """Returns the names of an action's keys, with the settings applied."""
    bindings = key.bindings()
    if key.id in app.keymap:
        bindings = [bindings[0].with_key(name, None) for name in app.keymap[key.id].split(",")]
    return " ".join(dict.fromkeys(app.get_key_display(binding) for binding in bindings))
