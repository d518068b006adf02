"""How an entry of the file tree looks: its columns, made of the columns of a view."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from rich.style import Style

from layerscope.text import decode, docker_size, visible
from layerscope.tui.format import Heading, Line, cut, left, mode, moment, right
from layerscope.tui.glyphs import ASCENDING, CLOSED, DESCENDING, DOT, OPEN
from layerscope.tui.theme import Palette

if TYPE_CHECKING:
    from layerscope.filesystem.rows import TreeRows

_CHANGED_BELOW = DOT
_SYMLINK, _DIR, _CHAR, _BLOCK, _HARDLINK = 2, 3, 4, 5, 1


class FileRows:
    """Makes lines of the rows of a tree.

    Attributes:
        rows: The rows.
        pattern: What to underline in names.
    """

    #: What columns are called, by what rows are sorted by with them.
    TITLES: ClassVar[Mapping[str, str]] = {
        "mode": "Mode",
        "owner": "Owner",
        "size": "Size",
        "modified": "Modified (UTC)",
    }

    def __init__(self, rows: TreeRows) -> None:
        self.rows = rows
        self.pattern: re.Pattern[bytes] | None = None
        self._owner = 5
        self._measured: object = None

    def header(self, width: int, colors: Palette) -> Line:
        """The names of the columns, the one that sorts marked by an arrow."""
        sort, reverse = self.rows.sort.value, self.rows.reverse
        line: Line = []

        def title(name: str, key: str, size: int, flush: bool) -> None:
            mark = sort == key
            # Names and changes begin with the first, sizes and times with the greatest.
            down = (key in ("size", "modified")) != reverse
            text = f"{name} {DESCENDING if down else ASCENDING}".strip() if mark else name
            text = right(text, size) if flush else left(text, size)
            line.append((text + " ", colors.accent if mark else colors.muted))

        line.append((" ", colors.muted))
        for key, size in self._columns(width):
            title(self.TITLES[key], key, size, key not in ("mode", "modified"))
        title("", "change", 1, False)
        title(" Name", "name", 12, False)
        return line

    def headings(self, width: int) -> list[Heading]:
        """The columns that can be sorted by, as far as rows can be."""
        keys = {key.value for key in type(self.rows.sort)}
        found = []
        start = 1
        for key, size in self._columns(width):
            found.append(Heading(start, start + size, key))
            start += size + 1
        found.append(Heading(start, start + 2, "change"))
        found.append(Heading(start + 2, width, "name"))
        return [heading for heading in found if heading.key in keys]

    def name_column(self, width: int) -> int:
        """Where the tree begins, behind the columns."""
        return 3 + sum(size + 1 for _, size in self._columns(width))

    def line(self, node: int, width: int, colors: Palette) -> Line:
        """The line of a node."""
        rows = self.rows
        view, tree, stack = rows.view, rows.tree, rows.view.stack
        version = int(view.versions[node])
        change = int(view.changes[node])
        folder = version < 0 or int(stack.types[version]) == _DIR
        style = colors.change(change)
        if not change and version < 0:
            style = colors.muted
        letter, mark = " AMR"[change], style
        if not change and folder and view.touched[node]:
            letter, mark = _CHANGED_BELOW, colors.muted
        text = " "
        for key, size in self._columns(width):
            text += self._cell(key, size, node, version) + " "
        used = len(text) + 2
        depth = int(tree.depths[node]) - 1
        # Deep trees keep room for names.
        indent = min(2 * depth, max(0, (width - used) // 2))
        arrow = "  "
        # Not of folders alone: what replaced a folder has the removed files below it.
        if rows.has_children(node):
            is_open = rows.expanded[node] or rows.matches is not None
            arrow = f"{OPEN if is_open else CLOSED} "
        name = tree.name(node)
        room = width - used - indent - 2
        # What has one colour is together: each change of colour costs as much as a name.
        line: Line = [(text, colors.muted), (f"{letter} {' ' * indent}{arrow}", mark)]
        line += self._name(name, folder, room, style, colors)
        if version >= 0 and room > 0:
            line += self._target(version, room - len(name), colors)
        return line

    def _cell(self, key: str, size: int, node: int, version: int) -> str:
        view, stack = self.rows.view, self.rows.view.stack
        if key == "size":
            if version >= 0 and int(stack.types[version]) in (_CHAR, _BLOCK):
                device = stack.device(version)
                return right(f"{device[0]},{device[1]}" if device else "", size)
            if version >= 0 and int(stack.types[version]) not in (0, _DIR):
                return " " * size
            return right(docker_size(int(view.sizes[node])), size)
        if version < 0:
            return " " * size
        if key == "mode":
            return left(mode(int(stack.types[version]), int(stack.modes[version])), size)
        if key == "owner":
            return right(f"{int(stack.uids[version])}:{int(stack.gids[version])}", size)
        return left(moment(int(stack.mtimes[version])), size)

    def _columns(self, width: int) -> list[tuple[str, int]]:
        columns = []
        if width >= 54:
            columns.append(("mode", 10))
        if width >= 44:
            columns.append(("owner", self._owner_width()))
        columns.append(("size", 7))
        if width >= 104 or self.rows.sort.value == "modified":
            columns.append(("modified", 16))
        return columns

    def _owner_width(self) -> int:
        stack = self.rows.view.stack
        if self._measured is not stack:
            self._measured = stack
            largest = [int(column.max(initial=0)) for column in (stack.uids, stack.gids)]
            self._owner = max(7, min(15, sum(len(str(n)) for n in largest) + 1))
        return self._owner

    def _name(self, name: bytes, folder: bool, room: int, style: Style, colors: Palette) -> Line:
        if folder:
            style = style + colors.strong
        found = self.pattern.search(name) if self.pattern is not None else None
        if found is None or not found.group():
            return [(cut(visible(name), room), style)]
        text = cut(visible(name), room)
        start = len(visible(decode(name[: found.start()])))
        end = start + len(visible(decode(found.group())))
        return [
            (text[:start], style),
            (text[start:end], style + colors.match),
            (text[end:], style),
        ]

    def _target(self, version: int, room: int, colors: Palette) -> Line:
        stack = self.rows.view.stack
        kind = int(stack.kinds[version])
        if kind not in (_SYMLINK, _HARDLINK):
            return []
        target = stack.link(version)
        if target is None:
            return []
        text = f" -> {visible(target)}"
        if kind == _HARDLINK:
            text = f" link to /{visible(target)}"
        return [(cut(text, max(0, room)), colors.muted)]
