"""Pane 1: the images of an engine, their shared and wasted sizes, and their containers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from textual.message import Message

from layerscope.text import docker_age, visible
from layerscope.tui.explore.engine_list import EngineList
from layerscope.tui.explore.image_rows import IMAGE_COLUMNS, ImageEntry, ImageRow
from layerscope.tui.keys.key import Key
from layerscope.tui.keys.key_bar import key_of
from layerscope.tui.rows.columns import Cell
from layerscope.tui.terminal.glyphs import SEPARATOR, TO

if TYPE_CHECKING:
    from layerscope.engines.engine import ContainerSummary
    from layerscope.images.sizes import ImageFacts
    from layerscope.images.summary import ImageSummary
    from layerscope.tui.drifts import Drifts
    from layerscope.tui.removal import Names


def _nothing(verb: str) -> Callable[[ImageList], str]:
    return lambda images: "" if images.items else f"There is no image here to {verb}."


def _nothing_to_open(images: ImageList) -> str:
    return "" if images.offers_demo else _nothing("open")(images)


def _none_to_mark(what: str, which: Callable[[ImageEntry], bool]) -> Callable[[ImageList], str]:
    return lambda images: "" if any(images.those(which)) else f"There are no {what}."


def _any(image: ImageEntry) -> bool:
    return True


def _dangling(image: ImageEntry) -> bool:
    return image.dangling


def _unused(image: ImageEntry) -> bool:
    return not image.users


class ImageList(EngineList[ImageRow], screen="main", heading="1 Images"):
    NOUN = "image"
    MARK_WIDTH = 2
    COLUMNS = IMAGE_COLUMNS
    KEYS = (
        Key(
            "images.open",
            "enter",
            "choose",
            "Open",
            "Open the image; with an empty store, build the demo",
            _nothing_to_open,
            "*",
            label_now=lambda self: "Build demo" if self.offers_demo else "Open",
        ),
        Key(
            "images.mark",
            "space",
            "mark",
            "Mark",
            "Mark the image, to see what removing it would free",
            _nothing("mark"),
            "*",
        ),
        Key(
            "images.remove",
            "D,delete",
            "screen.visit('remove')",
            "Remove…",
            "Remove the marked images, or this one",
            hint="*",
        ),
        Key(
            "images.pull",
            "less_than_sign",
            "screen.visit('pull')",
            "Pull…",
            "Pull an image from its registry, after a preview",
        ),
        Key(
            "images.push",
            "greater_than_sign",
            "screen.visit('push')",
            "Push…",
            "Push this image to its registry, after a preview",
        ),
        Key(
            "images.load",
            "left_curly_bracket",
            "screen.visit('load')",
            "Load…",
            "Load the images of an archive or a layout, after a preview",
        ),
        Key(
            "images.save",
            "right_curly_bracket",
            "screen.visit('save')",
            "Save…",
            "Save this image to an archive or a layout",
        ),
        Key(
            "images.rebase",
            "K",
            "screen.visit('rebase')",
            "Rebase…",
            "Move the image onto another base, after a preview",
        ),
        Key(
            "images.mark_all",
            "A",
            "mark_those('all')",
            "Mark all",
            "Mark all images, or none",
            _none_to_mark("images to mark", _any),
        ),
        Key(
            "images.mark_dangling",
            "T",
            "mark_those('dangling')",
            "Mark dangling",
            "Mark images without a tag (dangling), to prune them",
            _none_to_mark("dangling images", _dangling),
        ),
        Key(
            "images.mark_unused",
            "U",
            "mark_those('unused')",
            "Mark unused",
            "Mark images that no container uses, to prune them",
            _none_to_mark("unused images", _unused),
        ),
        Key(
            "images.expand",
            "l,right",
            "expand",
            "All names",
            "Show all names of the image",
            lambda self: self.one_name(),
        ),
        Key(
            "images.collapse",
            "h,left",
            "collapse",
            "One row",
            "Show the image in one row again",
            lambda self: self.one_name(),
        ),
        Key(
            "images.measure",
            "i",
            "measure",
            "Measure",
            "Read the images whose waste is not known yet",
            lambda self: (
                _nothing("measure")(self)
                or ("" if self.unmeasured else "All images have been measured.")
            ),
        ),
        Key(
            "images.tag",
            "plus",
            "screen.visit('tag')",
            "Tag…",
            "Give the image another name",
        ),
        Key(
            "images.untag",
            "minus",
            "screen.visit('untag')",
            "Remove tag",
            "Remove this name",
        ),
        Key(
            "images.prune",
            "W",
            "screen.visit('prune')",
            "Prune…",
            "Prune images, containers and build cache that nothing needs",
        ),
    )

    class Marked(Message):
        """The marked images have changed."""

    class Measure(Message):
        """The user asked for the waste of all images."""

    def __init__(self) -> None:
        super().__init__("images", sorted_by="created")
        self.marked: Names = ()  # Ids and names of the marked images; "" for no name.
        self._plan = ""
        self._measuring = False
        self._all: list[ImageEntry] = []
        self._matching = 0
        self._expanded: set[str] = set()  # Ids of the images that show their names.
        self._open = ("", "")  # Source and id of the open image.
        self._sized: Mapping[str, ImageSummary] = {}
        self._users: Mapping[str, tuple[str, ...]] = {}
        self._facts: Mapping[str, ImageFacts] = {}
        self._drifts: Drifts | None = None
        self._own = False  # Whether the images are those of the embedded store.

    @property
    def offers_demo(self) -> bool:
        return self._own and not self._all

    def action_choose(self) -> None:
        if self.offers_demo:
            self.call_later(self.run_action, "screen.visit('demo')")
        else:
            super().action_choose()

    @property
    def image(self) -> ImageSummary | None:
        """The image under the cursor, with the name in its row."""
        return None if self.item is None else self.item.line

    @property
    def platforms(self) -> tuple[str, ...]:
        """The known platforms of the image under the cursor."""
        facts = None if self.item is None else self.item.image.facts
        return () if facts is None else facts.platforms

    @property
    def total(self) -> int:
        return len(self._all)

    @property
    def listed(self) -> int:
        return self._matching

    @property
    def ids(self) -> list[str]:
        return [image.first.id for image in self._all]

    @property
    def names(self) -> list[str]:
        """Returns the names of all images."""
        return [name for image in self._all for _, name in image.names if name]

    @property
    def unmeasured(self) -> list[str]:
        """Returns the ids of described images whose waste is not known."""
        return [image.first.id for image in self._all if image.facts and image.wasted is None]

    # Data.

    def set_listed(
        self, images: Sequence[ImageSummary], now: float, problem: tuple[str, str] | None
    ) -> None:
        self._own = False
        self.answered(*self._without_images(problem))
        self._show_listed(images, now)

    def set_stored(self, images: Sequence[ImageSummary], now: float, notice: str) -> None:
        """Shows the images of the embedded store; `notice` says why it is used."""
        self._own = True
        self.answered(*self._empty_store(notice))
        self._show_listed(images, now)

    def _show_listed(self, images: Sequence[ImageSummary], now: float) -> None:
        before, row = self.item, self.cursor
        lines: dict[str, list[ImageSummary]] = {}
        for line in images:
            lines.setdefault(line.id, []).append(line)
        self._all = [ImageEntry(tuple(named)) for named in lines.values()]
        self.set_time(now)
        there = {name for image in self._all for name in image.names}
        if not there.issuperset(self.marked):
            self._mark(tuple(each for each in self.marked if each in there))
        self._fill()
        if before is not None and self.item is not None and not self.same(before, self.item):
            self.move_to(row)  # The image is gone; the next one takes its place.

    def _without_images(self, problem: tuple[str, str] | None) -> list[tuple[str, str]]:
        """Returns the lines to show without images, with their styles."""
        # Not at the top: the first paint does not need the dialog.
        from layerscope.tui.dialogs.open import source_lines

        if problem is None:
            lines = [("The engine has no images yet.", "text")]
        else:
            lines = [(problem[0], "warning"), ("", "text"), (problem[1], "text")]
        press = f"Press {key_of(self, 'main.open')} to open something else"
        press += f", {key_of(self, 'main.engines')} for other engines:"
        lines += [("", "text"), (press, "text")]
        lines += [(line, "muted") for line in source_lines(without_engine=True)]
        keys = f"{key_of(self, 'app.help')} shows all keys, {key_of(self, 'app.quit')} quits."
        return [*lines, ("", "text"), (keys, "muted")]

    def _empty_store(self, notice: str) -> list[tuple[str, str]]:
        """Returns tips for an empty embedded store, as lines and their styles."""
        ways = {
            "main.open": "opens an archive, or looks into a registry without a pull",
            "images.pull": "pulls an image into the store",
            "main.edit": "writes a Dockerfile",
            "main.reload": "looks for an engine again, once Docker or Podman runs",
        }
        lines = [(notice, "text")] if notice else []
        lines += [("The embedded store has no images yet.", "text"), ("", "text")]
        demo = "builds a small demo image, and shows what its layers do"
        lines += [(f"{key_of(self, 'images.open')} {demo}", "accent"), ("", "text")]
        lines += [(f"{key_of(self, key):<5} {does}", "muted") for key, does in ways.items()]
        keys = f"{key_of(self, 'app.help')} shows all keys, {key_of(self, 'app.quit')} quits."
        return [*lines, ("", "text"), (keys, "muted")]

    def set_time(self, now: float) -> None:
        """Updates the ages of the images to a Unix time."""
        before = [image.created for image in self._all]
        for image in self._all:
            image.created = docker_age(image.first.created, now)
        if before != [image.created for image in self._all]:
            self.update()

    def set_sizes(self, images: Sequence[ImageSummary]) -> None:
        """Shows the shared sizes of images."""
        self._sized = {each.id: each for each in images}
        self._fill()

    def set_users(self, containers: Sequence[ContainerSummary]) -> None:
        """Shows which containers use the images."""
        users: dict[str, list[str]] = {}
        for container in containers:
            users.setdefault(container.image_id, []).append(visible(container.name))
        self._users = {identifier: tuple(sorted(names)) for identifier, names in users.items()}
        self._fill()

    def set_facts(self, facts: Mapping[str, ImageFacts]) -> None:
        """Shows facts about the images, by id."""
        self._facts = facts
        self._fill()

    def set_drift(self, drifts: Drifts) -> None:
        """Shows which images are out of date."""
        self._drifts = drifts
        self._fill()

    def _fill(self) -> None:
        unique = self._unique_sizes()
        for image in self._all:
            identifier = image.first.id
            image.users = self._users.get(identifier, ())
            image.facts = self._facts.get(identifier)
            if self._drifts is not None:
                image.set_drift(self._drifts)
            sized = self._sized.get(identifier, image.first)
            image.shared, image.unique = sized.shared_size, sized.unique_size
            if image.unique is None and identifier in unique:
                image.unique = unique[identifier]
                sizes = None if image.facts is None else image.facts.sizes
                image.shared = None if sizes is None else sizes.size - image.unique
        self.update()

    def _unique_sizes(self) -> Mapping[str, int]:
        """Returns the unique sizes of images, where the engine does not report them."""
        if not self._sized or all(each.unique_size is not None for each in self._sized.values()):
            return {}
        from layerscope.images.sizes import unique_sizes

        own = {each: self._facts[each] for each in self.ids if each in self._facts}
        # An image that is not described may share layers with others.
        return unique_sizes(own) if len(own) == len(self._all) else {}

    def set_measuring(self, going_on: bool) -> None:
        if going_on != self._measuring:
            self._measuring = going_on
            self.show_count()

    def set_open(self, source: str, identifier: str) -> None:
        """Shows which image is open, by its source, and by its id once known."""
        if self._open != (source, identifier):
            self._open = source, identifier
            self.redraw()

    def is_open(self, row: ImageRow) -> bool:
        source, identifier = self._open
        names = {line.name or line.id for line in row.image.lines}
        name = source.removeprefix("docker-daemon:").removeprefix("embedded:")
        return identifier == row.image.first.id or name in names

    @property
    def source(self) -> str:
        """The image under the cursor as a source to open, or ""."""
        return "" if self.image is None else self.image.name or self.image.id

    @property
    def at_open(self) -> bool:
        """Whether the image under the cursor is the open one."""
        return self.item is not None and self.is_open(self.item)

    # Rows.

    def matching(self, needle: str) -> list[ImageRow]:
        found = [
            image
            for image in self._all
            if any(needle in f"{x.repository}:{x.tag}".lower() for x in image.lines)
            or needle in image.first.id
        ]
        self._matching = len(found)
        return [row for image in found for row in self._rows(image)]

    def _rows(self, image: ImageEntry) -> Iterator[ImageRow]:
        yield ImageRow(image, image.first)
        if image.first.id in self._expanded:
            yield from (ImageRow(image, line, nested=True) for line in image.lines[1:])

    def same(self, one: ImageRow, other: ImageRow) -> bool:
        return one.key == other.key

    def one_name(self) -> str:
        if self.item is None:
            return "The list is empty."
        return "" if len(self.item.image.lines) > 1 else "This image has one name only."

    def action_expand(self) -> None:
        if self.item is not None:
            self._expanded.add(self.item.line.id)
            self.update()

    def action_collapse(self) -> None:
        if self.item is not None:
            row = next(i for i, each in enumerate(self.items) if each.image is self.item.image)
            self._expanded.discard(self.item.line.id)
            self.move_to(row)
            self.update()

    def action_measure(self) -> None:
        self.post_message(self.Measure())

    # Marks.

    def mark(self, row: int) -> Cell:
        item = self.items[row]
        marked = set(item.names) <= set(self.marked)
        opened = TO if self.is_open(item) and not item.nested else " "
        return ("*" if marked else " ") + opened, "warning" if marked else "accent"

    @property
    def chosen(self) -> Names:
        """Returns the marked images, or else the one under the cursor."""
        return self.marked if self.marked or self.item is None else self.item.names

    @property
    def marked_sources(self) -> tuple[str, ...]:
        """Returns the marked images, each once, as sources to open, in the order of marking."""
        names: dict[str, str] = {}
        for identifier, name in self.marked:
            names.setdefault(identifier, name or identifier)
        return tuple(names.values())

    def clear_marks(self) -> None:
        self._mark(())

    def action_mark(self) -> None:
        """Marks or unmarks the image under the cursor, and moves to the next."""
        if self.item is None:
            return
        self._toggle(self.item.names)
        self.move_to(self.cursor + 1)

    def action_mark_those(self, which: str) -> None:
        """Marks all images of a kind, or unmarks them if all are marked."""
        kinds = {"all": _any, "dangling": _dangling, "unused": _unused}
        self._toggle(tuple(name for image in self.those(kinds[which]) for name in image.names))

    def those(self, which: Callable[[ImageEntry], bool]) -> Iterable[ImageEntry]:
        """Returns the images of a kind in the filtered list."""
        return (row.image for row in self.items if not row.nested and which(row.image))

    def _toggle(self, names: Names) -> None:
        kept = tuple(each for each in self.marked if each not in names)
        self._mark(kept if set(names) <= set(self.marked) else (*kept, *names))

    def set_plan(self, names: Names, text: str) -> None:
        if names == self.marked:
            self._plan = text
            self.show_count()

    def _mark(self, marked: Names) -> None:
        self.marked = marked
        self._plan = "working out what they would free…"
        self.redraw()
        self.show_count()
        self.post_message(self.Marked())

    @property
    def count_text(self) -> str:
        if self.marked:
            number = len({identifier for identifier, _ in self.marked})
            return f"{number} marked: {self._plan}"
        text = super().count_text
        if self._measuring or not (unmeasured := len(self.unmeasured)):
            return text
        key = key_of(self, "images.measure")
        return f"{text}{SEPARATOR}{unmeasured} not measured yet ({key} reads them)"
