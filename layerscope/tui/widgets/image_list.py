"""Pane 1: the images of an engine, as `docker images` prints them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rich.style import Style
from textual.binding import Binding, BindingType
from textual.message import Message

from layerscope.text import docker_age, docker_size, short_id, visible
from layerscope.tui.format import Heading, Line, left, plural, right
from layerscope.tui.glyphs import ASCENDING, DESCENDING, SEPARATOR
from layerscope.tui.widgets.key_bar import key_of
from layerscope.tui.widgets.row_view import RowView

if TYPE_CHECKING:
    from layerscope.engines.docker import ContainerSummary
    from layerscope.images.stored import ImageSummary
    from layerscope.tui.reclaim_job import Names, PlanMade


@dataclass(slots=True)
class _Row:
    image: ImageSummary
    repository: str
    tag: str
    id: str
    created: str
    size: str
    shared: str
    unique: str


_SORTS = ("created", "name", "size")
_SORTED_BY = {"REPOSITORY": "name", "CREATED": "created", "SIZE": "size"}
_NONE = "<none>"
#: Cells from which there is room for what images share.
_WITH_SHARED = 130


def _key(image: ImageSummary) -> tuple[str, str]:
    """The id of an image, and its name; none if it has none."""
    named = _NONE not in (image.repository, image.tag)
    return image.id, f"{image.repository}:{image.tag}" if named else ""


def _size(size: int | None) -> str:
    return "" if size is None else docker_size(size)


class ImageList(RowView):
    """The images, sorted and filtered.

    Attributes:
        needle: The filter as it was typed.
        marked: Ids and names of the images that are marked; no name if they have none.
    """

    HEADER_ROWS = 1
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter",
            "choose",
            "Open",
            key_display="enter",
            tooltip="Open the image",
            id="images.open",
        ),
        Binding(
            "space",
            "mark",
            "Mark",
            tooltip="Mark the image, to see what removing it would free",
            id="images.mark",
        ),
        Binding(
            "D,delete",
            "remove",
            "Remove…",
            tooltip="Remove the marked images, or this one",
            id="images.remove",
        ),
    ]

    class Marked(Message):
        """Other images are marked."""

    class RemovalWanted(Message):
        """The chosen images are to be removed."""

    def __init__(self) -> None:
        super().__init__("images")
        self.needle = ""
        self.marked: Names = ()
        self._plan = ""
        self._users: dict[str, str] = {}
        self._all: list[_Row] = []
        self._rows: list[_Row] = []
        self._sort = 0
        self._reverse = False

    @property
    def image(self) -> ImageSummary | None:
        """The image under the cursor."""
        return self._rows[self.cursor].image if self._rows else None

    @property
    def total(self) -> int:
        """How many images there are, whatever the filter."""
        return len(self._all)

    def set_listed(
        self, images: Sequence[ImageSummary], now: float, problem: tuple[str, str] | None
    ) -> None:
        """Shows images, or why there are none.

        Args:
            images: The images.
            now: The time that ages are counted from.
            problem: What went wrong, and what to do about it.
        """
        self.set_placeholder(*self._without_images(problem))
        self._all = [
            _Row(
                image,
                visible(image.repository),
                visible(image.tag),
                short_id(visible(image.id)),
                docker_age(image.created, now),
                docker_size(image.size),
                _size(image.shared_size),
                _size(image.unique_size),
            )
            for image in images
        ]
        there = {_key(image) for image in images}
        if not there.issuperset(self.marked):
            self._mark(tuple(each for each in self.marked if each in there))
        self._update()

    def _without_images(self, problem: tuple[str, str] | None) -> list[tuple[str, str]]:
        """What to show in place of images, as lines and their styles."""
        # Not at the top: what is asked when `o` is pressed need not be there for the first paint.
        from layerscope.tui.screens.open import source_lines

        if problem is None:
            lines = [("The engine has no images yet.", "text")]
        else:
            lines = [(problem[0], "warning"), ("", "text"), (problem[1], "text")]
        press = f"Press {key_of(self, 'main.open')} to open something else, by its name:"
        lines += [("", "text"), (press, "text")]
        lines += [(line, "muted") for line in source_lines(without_engine=True)]
        keys = f"{key_of(self, 'app.help')} shows all keys, {key_of(self, 'app.quit')} quits."
        return [*lines, ("", "text"), (keys, "muted")]

    def set_sizes(
        self, images: Sequence[ImageSummary], containers: Sequence[ContainerSummary]
    ) -> None:
        """Shows what images share, and which containers use them."""
        users: dict[str, list[str]] = {}
        for container in containers:
            users.setdefault(container.image_id, []).append(visible(container.name))
        self._users = {image: ", ".join(names) for image, names in users.items()}
        sized = {_key(image): image for image in images}
        for row in self._all:
            found = sized.get(_key(row.image), row.image)
            row.shared = _size(found.shared_size)
            row.unique = _size(found.unique_size)
        self.redraw()

    @property
    def chosen(self) -> Names:
        """What a key for several images means: those that are marked, or that under the cursor."""
        if self.marked or self.image is None:
            return self.marked
        return (_key(self.image),)

    def clear_marks(self) -> None:
        """Marks nothing any more."""
        self._mark(())

    def action_mark(self) -> None:
        """Marks the image under the cursor, or not any more, and goes on to the next."""
        if self.image is None:
            return
        key = _key(self.image)
        kept = tuple(each for each in self.marked if each != key)
        self._mark(kept if key in self.marked else (*kept, key))
        self.move_to(self.cursor + 1)

    def action_remove(self) -> None:
        """Asks whether to remove the chosen images."""
        self.post_message(self.RemovalWanted())

    def set_plan(self, made: PlanMade) -> None:
        """Tells what removing the marked images would do."""
        if made.names != self.marked:
            return
        from layerscope.reports.removal_report import marked_text

        problem = made.problem.message if made.problem is not None else ""
        self._plan = marked_text(made.plan) if made.plan is not None else problem
        self._tell()

    def _mark(self, marked: Names) -> None:
        self.marked = marked
        self._plan = "working out what they would free…"
        self.redraw()
        self._tell()
        self.post_message(self.Marked())

    def filter(self, needle: str) -> None:
        """Shows only images whose name or id has a text in it."""
        self.needle = needle.strip()
        self._update()

    def cycle_sort(self) -> None:
        """Sorts by the next column."""
        self._sort = (self._sort + 1) % len(_SORTS)
        self._reverse = False
        self._update()

    def reverse_sort(self) -> None:
        """Turns the order round."""
        self._reverse = not self._reverse
        self._update()

    def why_not(self, action: str, parameters: tuple[object, ...]) -> str:
        """Nothing can be opened where there is nothing."""
        if self._rows or (action == "remove" and self.marked):
            return ""
        verbs = {"choose": "open", "mark": "mark", "remove": "remove"}
        return f"There is no image here to {verbs[action]}." if action in verbs else ""

    def headings(self, width: int) -> list[Heading]:
        """The columns that it can be sorted by."""
        found = []
        start = 1
        for name, size, _ in self._columns(width):
            if name in _SORTED_BY:
                found.append(Heading(start, start + size, _SORTED_BY[name]))
            start += size + 2
        return found

    def sort_by(self, key: str) -> None:
        """Sorts by a column; turns the order round if it is sorted by that already."""
        place = _SORTS.index(key)
        self._reverse = place == self._sort and not self._reverse
        self._sort = place
        self._update()

    def header(self, row: int, width: int) -> Line:
        """The names of the columns."""
        colors = self.ink
        line: Line = []
        for name, size, flush in self._columns(width):
            key = _SORTED_BY.get(name)
            sorted_by = key == _SORTS[self._sort]
            down = (key != "name") != self._reverse
            text = f"{name} {DESCENDING if down else ASCENDING}" if sorted_by else name
            style = colors.accent if sorted_by else colors.muted
            line.append(((right if flush else left)(text, size), style))
            line.append(("  ", colors.muted))
        return [(" ", colors.muted), *line]

    def row(self, row: int, width: int) -> Line:
        """An image."""
        colors = self.ink
        item = self._rows[row]
        values: dict[str, tuple[str, Style]] = {
            "REPOSITORY": (
                item.repository,
                colors.faint if item.repository == _NONE else colors.text,
            ),
            "TAG": (item.tag, colors.faint if item.tag == _NONE else colors.accent),
            "IMAGE ID": (item.id, colors.muted),
            "CREATED": (item.created, colors.muted),
            "SIZE": (item.size, colors.text),
            "SHARED": (item.shared, colors.muted),
            "UNIQUE": (item.unique, colors.text),
            "IN USE BY": (self._users.get(item.image.id, ""), colors.accent),
        }
        marked = _key(item.image) in self.marked
        line: Line = [("*" if marked else " ", colors.warning)]
        for name, size, flush in self._columns(width):
            text, style = values[name]
            line.append(((right if flush else left)(text, size), style))
            line.append(("  ", colors.text))
        return line

    def _columns(self, width: int) -> list[tuple[str, int, bool]]:
        """Name, width and whether flush right, of the columns that there is room for."""
        created = max((len(row.created) for row in self._all), default=0)
        fixed = [
            ("IMAGE ID", 12, False),
            ("CREATED", max(9, min(created, 22)), False),
            ("SIZE", 7, True),
        ]
        if width >= _WITH_SHARED:
            users = max((len(text) for text in self._users.values()), default=0)
            fixed += [("SHARED", 7, True), ("UNIQUE", 7, True)]
            fixed.append(("IN USE BY", max(9, min(users, width // 6)), False))
        if width < 74:
            fixed = fixed[1:]
        if width < 54:
            fixed = fixed[1:]
        rest = width - 2 - sum(size + 2 for _, size, _ in fixed)
        names = max((len(row.repository) for row in self._all), default=0)
        tags = max((len(row.tag) for row in self._all), default=0)
        tag = max(6, min(tags, rest // 3))
        # Columns stay together at the left where there is more room than names need.
        repository = max(10, min(max(names, 14) + 4, rest - tag - 2))
        return [("REPOSITORY", repository, False), ("TAG", tag, False), *fixed]

    def _update(self) -> None:
        current = self.image
        needle = self.needle.lower()
        rows = [
            row
            for row in self._all
            if needle in f"{row.repository}:{row.tag}".lower() or needle in row.image.id
        ]
        if _SORTS[self._sort] == "name":
            rows.sort(key=lambda row: (row.repository, row.tag))
        elif _SORTS[self._sort] == "size":
            rows.sort(key=lambda row: -row.image.size)
        else:
            rows.sort(key=lambda row: -row.image.created)
        if self._reverse:
            rows.reverse()
        self._rows = rows
        places = (i for i, row in enumerate(rows) if row.image is current)
        self.set_rows(len(rows), next(places, 0))
        self._tell()

    def _tell(self) -> None:
        title = "1 Images" + (f"{SEPARATOR}/{visible(self.needle)}" if self.needle else "")
        shown, total = len(self._rows), len(self._all)
        number = plural(total, "image") if total else ""
        number = number if shown == total else f"{shown} of {number}"
        if self.marked:
            number = f"{len(self.marked)} marked: {self._plan}"
        self.set_texts(title, number)
        if self._all and not shown:
            hint = f"{key_of(self, 'main.back')} clears the filter."
            self.set_placeholder(("Nothing matches.", "text"), (hint, "muted"))
