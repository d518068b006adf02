"""Makes the pictures of what engines have and lose: `python -m screenshots.engines`.

The engines are those of the tests.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterator, Sequence

# Pictures have the theme's colors, whatever the terminal.
os.environ["TEXTUAL_COLOR_SYSTEM"] = "truecolor"

import pytest

from layerscope.engines import fleet
from layerscope.engines.engine import ContainerSummary
from layerscope.engines.fleet import Fleet, FleetImage, Holding
from layerscope.engines.known import KnownEngine
from layerscope.engines.probing import EngineState
from layerscope.images.reclaim import CachedStep
from layerscope.tui.engines import screen
from screenshots.registries import shoot
from tests.tui import fakes
from tests.tui.commit.test_commit import CommittingEngine, look
from tests.tui.conftest import Driven
from tests.tui.engines.test_engines import DENIED, known
from tests.tui.fleet.test_fleet import held
from tests.tui.remove.test_remove import SLIM, TEAM, PruningEngine

SIZE = (120, 40)

ENGINES = [
    known("default", "unix:///var/run/docker.sock", "default", current=True),
    known("buildhost", "ssh://me@buildhost", "Docker context"),
    known("podman", "unix:///run/podman/podman.sock", "socket"),
    known("containerd-root:/var/lib/containerd", "containerd-root:/var/lib/containerd", "folder"),
]
STATES = [
    EngineState(ENGINES[0], "Docker 28.5.1", "overlay2", 7, 12_300_000_000, done=True),
    EngineState(ENGINES[1], "Docker 20.10.24", "overlay2", 41, 98_700_000_000, done=True),
    EngineState(ENGINES[2], problem=DENIED, done=True),
    EngineState(ENGINES[3], "data folder", "containerd", 2, 400_000_000, done=True),
]


def of_all() -> Iterator[Fleet]:
    base, app, more = 74_800_000, 210_000_000, 3_100_000
    old, new = held("shop:1", "1", base, app), held("shop:2", "2", base, app, more)
    images = [in_engines(new, 0), in_engines(old, 0, 1), in_engines(held("db:16", "3", base), 1, 3)]
    yield Fleet(ENGINES, images, {"podman": DENIED})


def in_engines(image: Holding, *numbers: int) -> FleetImage:
    return FleetImage({ENGINES[number].name: image for number in numbers})


class Host(PruningEngine):
    def containers(self, *, sizes: bool = False) -> list[ContainerSummary]:
        return [
            ContainerSummary("1", "web", TEAM, "running", size=5),
            ContainerSummary("2", "migration", SLIM, "exited", size=41_000_000),
        ]

    def build_cache(self) -> list[CachedStep]:
        return [
            CachedStep("one", "[1/2] RUN make", 300_000_000, parents=("base",)),
            CachedStep("two", "[2/2] RUN make install", 40_000_000, parents=("one",)),
        ]


def container() -> fakes.FakeReader:
    written = fakes.changeset(
        fakes.Entry("var/cache/apt/archives/curl_7.88.1-10_amd64.deb", 315_000),
        fakes.Entry("usr/bin/curl", 280_000),
        fakes.Entry("root/.bash_history", 730),
        fakes.Entry("srv/app.py", 9_200),
    )
    return fakes.FakeReader(changesets=[*fakes.sample_changesets()[:-1], written])


async def listed(ui: Driven) -> None:
    await ui.press("O")
    await ui.until(lambda: "4 engines" in ui.text)
    await ui.press("j")


async def compared(ui: Driven) -> None:
    await ui.press("H")
    await ui.until(lambda: "3 images" in ui.text)
    await ui.press("j", "j")


async def pruned(ui: Driven) -> None:
    await ui.press("W", "a")
    await ui.until(lambda: "This removes" in ui.text)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", folder)

        def states(_: Sequence[KnownEngine]) -> Iterator[EngineState]:
            yield from STATES

        patch.setattr(screen, "known_engines", lambda: ENGINES)
        patch.setattr(screen, "states", states)
        patch.setattr(fleet, "find_fleet", lambda _: of_all())
        patch.setattr("layerscope.tui.fleet.screen.time.time", lambda: fakes.NOW)
        asyncio.run(shoot("engines-80x24", (80, 24), fakes.FakeEngine(), listed))
        asyncio.run(shoot("fleet-120x40", SIZE, fakes.FakeEngine(), compared))
        asyncio.run(shoot("prune-120x40", SIZE, Host(), pruned))
        asyncio.run(shoot("commit-120x40", SIZE, CommittingEngine(), look, container()))


if __name__ == "__main__":
    main()
