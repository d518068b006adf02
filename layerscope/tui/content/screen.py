"""The screen that shows the content of a version of a file."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from textual.app import ComposeResult

from layerscope.filesystem.changeset import EntryType
from layerscope.filesystem.lookup import LookupFailedError, resolve
from layerscope.reports.description_report import fact_text
from layerscope.text import decode, docker_size, visible
from layerscope.tui.content.export import Export
from layerscope.tui.content.find import Finder
from layerscope.tui.content.navigation import Navigation
from layerscope.tui.content.view import ContentView
from layerscope.tui.content.work import EAGER, Opened, OpenFile, open_file
from layerscope.tui.destinations import Place
from layerscope.tui.dialogs.prompt import PromptScreen
from layerscope.tui.keys import common
from layerscope.tui.keys.key import ALWAYS, Key
from layerscope.tui.keys.key_bar import key_of
from layerscope.tui.rows.format import plural
from layerscope.tui.rows.text_rows import HexRows, TextRows
from layerscope.tui.terminal.glyphs import RANGE, SEPARATOR
from layerscope.tui.work import Problem

if TYPE_CHECKING:
    from layerscope.content.description import Description
    from layerscope.filesystem.stack import Stack

#: Reads on when the view is this many rows from the last known one.
_AHEAD = 2000

#: Titles and texts, safe to show.
Facts = list[tuple[str, str]]

#: Kinds that the screen's title describes completely.
_PLAIN = frozenset(("text", "script"))


def file_facts(found: Description | None) -> Facts:
    if found is None or not found.facts or found.kind in _PLAIN:
        return []
    facts = [(fact.title, fact_text(fact)) for fact in found.facts]
    return [("Kind", visible(found.summary)), *facts]


def followed(stack: Stack, row: int, layer: int) -> int:
    """Resolves a symbolic link, in the merged view with `layer` on top.

    A link that is hidden there is resolved in the merged view of its own layer. Raises
    LookupFailedError if it is dangling.
    """
    own = int(stack.layers[row])
    if not own <= layer < stack.hidden_by[row]:
        layer = own
    return resolve(stack, stack.tree.path(int(stack.nodes[row])), layer)


def link_facts(stack: Stack, row: int, layer: int) -> Facts:
    target = stack.link(int(stack.inodes[row])) or b""
    facts = [("Kind", EntryType.SYMLINK.noun), ("Target", visible(target))]
    try:
        found = followed(stack, row, layer)
    except LookupFailedError as error:
        return [*facts, ("Leads to", f"nothing: {error}")]
    path = visible(stack.tree.path(int(stack.nodes[found])))
    kind = EntryType(int(stack.types[found]))
    if kind is not EntryType.FILE:
        return [*facts, ("Leads to", f"/{path}, a {kind.noun}")]
    size = docker_size(int(stack.sizes[found]))
    return [*facts, ("Leads to", f"/{path}, {size}"), ("", "enter follows it")]


class ContentScreen(PromptScreen, screen="content", heading="A file"):
    """A file: its text, or its bytes in hexadecimal."""

    CSS_PATH = "content.tcss"

    def _no_file(self) -> str:
        return "There is no content to show." if self.file is None else ""

    def _no_text(self) -> str:
        if self.file is not None and self.file.hex:
            return f"This works only in text: {key_of(self, 'view.hex')} shows it."
        return self._no_file()

    def _no_match(self) -> str:
        return self._no_file() if self._finder is None else self._finder.why_not()

    def _no_link(self) -> str:
        link = self._stack.types[self.row] == EntryType.SYMLINK
        return "" if link else "Only symbolic links can be followed."

    def _nothing_to_stop(self) -> str:
        opening = self.work.busy("open")
        reading = self.file is not None and self.file.reading
        return "" if opening or reading or self._waiting else "Nothing is being read."

    def _one_version(self) -> str:
        return "This is the only version of the path." if len(self._versions) < 2 else ""

    KEYS = (
        Key("view.back", "escape,q", "back", "Back", hint="*", rank=ALWAYS),
        Key("view.find", "slash", "find", "Find", "Find text or bytes", _no_file, "content"),
        *common.match_keys("view", _no_match, "content"),
        Key(
            "view.hex", "0", "hex", "Hex", "Show bytes in hexadecimal, or text", _no_file, "content"
        ),
        Key("view.wrap", "w", "wrap", "Wrap", "Wrap long lines, or not", _no_text, "content"),
        Key(
            "view.numbers",
            "L,number_sign",
            "numbers",
            "Numbers",
            "Number lines",
            _no_text,
            "content",
        ),
        Key(
            "view.go",
            "colon",
            "go",
            "Go to",
            "Go to a line, an offset such as 0x1f0, or 50%",
            _no_file,
            "content",
        ),
        *common.step_keys(
            "version",
            ("view.older", "left_square_bracket", -1, "Older", "Show the next older version"),
            ("view.newer", "right_square_bracket", 1, "Newer", "Show the next newer version"),
            why_not=_one_version,
            hint="content",
            group="Version",
        ),
        Key("view.follow", "enter", "follow", "Follow", "Follow a symlink", _no_link, "content"),
        Key(
            "view.save",
            "s,ctrl+s",
            "save",
            "Save…",
            "Save the content to a file",
            _no_file,
            "content",
        ),
        Key("view.pager", "p", "pager", "Pager", "Show a copy in $PAGER", _no_file, "content"),
        Key("view.editor", "e", "editor", "Editor", "Show a copy in $EDITOR", _no_file, "content"),
        common.copy_key("view"),
        common.cancel_key("view", "Stop reading or finding", _nothing_to_stop),
    )

    def __init__(self, place: Place) -> None:
        super().__init__()
        session, view, row = place.session, place.view, place.version
        assert session is not None and view is not None and row is not None  # noqa: S101, PT018
        assert session.contents is not None and session.image is not None  # noqa: S101, PT018
        self._from = place
        self.row = row
        self.view = ContentView()
        #: None for a path without content, or while the file is being opened.
        self.file: OpenFile | None = None
        self.navigation: Navigation | None = None
        self._finder: Finder | None = None
        self._hex_rows: HexRows | None = None
        self._contents = session.contents
        self._image = session.image
        self._stack = view.stack
        # The top layer for resolving symbolic links.
        self._layer = view.layer if place.row is None else int(view.stack.layers[row])
        self._versions = [row]
        self._links: list[int] = []  # The symbolic links that led to the file.
        self._export = Export(
            self.work, self.ask, self.say, self.show_status, lambda: self.app.suspend()
        )

    def body(self) -> ComposeResult:
        yield self.view

    def on_mount(self) -> None:
        self._open(self.row)

    def on_unmount(self) -> None:
        self._close()

    @property
    def place(self) -> Place:
        layer = int(self._stack.layers[self.row])
        return replace(self._from, row=self.row, path=self.path, layer=layer)

    # What is shown.

    @property
    def path(self) -> bytes:
        return self._stack.tree.path(int(self._stack.nodes[self.row]))

    def _close(self) -> None:
        self.work.leave("open")
        if self.file is not None:
            self.file.close()
        self.file = self.navigation = self._finder = self._hex_rows = None

    def _open(self, row: int) -> None:
        self._close()
        self.row = row
        self._versions = self._stack.versions(int(self._stack.nodes[row]))
        self.view.top = 0
        self.view.show(None, [])
        kind = EntryType(int(self._stack.types[row]))
        if kind is EntryType.FILE:
            self.view.set_placeholder(("Reading…", "muted"))
            contents, stack, name = self._contents, self._stack, decode(self.path)
            self.work.start(
                "open",
                lambda task: open_file(lambda: contents.open(stack, row), name, task),
                self._opened,
                failed=self._failed,
            )
        elif kind is EntryType.SYMLINK:
            self.view.show(None, link_facts(self._stack, row, self._layer))
        else:
            text = f"This version is a {kind.noun}. It has no content."
            self.view.set_placeholder((text, "text"))
        self._report("")

    def _failed(self, problem: Problem) -> None:
        self.view.set_placeholder((problem.message, "warning"), (problem.hint, "muted"))
        self._report("")

    def _opened(self, opened: Opened) -> None:
        file = self.file = OpenFile(self.work, opened, decode(self.path), self._changed)
        self.navigation = Navigation(file, self.view)
        self._finder = Finder(file, self.navigation)
        self._changed()

    def _changed(self) -> None:
        file, navigation, finder = self.file, self.navigation, self._finder
        if file is None or navigation is None or finder is None:
            return
        if file.hex is None and file.description is not None:
            file.hex = file.description.encoding is None
        self._show()
        navigation.arrive()
        self._report(finder.arrive())
        self._want_syntax()

    def _show(self) -> None:
        file = self.file
        if file is None:
            return
        facts = file_facts(file.description)
        shown: TextRows | HexRows = file.text
        if file.hex:
            rows = self._hex_rows
            fresh = HexRows(file.content, max(20, self.view.size.width - 1))
            if rows is None or rows.width != fresh.width:
                rows = self._hex_rows = fresh
            rows.available = min(file.content.available, file.content.size)
            shown = rows
        elif file.text.current != file.current:
            file.text.forget()
        shown.matches, shown.current = file.matches, file.current
        if self.view.rows is not shown or self.view.facts != facts:
            self.view.show(shown, facts)
        else:
            self.view.update()
        if not shown.count and not facts:
            self.view.set_placeholder(("This file is empty.", "muted"))

    def _report(self, sentence: str) -> None:
        """Updates the view of the file, and shows a sentence if there is one."""
        self._show()
        if sentence:
            self.say(sentence)
        self.show_status()
        self.refresh_bindings()

    # Title and border.

    def show_status(self) -> None:
        layer = int(self._stack.layers[self.row])
        facts = f"layer {layer}  {self._image.layers[layer].made_by}"
        self.title_bar.set_path("/" + visible(self.path), facts, self._kind_and_size())
        versions = self._versions
        number = f"Version {versions.index(self.row) + 1} of {len(versions)}"
        modes = [number] if len(versions) > 1 else []
        modes += ["hex"] if self.file is not None and self.file.hex else []
        modes += ["wrapped"] if self.view.wrap else []
        self.view.set_texts(SEPARATOR.join(modes), self._position())

    def _kind_and_size(self) -> str:
        kind = EntryType(int(self._stack.types[self.row]))
        if kind is not EntryType.FILE:
            return kind.noun
        file = self.file
        size = docker_size(file.content.size if file else int(self._stack.sizes[self.row]))
        described = file.description if file else None
        return f"{visible(described.summary)}{SEPARATOR}{size}" if described else size

    def _position(self) -> str:
        file, finder = self.file, self._finder
        if file is None or finder is None:
            return ""
        size = file.content.size
        first, last = self.view.visible_rows
        problem = "" if file.problem is None else file.problem.message
        parts = [finder.status(), self._export.status, problem]
        if file.hex and self._hex_rows is not None:
            parts.append(_bytes_shown(self._hex_rows, size, first, last))
        else:
            parts.append(_lines_shown(file.text, first, last))
        if file.reading and size:
            parts.append(f"reading {docker_size(file.text.index.offset)} of {docker_size(size)}")
        return SEPARATOR.join(filter(None, parts))

    def on_resize(self) -> None:
        self.call_after_refresh(self._resized)

    def _resized(self) -> None:
        """Adapts the number of bytes per row to the width; the view stays in place."""
        offset = self.navigation.here if self.navigation is not None else 0
        self._show()
        if self.file is not None and self.file.hex and self.navigation is not None and offset:
            self.navigation.to_byte(offset)
        self.show_status()

    # Where the view is.

    def on_content_view_scrolled(self) -> None:
        file = self.file
        if file is None:
            return
        _, last = self.view.visible_rows
        if last > self.view.row_count - _AHEAD and not file.reading:
            index = file.text.index
            if not index.complete and (not file.hex or file.streaming):
                file.want(index.offset + EAGER)
        self._want_syntax()
        self.show_status()

    def on_content_view_end_wanted(self) -> None:
        """Goes to the end; finds it first if necessary."""
        if self.navigation is not None:
            self.navigation.to_end()
        self._report("")

    def _want_syntax(self) -> None:
        if self.file is not None and not self.file.hex:
            first, last = self.view.visible_rows
            self.file.want_syntax(first, min(last, self.file.text.count - 1))

    # Keys.

    @property
    def _waiting(self) -> bool:
        """Whether the user is waiting for a place, a match or a copy."""
        navigation, finder = self.navigation, self._finder
        return (
            (navigation is not None and navigation.waiting)
            or (finder is not None and finder.searching)
            or bool(self._export.status)
        )

    def action_back(self) -> None:
        if self._waiting:
            self.action_cancel()
        elif self._links:
            self._open(self._links.pop())
        else:
            super().action_back()

    def action_cancel(self) -> None:
        self.work.cancel("open")
        self.work.cancel("export")
        if self.navigation is not None:
            self.navigation.forget()
        if self.file is not None:
            self.file.stop()
        self._report("")

    def action_hex(self) -> None:
        file, navigation = self.file, self.navigation
        if file is None or navigation is None:
            return
        offset = navigation.here
        file.hex = not file.hex
        if not file.hex:
            file.want(offset + EAGER)
        self._show()
        if offset:
            navigation.to_byte(offset)
        self._want_syntax()
        self._report("")

    def action_wrap(self) -> None:
        self.view.set_wrap(not self.view.wrap)
        self.show_status()

    def action_numbers(self) -> None:
        self.view.numbers = not self.view.numbers
        self.view.update()

    def action_version(self, step: int) -> None:
        place = self._versions.index(self.row) + step
        if 0 <= place < len(self._versions):
            self._open(self._versions[place])
        else:
            self.say(f"This is the {'first' if step < 0 else 'last'} version.")

    def action_follow(self) -> None:
        try:
            row = followed(self._stack, self.row, self._layer)
        except LookupFailedError as error:
            self.say(f"The link leads nowhere: {error}.")
            return
        kind = EntryType(int(self._stack.types[row]))
        if kind is not EntryType.FILE:
            self.say(f"The link leads to a {kind.noun}, which has no content.")
            return
        self._links.append(self.row)
        self._open(row)

    def action_find(self) -> None:
        file, finder = self.file, self._finder
        if file is not None and finder is not None:
            hint = "Bytes such as 7f 45 4c, or text" if file.hex else "Text"
            self.ask("Find", finder.needle, hint, lambda text: self._report(finder.find(text)))

    def action_next_match(self, step: int) -> None:
        if self._finder is not None:
            self._report(self._finder.go(step))

    def action_go(self) -> None:
        file, navigation = self.file, self.navigation
        if file is not None and navigation is not None:
            line = "" if file.hex else "a line, "
            hint = f"{line}an offset such as 0x1f0, or 50%"
            self.ask("Go to", "", hint, lambda text: self._report(navigation.to(text)))

    def action_save(self) -> None:
        if self.file is not None:
            self._export.ask_where(self.file.content, self._file_name)

    def action_pager(self) -> None:
        if self.file is not None:
            self._export.show(self.file.content, self._file_name, pager=True)

    def action_editor(self) -> None:
        if self.file is not None:
            self._export.show(self.file.content, self._file_name, pager=False)

    @property
    def _file_name(self) -> bytes:
        return self.path.rpartition(b"/")[2]


def _lines_shown(text: TextRows, first: int, last: int) -> str:
    if not text.count or last < first:
        return ""
    index = text.index
    begin, end = index.row(first).line + 1, index.row(min(last, index.rows - 1)).line + 1
    more = "" if index.complete else "+"
    return f"{begin:,}{RANGE}{end:,} of {plural(index.lines, 'line')}{more}"


def _bytes_shown(rows: HexRows, size: int, first: int, last: int) -> str:
    if last < first:
        return f"{size:#x} bytes"
    end = min(rows.available, (last + 1) * rows.width)
    return f"{first * rows.width:#x}{RANGE}{end:#x} of {size:#x}"
