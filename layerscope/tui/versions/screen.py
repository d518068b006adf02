"""The screen with the versions of a path: which layers wrote, changed and hid it, and how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from textual import events
from textual.widget import Widget

from layerscope.filesystem.change import Aspect, Change, aspect_words
from layerscope.filesystem.changeset import EntryType
from layerscope.filesystem.lookup import Version, path_history
from layerscope.images.files.version_diff import Side, settle_versions
from layerscope.images.summary import unix_time
from layerscope.text import docker_size, visible
from layerscope.tui.destinations import Place
from layerscope.tui.diff.screen import DiffScreen
from layerscope.tui.diff.view import SummaryLine
from layerscope.tui.keys import common
from layerscope.tui.keys.key import Key
from layerscope.tui.rows.format import mode, moment, plural
from layerscope.tui.rows.row_view import RowView
from layerscope.tui.versions.version_list import VersionList, VersionRow

_TIP = "Compare the next {} version with the one below it"


class VersionsScreen(DiffScreen):
    def _removed(self) -> str:
        if self.versions[self.list.cursor].change is Change.REMOVED:
            return "This layer removed the path: its content is in the version below."
        return ""

    KEYS = (
        *common.pane_keys("diff"),
        common.copy_key("versions"),
        *common.step_keys(
            "version",
            ("diff.older", "left_square_bracket", -1, "Older version", _TIP.format("older")),
            ("diff.newer", "right_square_bracket", 1, "Newer version", _TIP.format("newer")),
            hint="diff",
            group="Version",
        ),
        Key(
            "diff.content",
            "v",
            "visit('content')",
            "View",
            "Show the whole version",
            _removed,
            "versions",
        ),
        common.zoom_key("diff", "diff"),
    )

    def __init__(self, place: Place) -> None:
        session, view, node = place.session, place.view, place.node
        assert session is not None and view is not None and node is not None  # noqa: S101, PT018
        assert session.contents is not None and session.image is not None  # noqa: S101, PT018
        super().__init__(view.stack.tree.path(node))
        #: The versions of the path, the newest first.
        self.versions = path_history(view.stack, node)[::-1]
        self.list = VersionList()
        self._from = place
        self._contents = session.contents
        self._image = session.image
        self._stack = view.stack
        self._node = node
        self._layer = view.layer
        self._shown_pair: tuple[int | None, int] | None = None

    @property
    def panes(self) -> Sequence[Widget]:
        return (self.list, self.view)

    @property
    def ring(self) -> Sequence[Widget]:
        return (self.view,) if self.has_class("-zoomed") else self.panes

    @property
    def place(self) -> Place:
        version = self.versions[self.list.cursor]
        return replace(
            self._from, row=version.row, layer=version.layer, text=lambda: self.list.row_text
        )

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """On a low screen, shows only the versions or the comparison."""
        if event.widget in self.panes:
            self.set_class(event.widget is self.list, "-at-list")

    def on_mount(self) -> None:
        """Shows the versions, and starts comparing their contents."""
        rows = (row for row, each in enumerate(self.versions) if each.layer <= self._layer)
        self.list.show(self._rows(), next(rows, 0))
        self.list.set_status(plural(len(self.versions), "version"))
        self._compare_pair()
        stack, contents = self._stack, self._contents
        unread = [row for row in stack.versions(self._node) if stack.unread[row]]
        if unread:
            self.work.start(
                "settle",
                lambda task: settle_versions(stack, contents, unread, task.progress.advance),
                self._settled,
            )

    def _settled(self, _: None) -> None:
        self.versions = path_history(self._stack, self._node)[::-1]
        self.list.show(self._rows())

    # The comparison.

    def on_row_view_moved(self, message: RowView.Moved) -> None:
        """Compares other versions, once for all queued moves."""
        super().on_row_view_moved(message)
        if message.view is self.list:
            self.list.redraw()
            self._compare_pair()

    def on_version_list_marked(self) -> None:
        self._compare_pair()
        self.refresh_bindings()

    def on_row_view_chosen(self, message: RowView.Chosen) -> None:
        if message.view is self.list:
            self.go(self.view)

    def _compare_pair(self) -> None:
        pair = self.list.pair
        if pair == self._shown_pair:
            return
        self._shown_pair = pair
        old, new = (None if row is None else self.versions[row] for row in pair)
        head = [
            SummaryLine(f"{sign} layer {version.layer}", None, self._instruction(version))
            for sign, version in (("---", old), ("+++", new))
            if version is not None
        ]
        self.compare(self._side(old), self._side(new), head)

    def _side(self, version: Version | None) -> Side | None:
        if version is None or version.change is Change.REMOVED:
            return None
        return Side(self._stack, version.row, self._contents)

    def _instruction(self, version: Version) -> str:
        text = self._image.layers[version.layer].made_by
        return f"removed by {text}" if version.change is Change.REMOVED else text

    # Texts.

    @property
    def facts(self) -> str:
        return f"in {visible(self._image.reference)}"

    def _rows(self) -> list[VersionRow]:
        created = {entry.layer: entry.created for entry in self._image.history}
        return [self._row(each, _moment_of(created.get(each.layer))) for each in self.versions]

    def _row(self, version: Version, created: str) -> VersionRow:
        stack, row = self._stack, version.row
        instruction = self._image.layers[version.layer].made_by
        if version.change is Change.REMOVED:
            return VersionRow(version.layer, version.change, instruction, created, "removed")
        kind = int(stack.types[row])
        return VersionRow(
            version.layer,
            version.change,
            instruction,
            created,
            _changed(version, kind),
            size=docker_size(int(stack.sizes[row])) if kind == EntryType.FILE else "",
            mode=mode(kind, int(stack.modes[row])),
            owner=f"{int(stack.uids[row])}:{int(stack.gids[row])}",
            modified=moment(int(stack.mtimes[row])),
            hidden="" if version.hidden_by is None else f"layer {version.hidden_by}",
        )

    # Keys.

    def action_version(self, step: int) -> None:
        place = self.list.cursor - step
        if 0 <= place < len(self.versions):
            self.list.move_to(place)
        else:
            self.say(f"This is the {'newest' if step > 0 else 'oldest'} version.")

    def action_zoom(self) -> None:
        super().action_zoom()
        self.go(self.view)

    def action_back(self) -> None:
        if not self.view.needle and self.list.marked:
            self.list.clear_marks()
        elif not self.view.needle and self.has_class("-zoomed"):
            self.action_zoom()
        else:
            super().action_back()


def _changed(version: Version, kind: int) -> str:
    """Returns how a version differs from the one below, in a few words."""
    if version.change is Change.ADDED:
        return "added"
    words = " ".join(aspect_words(version.aspects))
    if kind == EntryType.FILE and not version.aspects & (Aspect.CONTENT | Aspect.TYPE):
        same = "same content" if version.content_known else "content not compared"
        return f"{words}, {same}" if words else same
    return words or "nothing"


def _moment_of(created: str | None) -> str:
    at = unix_time(created)
    return moment(at) if at else ""
