"""The screen that compares two images: configuration, layers, files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from textual import events
from textual.app import ComposeResult
from textual.containers import Container
from textual.timer import Timer

from layerscope.filesystem.change import Change
from layerscope.patterns import PatternError, filter_pattern
from layerscope.text import docker_size, one_line, visible
from layerscope.tui.base_screen import AppScreen
from layerscope.tui.compare.lists import ConfigList, LayerPairs, Value
from layerscope.tui.compare.pair_diff import PairDiffScreen, PathPair
from layerscope.tui.compare.tree import PairTree
from layerscope.tui.destinations import Goal, Place
from layerscope.tui.dialogs.dialog import MessageScreen
from layerscope.tui.dialogs.filter_bar import FilterBar
from layerscope.tui.keys import common
from layerscope.tui.keys.key import Key
from layerscope.tui.rows.format import plural
from layerscope.tui.rows.row_view import RowView
from layerscope.tui.session import Session
from layerscope.tui.terminal.glyphs import SEPARATOR
from layerscope.tui.work import Problem, Task

if TYPE_CHECKING:
    from layerscope.filesystem.pair import Pair
    from layerscope.filesystem.view import View
    from layerscope.images.files.contents import Contents
    from layerscope.images.files.version_diff import Side
    from layerscope.images.loading import Loaded
    from layerscope.images.reader import ImageReader

_POLL = 0.5

#: Seconds between two reports.
_PAUSE = 2.0

#: An image that has been read: its layers, its reader, and the contents of its files.
Read = tuple["Loaded", "ImageReader", "Contents"]


@dataclass(slots=True)
class Comparison:
    """The comparison of two images so far."""

    pair: Pair
    #: Files that may differ only in content.
    total: int
    done: int = 0  # Files read so far.
    unknown: int = 0  # How many of these could not be read.
    #: Whether rows of the two images have the same content, where it was read.
    known: dict[tuple[int, int], bool] = field(default_factory=dict)

    @property
    def not_compared(self) -> int:
        return self.total - self.done + self.unknown


def compare_images(
    first: Read, second: Read, known: Mapping[tuple[int, int], bool], task: Task[Comparison]
) -> Comparison:
    """Compares the merged views of two images, then the content of files of the same size.

    `known` holds the results of an earlier comparison.
    """
    from layerscope.filesystem.pair import pair_unions
    from layerscope.images.files.version_diff import Side, same_contents
    from layerscope.images.reader import shared_layers

    shared = shared_layers(first[1], second[1])
    pair = pair_unions(first[0].stack, second[0].stack, shared)
    rows = []
    sides = []
    comparison = Comparison(pair, 0, known=dict(known))
    for row in pair.unread():
        one, other = pair.source(int(pair.stack.below[row])), pair.source(row)
        if (one, other) in known:
            pair.stack.settle(row, known[one, other])
        else:
            rows.append(row)
            sides.append((Side(pair.first, one, first[2]), Side(pair.second, other, second[2])))
    comparison.total = len(rows)
    task.report(comparison, _PAUSE)
    for number, same in same_contents(sides, task.progress.advance):
        task.check()
        if same is None:
            comparison.unknown += 1
        else:
            pair.stack.settle(rows[number], same)
            first_side, second_side = sides[number]
            comparison.known[first_side.row, second_side.row] = same
        comparison.done += 1
        task.report(comparison, _PAUSE)
    return comparison


class CompareScreen(AppScreen[None], screen="compare", heading="Two images"):
    CSS_PATH = "compare.tcss"
    AUTO_FOCUS = "#files"
    VERTICAL_BREAKPOINTS = [(0, "-few"), (16, "-short"), (36, "-tall")]  # noqa: RUF012

    def _not_compared(self) -> str:
        return "The files have not been compared yet." if self.comparison is None else ""

    def _not_read(self) -> str:
        return "" if all(map(_read, self.sessions)) else "Both images must be read first."

    def _no_path(self) -> str:
        if self.comparison is None or self.files.node is not None:
            return self._not_compared()
        return "There is no path here."

    def _no_filter(self) -> str:
        return "No filter is set, so nothing matches." if self.files.pattern is None else ""

    def _not_reading(self) -> str:
        reading = any(not session.ended for session in self._own)
        return "" if reading or self.work.busy("compare") else "Nothing is being read."

    KEYS = (
        *common.pane_keys(
            "compare", {"config": "Configuration", "pairs": "Layers", "files": "Files"}
        ),
        common.zoom_key("compare", "config files pairs"),
        Key(
            "compare.diff", "d", "diff", "Diff", "Show what differs in the path", _no_path, "files"
        ),
        Key(
            "compare.filter",
            "slash",
            "filter",
            "Filter",
            "Filter by name; in paths, * and ? are wildcards",
            _not_compared,
            "files",
        ),
        *common.match_keys("compare", _no_filter, "files"),
        *common.tree_keys("compare", _not_compared, "files"),
        *common.sort_keys("compare", _not_compared, "files"),
        Key(
            "compare.content",
            "v",
            "visit('content')",
            "View",
            "Show the file in B, or in A where B has none",
            _no_path,
            "files",
        ),
        Key(
            "compare.times",
            "T",
            "times",
            "Times",
            "Show or hide what differs in its time only",
            _not_compared,
            "files",
        ),
        common.copy_key("compare"),
        Key("compare.swap", "X", "swap", "Swap", "Swap A and B", _not_read, "*"),
        common.cancel_key("compare", "Stop reading", _not_reading),
        common.back_key("compare", "escape,q"),
    )

    def __init__(self, first: Session | str, second: str, place: Place) -> None:
        super().__init__()
        self.config = ConfigList()  # Pane 1.
        self.pairs = LayerPairs()  # Pane 2.
        self.files = PairTree(self._show_files_status)  # Pane 3.
        self.files.hidden = {Change.UNCHANGED}
        #: None until both images have been read.
        self.comparison: Comparison | None = None
        self.over = False  # Whether the comparison has ended.
        self.sessions: list[Session] = []  # The images, perhaps still being read.
        self._sources = (first, second)
        self._from = place
        self._views: dict[Session, View] = {}  # The merged views, for the screens of a file.
        self._known: dict[tuple[int, int], bool] = {}
        self._ignore_time = False
        self._own: list[Session] = []
        self._filter = FilterBar(self.keys, lambda: self.files)
        self.bottom_line.append(self._filter)
        self._filter_text = ""
        self._poll: Timer | None = None

    def body(self) -> ComposeResult:
        yield Container(*self.panes, id="body")

    def on_mount(self) -> None:
        for pane in self.panes:
            pane.set_placeholder(("Reading…", "muted"))
        for source in self._sources:
            if isinstance(source, Session):
                self.sessions.append(source)
                continue
            session = Session(
                source,
                self._from.opener,
                self.call_later,
                self._session_changed,
                cache=self._from.cache,
            )
            self.sessions.append(session)
            self._own.append(session)
        self._begin()

    def _begin(self) -> None:
        self.over = False
        self._poll = self.set_interval(_POLL, self._look)
        self._look()

    def on_unmount(self) -> None:
        """Stops reading; an image that was open before stays open."""
        for session in self._own:
            session.close()

    # Reading and comparing.

    def _session_changed(self, _: Session) -> None:
        self._look()

    def _look(self) -> None:
        """Compares the files once both images have been read."""
        if not (self.over or self.work.busy("compare")):
            self._show_images()
            images = [_read(session) for session in self.sessions]
            for session, image in zip(self.sessions, images, strict=True):
                if session.ended and image is None:
                    self._give_up(session)
                    return
            one, other = images
            if one is not None and other is not None:
                self.work.start(
                    "compare",
                    lambda task: compare_images(one, other, self._known, task),
                    self._end,
                    failed=self._failed,
                    report=self._show,
                )
        self.show_status()

    def _give_up(self, session: Session) -> None:
        problem = session.problem or Problem("Nothing could be read.", "")
        self._stop_polling()
        hint = problem.hint
        if problem.choices or problem.platforms:
            names = ", ".join(map(visible, (*problem.choices, *problem.platforms)))
            hint = f"Name one of them: {names}"
        if problem.cancelled:
            self.dismiss()
        else:
            title = f"Cannot compare with {visible(session.source)}"
            self.app.switch_screen(MessageScreen(title, problem.message, hint))

    def _show(self, found: Comparison) -> None:
        from layerscope.filesystem.pair import pair_view

        self.comparison = found
        ignored = self._ignore_time
        self.files.show(found.pair.stack, lambda: pair_view(found.pair, ignore_time=ignored))
        self.show_status()
        self.refresh_bindings()

    def _end(self, found: Comparison) -> None:
        self._stop_polling()
        self._show(found)

    def _failed(self, problem: Problem) -> None:
        """Shows the error, and keeps the results so far."""
        if self.comparison is not None:
            self._end(self.comparison)
            self.report(problem)
            return
        self._stop_polling()
        self.files.clear((problem.message, "warning"), (problem.hint, "muted"))
        self.show_status()
        self.refresh_bindings()

    def _stop_polling(self) -> None:
        self.over = True
        if self._poll is not None:
            self._poll.stop()

    # Texts.

    @property
    def names(self) -> tuple[str, str]:
        """Returns the names of the images, with their kinds of source if only these differ."""
        one, other = (session.name()[0] for session in self.sessions)
        if one == other:
            one, other = (f"{each.kind or 'engine'} {one}" for each in self.sessions)
        return one, other

    def _show_images(self) -> None:
        """Shows what is known about both images before the comparison."""
        one, other = (session.image for session in self.sessions)
        if one is None or other is None:
            return
        from layerscope.reports.diff_report import config_differences, pair_layers, value_text

        values = [
            Value(one_line(key), value_text(key, a), value_text(key, b), change_of(a, b))
            for key, a, b in config_differences(one.config, other.config)
        ]
        self.config.set_placeholder(("The configuration is the same.", "muted"))
        self.config.show(values)
        count = plural(len(values), "difference") if values else ""
        self.config.set_status(count)
        pairs = pair_layers(one, other)
        stacks = [session.loaded and session.loaded.stack for session in self.sessions]
        sizes = [
            {layer: stack.layer_size(layer) for layer in range(stack.height)} if stack else {}
            for stack in stacks
        ]
        self.pairs.set_placeholder(("These images have no layers.", "muted"))
        self.pairs.show_pairs(pairs, (one, other), sizes)
        shared = sum(pair.shared for pair in pairs)
        text = f"{shared} shared of {len(one.layers)} in A and {len(other.layers)} in B"
        self.pairs.set_status(text)

    def show_status(self) -> None:
        one, other = self.names
        self.title_bar.set_two(f"A {one}", f"B {other}")
        self.title_bar.set_right(*self._progress())
        left_out = self.files.left_out(self._filter_text)
        left_out += ["times ignored"] if self._ignore_time else []
        self.files.set_status(_counts(self.files), *left_out)

    def _progress(self) -> tuple[str, str]:
        """Returns the current activity, and a palette style."""
        found = self.comparison
        if found is None:
            if self.work.busy("compare"):
                return "Comparing", "accent"
            reading = [each for each in self.sessions if not each.ended]
            return reading[0].describe() if reading else "", "accent"
        if not self.over:
            return f"Comparing content  {found.done:,} / {found.total:,} files", "accent"
        if found.not_compared:
            return f"Incomplete: {plural(found.not_compared, 'file')} not compared", "warning"
        return "", "muted"

    def _show_files_status(self) -> None:
        if self.comparison is not None and not self.files.row_count and not self._filter_text:
            text = "All files are the same." if self.over else "No difference yet."
            if self.files.hidden == {Change.UNCHANGED}:
                self.files.set_placeholder((text, "text"), ("u shows them.", "muted"))
        self.show_status()

    # Panes.

    @property
    def panes(self) -> Sequence[RowView]:
        return (self.config, self.pairs, self.files)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Keeps a single visible pane in place while the user types a filter."""
        if event.widget in self.panes:
            for pane in self.panes:
                pane.set_class(pane is event.widget, "-current")
            self.refresh_bindings()

    # Keys.

    def action_cancel(self) -> None:
        """Stops reading; keeps the results so far."""
        for session in self._own:
            session.cancel()
        self.work.cancel("compare")

    def action_back(self) -> None:
        if self._filter_text:
            self._set_filter("")
        elif self.has_class("-zoomed"):
            self.action_zoom()
        else:
            super().action_back()

    def action_swap(self) -> None:
        """Swaps A and B without reading their content again."""
        self.work.leave("compare")
        if self.comparison is not None:
            self._known = {(b, a): same for (a, b), same in self.comparison.known.items()}
        self._stop_polling()
        self.sessions.reverse()
        self._begin()

    def action_times(self) -> None:
        self._ignore_time = not self._ignore_time
        if self.comparison is not None:
            self._show(self.comparison)

    def action_sort(self) -> None:
        self.files.cycle_sort()

    def action_reverse(self) -> None:
        self.files.reverse_sort()

    def action_show_kind(self, name: str) -> None:
        self.files.hide(Change[name.upper()])

    def action_next_match(self, step: int) -> None:
        self.files.go_to_match(step)

    def action_filter(self) -> None:
        self._filter.open(self._filter_text, "Part of a path, or a pattern with * and ?")

    def on_filter_bar_typed(self, message: FilterBar.Typed) -> None:
        self._set_filter(message.text)

    def _set_filter(self, text: str) -> None:
        self._filter_text = text
        try:
            self.files.filter(filter_pattern(text))
        except PatternError as error:
            self.say(error.message)
        self.refresh_bindings()

    # One path.

    def on_row_view_chosen(self, message: RowView.Chosen) -> None:
        """Compares a file, or shows both values of the configuration."""
        value = self.config.item
        if message.view is self.files:
            self.action_diff()
        elif message.view is self.config and value is not None:
            self.app.push_screen(MessageScreen(value.key, f"A  {value.one}", f"B  {value.other}"))
        elif message.view is self.pairs and self.pairs.chosen_layer is not None:
            side, layer = self.pairs.chosen_layer
            self._from.go(Goal(self.sessions[side].source, layer))

    @property
    def place(self) -> Place:
        """Returns the file under the cursor, in the merged view of B or else of A."""
        pane = self.focused if isinstance(self.focused, RowView) else self.files
        place = replace(self._from, view=None, node=None, pane="files", text=lambda: pane.row_text)
        node, found = self.files.node, self.comparison
        if node is None or found is None:
            return place
        sides = found.pair.sides(node)
        which = 0 if sides[1] is None else 1
        session, row = self.sessions[which], sides[which]
        if session.loaded is None or row is None:
            return place
        if session not in self._views:
            from layerscope.filesystem.view import union_view

            stack = session.loaded.stack
            self._views[session] = union_view(stack, stack.height - 1)
        view = self._views[session]
        return replace(place, session=session, view=view, node=int(view.stack.nodes[row]), row=row)

    def action_diff(self) -> None:
        pair = self._path_pair()
        if pair is not None:
            self.app.push_screen(PairDiffScreen(pair, self.names, self._another))

    def _another(self, step: int) -> PathPair | None:
        return self._path_pair() if self.files.go_to_file(step) else None

    def _path_pair(self) -> PathPair | None:
        node, found = self.files.node, self.comparison
        if node is None or found is None:
            return None
        one, other = found.pair.sides(node)
        if one is None and other is None:
            self.say("No layer has an entry for this folder.")
            return None
        path = found.pair.stack.tree.path(node)
        return PathPair(path, self._side(0, one), self._side(1, other))

    def _side(self, which: int, row: int | None) -> Side | None:
        from layerscope.images.files.version_diff import Side

        contents, found = self.sessions[which].contents, self.comparison
        if row is None or found is None or contents is None:
            return None
        return Side((found.pair.first, found.pair.second)[which], row, contents)


def _read(session: Session) -> Read | None:
    """Returns the image of a session if it has been read completely."""
    loaded, reader, contents = session.loaded, session.reader, session.contents
    if not session.ended or loaded is None or reader is None or contents is None:
        return None
    return (loaded, reader, contents) if loaded.complete else None


def change_of(one: object, other: object) -> Change:
    if one is None or other is None:
        return Change.ADDED if one is None else Change.REMOVED
    return Change.MODIFIED


def _counts(files: PairTree) -> str:
    rows = files.rows
    if rows is None or not files.row_count:
        return ""
    if rows.matches is not None:
        return plural(rows.matches, "match", "matches")
    changes = rows.view.changes
    parts = [
        f"{int((changes == change).sum()):,} {change.label}"
        for change in (Change.ADDED, Change.MODIFIED, Change.REMOVED)
    ]
    from layerscope.filesystem.pair import PairView

    if isinstance(rows.view, PairView):
        delta = int(rows.view.after[0]) - int(rows.view.before[0])
        parts.append(f"{'-' if delta < 0 else '+'}{docker_size(abs(delta))}")
    return SEPARATOR.join(parts)
