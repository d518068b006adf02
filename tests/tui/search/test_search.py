"""Searching registries, and the tags of a repository."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from layerscope.tui.app import LayerscopeApp
from layerscope.tui.compare.screen import CompareScreen
from layerscope.tui.dialogs.choice import ChoiceScreen
from layerscope.tui.search.screen import SearchScreen
from layerscope.tui.search.tags import TagsScreen
from layerscope.tui.transfer.dialog import TransferDialog
from tests.tui import fakes
from tests.tui.conftest import Drive, Driven
from tests.tui.pictures import Picture, Size, sizes
from tests.tui.registries import LEFT, NginxEngine, limit_pulls, no_logins, serve_hub, tagged
from tests.unit.images.registry.misbehaving_registry import (
    FakeRegistry,
    Handler,
    answer,
    fake_registry,
)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRegistry]:
    with fake_registry() as found:
        serve_hub(found, monkeypatch)
        yield found


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    no_logins(tmp_path_factory.mktemp("home"), monkeypatch)
    monkeypatch.setattr("layerscope.images.registry.tags.pulls_left", lambda *_, **__: None)


async def search(ui: Driven, term: str) -> None:
    await ui.press("F", *term, "enter")
    await ui.until(lambda: not ui.at(SearchScreen).work.busy("search"))


async def tags(ui: Driven) -> None:
    await ui.press("enter")
    await ui.until(lambda: isinstance(ui.app.screen, TagsScreen))
    await ui.until(lambda: not ui.at(TagsScreen).work.busy("tags"))


async def test_repositories_of_docker_hub(drive: Drive, registry: FakeRegistry) -> None:
    async with drive(None, engine=NginxEngine()) as ui:
        await ui.press("F")
        assert "Type part of a name, and press enter." in ui.text
        assert registry.asked == []
        await ui.press(*"nginx")
        assert registry.asked == []
        await ui.press("enter")
        await ui.until(lambda: "4 repositories" in ui.text)
        header, first, second, _, evil, *_ = ui.pane("search")
        assert header.split() == ["NAME", "DESCRIPTION", "STARS", "PULLS", "OFFICIAL"]
        assert first.split() == [
            "nginx", "Official", "build", "of", "Nginx.", "20,812", "12.3", "G", "official",
        ]  # fmt: skip
        assert "official" not in second
        assert "a\\e[31mred second line" in evil
        # By stars, then in reverse; filtered, and the filter taken back.
        await ui.press("s", "s")
        assert [line.split()[0] for line in ui.pane("search")[1:4]] == [
            "nginx", "bitnami/nginx", "nginx/nginx-ingress",
        ]  # fmt: skip
        await ui.press("/", *"ingress", "enter")
        await ui.until(lambda: "1 of 4 repositories" in ui.text)
        await ui.press("escape")
        await ui.until(lambda: "4 repositories" in ui.text)
        await ui.press("escape")
        assert ui.app.screen is ui.main


async def test_what_an_index_still_says_of_automated_builds(
    drive: Drive, registry: FakeRegistry
) -> None:
    hit = {"name": "old/nginx", "is_automated": True, "star_count": 7}
    registry.when("v1/search", answer(200, json.dumps({"results": [hit]}).encode()))
    async with drive(None) as ui:
        await search(ui, "nginx")
        header, first, *_ = ui.pane("search")
        assert header.split() == ["NAME", "STARS", "AUTOMATED"]
        assert first.split() == ["old/nginx", "7", "automated"]


async def test_tags_come_in_pages_and_lead_to_layers_and_back(
    drive: Drive, registry: FakeRegistry
) -> None:
    async with drive(None, engine=NginxEngine()) as ui:
        await search(ui, "nginx")
        await tags(ui)
        header, *_ = ui.pane("tags")
        assert header.split() == ["TAG", "CREATED", "▾", "SIZE", "DIGEST", "PLATFORMS"]
        assert "49 images, 70 more tags (M)" in ui.text
        await ui.press("M")
        await ui.until(lambda: "99 images, 20 more tags" in ui.text)
        await ui.press("M")
        await ui.until(lambda: "119 images" in ui.text and "more tags" not in ui.text)
        await ui.press("M")
        assert "There are no more tags." in ui.message
        await ui.press("/", *"1.119", "enter")
        await ui.until(lambda: "1 of 119" in ui.text)
        await ui.rest()
        assert ui.pane("tags")[1].startswith("✓ 1.119")
        assert f"sha256:{119:064x}" in ui.text
        assert "The engine has an image of this name." in ui.text
        await ui.press("enter")
        await ui.until(lambda: ui.app.screen is ui.main and ui.over())
        assert ui.main.session is not None
        assert ui.main.session.source == "docker://nginx:1.119"
        await ui.press("escape")
        await ui.until(lambda: isinstance(ui.app.screen, TagsScreen))
        assert "/1.119" in ui.text
        await ui.press("escape", "escape")
        assert "4 repositories" in ui.text


async def test_a_tag_is_pulled_or_compared(drive: Drive, registry: FakeRegistry) -> None:
    async with drive(None, engine=NginxEngine()) as ui:
        await search(ui, "nginx")
        await tags(ui)
        await ui.press("<")
        await ui.until(lambda: "nginx:latest" in ui.text)
        ui.at(TransferDialog)
        await ui.press("escape")
        # The engine has another tag of it, which is offered.
        await ui.press("c")
        await ui.until(lambda: "nginx:1.119" in ui.text)
        ui.at(ChoiceScreen)
        await ui.press("enter")
        await ui.until(lambda: isinstance(ui.app.screen, CompareScreen))
        assert ui.at(CompareScreen)._sources == (
            "docker-daemon:nginx:1.119", "docker://nginx:latest",
        )  # fmt: skip
        await ui.press("escape")
        await ui.press("/", *"1.119", "enter", "c")
        await ui.until(lambda: isinstance(ui.app.screen, CompareScreen))
        assert ui.at(CompareScreen)._sources[1] == "docker://nginx:1.119"


async def test_what_has_no_local_image_says_so(drive: Drive, registry: FakeRegistry) -> None:
    async with drive(None) as ui:
        await search(ui, "nginx")
        await tags(ui)
        await ui.press("c")
        assert "The engine has no image of nginx." in ui.message


async def test_pulls_left_are_shown_before_an_image_is_opened(
    drive: Drive, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit_pulls(monkeypatch)
    async with drive(None) as ui:
        await search(ui, "nginx")
        await ui.until(lambda: LEFT in ui.text)
        await tags(ui)
        await ui.until(lambda: f"{LEFT}; opening an image counts as one" in ui.text)


async def test_a_registry_with_a_catalog(drive: Drive, registry: FakeRegistry) -> None:
    names = {"repositories": ["team/app", "team/web", "other"]}
    registry.when("_catalog", answer(200, json.dumps(names).encode()))
    tagged(registry, "1.0", "2.0")
    async with drive(None) as ui:
        await search(ui, f"{registry.address}/team")
        await ui.until(lambda: "2 repositories" in ui.text)
        assert ui.pane("search")[0].split() == ["NAME"]
        await tags(ui)
        assert "2 images" in ui.text
        assert {line.split()[0] for line in ui.pane("tags")[1:3]} == {"1.0", "2.0"}


async def test_without_a_catalog_what_was_typed_is_a_repository(
    drive: Drive, registry: FakeRegistry
) -> None:
    registry.when("_catalog", answer(404))
    tagged(registry, "1.0")
    async with drive(None) as ui:
        await search(ui, f"{registry.address}/team/app")
        await ui.until(lambda: "does not list its repositories" in ui.message)
        assert "as you typed it" in ui.text
        await tags(ui)
        assert "1.0" in ui.pane("tags")[1]


async def test_a_login_is_offered_and_then_it_is_asked_again(
    drive: Drive, registry: FakeRegistry
) -> None:
    tagged(registry, "1.0")

    def guarded(handler: Handler) -> bool:
        if handler.headers.get("Authorization") is None:
            handler.reply(401, b"", {"WWW-Authenticate": 'Basic realm="tests"'})
            return True
        return False

    registry.when("/v2/", guarded)
    async with drive(None) as ui:
        await search(ui, f"{registry.address}/team/app")
        assert "Press I to log in." in ui.message
        await tags(ui)
        assert "requires a login to read team/app (401)" in ui.text
        await ui.press("I")
        await ui.until(lambda: "plain" in ui.text)
        await ui.press(*"gordon", "enter", *"mola mola", "enter")
        await ui.until(lambda: isinstance(ui.app.screen, TagsScreen))
        assert "Logged in to" in ui.message
        await ui.until(lambda: "1 image" in ui.text)
        assert "mola" not in ui.text


@pytest.mark.parametrize(
    ("status", "says"),
    [(404, "does not know"), (429, "Try again in"), (403, "denies access to")],
)
async def test_errors_are_one_sentence(
    drive: Drive, registry: FakeRegistry, status: int, says: str
) -> None:
    registry.when("v1/search", answer(status, X_Retry_After=str(int(time.time()) + 900)))
    async with drive(None) as ui:
        await search(ui, "nginx")
        await ui.until(lambda: says in " ".join(ui.text.split()))


async def test_a_search_is_stopped(drive: Drive, registry: FakeRegistry) -> None:
    registry.when("v1/search", answer(503, Retry_After="60"))
    async with drive(None) as ui:
        await ui.press("F", *"nginx", "enter")
        await ui.until(lambda: registry.asked)
        await ui.press("ctrl+k")
        await ui.until(lambda: "Cancelled." in ui.text)


# --- pictures ---


def made() -> LayerscopeApp:
    opener = fakes.opener(fakes.FakeReader())
    return LayerscopeApp(None, opener, lambda: NginxEngine(), clock=lambda: fakes.NOW)


@sizes((80, 24), (120, 40))
def test_repositories(
    picture: Picture, registry: FakeRegistry, size: Size, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit_pulls(monkeypatch)

    async def before(ui: Driven) -> None:
        await ui.until(lambda: "debian" in ui.text)
        await search(ui, "nginx")
        await ui.until(lambda: LEFT in ui.text)

    picture(made(), size, before)


@sizes((80, 24), (120, 40))
def test_tags(
    picture: Picture, registry: FakeRegistry, size: Size, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit_pulls(monkeypatch)
    monkeypatch.setattr("layerscope.tui.search.tags.time.time", lambda: fakes.NOW)

    async def before(ui: Driven) -> None:
        await ui.until(lambda: "debian" in ui.text)
        await search(ui, "nginx")
        await tags(ui)
        await ui.until(lambda: LEFT in ui.text)

    picture(made(), size, before)
