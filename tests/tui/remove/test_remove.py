"""Marking images, what removing them would free, and removing them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from layerscope.engines.engine import ContainerSummary
from layerscope.errors import EngineError, NotFoundError
from layerscope.images.answers import HistoryAnswer, Info, Inspected, ListedImage, RootFs
from layerscope.images.archives.save_format import same_reference
from layerscope.images.reclaim import CachedStep
from layerscope.images.summary import ImageSummary
from layerscope.oci.platform import Platform
from layerscope.tui.app import LayerscopeApp
from layerscope.tui.remove.screen import RemoveScreen
from tests.tui import fakes
from tests.tui.conftest import Drive, Driven
from tests.tui.pictures import Picture, Size, sizes

HELLO, SLIM, DEBIAN, TEAM, NONE = (image.id for image in fakes.IMAGES)
#: Debian's layer is that of hello too; the one without a name has one of its own.
LAYERS = {
    HELLO: ["d", "h"],
    SLIM: ["s"],
    DEBIAN: ["d"],
    TEAM: ["t1", "t2"],
    NONE: ["n"],
}
SIZES = {"d": 117_000_000, "h": 167_000_001, "s": 74_800_000, "t1": 1_000, "t2": 1, "n": 5_200_000}


class RemovingEngine(fakes.FakeEngine):
    """An engine that images can be removed from."""

    keeps_blobs = False

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.removed: list[str] = []
        self.error = error

    def images(self, *, sizes: bool = False) -> list[ImageSummary]:
        images = [
            x for x in self._images if not {x.id, f"{x.repository}:{x.tag}"} & {*self.removed}
        ]
        if sizes:
            images = [replace(x, shared_size=7_000, unique_size=x.size - 7_000) for x in images]
        return images

    def containers(self, *, sizes: bool = False) -> list[ContainerSummary]:
        return [ContainerSummary("1", "we\x1bb", TEAM, "running")]

    def all_images(self) -> Sequence[ListedImage]:
        found = {image.id: image for image in self.images()}
        names = [(x.id, f"{x.repository}:{x.tag}") for x in self.images() if x.tag != "<none>"]
        return [
            ListedImage(
                id=image.id,
                tags=tuple(name for identifier, name in names if identifier == image.id),
                created=image.created,
                size=image.size,
            )
            for image in found.values()
        ]

    def inspect(self, name: str, platform: Platform | None = None) -> Inspected:
        for image in self.all_images():
            if name == image.id or any(same_reference(name, tag) for tag in image.tags):
                layers = RootFs(tuple(LAYERS[image.id]))
                return Inspected(
                    id=image.id, tags=image.tags, os="linux", architecture="amd64", root=layers
                )
        raise NotFoundError(f"There is no image {name}.")

    def history(self, name: str, platform: Platform | None = None) -> Sequence[HistoryAnswer]:
        return [HistoryAnswer(size=SIZES[layer]) for layer in reversed(LAYERS[name])]

    def move(self, name: str, identifier: str) -> None:
        """Makes a name that of another image."""
        repository, _, tag = name.rpartition(":")
        there = [x for x in self._images if f"{x.repository}:{x.tag}" != name]
        moved = next(x for x in there if x.id == identifier)
        self._images = [*there, replace(moved, repository=repository, tag=tag)]

    def info(self) -> Info:
        return Info(driver="other")

    def close(self) -> None:
        """Nothing was opened."""

    def tag_image(self, identifier: str, name: str) -> None:
        self.move(name, identifier)

    def remove_container(self, identifier: str) -> None:
        self.removed.append(identifier)

    def remove_cached(self, identifier: str) -> int:
        self.removed.append(identifier)
        return 7

    def remove_image(self, name: str) -> None:
        if self.error is not None:
            raise self.error
        self.inspect(name)
        self.removed.append(name)


async def test_in_few_lines_the_size_and_the_keys_stay_in_sight(drive: Drive) -> None:
    async with drive(None, size=(40, 12), engine=RemovingEngine()) as ui:
        await ui.press("A", "D")
        await ui.until(lambda: "frees" in ui.text)
        for text in ("This removes 4 images, and frees", "y removes them, esc goes back"):
            assert text in " ".join(ui.text.replace("│", " ").split())
        await ui.press("escape", "o")
        assert "esc goes back" in " ".join(ui.text.replace("│", " ").split())


async def test_marks_are_counted_with_the_bytes_that_they_would_free(drive: Drive) -> None:
    async with drive(None, engine=RemovingEngine()) as ui:
        await ui.press("space")
        await ui.until(lambda: "1 marked: frees 167MB (167,000,001 bytes)" in ui.text)
        assert ui.pane("images")[1].startswith("* hello")
        assert ui.main.images.cursor == 1
        await ui.press("j", "space")
        await ui.until(lambda: "2 marked: frees 284MB (284,000,001 bytes)" in ui.text)
        await ui.press("k", "space")
        await ui.until(lambda: "1 marked: frees 167MB" in ui.text)
        await ui.press("escape")
        assert "5 images" in ui.text
        assert "marked" not in ui.text
        await ui.press("escape")
        assert "There is nothing to go back to." in ui.message


async def test_a_shared_layer_frees_nothing_and_users_are_in_the_way(drive: Drive) -> None:
    async with drive(None, engine=RemovingEngine()) as ui:
        await ui.press("j", "j", "space")
        await ui.until(lambda: "1 marked: frees nothing" in ui.text)
        await ui.press("space")
        await ui.until(lambda: "frees nothing, 1 in use" in ui.text)


@pytest.mark.parametrize("key", ["D", "delete"])
async def test_removing_says_exactly_what_and_asks(drive: Drive, key: str) -> None:
    engine = RemovingEngine()
    async with drive(None, engine=engine) as ui:
        await ui.press("space", "j", "space", key)
        await ui.until(lambda: "This removes 2 images" in ui.text)
        assert "Remove  hello:latest" in ui.text
        assert "Remove  debian:bookworm" in ui.text
        assert "frees 284MB (284,000,001 bytes)" in ui.text
        assert engine.removed == []
        await ui.press("y")
        await ui.until(lambda: ui.app.screen is ui.main and "3 images" in ui.text)
        assert "Removed 2 images, freed 284MB (284,000,001 bytes) (not measured)." in ui.message
        assert engine.removed == [HELLO, DEBIAN]
        assert "marked" not in ui.text


async def test_what_was_freed_is_measured(drive: Drive) -> None:
    class Measuring(RemovingEngine):
        def layers_size(self) -> int:
            return 400_000_000 - 123_456_000 * len(self.removed)

    async with drive(None, engine=Measuring()) as ui:
        # Five keys at most remove all dangling images, and say what that freed.
        await ui.press("T", "D")
        await ui.until(lambda: "This removes 1 image, and frees 5.2MB" in ui.text)
        assert ui.text.count("2a2a2a2a2a2a") == 1
        await ui.press("y")
        await ui.until(lambda: ui.app.screen is ui.main and "4 images" in ui.text)
        assert ui.message == "Removed 1 image, freed 123MB (123,456,000 bytes)."


async def test_a_name_that_moved_since_keeps_its_new_image(drive: Drive) -> None:
    engine = RemovingEngine()
    async with drive(None, engine=engine) as ui:
        await ui.press("D")
        await ui.until(lambda: "This removes 1 image" in ui.text)
        engine.move("hello:latest", DEBIAN)
        await ui.press("y")
        await ui.until(lambda: "hello:latest now names another image" in ui.text)
        assert engine.removed == []


async def test_a_choice_from_an_old_list_is_not_taken_for_another(drive: Drive) -> None:
    engine = RemovingEngine()
    async with drive(None, engine=engine) as ui:
        engine.move("hello:latest", DEBIAN)
        await ui.press("D")
        await ui.until(lambda: "The engine no longer has" in ui.text)
        await ui.press("y")
        assert engine.removed == []


async def test_without_marks_it_is_the_image_under_the_cursor(drive: Drive) -> None:
    engine = RemovingEngine()
    async with drive(None, engine=engine) as ui:
        await ui.press("j", "D")
        await ui.until(lambda: "This removes 1 image, and frees 74.8MB" in ui.text)
        for leave in ("escape", "n", "q"):
            await ui.press(leave)
            assert ui.app.screen is ui.main
            await ui.press("D")
            await ui.until(lambda: "This removes 1 image" in ui.text)
        assert engine.removed == []


async def test_what_is_in_use_cannot_be_removed(drive: Drive) -> None:
    async with drive(None, engine=RemovingEngine()) as ui:
        await ui.press("j", "j", "j", "D")
        await ui.until(lambda: "Nothing can be removed." in ui.text)
        said = " ".join(ui.text.replace("│", " ").split())
        assert "api:2024.5.1: in use by we\\eb (running)" in said
        await ui.press("y")
        assert isinstance(ui.app.screen, RemoveScreen)
        assert "There is nothing to remove." in ui.text


async def test_an_engine_that_refuses_is_quoted(drive: Drive) -> None:
    engine = RemovingEngine(EngineError("The engine answered: conflict.", "Look again."))
    async with drive(None, engine=engine) as ui:
        await ui.press("D")
        await ui.until(lambda: "This removes 1 image" in ui.text)
        await ui.press("y")
        await ui.until(lambda: "The engine answered: conflict. Look again." in ui.text)
        await ui.press("escape")
        assert ui.app.screen is ui.main


async def test_wide_lists_show_what_is_shared_and_who_uses_it(drive: Drive) -> None:
    async with drive(None, engine=RemovingEngine(), size=(200, 60)) as ui:
        await ui.until(lambda: "we\\eb" in ui.text)
        header, first, *_ = ui.pane("images")
        assert header.split()[-5:] == ["UNIQUE", "SHARED", "USED", "BY", "PLATFORMS"]
        assert first.split()[-3:] == ["284MB", "7kB", "linux/amd64"]
        assert "\x1b" not in ui.text
    async with drive(None, engine=RemovingEngine(), size=(120, 40)) as ui:
        assert "SHARED" not in ui.text


async def test_without_images_the_keys_say_so(drive: Drive) -> None:
    async with drive(None, engine=fakes.FakeEngine([])) as ui:
        await ui.press("space")
        assert "There is no image here to mark." in ui.message
        await ui.press("D")
        assert "There is no image here to remove." in ui.message


class PruningEngine(RemovingEngine):
    """An engine with a stopped container, and a build cache of which a part is in use."""

    def containers(self, *, sizes: bool = False) -> list[ContainerSummary]:
        there = [
            ContainerSummary("1", "web", TEAM, "running", size=5),
            ContainerSummary("2", "old", SLIM, "exited", size=1_000),
        ]
        return [each for each in there if each.id not in self.removed]

    def build_cache(self) -> list[CachedStep]:
        return [
            CachedStep("base", "pulled from debian:12", 10, shared=True),
            CachedStep("one", "[1/2] RUN make\x1b[2J", 300_000, parents=("base",)),
            CachedStep("two", "[2/2] RUN make install", 40_000, parents=("one",)),
            CachedStep("busy", "[2/2] RUN sleep", 9, in_use=True),
        ]


async def test_pruning_everything_shows_what_goes_and_what_stays(drive: Drive) -> None:
    engine = PruningEngine()
    async with drive(None, engine=engine) as ui:
        await ui.press("W", "a")
        await ui.until(lambda: "This removes" in ui.text)
        assert "Remove  container old  (exited)" in ui.text
        assert "Keep    registry.example.com:5000/team/api:2024.5.1: in use by web" in ui.text
        assert "[1/2] RUN make\\e[2J" in ui.text
        for stays in ("pulled from", "RUN sleep"):
            assert stays not in ui.text
        assert engine.removed == []
        await ui.press("y")
        await ui.until(lambda: ui.app.screen is ui.main and ui.main.images.total == 1)
    # A container goes before its image, and what was built before what it was built from.
    assert engine.removed[0] == "2"
    assert set(engine.removed) == {"2", HELLO, SLIM, DEBIAN, NONE, "one", "two"}
    assert engine.removed[-2:] == ["two", "one"]


async def test_pruning_is_narrowed_by_age_and_label(drive: Drive) -> None:
    engine = PruningEngine()
    async with drive(None, engine=engine) as ui:
        await ui.press("W", "c")
        await ui.until(lambda: "This removes 1 container" in ui.text)
        await ui.press("/", *"team=web", "enter")
        await ui.until(lambda: "Nothing can be removed." in ui.text)
        await ui.press("y")
        # What is given up leaves what is shown.
        await ui.press("/", "ctrl+u", *"keep", "escape")
        assert "team=web" in ui.text
        assert "Nothing can be removed." in ui.text
        await ui.press("/", "ctrl+u", *"5m", "enter")
        await ui.until(lambda: "This removes 1 container" in ui.text)
        assert "Remove  container old  (exited)  1kB" in ui.text
        assert engine.removed == []
        await ui.press("y")
        await ui.until(lambda: ui.app.screen is ui.main)
    assert engine.removed == ["2"]


async def test_pruning_dangling_images_leaves_the_rest(drive: Drive) -> None:
    engine = PruningEngine()
    async with drive(None, engine=engine) as ui:
        await ui.press("W", "d")
        await ui.until(lambda: "This removes 1 image, and frees at most 5.2MB" in ui.text)
        await ui.press("escape", "5", "W", "c")
        await ui.until(lambda: "This removes 1 container, and frees 1kB (1,000 bytes)" in ui.text)
        await ui.press("y")
        await ui.until(lambda: ui.app.screen is ui.main)
    assert engine.removed == ["2"]


async def test_a_container_that_was_started_since_is_not_removed(drive: Drive) -> None:
    class Starting(PruningEngine):
        state = "exited"

        def containers(self, *, sizes: bool = False) -> list[ContainerSummary]:
            return [ContainerSummary("2", "old", SLIM, self.state, size=1_000)]

    engine = Starting()
    async with drive(None, engine=engine) as ui:
        await ui.press("W", "c")
        await ui.until(lambda: "This removes 1 container" in ui.text)
        engine.state = "running"
        await ui.press("y")
        await ui.until(lambda: "Container old is now running." in ui.text)
    assert engine.removed == []


async def test_removing_one_name_of_several(drive: Drive) -> None:
    engine = RemovingEngine()
    engine.tag_image(HELLO, "hello:again")
    async with drive(None, engine=engine) as ui:
        await ui.press("l", "j", "minus")
        await ui.until(lambda: "This only removes 1 name, and frees nothing" in ui.text)
        assert "hello:again  (the image stays as hello:latest)" in ui.text
        await ui.press("y")
        await ui.until(lambda: ui.app.screen is ui.main)
    assert engine.removed == ["hello:again"]


PICTURES = {
    "marked": ("space", "j", "space"),
    "asked": ("space", "j", "space", "space", "D"),
    "kinds": ("W",),
    "pruned": ("W", "a"),
}


@sizes()
@pytest.mark.parametrize("keys", PICTURES.values(), ids=PICTURES)
def test_picture(picture: Picture, size: Size, keys: tuple[str, ...]) -> None:
    async def before(ui: Driven) -> None:
        await ui.until(lambda: any(row.image.users for row in ui.main.images.items))
        await ui.walk(*keys)

    engine = PruningEngine() if "W" in keys else RemovingEngine()
    app = LayerscopeApp(
        None, fakes.opener(fakes.FakeReader()), fakes.connector(engine), lambda: fakes.NOW
    )
    picture(app, size, before)
