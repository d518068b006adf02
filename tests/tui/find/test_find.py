"""Finding a file in all local images, and regular expressions as filters."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from layerscope.engines.engine import ContainerSummary
from layerscope.errors import UsageError
from layerscope.images.answers import HistoryAnswer, Inspected, RootFs
from layerscope.tui.app import LayerscopeApp
from layerscope.tui.find.screen import FindScreen
from layerscope.tui.find.search import finder_of
from tests.tui import fakes
from tests.tui.conftest import Drive, Driven
from tests.tui.pictures import Picture, Size, sizes

IMAGE = fakes.sample_image()


class FindingEngine(fakes.FakeEngine):
    """`hello` is known to the cache, `debian:bookworm` is not; both have the same layers below."""

    def __init__(self) -> None:
        super().__init__([fakes.IMAGES[0], fakes.IMAGES[2]])

    def containers(self, *, sizes: bool = False) -> list[ContainerSummary]:
        return [ContainerSummary("1", "we\x1bb", fakes.IMAGES[0].id, "running")]

    def inspect(self, name: str, platform: object = None) -> Inspected:
        hello = name == fakes.IMAGES[0].id
        diff_ids = [layer.diff_id for layer in IMAGE.layers] if hello else ["sha256:" + "7" * 64]
        tag = "hello:latest" if hello else "debian:bookworm"
        return Inspected(tags=(tag,), root=RootFs(tuple(diff_ids)), os="linux")

    def history(self, name: str, platform: object = None) -> Sequence[HistoryAnswer]:
        if name != fakes.IMAGES[0].id:
            return []
        sized = [each for each in fakes.STEPS if each[1] is not None]
        return [HistoryAnswer(created_by=created_by, size=1) for created_by, _ in reversed(sized)]


async def ended(ui: Driven) -> None:
    await ui.until(
        lambda: ui.at(FindScreen).result is not None and ui.at(FindScreen).searching is None
    )
    await ui.calm()


async def test_results_come_with_image_layer_size_and_whether_they_are_seen(
    drive: Drive, known: None
) -> None:
    async with drive(None, engine=FindingEngine()) as ui:
        await ui.press("f", *"passwd")
        await ended(ui)
        header, first, second, *_ = ui.pane("found")
        assert header.split() == ["Image", "Layer", "Size", "Path"]
        assert first.split() == ["hello:latest", "0", "256kB", "hidden", "/etc/passwd"]
        assert second.split() == ["hello:latest", "2", "299kB", "/etc/passwd"]
        assert "2 matches in 1 of 2 images · 1 not read yet (i reads them)" in ui.text
        await ui.press("enter", "j")
        facts = "\n".join(ui.pane("found-facts"))
        assert "2: RUN rm -rf /var/lib/apt/lists" in facts
        assert "Containers see it." in facts
        assert "we\\eb" in facts
        assert "\x1b" not in ui.text


async def test_enter_opens_the_image_at_the_path(drive: Drive, known: None) -> None:
    async with drive(None, engine=FindingEngine()) as ui:
        await ui.press("f", *"libpython")
        await ended(ui)
        await ui.press("enter", "enter")
        await ui.until(lambda: ui.app.screen is ui.main and ui.over())
        await ui.until(lambda: ui.current() == "usr/lib/libpython3.so")
        assert ui.main.place.layer == 1
        assert ui.focus == "files"


async def test_images_that_are_not_known_are_read_with_a_key(drive: Drive, known: None) -> None:
    async with drive(None, engine=FindingEngine()) as ui:
        await ui.press("f", *"index.html")
        await ended(ui)
        assert "1 match in 1 of 2 images · 1 not read yet (i reads them)" in ui.text
        await ui.press("down", "i")
        await ui.until(
            lambda: "2 matches in 2 of 2 images" in ui.text and "not read" not in ui.text
        )
        await ui.press("i")
        assert "All layers of all images are known." in ui.message


async def test_reading_can_be_cancelled(
    drive: Drive, known: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = fakes.FakeReader().hold()
    async with drive(None, engine=FindingEngine(), reader=reader) as ui:
        await ui.press("f", *"index.html")
        await ended(ui)
        await ui.press("down", "i")
        await ui.until(lambda: "Reading layers" in ui.lines[0])
        await ui.press("ctrl+k")
        await ui.until(lambda: "Cancelled" in ui.lines[0])
        assert "1 match" in ui.text
        await ui.press("ctrl+k")
        assert "Nothing is being looked for." in ui.message


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("re:^etc/(passwd|shadow)$", 3),
        ("*.html", 1),
        ("re:^/usr/bin/py", 1),
        ("sha256:" + "0" * 64, 0),
    ],
)
async def test_globs_and_expressions(drive: Drive, known: None, text: str, number: int) -> None:
    async with drive(None, engine=FindingEngine()) as ui:
        await ui.press("f", *text)
        await ended(ui)
        assert len(ui.at(FindScreen).found.items) == number


@pytest.mark.parametrize("text", ["re:(", r"re:(a)\1", "sha256:12"])
async def test_what_makes_no_sense_is_told(drive: Drive, known: None, text: str) -> None:
    async with drive(None, engine=FindingEngine()) as ui:
        await ui.press("f", *text)
        await ended(ui)
        with pytest.raises(UsageError) as error:
            finder_of(text)
        assert error.value.message.split(".")[0] in " ".join(ui.text.split())
        for _ in text:
            await ui.press("backspace")
        await ui.press(*"passwd")
        await ui.until(lambda: "2 matches" in ui.text)


async def test_without_an_engine_it_says_so(drive: Drive) -> None:
    async with drive(None, engine=fakes.NO_ENGINE) as ui:
        await ui.press("f", "a")
        await ended(ui)
        assert "No engine listens at" in ui.text
        await ui.press("down", "enter")
        assert "There is nothing here to open." in ui.message
        await ui.press("escape")
        assert ui.app.screen is ui.main


async def test_keys_between_text_and_results(drive: Drive, known: None) -> None:
    async with drive(None, engine=FindingEngine()) as ui:
        await ui.press("f")
        assert ui.focus == "find-text"
        await ui.press("tab")
        assert ui.focus == "found"
        await ui.press("i")
        assert "Type what to look for first." in ui.message
        await ui.press("tab", "tab")
        assert ui.focus == "find-text"
        await ui.press("down", "slash")
        assert ui.focus == "find-text"


async def test_a_stale_search_is_dropped(drive: Drive, known: None) -> None:
    async with drive(None, engine=FindingEngine()) as ui:
        await ui.press("f", *"passwd")
        await ended(ui)
        first = ui.at(FindScreen).result
        await ui.press(*"x")
        await ui.until(lambda: ui.at(FindScreen).result is not first)
        await ended(ui)
        assert "Nothing was found." in ui.text


# The filter of the tree.


async def test_the_filter_takes_expressions_and_counts_matches(drive: Drive) -> None:
    async with drive() as ui:
        await ui.press("t", "slash", *"re:^usr/lib/.*so")
        await ui.until(lambda: "3 matches" in ui.text)
        await ui.press("enter", "g", "n")
        first = ui.current()
        await ui.press("n")
        assert ui.current() != first
        await ui.press("N")
        assert ui.current() == first


async def test_an_expression_that_is_none_is_told_and_leaves_the_files(drive: Drive) -> None:
    async with drive() as ui:
        await ui.press("t", "slash", *"re:lib")
        await ui.until(lambda: "matches" in ui.text)
        before = ui.files()
        await ui.press(*"(")
        await ui.until(lambda: "Invalid pattern: missing )" in ui.text)
        assert ui.files() == before
        await ui.press("backspace")
        await ui.until(lambda: "Invalid pattern" not in ui.text)
        await ui.press("escape")
        await ui.until(lambda: "matches" not in ui.text)


@sizes()
def test_picture(picture: Picture, known: None, size: Size) -> None:
    async def before(ui: Driven) -> None:
        await ui.started()
        await ui.walk("f", *"lib", "enter")

    app = LayerscopeApp(
        None, fakes.opener(fakes.FakeReader()), fakes.connector(FindingEngine()), lambda: fakes.NOW
    )
    picture(app, size, before)
