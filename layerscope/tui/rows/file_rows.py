"""Renders the rows of the file tree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from rich.style import Style

from layerscope.text import docker_size, visible
from layerscope.tui.rows.format import Heading, Line, bar, cut, left, mode, moment, right
from layerscope.tui.terminal.glyphs import ASCENDING, CLOSED, DESCENDING, DOT, OPEN
from layerscope.tui.terminal.theme import Palette

if TYPE_CHECKING:
    from layerscope.filesystem.rows import TreeRows
    from layerscope.patterns import PathPattern

_CHANGED_BELOW = DOT
_PER_CENT, _BAR = 5, 10
#: The least widths for percentages and bars. A pane that has the screen to itself sends more
#: rows, so it shows no bar unless it is wide.
_WITH_BAR, _ALONE_WITH_SHARE, _ALONE_WITH_BAR = 90, 60, 124
_SYMLINK, _DIR, _CHAR, _BLOCK, _HARDLINK = 2, 3, 4, 5, 1
_REMOVED = 3


class FileRows:
    #: Column headings by sort key.
    TITLES: ClassVar[Mapping[str, str]] = {
        "mode": "Mode",
        "owner": "Owner",
        "size": "Size",
        "share": "Share of folder",
        "modified": "Modified (UTC)",
    }

    def __init__(self, rows: TreeRows) -> None:
        self.rows = rows
        self.pattern: PathPattern | None = None  # What to underline in names.
        self.alone = False  # Whether the pane has the screen to itself.
        self._owner = 5
        self._measured: object = None

    def header(self, width: int, colors: Palette) -> Line:
        """Returns the headings, with an arrow at the sort column."""
        sort, reverse = self.rows.sort.value, self.rows.reverse
        line: Line = []

        def title(name: str, key: str, size: int, flush: bool) -> None:
            mark = sort == key
            # Names and changes are ascending by default, sizes and times descending.
            down = (key in ("size", "modified")) != reverse
            text = f"{name} {DESCENDING if down else ASCENDING}".strip() if mark else name
            text = right(text, size) if flush else left(text, size)
            line.append((text + " ", colors.accent if mark else colors.muted))

        line.append((" ", colors.muted))
        for key, size in self._columns(width):
            name = "Share" if size == _PER_CENT else self.TITLES[key]
            title(name, key, size, key not in ("mode", "owner", "share", "modified"))
        # The letters have a heading only while they sort the rows.
        title("Kind" if sort == "change" else "", "change", self._kind_width, False)
        title(" Name", "name", 12, False)
        return line

    def headings(self, width: int) -> list[Heading]:
        """Returns the headings of sortable columns."""
        keys = {key.value for key in type(self.rows.sort)}
        found = []
        start = 1
        for key, size in self._columns(width):
            found.append(Heading(start, start + size, key))
            start += size + 1
        end = start + self._kind_width + 1
        found += [Heading(start, end, "change"), Heading(end, width, "name")]
        return [heading for heading in found if heading.key in keys]

    @property
    def _kind_width(self) -> int:
        return 6 if self.rows.sort.value == "change" else 1

    def name_start(self, node: int, width: int) -> int:
        """Returns the first cell of a node's arrow and name."""
        used = 3 + sum(size + 1 for _, size in self._columns(width))
        # Limits the indentation, to keep room for names.
        return used + min(2 * (int(self.rows.tree.depths[node]) - 1), max(0, (width - used) // 2))

    def line(self, node: int, width: int, colors: Palette) -> Line:
        rows = self.rows
        view, tree, stack = rows.view, rows.tree, rows.view.stack
        version = int(view.versions[node])
        change = int(view.changes[node])
        folder = version < 0 or int(stack.types[version]) == _DIR
        style = colors.change(change)
        letter = " AMR"[change]
        if not change and (version < 0 or int(stack.layers[version]) == view.layer):
            # The layer contains it only because of the paths below.
            style = colors.muted
        if not change and folder and view.touched[node]:
            letter = _CHANGED_BELOW
        text = " "
        for key, size in self._columns(width):
            text += self._cell(key, size, node, version) + " "
        start = self.name_start(node, width)
        indent = start - len(text) - 2
        arrow, ending = "  ", "/" if folder else ""
        # Not only for folders: a file that replaced a folder has removed files below it.
        if rows.has_children(node):
            ending = ""
            is_open = rows.expanded[node] or rows.matches is not None
            arrow = f"{OPEN if is_open else CLOSED} "
        name = tree.name(node)
        room = width - start - 2
        # Groups cells by colour, since a change of colour costs as much output as a name.
        line: Line = [(text, colors.muted), (f"{letter} {' ' * indent}{arrow}", style)]
        line += self._name(name, ending, room, style, colors)
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
        if key == "share":
            return self._share(node, size)
        if version < 0:
            return " " * size
        if key == "mode":
            return left(mode(int(stack.types[version]), int(stack.modes[version])), size)
        if key == "owner":
            return left(f"{int(stack.uids[version])}:{int(stack.gids[version])}", size)
        return left(moment(int(stack.mtimes[version])), size)

    def _share(self, node: int, size: int) -> str:
        """Returns the share of the parent folder as a percentage and a bar, as in ncdu."""
        view = self.rows.view
        above = int(self.rows.tree.parents[node])
        own, total = int(view.sizes[node]), int(view.sizes[above])
        # A removed entry is no part of an existing folder.
        gone = int(view.changes[node]) == _REMOVED != int(view.changes[above])
        if gone or not own or not total:
            return " " * size
        share = own / total
        per_cent = right(f"{100 if share >= 1 else min(99, round(100 * share))}%", _PER_CENT)
        return per_cent if size == _PER_CENT else f"{per_cent} {bar(share, _BAR)}"

    def _columns(self, width: int) -> list[tuple[str, int]]:
        columns = []
        if width >= 54:
            columns.append(("mode", 10))
        if width >= 44:
            columns.append(("owner", self._owner_width()))
        columns.append(("size", 7))
        if width >= (_ALONE_WITH_BAR if self.alone else _WITH_BAR):
            columns.append(("share", _PER_CENT + 1 + _BAR))
        elif self.alone and width >= _ALONE_WITH_SHARE:
            columns.append(("share", _PER_CENT))
        if width >= (124 if self.alone else 104) or self.rows.sort.value == "modified":
            columns.append(("modified", 16))
        return columns

    def _owner_width(self) -> int:
        stack = self.rows.view.stack
        if self._measured is not stack:
            self._measured = stack
            largest = [int(column.max(initial=0)) for column in (stack.uids, stack.gids)]
            self._owner = max(7, min(15, sum(len(str(n)) for n in largest) + 1))
        return self._owner

    def _name(self, name: bytes, ending: str, room: int, style: Style, colors: Palette) -> Line:
        found = self.pattern.span(name) if self.pattern is not None else None
        text = cut(visible(name) + ending, room)
        if found is None or found[0] == found[1]:
            return [(text, style)]
        start = len(visible(name[: found[0]]))
        end = start + len(visible(name[found[0] : found[1]]))
        return [(text[:start], style), (text[start:end], style + colors.match), (text[end:], style)]

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
