"""The screen that shows the content of a version of a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.screen import Screen

from layerscope.filesystem.changeset import EntryType
from layerscope.filesystem.lookup import LookupFailedError
from layerscope.text import decode, docker_size
from layerscope.tui.content_job import EAGER, ContentChanged, ContentJob
from layerscope.tui.content_rows import HexRows, TextRows
from layerscope.tui.glyphs import ELLIPSIS, SEPARATOR
from layerscope.tui.screens.content_find import Finder
from layerscope.tui.screens.content_going import Going
from layerscope.tui.screens.content_keys import BINDINGS, HINTS
from layerscope.tui.screens.content_out import Keeper, Kept
from layerscope.tui.screens.content_words import (
    facts_of,
    followed,
    hex_place,
    link_facts,
    text_place,
    title_of,
)
from layerscope.tui.widgets.content_view import ContentView
from layerscope.tui.widgets.key_bar import KeyBar, Saying
from layerscope.tui.widgets.prompt import Prompt
from layerscope.tui.widgets.title_bar import TitleBar

if TYPE_CHECKING:
    from layerscope.filesystem.stack import Stack
    from layerscope.images.contents import Contents
    from layerscope.images.image import Image

_NEED_CONTENT = frozenset(("find", "go", "hex", "wrap", "numbers", "save", "pager", "editor"))

#: So many rows before the end, more are looked for.
_AHEAD = 2000


class ContentScreen(Saying, Screen[None], inherit_bindings=False):
    """A file: its text, or its bytes in hexadecimal.

    Attributes:
        row: The version that is shown.
        job: What reads it; None for what has no content.
        hex: Whether it is shown in hexadecimal; None until that is decided.
        view: The pane.
        going: Goes to places in it.
    """

    CSS_PATH = "content.tcss"
    AUTO_FOCUS = "#content"
    BINDINGS: ClassVar[list[BindingType]] = BINDINGS

    def __init__(
        self, contents: Contents, image: Image, stack: Stack, layer: int, row: int
    ) -> None:
        """Makes the screen.

        Args:
            contents: The content of the image's files.
            image: The image.
            stack: Its layers.
            layer: The layer on top, where symbolic links are followed.
            row: The version to show.
        """
        super().__init__()
        self.row = row
        self.job: ContentJob | None = None
        self.hex: bool | None = None
        self.view = ContentView()
        self._prompt = Prompt(self._end_prompt)
        self._contents = contents
        self._image = image
        self._stack = stack
        self._layer = layer
        self._title = TitleBar()
        self.keys = KeyBar(HINTS)
        self._hex_rows: HexRows | None = None
        self._versions = [row]
        self._marked = -1
        self.going = Going(self)
        self._finder = Finder(self)
        self._keeper = Keeper(self)

    def compose(self) -> ComposeResult:
        """Title, file, keys."""
        yield self._title
        yield self.view
        with Container(id="bottom"):
            yield self.keys
            yield self._prompt

    def on_mount(self) -> None:
        """Begins to read."""
        self._open(self.row)

    def on_unmount(self) -> None:
        """Ends what is being read."""
        if self.job is not None:
            self.job.close()

    # What is shown.

    @property
    def path(self) -> bytes:
        """The path of the version."""
        return self._stack.tree.path(int(self._stack.nodes[self.row]))

    def _open(self, row: int) -> None:
        if self.job is not None:
            self.job.close()
        self.row, self.job, self.hex, self._hex_rows = row, None, None, None
        self._versions = self._stack.versions(int(self._stack.nodes[row]))
        self.going.forget()
        self._finder.forget()
        self._marked = -1
        self.view.top = 0
        kind = EntryType(int(self._stack.types[row]))
        self.view.show(None, [])
        if kind is EntryType.FILE:
            self.view.set_placeholder(("Reading…", "muted"))
            name = decode(self.path)
            self.job = ContentJob(self._contents, self._stack, row, name, self.post_message)
        elif kind is EntryType.SYMLINK:
            self.view.show(None, link_facts(self._stack, row, self._layer))
        else:
            noun = "folder" if kind is EntryType.DIR else "device or pipe"
            self.view.set_placeholder((f"This version is a {noun}. It has no content.", "text"))
        self.tell()
        self.refresh_bindings()

    def on_content_changed(self, message: ContentChanged) -> None:
        """Shows what has been read."""
        job = message.job
        if job is not self.job:
            return
        if job.problem is not None and job.text is None:
            self.view.set_placeholder((job.problem.message, "warning"), (job.problem.hint, "muted"))
        elif job.text is not None:
            if self.hex is None and job.description is not None:
                self.hex = job.description.encoding is None
            self._show()
            self.going.arrive()
            self._finder.arrive()
            self._want_syntax()
        self.tell()
        self.refresh_bindings()

    def _show(self) -> None:
        """Shows text or bytes, whichever is wanted."""
        job = self.job
        if job is None or job.text is None or job.content is None:
            return
        facts = facts_of(job.description)
        if self.hex:
            rows = self._hex_rows
            fresh = HexRows(job.content, max(20, self.view.size.width - 1))
            if rows is None or rows.width != fresh.width:
                rows = self._hex_rows = fresh
            rows.available = min(job.content.available, job.content.size)
            shown: TextRows | HexRows = rows
        else:
            shown = job.text
            if shown.current != self._marked:
                job.text.forget()
        shown.matches, shown.current = job.matches, self._marked
        if self.view.rows is not shown or self.view.facts != facts:
            self.view.show(shown, facts)
        else:
            self.view.update()
        if not shown.count and not facts:
            self.view.set_placeholder(("This file is empty.", "muted"))

    def mark(self, offset: int) -> None:
        """Marks the match at an offset as the one that the user is at; -1 for none."""
        self._marked = offset
        self._show()

    # What the title and the border say.

    def tell(self) -> None:
        """Says what is shown, and where in it the view is."""
        path, facts, right = title_of(self._image, self._stack, self.row, self.job)
        room = max(16, self.size.width - len(right) - 18)
        if len(path) > room:
            # The name matters more than the folders.
            path = ELLIPSIS + path[-room + 1 :]
        self._title.set_image(path, facts)
        self._title.set_right(right)
        versions = self._versions
        title = ""
        if len(versions) > 1:
            title = f"Version {versions.index(self.row) + 1} of {len(versions)}"
        modes = [title, "hex" if self.hex else "", "wrapped" if self.view.wrap else ""]
        self.view.set_texts(SEPARATOR.join(part for part in modes if part), self._place())

    def _place(self) -> str:
        job = self.job
        if job is None or job.content is None or job.text is None:
            return ""
        parts = [self._finder.text(), self._keeper.text]
        if job.problem is not None:
            parts.append(job.problem.message)
        size = job.content.size
        visible_rows = self.view.visible_rows
        if self.hex and self._hex_rows is not None:
            parts.append(hex_place(self._hex_rows, size, *visible_rows))
        else:
            parts.append(text_place(job, *visible_rows))
        if job.busy and size:
            done = job.text.index.offset
            parts.append(f"reading {docker_size(done)} of {docker_size(size)}")
        return SEPARATOR.join(part for part in parts if part)

    def on_resize(self) -> None:
        """Another size: other paths fit, and other numbers of bytes."""
        self.call_after_refresh(self._resized)

    def _resized(self) -> None:
        offset = self.going.here
        self._show()
        if self.hex and offset:
            self.going.to_byte(offset)
        self.tell()

    # Where the view is.

    def on_content_view_scrolled(self) -> None:
        """Looks for more before it is needed."""
        job = self.job
        if job is None or job.text is None:
            return
        _, last = self.view.visible_rows
        if last > self.view.row_count - _AHEAD and not job.busy:
            index = job.text.index
            if not index.complete and (not self.hex or self.streaming):
                job.want(index.offset + EAGER)
        self._want_syntax()
        self.tell()

    def on_content_view_end_wanted(self) -> None:
        """Goes to the end, which may have to be found first."""
        self.going.to_end()
        self.tell()
        self.refresh_bindings()

    @property
    def streaming(self) -> bool:
        """Whether not all of the content is there yet."""
        content = self.job.content if self.job is not None else None
        return content is not None and content.available < content.size

    def _want_syntax(self) -> None:
        if self.job is not None and not self.hex and self.job.text is not None:
            first, last = self.view.visible_rows
            self.job.want_syntax(first, min(last, self.job.text.count - 1))

    # Keys.

    def why_not(self, action: str, parameters: tuple[object, ...]) -> str:
        """Why a key means nothing now, in a sentence; empty if it does mean something."""
        if action == "version" and len(self._versions) < 2:
            return "This is the only version of the path."
        if action == "follow" and self._stack.types[self.row] != EntryType.SYMLINK:
            return "Only symbolic links can be followed."
        if action == "cancel" and not self._under_way:
            return "Nothing is being read."
        if action == "next_match":
            return self._finder.why_not()
        if action in _NEED_CONTENT and (self.job is None or self.job.text is None):
            return "There is no content to show."
        if action in ("wrap", "numbers") and self.hex:
            return "That is for text; x goes back to it."
        return ""

    @property
    def _under_way(self) -> bool:
        busy = self.job is not None and self.job.busy
        return self.going.waiting or busy or self._finder.under_way or self._keeper.under_way

    def action_back(self) -> None:
        """Goes back, or stops what was asked for last."""
        if self.going.waiting or self._finder.under_way or self._keeper.under_way:
            self.action_cancel()
        else:
            self.dismiss()

    def action_cancel(self) -> None:
        """Stops reading and finding."""
        self.going.forget()
        self._keeper.cancel()
        if self.job is not None:
            self.job.stop()
        self.tell()
        self.refresh_bindings()

    def action_hex(self) -> None:
        """Shows bytes, or text, at the same place."""
        job = self.job
        if job is None:
            return
        offset = self.going.here
        self.hex = not self.hex
        if not self.hex:
            job.want(offset + EAGER)
        self._show()
        if offset:
            self.going.to_byte(offset)
        self._want_syntax()
        self.tell()
        self.refresh_bindings()

    def action_wrap(self) -> None:
        """Wraps long lines, or not."""
        self.view.set_wrap(not self.view.wrap)
        self.tell()

    def action_numbers(self) -> None:
        """Shows or hides numbers of lines."""
        self.view.numbers = not self.view.numbers
        self.view.update()

    def action_version(self, step: int) -> None:
        """Shows the version before or after this one."""
        versions = self._versions
        at = versions.index(self.row) + step
        if not 0 <= at < len(versions):
            self.say(f"This is the {'first' if step < 0 else 'last'} version of the path.")
            return
        self._open(versions[at])

    def action_follow(self) -> None:
        """Shows what a symbolic link leads to."""
        try:
            row = followed(self._stack, self.row, self._layer)
        except LookupFailedError as error:
            self.say(f"The link leads nowhere: {error}.")
            return
        if self._stack.types[row] != EntryType.FILE:
            self.say("The link leads to a folder, which has no content.")
            return
        self._open(row)

    def action_find(self) -> None:
        """Asks what to find."""
        self._finder.ask()

    def action_next_match(self, step: int) -> None:
        """Goes to the next or previous match."""
        self._finder.go(step)

    def action_go(self) -> None:
        """Asks where to go."""
        self.going.ask()

    def action_save(self) -> None:
        """Asks where to save."""
        self._keeper.ask_where()

    def action_pager(self) -> None:
        """Shows a copy in the pager."""
        self._keeper.show_in_pager()

    def action_editor(self) -> None:
        """Shows a copy in the editor."""
        self._keeper.show_in_editor()

    def on_kept(self, message: Kept) -> None:
        """A copy has been made."""
        self._keeper.kept(message)
        self.tell()

    def ask(self, label: str, text: str, hint: str, answer: Callable[[str], None]) -> None:
        """Asks for something in place of the keys; see `Prompt.ask`."""
        self.keys.display = False
        self._prompt.ask(label, text, hint, answer)

    def _end_prompt(self) -> None:
        self.keys.display = True
        self.set_focus(self.view, scroll_visible=False)
        self.refresh_bindings()
