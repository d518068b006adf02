"""The screen that compares two images: configuration, layers, files."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.timer import Timer
from textual.widget import Widget

from layerscope.filesystem.change import Change
from layerscope.filesystem.rows import filter_pattern
from layerscope.text import visible
from layerscope.tui.compare_job import Compared, CompareJob
from layerscope.tui.glyphs import SEPARATOR
from layerscope.tui.screens.compare_keys import BINDINGS, HINTS
from layerscope.tui.screens.compare_texts import counts, show_images, state
from layerscope.tui.screens.message import MessageScreen
from layerscope.tui.screens.pair_diff import Compared as ComparedPath
from layerscope.tui.screens.pair_diff import PairDiffScreen
from layerscope.tui.screens.pane_keys import PaneKeys
from layerscope.tui.session import Opener, Problem, Session, SessionChanged
from layerscope.tui.widgets.filter_bar import FilterBar
from layerscope.tui.widgets.key_bar import KeyBar, Saying
from layerscope.tui.widgets.pair_lists import ConfigList, LayerPairs
from layerscope.tui.widgets.pair_tree import PairTree
from layerscope.tui.widgets.row_view import RowView
from layerscope.tui.widgets.title_bar import TitleBar

if TYPE_CHECKING:
    from layerscope.filesystem.pair import Pair
    from layerscope.images.version_diff import Side

_POLL = 0.5


class CompareScreen(Saying, PaneKeys[None], inherit_bindings=False):
    """Two images side by side.

    Attributes:
        sessions: The images, as far as they have been read.
        config: Pane 1.
        pairs: Pane 2.
        files: Pane 3.
        job: What compares; None until both have been read.
    """

    CSS_PATH = "compare.tcss"
    AUTO_FOCUS = "#files"
    VERTICAL_BREAKPOINTS = [(0, "-short"), (36, "-tall")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = BINDINGS

    def __init__(
        self, first: Session | str, second: str, opener: Opener, *, cache: bool = True
    ) -> None:
        """Makes the screen.

        Args:
            first: An image that is open, or a source.
            second: The source of the other.
            opener: Opens sources.
            cache: Whether layers are taken from the cache and kept there.
        """
        super().__init__()
        self.config = ConfigList()
        self.pairs = LayerPairs()
        self.files = PairTree()
        self.files.hidden = {Change.UNCHANGED}
        self.job: CompareJob | None = None
        self.sessions: list[Session] = []
        self._sources = (first, second)
        self._opener = opener
        self._cache = cache
        self._own: list[Session] = []
        self._title = TitleBar()
        self.keys = KeyBar(HINTS)
        self._filter = FilterBar(self._end_filter)
        self._filter_text = ""
        self._poll: Timer | None = None
        self._shown: Pair | None = None
        self._stale = 0.0

    def compose(self) -> ComposeResult:
        """Title, panes, keys."""
        self.set_class(self.app.size.height >= 36, "-tall")
        yield self._title
        with Container(id="body"):
            yield self.config
            yield self.pairs
            yield self.files
        with Container(id="bottom"):
            yield self.keys
            yield self._filter

    def on_mount(self) -> None:
        """Begins to read."""
        self.config.set_texts("1 Configuration")
        self.pairs.set_texts("2 Layers")
        self.files.set_texts("3 Files")
        for pane in (self.config, self.pairs, self.files):
            pane.set_placeholder(("Reading…", "muted"))
        for source in self._sources:
            if isinstance(source, Session):
                self.sessions.append(source)
                continue
            session = Session(source, self._opener, self.post_message, cache=self._cache)
            self.sessions.append(session)
            self._own.append(session)
        self._poll = self.set_interval(_POLL, self._look)
        self._look()

    def on_unmount(self) -> None:
        """Stops what is being read; an image that was open stays so."""
        if self.job is not None:
            self.job.cancel()
        for session in self._own:
            session.close()

    # Reading.

    def on_session_changed(self, message: SessionChanged) -> None:
        """Shows what has arrived."""
        message.stop()
        self._look()

    def _look(self) -> None:
        """Goes on as soon as both images have been read."""
        if self.job is None:
            show_images(self.sessions, self.config, self.pairs)
            failed = [each for each in self.sessions if each.ended and not _complete(each)]
            if failed:
                self._give_up(failed[0])
                return
            if all(each.ended for each in self.sessions):
                one, other = ((each.loaded, each.reader, each.contents) for each in self.sessions)
                self.job = CompareJob(one, other, self.post_message)  # type: ignore[arg-type]
        self.tell()

    def _give_up(self, session: Session) -> None:
        problem = session.problem or Problem("Nothing could be read.", "")
        if self._poll is not None:
            self._poll.stop()
        message, hint = problem.message, problem.hint
        if problem.choices or problem.platforms:
            names = ", ".join(map(visible, (*problem.choices, *problem.platforms)))
            hint = f"Name one of them: {names}"
        title = f"Cannot compare with {visible(session.source)}"
        if problem.cancelled:
            self.dismiss()
        else:
            self.app.switch_screen(MessageScreen(title, message, hint))

    def on_compared(self, message: Compared) -> None:
        """Shows what differs, as far as it is known."""
        job = message.job
        if job is not self.job:
            return
        if job.ended and self._poll is not None:
            self._poll.stop()
            self._poll = None
        pair, now = job.pair, time.monotonic()
        if pair is not None and (job.ended or pair is not self._shown or now >= self._stale):
            from layerscope.filesystem.pair import pair_view

            self._shown, self._stale = pair, now + 2
            self.files.show(pair.stack, lambda: pair_view(pair))
        elif pair is None and job.problem is not None:
            text = (job.problem.message, "warning"), (job.problem.hint, "muted")
            self.files.clear(*text)
        self.tell()
        self.refresh_bindings()

    # What is said.

    @property
    def names(self) -> tuple[str, str]:
        """What both images are called; safe to show."""
        one, other = (session.name()[0] for session in self.sessions)
        return one, other

    def tell(self) -> None:
        """Says what is compared, and how far it has come."""
        one, other = self.names
        self._title.set_image(f"A {one}", f"B {other}")
        self._title.set_right(*state(self.sessions, self.job))
        title = "3 Files"
        if self._filter_text:
            title += f"{SEPARATOR}/{visible(self._filter_text)}"
        hidden = [change.label for change in Change if change in self.files.hidden]
        if hidden:
            title += f"{SEPARATOR}{' and '.join(hidden)} hidden"
        self.files.set_texts(title, counts(self.files))

    def on_file_tree_counted(self) -> None:
        """Says what the tree shows."""
        pair = self._shown
        if pair is not None and not self.files.row_count and not self._filter_text:
            done = self.job is not None and self.job.ended
            text = "All files are the same." if done else "No difference yet."
            if self.files.hidden == {Change.UNCHANGED}:
                self.files.set_placeholder((text, "text"), ("u shows them.", "muted"))
        self.tell()

    # Panes.

    @property
    def panes(self) -> Sequence[Widget]:
        """Configuration, layers, files."""
        return (self.config, self.pairs, self.files)

    def go(self, pane: Widget) -> None:
        """Gives a pane the focus."""
        # A hidden pane takes no focus.
        zoomed = self.has_class("-zoomed")
        self.remove_class("-zoomed")
        self.set_focus(pane, scroll_visible=False)
        self.set_class(zoomed, "-zoomed")
        self.refresh_bindings()

    # Keys.

    def why_not(self, action: str, parameters: tuple[object, ...]) -> str:
        """Why a key means nothing now, in a sentence; empty if it does mean something."""
        if action == "cancel":
            reading = any(not session.ended for session in self._own)
            comparing = self.job is not None and not self.job.ended
            return "" if reading or comparing else "Nothing is being read."
        if action in ("filter", "sort", "reverse", "show_kind", "diff") and self._shown is None:
            return "The files have not been compared yet."
        if action == "next_match" and self.files.pattern is None:
            return "No filter is set, so that nothing matches."
        if action == "diff" and self.files.node is None:
            return "There is no path to show."
        return ""

    def action_cancel(self) -> None:
        """Stops reading, or leaves the comparison at what is known."""
        for session in self._own:
            session.cancel()
        if self.job is not None:
            self.job.cancel()

    def action_back(self) -> None:
        """Clears the filter, ends the zoom, or goes back."""
        if self._filter_text:
            self._set_filter("")
        elif self.has_class("-zoomed"):
            self.action_zoom()
        else:
            self.dismiss()

    def action_sort(self) -> None:
        """Sorts by the next column."""
        self.files.cycle_sort()

    def action_reverse(self) -> None:
        """Turns the order round."""
        self.files.reverse_sort()

    def action_show_kind(self, name: str) -> None:
        """Hides or shows a kind of change."""
        self.files.hide(Change[name.upper()])

    def action_next_match(self, step: int) -> None:
        """Goes to the next or previous match."""
        self.files.go_to_match(step)

    def action_filter(self) -> None:
        """Opens the filter."""
        self.keys.display = False
        self._filter.open(self._filter_text, "Part of a path, or a pattern with * and ?")

    def on_filter_bar_typed(self, message: FilterBar.Typed) -> None:
        """Filters while the user types."""
        self._set_filter(message.text)

    def _set_filter(self, text: str) -> None:
        self._filter_text = text
        self.files.filter(filter_pattern(text))
        self.refresh_bindings()

    def _end_filter(self) -> None:
        self.keys.display = True
        self.set_focus(self.files, scroll_visible=False)
        self.refresh_bindings()

    # One path.

    def on_row_view_chosen(self, message: RowView.Chosen) -> None:
        """Opens a file, expands a folder, or shows both values whole."""
        value = self.config.value
        if message.view is self.files and self.files.on_folder:
            self.files.action_toggle_folder()
        elif message.view is self.files:
            self.action_diff()
        elif message.view is self.config and value is not None:
            key, one, other = value
            self.app.push_screen(
                MessageScreen(
                    key,
                    f"A  {'(none)' if one is None else one}",
                    f"B  {'(none)' if other is None else other}",
                )
            )

    def action_diff(self) -> None:
        """Shows what differs in the path under the cursor."""
        compared = self._compared()
        if compared is not None:
            self.app.push_screen(PairDiffScreen(compared, self.names, self._another))

    def _another(self, step: int) -> ComparedPath | None:
        return self._compared() if self.files.go_to_file(step) else None

    def _compared(self) -> ComparedPath | None:
        node, pair = self.files.node, self._shown
        if node is None or pair is None:
            return None
        one, other = pair.sides(node)
        if one is None and other is None:
            self.say("No layer has an entry for this folder.")
            return None
        return ComparedPath(pair.stack.tree.path(node), self._side(0, one), self._side(1, other))

    def _side(self, which: int, row: int | None) -> Side | None:
        from layerscope.images.version_diff import Side

        session, pair = self.sessions[which], self._shown
        if row is None or pair is None or session.contents is None:
            return None
        return Side((pair.first, pair.second)[which], row, session.contents)


def _complete(session: Session) -> bool:
    return (
        session.loaded is not None
        and session.loaded.complete
        and session.reader is not None
        and session.contents is not None
    )
