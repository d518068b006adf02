"""Makes the pictures of screens that ask registries: `python -m screenshots.registries`.

The registries are servers of the tests, which answer as Docker Hub and a registry do.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

# Pictures have the theme's colors, whatever the terminal.
os.environ["TEXTUAL_COLOR_SYSTEM"] = "truecolor"

import pytest

from layerscope.tui.app import LayerscopeApp
from layerscope.tui.transfer.screen import TransferScreen
from screenshots.builds import write
from tests.tui import fakes
from tests.tui.conftest import Driven
from tests.tui.drift.test_drift import PulledEngine, check, fill, show_as_example
from tests.tui.registries import LEFT, NginxEngine, limit_pulls, no_logins, serve_hub
from tests.tui.search.test_search import search, tags
from tests.tui.transfer.test_transfer import FakePull
from tests.unit.images.registry.misbehaving_registry import fake_registry

Size = tuple[int, int]


async def shoot(
    name: str,
    size: Size,
    engine: fakes.FakeEngine,
    before: Callable[[Driven], Awaitable[None]],
    reader: fakes.FakeReader | None = None,
) -> None:
    opener = fakes.opener(reader or fakes.FakeReader())
    app = LayerscopeApp(None, opener, lambda: engine, clock=lambda: fakes.NOW)
    async with app.run_test(size=size) as pilot:
        ui = Driven(app, pilot)
        await ui.until(lambda: "hello" in ui.text)
        await before(ui)
        await ui.rest()
        write(name, app.export_screenshot(title="layerscope"))


async def searched(ui: Driven) -> None:
    await search(ui, "nginx")
    await ui.until(lambda: LEFT in ui.text)


async def tagged(ui: Driven) -> None:
    await searched(ui)
    await tags(ui)
    await ui.until(lambda: LEFT in ui.text)


async def asked(ui: Driven) -> None:
    await ui.press("I", "shift+tab", "ctrl+u", *"ghcr.io", "tab", *"gordon", "tab", *"secret")


async def pulled(ui: Driven) -> None:
    job = FakePull(Path(os.environ["XDG_STATE_HOME"]), title="nginx:1.29")
    job.write("started", image="nginx:1.29")
    job.layer("8a628cdd7ccc", "exists")
    for layer, state, current, total in (
        ("b6b6a3b0ef8d", "done", 31_400_000, 31_400_000),
        ("c3fe1eeae2c2", "downloading", 43_100_000, 60_300_000),
        ("11de3d473f7b", "extracting", 8_200_000, 8_200_000),
        ("5e0f34bb8acd", "waiting", 0, 1_400),
    ):
        job.layer(layer, state, current, total)
    await ui.app.push_screen(TransferScreen(job.job, fakes.place(), lambda: 0.0))
    await ui.until(lambda: "5e0f34bb8acd" in ui.text)


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as patch,
        fake_registry() as registry,
    ):
        no_logins(Path(folder), patch)
        limit_pulls(patch)
        for module in ("search.tags", "drift.screen"):
            patch.setattr(f"layerscope.tui.{module}.time.time", lambda: fakes.NOW)
        patch.setenv("XDG_STATE_HOME", folder)
        asyncio.run(shoot("pull-120x40", (120, 40), fakes.FakeEngine(), pulled))
        serve_hub(registry, patch)
        asyncio.run(shoot("search-120x40", (120, 40), NginxEngine(), searched))
        asyncio.run(shoot("tags-120x40", (120, 40), NginxEngine(), tagged))
        engine = PulledEngine(registry.address, fill(registry))
        show_as_example(engine, patch)
        asyncio.run(shoot("drift-120x40", (120, 40), engine, check))
        patch.setenv("DOCKER_CONFIG", "/home/gordon/.docker")
        asyncio.run(shoot("login-80x24", (80, 24), NginxEngine(), asked))


if __name__ == "__main__":
    main()
