"""Random keys on random images: nothing ever breaks, hangs, or shows what is not so.

`LAYERSCOPE_TEST_WALKS` says how many walks there are, for a longer look than a usual run takes.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, reject, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from layerscope.filesystem.changeset import Changeset
from layerscope.filesystem.rows import TreeRows
from layerscope.filesystem.view import layer_view, union_view
from layerscope.images.image import Image, Layer
from layerscope.oci.config import HistoryEntry
from layerscope.oci.tar_header import TarError
from layerscope.tui.app import LayerscopeApp
from layerscope.tui.explore.screen import MainScreen
from layerscope.tui.rows import file_tree
from layerscope.tui.rows.row_view import RowView
from tests.tui import fakes
from tests.tui.conftest import Driven
from tests.tui.fakes import Entry

WALKS = int(os.environ.get("LAYERSCOPE_TEST_WALKS", "16"))

# Plain ones more often, so that layers meet at the same paths.
_NAMES = [
    *("a", "b", "c", "lib", "a", "b"),
    *(
        "日本語",
        "e\u0301\u200d",
        "\U0001f9d1\u200d\U0001f680",
        "\x1b[31mred",
        "\n",
        "\t\r",
        "\u202egpj",
    ),
    *(" ", "-", "*?[", "[b]bold[/b]", "\udcff\udcfe", "x" * 255, "n" * 4000),
]
names = st.sampled_from(_NAMES)
# No path is longer than 4,096 bytes, not even with what makes a whiteout of it.
paths = (
    st.lists(names, min_size=1, max_size=4)
    .map("/".join)
    .filter(lambda path: len(path.encode("utf-8", "surrogateescape")) < 4080)
)
entries = st.one_of(
    st.builds(Entry, paths, st.sampled_from([0, 1, 5000]), uid=st.sampled_from([0, 4_000_000_000])),
    paths.map(fakes.folder),
    st.builds(fakes.symlink, paths, paths),
    st.builds(fakes.hardlink, paths, paths),
    paths.map(lambda path: Entry("/".join([*path.split("/")[:-1], ".wh." + path.split("/")[-1]]))),
    paths.map(lambda path: Entry(f"{path}/.wh..wh..opq")),
)
layers = st.lists(st.lists(entries, max_size=12), max_size=4)
texts = st.sampled_from(["", "a", "LIB", "*b*", "a/b", "語", "\x1b", "[", "\\", "nowhere", "?"])

MOVES = [
    *("j", "k", "g", "G", "down", "up", "left", "right", "home", "end", "pageup", "pagedown"),
    *("ctrl+d", "ctrl+u", "h", "l"),
]
ACTIONS = [
    *("space", "enter", "E", "C", "tab", "shift+tab", "1", "2", "3", "4", "z", "t", "n", "N"),
    *("a", "r", "m", "u", "s", "S", "escape", "ctrl+k", "ctrl+l", "0", "V", "f5"),
]
SCREENS = ["question_mark", "ctrl+p", "o", "y", "p", "v", "d", "ctrl+o", "/"]
bursts = st.one_of(
    st.lists(st.sampled_from(MOVES), min_size=1, max_size=12),
    st.lists(st.sampled_from(MOVES + ACTIONS), min_size=1, max_size=12),
    st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=6),
    texts.map(lambda text: ["slash", *text, "enter"]),
    # To another screen, from there to the files, and some of the way back.
    st.builds(
        lambda screen, moves, back: [screen, *moves, "enter", *["escape"] * back],
        st.sampled_from("wPdv"),
        st.lists(st.sampled_from(MOVES), max_size=4),
        st.integers(0, 3),
    ),
    st.lists(st.sampled_from(SCREENS + MOVES), min_size=1, max_size=3).map(
        lambda keys: [*keys, "escape", "escape"]
    ),
    st.tuples(st.integers(1, 200), st.integers(1, 60)),
)


def image(number: int) -> Image:
    """An image of so many layers, with history entries between them that have none."""
    history: list[HistoryEntry] = []
    for layer in range(number):
        history += [
            HistoryEntry(None, f"RUN \x1b[1m {layer}", "", False, layer),
            HistoryEntry(None, "ENV X=日本語", "", True, None),
        ]
    return replace(
        fakes.sample_image(),
        layers=tuple(Layer(n, f"sha256:{n:064}", None, f"RUN {n} \u202e") for n in range(number)),
        history=tuple(history),
    )


def check(ui: Driven) -> None:
    """What holds whenever nothing is going on."""
    width = ui.app.size.width
    for line in ui.lines:
        # A border is two cells wide, even where there is one.
        assert cell_len(line) == width or width < 10, line
        assert line.isprintable() or not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in line)
    main = ui.main
    for pane in main.query(RowView):
        assert 0 <= pane.top <= max(0, pane.row_count - 1)
        assert 0 <= pane.cursor <= max(0, pane.row_count - 1)
        if pane.HAS_CURSOR and pane.row_count and pane.region.height > pane.header_rows:
            assert pane.top <= pane.cursor < pane.top + pane.page_size
    files, rows = main.files, main.files.rows
    if rows is None or not files.row_count:
        return
    step = main.layer_list.step
    assert step is not None
    assert step.layer is not None
    assert files.row_count == len(rows.nodes)
    view = (union_view if main.explorer.union else layer_view)(rows.view.stack, step.layer)
    for column in ("shown", "versions", "changes", "sizes", "touched"):
        assert getattr(rows.view, column).tolist() == getattr(view, column).tolist()
    expected = TreeRows(view)
    expected.expanded = rows.expanded
    expected.hidden = files.hidden
    expected.sort, expected.reverse = rows.sort, rows.reverse
    expected.pattern = files.pattern
    expected.update()
    assert rows.nodes.tolist() == expected.nodes.tolist()
    assert rows.matches == expected.matches


async def walk(
    changesets: list[Changeset], steps: list[list[str] | tuple[int, int]], size: tuple[int, int]
) -> None:
    app = LayerscopeApp(
        "hello:latest", **fakes.parts(fakes.FakeReader(image(len(changesets)), changesets))
    )
    async with app.run_test(size=size) as pilot:
        ui = Driven(app, pilot)
        await ui.until(ui.over)
        for step in steps:
            if isinstance(step, tuple):
                await pilot.resize_terminal(*step)
                await ui.calm()
            else:
                await ui.press(*step)
            if app._exit:
                return
            await ui.until(lambda: not ui.main.files.busy and not ui.main._queued)
            if isinstance(app.screen, MainScreen) and not ui.main.filter_bar._pending:
                check(ui)


@pytest.mark.parametrize("beside", [False, True])
def test_random_walks(beside: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # Whatever is saved by chance is saved there.
    if beside:
        monkeypatch.setattr(file_tree, "_SMALL", 0)
        monkeypatch.setattr(file_tree, "_LARGE", 0)

    @settings(
        max_examples=max(1, WALKS // 2),
        suppress_health_check=list(HealthCheck),
        database=None,
        # Walks are long, and a shorter one that fails takes minutes to find.
        phases=[Phase.generate],
    )
    @given(
        layers,
        st.lists(bursts, min_size=10, max_size=25),
        st.sampled_from([(80, 24), (120, 40), (200, 50), (40, 10), (20, 5), (1, 1)]),
    )
    def walks(
        of: list[list[Entry]], steps: list[list[str] | tuple[int, int]], size: tuple[int, int]
    ) -> None:
        try:
            changesets = [fakes.changeset(*entries) for entries in of]
        except TarError:
            reject()  # No engine unpacks a layer whose links lead in a circle.
        asyncio.run(asyncio.wait_for(walk(changesets, steps, size), 60))

    walks()
