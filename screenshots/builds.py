"""Pictures of real builds, and a recording of one: `python -m screenshots.builds`, as root.

They run on a Docker daemon of their own, with the classic builder.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

# Pictures have the theme's colors, whatever the terminal.
os.environ["TEXTUAL_COLOR_SYSTEM"] = "truecolor"

from layerscope.build.request import BuildRequest, start_build
from layerscope.engines.resolve import open_image
from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader
from layerscope.jobs.job import Job
from layerscope.tui.app import LayerscopeApp
from layerscope.tui.build.form import BuildForm
from layerscope.tui.build.screen import BuildScreen
from layerscope.tui.destinations import Place
from screenshots.animation import animated
from tests.engines.docker_daemon import DockerDaemon
from tests.engines.images import debian_base

FOLDER = Path(__file__).parent

_SHOP = """\
FROM debian:bookworm AS assets
WORKDIR /assets
COPY src /assets/src
RUN sh src/render
RUN sh src/scale

FROM debian:bookworm
ENV LANG=C.UTF-8
COPY --from=assets /assets /srv/www
COPY server.py /srv/server.py
RUN rm -rf /usr/share/doc /usr/share/man /usr/share/locale && sleep 1
RUN chown -R www-data: /srv/www && sleep 1
USER www-data
CMD ["python3", "/srv/server.py"]
"""
_RENDER = """\
for page in $(seq 1 24); do
    echo "rendering page $page of 24"
    cp src/page.html page-$page.html
    sleep 0.1
done
"""
_SCALE = """\
for size in 64 128 256; do
    echo "scaling images to $size px"
    head -c ${size}0000 /dev/urandom > img-$size.png
    sleep 0.3
done
"""
_TEST = """\
for test in cart checkout login search; do
    printf 'test_%-10s \\033[32mok\\033[0m\\n' $test
    sleep 0.2
done
printf 'test_%-10s \\033[31mFAILED\\033[0m expected 1099, got 10.99\\n' prices
exit 3
"""


def context(folder: Path, *, broken: bool = False) -> Path:
    (folder / "src").mkdir(parents=True)
    (folder / "src/page.html").write_text("<h1>Shop</h1>\n" * 400)
    for name, script in (("render", _RENDER), ("scale", _SCALE), ("test", _TEST)):
        (folder / "src" / name).write_text(script)
    (folder / "server.py").write_text("print('open')\n")
    text = _SHOP
    if broken:
        text = text.replace("USER www-data\n", "RUN sh /srv/www/src/test\nUSER www-data\n")
    (folder / "Dockerfile").write_text(text)
    (folder / ".dockerignore").write_text("node_modules\n*.log\n")
    (folder / "debug.log").write_text("GET /\n")
    return folder


def begin(folder: Path, tag: str) -> Job:
    request = BuildRequest(
        str(folder), str(folder / "Dockerfile"), "classic", tags=(tag,), network="host"
    )
    return start_build(request)


def opener(source: str, progress: Progress, platform: str | None = None) -> ImageReader:
    return open_image(source, progress, platform=platform)


async def record(
    job: Job, size: tuple[int, int], after: Sequence[str], pace: float = 0.3
) -> list[tuple[float, str]]:
    """Pictures of a build, with their times, and of keys that are pressed after it."""
    app = LayerscopeApp(None)
    pictures: list[tuple[float, str]] = []
    async with app.run_test(size=size) as pilot:
        screen = BuildScreen(job, Place(opener, None))
        await app.push_screen(screen)
        begun = time.monotonic()

        async def take() -> None:
            await pilot.pause()
            # Textual has random numbers in the names of styles.
            svg = re.sub(r"terminal-\d+-", "terminal-", app.export_screenshot(title="layerscope"))
            if not pictures or pictures[-1][1] != svg:
                pictures.append((time.monotonic() - begun, svg))

        while screen.build is None or screen.build.ended is None:
            await take()
            await asyncio.sleep(pace)
        await asyncio.sleep(1)
        await take()
        for key in after:
            await pilot.press(key)
            await asyncio.sleep(0.8)
            await take()
    return pictures


async def ask(folder: Path, size: tuple[int, int]) -> str:
    """A picture of the form that asks what to build."""
    app = LayerscopeApp(None)
    with contextlib.chdir(folder):
        async with app.run_test(size=size) as pilot:
            form = BuildForm()
            await app.push_screen(form)
            while not (form.known.context and form.known.offer and form.known.builders):
                await asyncio.sleep(0.1)
            await pilot.press("tab", "tab", *"shop:1.4", "shift+tab", "shift+tab")
            await pilot.pause(0.5)
            return app.export_screenshot(title="layerscope")


def make(root: Path) -> None:
    write("build-form-80x24", asyncio.run(ask(context(root / "asked"), (80, 24))))
    good, bad = context(root / "shop"), context(root / "broken", broken=True)
    recorded = asyncio.run(record(begin(good, "shop:1.4"), (100, 30), ["k", "k", "k", "enter"]))
    (FOLDER / "build.svg").write_text(animated(recorded), "utf-8")
    # Once more, to have a build to compare with.
    (good / "src/page.html").write_text("<h1>Shop!</h1>\n" * 400)
    finished = asyncio.run(record(begin(good, "shop:1.5"), (120, 40), ["g", *"jjjjjjjjjj"]))
    write("build-finished-120x40", finished[-1][1])
    failed = asyncio.run(record(begin(bad, "shop:1.6"), (120, 40), []))
    write("build-failed-120x40", failed[-1][1])


def write(name: str, svg: str) -> None:
    (FOLDER / f"{name}.svg").write_text(re.sub(r"terminal-\d+", "terminal", svg), "utf-8")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="shop-") as folder, DockerDaemon("docker-28") as engine:
        os.environ |= engine.env
        os.environ["XDG_STATE_HOME"] = f"{folder}/state"
        with engine.api() as api:
            api.tag(debian_base(engine), "debian", "bookworm")
        make(Path(folder))


if __name__ == "__main__":
    main()
