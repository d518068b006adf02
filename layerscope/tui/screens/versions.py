"""The screen with the versions of a path: which layer wrote, changed and hid it, and how."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType
from textual.message import Message
from textual.widget import Widget

from layerscope.errors import Cancelled
from layerscope.filesystem.change import Aspect, Change
from layerscope.filesystem.changeset import EntryType
from layerscope.filesystem.lookup import Version, path_history
from layerscope.images.version_diff import Side, settle_versions
from layerscope.reports.entry import aspect_words
from layerscope.text import docker_size, one_line, visible
from layerscope.tui.background import run_beside
from layerscope.tui.format import mode, moment, plural
from layerscope.tui.screens.diff import DiffScreen
from layerscope.tui.screens.diff_keys import VERSION_BINDINGS
from layerscope.tui.told import Told
from layerscope.tui.widgets.row_view import RowView
from layerscope.tui.widgets.version_list import VersionList, VersionRow

if TYPE_CHECKING:
    from layerscope.filesystem.stack import Stack
    from layerscope.images.contents import Contents
    from layerscope.images.image import Image


class VersionsScreen(DiffScreen):
    """All versions of a path, and what differs between two of them.

    Attributes:
        versions: What layers did at the path, the newest first.
        list: The pane with the versions.
    """

    AUTO_FOCUS = "#versions"
    BINDINGS: ClassVar[list[BindingType]] = VERSION_BINDINGS

    class Settled(Message):
        """Content that nobody had compared has been."""

    def __init__(
        self, contents: Contents, image: Image, stack: Stack, node: int, layer: int
    ) -> None:
        """Makes the screen.

        Args:
            contents: The content of the image's files.
            image: The image.
            stack: Its layers.
            node: The path, which has a version.
            layer: The layer whose version the cursor is to be on.
        """
        super().__init__(stack.tree.path(node))
        self.versions = path_history(stack, node)[::-1]
        self.list = VersionList()
        self._contents = contents
        self._image = image
        self._stack = stack
        self._node = node
        self._layer = layer
        self._left = threading.Event()
        self._compared: tuple[int | None, int] | None = None

    @property
    def panes(self) -> Sequence[Widget]:
        """The versions above the diff."""
        return (self.list, self.view)

    @property
    def ring(self) -> Sequence[Widget]:
        """The diff alone while it has the whole screen."""
        return (self.view,) if self.has_class("-zoomed") else self.panes

    def on_mount(self) -> None:
        """Shows the versions, and compares what nobody has compared yet."""
        places = (
            place for place, version in enumerate(self.versions) if version.layer <= self._layer
        )
        self.list.set_versions(self._rows(), next(places, 0))
        self.list.set_texts("Versions", plural(len(self.versions), "version"))
        self._compare()
        unread = [row for row in self._stack.versions(self._node) if self._stack.unread[row]]
        if unread:
            run_beside("settle", lambda: self._settle(unread))

    def on_unmount(self) -> None:
        """Stops what is being read."""
        self._left.set()
        super().on_unmount()

    # What is compared.

    def _settle(self, rows: list[int]) -> None:
        def advance(_: int) -> None:
            if self._left.is_set():
                raise Cancelled

        try:
            settle_versions(self._stack, self._contents, rows, advance)
        except Cancelled:
            return
        self.post_message(self.Settled())

    def on_versions_screen_settled(self) -> None:
        """Says what is known now."""
        self.versions = path_history(self._stack, self._node)[::-1]
        self.list.set_versions(self._rows())

    def on_row_view_moved(self, message: RowView.Moved) -> None:
        """Compares other versions, once however many moves are waiting."""
        super().on_row_view_moved(message)
        if message.view is self.list:
            self.list.redraw()
            self._compare()

    def on_version_list_marked(self) -> None:
        """Compares the marked versions."""
        self._compare()
        self.refresh_bindings()

    def on_row_view_chosen(self, message: RowView.Chosen) -> None:
        """Goes to the diff."""
        if message.view is self.list:
            self.set_focus(self.view, scroll_visible=False)

    def _compare(self) -> None:
        pair = self.list.pair
        if pair == self._compared:
            return
        self._compared = pair
        old, new = (None if place is None else self.versions[place] for place in pair)
        head = [
            Told(f"{sign} layer {version.layer}", None, self._what(version))
            for sign, version in (("---", old), ("+++", new))
            if version is not None
        ]
        self.compare(self._side(old), self._side(new), head)

    def _side(self, version: Version | None) -> Side | None:
        if version is None or version.change is Change.REMOVED:
            return None
        return Side(self._stack, version.row, self._contents)

    def _what(self, version: Version) -> str:
        text = one_line(self._image.layers[version.layer].instruction)
        return f"removed by {text}" if version.change is Change.REMOVED else text

    # What is said.

    @property
    def facts(self) -> str:
        """The image."""
        return f"in {visible(self._image.reference)}"

    def _rows(self) -> list[VersionRow]:
        created = {entry.layer: entry.created for entry in self._image.history}
        return [self._row(version, _when(created.get(version.layer))) for version in self.versions]

    def _row(self, version: Version, created: str) -> VersionRow:
        stack, row = self._stack, version.row
        instruction = one_line(self._image.layers[version.layer].instruction)
        if version.change is Change.REMOVED:
            return VersionRow(
                version.layer, Change.REMOVED, "", "", "", "", created, "", "removed", instruction
            )
        kind = int(stack.types[row])
        hidden = "" if version.hidden_by is None else f"layer {version.hidden_by}"
        return VersionRow(
            layer=version.layer,
            change=version.change,
            size=docker_size(int(stack.sizes[row])) if kind == EntryType.FILE else "",
            mode=mode(kind, int(stack.modes[row])),
            owner=f"{int(stack.uids[row])}:{int(stack.gids[row])}",
            modified=moment(int(stack.mtimes[row])),
            created=created,
            hidden=hidden,
            what=self._changed(version, kind),
            instruction=instruction,
        )

    def _changed(self, version: Version, kind: int) -> str:
        """In what a version differs from the one below, in a few words."""
        if version.change is Change.ADDED:
            return "added"
        words = " ".join(aspect_words(version.aspects))
        if kind == EntryType.FILE and not version.aspects & (Aspect.CONTENT | Aspect.TYPE):
            same = "same content" if version.content_known else "content not compared"
            return f"{words}, {same}" if words else same
        return words or "nothing"

    # Keys.

    def why_not(self, action: str, parameters: tuple[object, ...]) -> str:
        """Why a key means nothing now, in a sentence; empty if it does mean something."""
        if action == "version":
            place = self.list.cursor - (1 if parameters == (1,) else -1)
            if not 0 <= place < len(self.versions):
                return f"This is the {'newest' if place < 0 else 'oldest'} version."
        if action == "content":
            version = self.versions[self.list.cursor]
            kind = int(self._stack.types[version.row])
            if version.change is Change.REMOVED:
                return "What was removed is in the version below."
            if kind not in (EntryType.FILE, EntryType.SYMLINK):
                return f"A {EntryType(kind).label} has no content."
        return super().why_not(action, parameters)

    def action_content(self) -> None:
        """Shows the version under the cursor of the list whole."""
        from layerscope.tui.screens.content import ContentScreen

        version = self.versions[self.list.cursor]
        self.app.push_screen(
            ContentScreen(self._contents, self._image, self._stack, version.layer, version.row)
        )

    def action_version(self, step: int) -> None:
        """Moves to the version above or below."""
        self.list.move_to(self.list.cursor - step)

    def action_zoom(self) -> None:
        """Gives the diff the whole screen, or takes it back."""
        self.toggle_class("-zoomed")
        self.set_focus(self.view, scroll_visible=False)

    def action_back(self) -> None:
        """Takes the marks, ends the search or the zoom, or goes back."""
        if self.view.needle:
            super().action_back()
        elif self.list.marked:
            self.list.clear_marks()
        elif self.has_class("-zoomed"):
            self.action_zoom()
        else:
            super().action_back()


def _when(created: str | None) -> str:
    """An RFC 3339 time as lists show times."""
    from datetime import UTC, datetime

    try:
        return moment(int(datetime.fromisoformat(created or "").astimezone(UTC).timestamp()))
    except (ValueError, OverflowError):
        return ""
