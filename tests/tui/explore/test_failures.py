"""What is offered when an image cannot be opened."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from layerscope.errors import LoginError, MissingImageError
from layerscope.images.progress import Progress
from layerscope.tui.app import LayerscopeApp
from layerscope.tui.dialogs.login import LoginScreen
from layerscope.tui.dialogs.question import QuestionScreen
from layerscope.tui.transfer.dialog import TransferDialog
from tests.tui import fakes
from tests.tui.conftest import Driven

MISSING = MissingImageError("Docker 28 has no image ghcr.io/org/app:1.", "", "ghcr.io/org/app:1")
REFUSED = LoginError("ghcr.io requires a login to read org/app (401).", "", "ghcr.io")


@asynccontextmanager
async def opening(
    source: str | None, errors: dict[str, Exception]
) -> AsyncIterator[tuple[Driven, list[str]]]:
    """Runs an app in which some sources cannot be opened; notes which are opened."""
    opened: list[str] = []

    def opener(source: str, progress: Progress, platform: str | None = None) -> fakes.FakeReader:
        opened.append(source)
        if source in errors:
            raise errors[source]
        return fakes.FakeReader()

    app = LayerscopeApp(source, opener, fakes.connector(), clock=lambda: fakes.NOW)
    async with app.run_test(size=(80, 24)) as pilot:
        yield Driven(app, pilot), opened


async def offered(ui: Driven, text: str) -> None:
    await ui.until(lambda: isinstance(ui.app.screen, QuestionScreen))
    await ui.until(lambda: text in ui.text)


async def test_a_missing_image_is_pulled_after_a_look() -> None:
    async with opening("ghcr.io/org/app:1", {"ghcr.io/org/app:1": MISSING}) as (ui, _):
        await offered(ui, "Docker 28 has no image ghcr.io/org/app:1.")
        assert "Pull it from ghcr.io" in ui.text
        await ui.press("p")
        await ui.until(lambda: isinstance(ui.app.screen, TransferDialog))
        await ui.until(lambda: "ghcr.io/org/app:1" in ui.text)


async def test_a_missing_image_is_looked_at_in_its_registry() -> None:
    async with opening(None, {"ghcr.io/org/app:1": MISSING}) as (ui, opened):
        await ui.until(lambda: "debian" in ui.text)
        await ui.press("o", *"ghcr.io/org/app:1", "enter")
        await offered(ui, "Look at it in ghcr.io, without a pull")
        await ui.press("l")
        await ui.until(lambda: ui.main.session and ui.main.session.ended)
        assert opened == ["ghcr.io/org/app:1", "docker://ghcr.io/org/app:1"]
        await ui.press("escape")
        assert ui.focus == "images"


async def test_the_offer_can_be_left() -> None:
    async with opening("ghcr.io/org/app:1", {"ghcr.io/org/app:1": MISSING}) as (ui, opened):
        await offered(ui, "Docker 28 has no image")
        await ui.press("escape")
        assert ui.app.screen is ui.main
        assert len(opened) == 1


async def test_a_registry_that_wants_a_login_is_opened_after_it() -> None:
    errors: dict[str, Exception] = {"docker://ghcr.io/org/app": REFUSED}
    async with opening("docker://ghcr.io/org/app", errors) as (ui, opened):
        await offered(ui, "requires a login")
        await ui.press("l")
        await ui.until(lambda: isinstance(ui.app.screen, LoginScreen))
        assert ui.at(LoginScreen)._entry("registry").value == "ghcr.io"
        errors.clear()
        ui.at(LoginScreen).dismiss(True)
        await ui.until(lambda: ui.main.session and ui.main.session.ended)
        assert opened == ["docker://ghcr.io/org/app"] * 2
