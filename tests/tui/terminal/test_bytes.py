"""Only cells that change are sent to the terminal, within budgets; nothing while idle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
from rich.color import ColorSystem
from textual import events
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.pilot import Pilot
from textual.screen import Screen

from layerscope.engines.resolve import open_image
from layerscope.filesystem.changeset import Changeset
from layerscope.images.progress import Progress
from layerscope.tui import base_screen
from layerscope.tui.app import LayerscopeApp
from layerscope.tui.explore import explorer
from layerscope.tui.rows import file_tree
from layerscope.tui.terminal.cells.grid import CellOutput
from layerscope.tui.terminal.cells.path import Abilities
from layerscope.tui.terminal.compat import paint
from tests.archives import Item, folder, layer_tar, saved, symlink, whiteout
from tests.tui import fakes
from tests.tui.conftest import Driven
from tests.tui.pictures import Look, looks


class Counting(LayerscopeApp):
    """Adds up what would be written to a terminal with 256 colours."""

    written = 0
    output: CellOutput | None = None
    color_system = ColorSystem.EIGHT_BIT

    def _display(self, screen: Screen[Any], renderable: Any) -> None:
        super()._display(screen, renderable)
        if isinstance(renderable, LayoutUpdate | ChopsUpdate):
            if self.output is None:
                self.output = CellOutput(Abilities(), self.color_system)
            paint(self.output, renderable)
            self.written += len(self.output.flush().encode())


def many_files(folders: int, files: int) -> Changeset:
    paths = []
    for number in range(folders):
        paths.append(f"folder-{number:05d}")
        paths += [f"folder-{number:05d}/file-{file:03d}.txt" for file in range(files)]
    kinds = np.array([3 if "/" not in path else 0 for path in paths], np.uint8)
    zero = np.zeros(len(paths), np.int64)
    sizes = np.where(kinds == 0, (np.arange(len(paths)) * 7919) % 100_000, 0)
    modes = np.full(len(paths), 0o755, np.uint16)
    return Changeset(
        "\0".join(paths).encode(),
        kinds,
        modes,
        zero,
        zero,
        sizes,
        zero + int(fakes.NOW),
        zero,
        zero,
    )


@pytest.fixture(scope="module")
def big() -> list[Changeset]:
    return [
        many_files(300, 40),
        many_files(500, 40),
        fakes.changeset(*fakes.CLEAN),
        fakes.changeset(*fakes.HELLO),
    ]


@asynccontextmanager
async def counted(changesets: list[Changeset]) -> AsyncIterator[Counting]:
    """Runs an app with an image of these layers, which it has read."""
    app = Counting("big:latest", **fakes.parts(fakes.FakeReader(changesets=changesets)))
    async with app.run_test(size=(120, 40)) as pilot:
        await Driven(app, pilot).started()
        yield app


async def settle(app: Counting) -> int:
    """Waits until nothing more is to come, and returns how many bytes were written."""
    ui = Driven(app, Pilot(app))
    while True:
        before = app.written
        await ui.rest()
        await asyncio.sleep(0.02)
        await ui.rest()
        if app.written == before:
            app.written = 0
            return before


@pytest.fixture
def restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cursor never rests, so the details and the key bar do not follow it."""
    monkeypatch.setattr(explorer, "_REST", 60)
    monkeypatch.setattr(base_screen, "_REST", 60)


@pytest.mark.usefixtures("restless")
async def test_bytes_per_key(big: list[Changeset], monkeypatch: pytest.MonkeyPatch) -> None:
    # On a slow machine, rows that take their time are announced.
    monkeypatch.setattr(file_tree, "_PATIENCE", 60)
    async with counted(big) as app:
        await settle(app)
        spent = {}
        for name, keys in (
            ("layer", ["j"]),
            ("files", ["G", "3", "E"]),
            ("first", ["j"]),
            ("down", ["j"]),
            ("page", ["pagedown"]),
            ("end", ["G"]),
            ("up", ["k"]),
            ("pane", ["tab"]),
            ("back", ["3"]),
        ):
            for key in keys:
                app.simulate_key(key)
            spent[name] = await settle(app)
        # The design allows 120, 400, 500 and 1,700; dive needs 168, 632, 411 to 522 and 2,984.
        assert spent["first"] <= 120
        assert spent["down"] <= 100
        assert spent["up"] <= 100
        assert max(spent["pane"], spent["back"]) <= 400
        assert spent["layer"] <= 500
        assert spent["page"] <= 1_300
        await asyncio.sleep(1.2)
        assert app.written == 0
        # Lines that move over the whole width are scrolled.
        for key in ("z", "G"):
            app.simulate_key(key)
            await settle(app)
        for _ in range(app._main.files.page_size):
            app.simulate_key("k")
        await settle(app)
        app.simulate_key("k")
        assert await settle(app) <= 300


