"""The files in which two images differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from layerscope.filesystem.change import Change
from layerscope.text import docker_size
from layerscope.tui.rows.file_rows import FileRows
from layerscope.tui.rows.file_tree import FileTree
from layerscope.tui.rows.format import Line, cut, right
from layerscope.tui.terminal.theme import Palette

if TYPE_CHECKING:
    from layerscope.filesystem.rows import TreeRows

_DIR = 3


class PairRows(FileRows):
    """Lines with the size in both images, and how the path differs."""

    TITLES: ClassVar[Mapping[str, str]] = {
        **FileRows.TITLES,
        "before": "Size A",
        "after": "Size B",
        "size": "Change",
    }

    def _columns(self, width: int) -> list[tuple[str, int]]:
        columns: list[tuple[str, int]] = []
        if width >= 100:
            columns += [("mode", 10), ("owner", self._owner_width())]
        if width >= 56:
            columns += [("before", 7), ("after", 7)]
        columns.append(("size", 8))
        if width >= 124 or self.rows.sort.value == "modified":
            columns.append(("modified", 16))
        return columns

    def _cell(self, key: str, size: int, node: int, version: int) -> str:
        from layerscope.filesystem.pair import PairView

        view = self.rows.view
        if key not in ("before", "after", "size") or not isinstance(view, PairView):
            return super()._cell(key, size, node, version)
        before, after = int(view.before[node]), int(view.after[node])
        if key == "size":
            sign = "+" if after > before else "-"
            text = f"{sign}{docker_size(abs(after - before))}" if after != before else ""
            return right(text, size)
        # An image that lacks the path has no size for it.
        if view.changes[node] == (Change.ADDED if key == "before" else Change.REMOVED):
            return " " * size
        kind = int(view.stack.types[version]) if version >= 0 else _DIR
        text = docker_size(before if key == "before" else after) if kind in (0, _DIR) else ""
        return right(text, size)

    def _target(self, version: int, room: int, colors: Palette) -> Line:
        from layerscope.filesystem.change import aspect_words
        from layerscope.filesystem.pair import aspects_of

        stack = self.rows.view.stack
        line = super()._target(version, room, colors)
        if stack.changes[version] != Change.MODIFIED or stack.layers[version] == 0:
            return line
        words = aspect_words(aspects_of(stack, version))
        if stack.unread[version]:
            words.append("content not compared")
        used = sum(len(text) for text, _ in line)
        return [*line, (cut(f"  {', '.join(words)}", max(0, room - used)), colors.muted)]


class PairTree(FileTree):
    def drawn(self, rows: TreeRows) -> FileRows:
        return PairRows(rows)

    def go_to_file(self, step: int) -> bool:
        """Moves to the next or previous file that differs, if any."""
        if self.rows is None:
            return False
        view, nodes = self.rows.view, self.rows.nodes
        row = self.cursor + step
        while 0 <= row < self.row_count:
            node = int(nodes[row])
            version = int(view.versions[node])
            if version >= 0 and view.changes[node] and int(view.stack.types[version]) != _DIR:
                self.move_to(row)
                return True
            row += step
        return False