async def test_details_follow_the_cursor_once_it_rests(big: list[Changeset]) -> None:
    async with counted(big) as app:
        for key in ("G", "3", "E", "j", "j"):
            app.simulate_key(key)
        await settle(app)
        app.simulate_key("j")
        # From a folder to a file: other keys, too.
        assert await settle(app) <= 240
        for _ in range(5):
            app.simulate_key("j")
            assert await settle(app) <= 200
        for _ in range(20):
            app.simulate_key("j")
        assert await settle(app) <= 20 * 100
        facts = Driven(app, Pilot(app)).pane("details")[0]
        assert facts.strip(" ▐") == f"File {app._main.files.path_text}"


@pytest.mark.usefixtures("restless")
async def test_queued_keys_cost_less_than_one_by_one(big: list[Changeset]) -> None:
    async with counted(big) as app:
        for key in ("G", "3", "E"):
            app.simulate_key(key)
        await settle(app)
        for _ in range(20):
            app.simulate_key("j")
        assert await settle(app) <= 20 * 100


def files(*paths: str, **fields: Any) -> list[Item]:
    """Files and the folders above them, in the order of their names."""
    names = {path for each in paths for path in _with_parents(each)}
    sizes = {path: (sum(path.encode()) * 7919) % 90_000 for path in paths}
    return [
        Item(name, content=bytes(sizes[name]), **fields) if name in sizes else folder(name)
        for name in sorted(names)
    ]


def _with_parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]


def tree(root: str, folders: str, names: str, **fields: Any) -> list[Item]:
    return files(
        *(f"{root}/{each}/{name}" for each in folders.split() for name in names.split()), **fields
    )


#: A web server: what made each layer, and what is in it; None where only the configuration changes.
WEB: list[tuple[str, list[Item] | None]] = [
    (
        "/bin/sh -c #(nop) ADD file:f3e3b2b3 in / ",
        [
            *tree("", "bin boot etc home lib opt root sbin srv tmp", "first second")[1:],
            *tree("usr", "bin lib sbin share", "a.so b.so c.so d.so", mode=0o755),
            *tree("usr/share/doc", "apt bash dash dpkg grep sed tar zlib", "changelog copyright"),
            *tree("var", "cache lib log mail", "one two"),
        ],
    ),
    ('/bin/sh -c #(nop)  CMD ["bash"]', None),
    ("ENV VERSION=1.22.1", None),
    (
        "RUN /bin/sh -c set -x && groupadd --system --gid 101 web && useradd --system --gid web "
        "--home /nonexistent --shell /bin/false --uid 101 web && apt-get update # buildkit",
        [
            *files("etc/group", "etc/passwd", "etc/shadow", mode=0o640, gid=42),
            *tree("etc", "default init.d logrotate.d ufw", "web")[1:],
            *tree("etc/web", "conf.d modules sites snippets", "default.conf")[1:],
            *tree("usr/lib", "systemd web/modules", "web.service stream.so")[1:],
            *tree("usr/share", "doc/web web", "changelog copyright"),
            *tree("var", "cache/web lib/dpkg log/web", "access.log status", uid=101),
        ],
    ),
    ("COPY docker-entrypoint.sh / # buildkit", files("docker-entrypoint.sh", mode=0o775)),
    *(
        (f"COPY {name} /docker-entrypoint.d # buildkit", files(f"docker-entrypoint.d/{name}"))
        for name in ("10-listen-on-ipv6.sh", "20-envsubst-on-templates.sh", "30-tune-workers.sh")
    ),
    ('ENTRYPOINT ["/docker-entrypoint.sh"]', None),
    ("EXPOSE map[80/tcp:{}]", None),
    (
        "RUN /bin/sh -c apt-get update && apt-get install -y curl && rm -rf /var/lib/apt/lists/*",
        [
            *files("usr/bin/curl", "usr/bin/gettext", mode=0o755),
            symlink("usr/lib/libcurl.so", "libcurl.so.4"),
            *files("usr/lib/libcurl.so.4", "usr/share/doc/curl/copyright"),
            *files("var/lib/dpkg/status", "var/log/dpkg.log"),
        ],
    ),
    (
        "COPY site /usr/share/web/html # buildkit",
        tree("usr/share/web/html", "assets css docs fonts images js", "a.css b.js c.png d.svg"),
    ),
    ("COPY web.conf /etc/web/web.conf # buildkit", files("etc/web/web.conf")),
    (
        "RUN /bin/sh -c chown -R web:web /usr/share/web/html /var/log/web # buildkit",
        [
            *tree("usr/share/web/html", "css docs", "a.css b.js c.png d.svg", uid=101, gid=101),
            *files("var/log/web/access.log", uid=101, gid=101),
        ],
    ),
    (
        "RUN /bin/sh -c rm -rf /usr/share/doc/* # buildkit",
        [whiteout(f"usr/share/doc/{name}") for name in ("apt", "bash", "dash", "dpkg", "grep")],
    ),
    (
        "COPY --chown=101:101 . /srv/app # buildkit",
        tree("srv/app", "api bin config lib migrations templates tests", "main.py", uid=101),
    ),
]


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Path:
    history = [
        {"created_by": command, **({"empty_layer": True} if items is None else {})}
        for command, items in WEB
    ]
    layers = [layer_tar(items) for _, items in WEB if items is not None]
    path = tmp_path_factory.mktemp("web") / "web.tar"
    path.write_bytes(saved(*layers, config={"history": history}, tags=["shop/web:1.22"]))
    return path


def web_app(web: Path, **options: Any) -> Counting:
    return Counting(
        str(web),
        lambda source, progress, platform=None: open_image(source, Progress()),
        fakes.connector(),
        clock=lambda: fakes.NOW,
        **options,
    )


@pytest.mark.usefixtures("restless")
async def test_bytes_of_a_page_of_a_tree_with_the_screen_to_itself(web: Path) -> None:
    app = web_app(web)
    async with app.run_test(size=(120, 40)) as pilot:
        await Driven(app, pilot).started()
        for key in ("t", "3", "E", "z", "g"):
            app.simulate_key(key)
            await settle(app)
        spent = []
        for key in ["pagedown"] * 4 + ["pageup"] * 4:
            app.simulate_key(key)
            spent.append(await settle(app))
    assert median(spent) <= 1_700


async def test_bytes_of_a_change_of_pane_that_the_details_follow(web: Path) -> None:
    app = web_app(web)
    async with app.run_test(size=(120, 40)) as pilot:
        await Driven(app, pilot).started()
        await settle(app)
        for key in ("3", "2"):
            app.simulate_key(key)
            assert await settle(app) <= 1_300


@looks("dark", "16", "ascii")
@pytest.mark.usefixtures("restless")
async def test_bytes_of_a_change_of_layer(web: Path, look: Look) -> None:
    app = web_app(web, theme=look.theme, glyphs=look.glyphs)
    if look.theme.endswith(("terminal", "plain")):
        app.color_system = ColorSystem.STANDARD
    async with app.run_test(size=(120, 40)) as pilot:
        await Driven(app, pilot).started()
        app.simulate_key("2")
        await settle(app)
        spent = []
        for key in "j" * (len(WEB) - 1) + "k" * (len(WEB) - 1):
            app.simulate_key(key)
            spent.append(await settle(app))
    # A row that is new costs about 45 bytes, one that becomes another about 25. They are few
    # between most layers; up to 20 rows become others, or more than fit are there for the first
    # time.
    assert median(spent) <= 500
    assert max(spent) <= 1_350


@pytest.mark.usefixtures("restless")
async def test_bytes_of_a_message_and_of_the_focus(big: list[Changeset]) -> None:
    async with counted(big) as app:
        await settle(app)
        for key in ("G", "3", "E", "j"):
            app.simulate_key(key)
        await settle(app)
        app.simulate_key("n")
        said = await settle(app)
        assert app._main.message.text == "No filter is set, so nothing matches."
        app.simulate_key("j")
        gone = await settle(app)
        # The message, and what it covers: half of that is a border of three bytes a cell.
        assert said <= 120
        assert gone <= 260
        app.simulate_key("j")
        assert await settle(app) <= 100
        app.screen.refresh_bindings()
        await settle(app)
        # A terminal that loses the focus and gets it again is sent nothing.
        for event in (events.AppBlur(), events.AppFocus()):
            app.post_message(event)
            assert await settle(app) == 0
