"""The output by cells: a terminal shows the same as with Textual's own output."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.color import ColorSystem
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.screen import Screen
from textual.strip import Strip

from layerscope.tui.app import LayerscopeApp
from layerscope.tui.terminal.cells.grid import CellOutput
from layerscope.tui.terminal.cells.path import Abilities
from layerscope.tui.terminal.compat import paint
from tests.tui import fakes
from tests.tui.conftest import Driven
from tests.tui.terminal.emulator import Emulator

COLUMNS, LINES = 24, 8
CONSOLE = Console(color_system="256", force_terminal=True, legacy_windows=False)
KINDS = [Abilities.of({"TERM": term}) for term in ("xterm-256color", "screen", "vt100", "vt220")]

#: Texts of which all terminals think the same.
LETTERS = st.text("ab   é│━▸日本", max_size=8) | st.sampled_from(
    [" " * 9, "a" + " " * 12, " " * 20]
)
#: And those that are combined, or of which some think otherwise.
CLUSTERS = st.lists(
    st.sampled_from(["a", " ", "e\u0301", "日", "❤\ufe0f", "👩\u200d🚀", "\U0001fae8", "☂"]),
    max_size=6,
).map("".join)
STYLES = st.builds(
    Style,
    color=st.sampled_from([None, "default", "red", "bright_blue", "color(110)", "#1c1c1c"]),
    bgcolor=st.sampled_from([None, "default", "color(24)", "#303030", "green"]),
    bold=st.sampled_from([None, True, False]),
    dim=st.sampled_from([None, True]),
    italic=st.sampled_from([None, True]),
    underline=st.sampled_from([None, True]),
    reverse=st.sampled_from([None, True]),
    strike=st.sampled_from([None, True]),
)
Painted = tuple[str, int, int, list[Segment]]


def segments(texts: st.SearchStrategy[str]) -> st.SearchStrategy[list[Segment]]:
    styled = st.tuples(texts, STYLES | st.none()).map(lambda pair: Segment(*pair))
    return st.lists(styled, min_size=1, max_size=4)


def steps(texts: st.SearchStrategy[str]) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    x, y = st.integers(0, COLUMNS - 1), st.integers(0, LINES - 1)
    return st.lists(
        st.tuples(st.just("paint"), x, y, segments(texts))
        | st.tuples(st.just("fill"), segments(texts))
        | st.tuples(st.just("scroll"), st.integers(-3, 3), segments(texts))
        | st.tuples(st.just("flush"), x | st.none(), y)
        | st.tuples(st.sampled_from(["forget", "resize"])),
        max_size=14,
    )


class Both:
    """The same is written to two terminals, in both ways."""

    def __init__(self, abilities: Abilities, widths: dict[str, int] | None = None) -> None:
        self.output = CellOutput(abilities, ColorSystem.EIGHT_BIT)
        self.abilities = abilities
        self.widths = widths
        self.size = (COLUMNS, LINES)
        self.history: list[list[Segment]] = []
        self.begin()

    def begin(self) -> None:
        colored = self.abilities.erases_in_color
        self.plain = Emulator(*self.size, widths=self.widths)
        self.ours = Emulator(*self.size, erases_in_color=colored, widths=self.widths)
        self.output.resize(*self.size)

    def paint(self, x: int, y: int, line: list[Segment]) -> None:
        if y >= self.size[1] or x >= self.size[0]:
            return
        strip = Strip(line).crop(0, self.size[0] - x)
        # A half of a wide character that is left: Textual does not care, terminals make a blank.
        self.plain.feed(f"\x1b[{y + 1};{x + 1}H{strip.render(CONSOLE)}")
        self.output.paint(x, y, strip)

    def full(self, y: int, line: list[Segment]) -> None:
        self.paint(0, y, list(Strip(line).adjust_cell_length(self.size[0])))

    def run(self, step: tuple[Any, ...]) -> None:
        lines = self.size[1]
        match step:
            case "paint", x, y, line:
                self.paint(x, y, line)
                self.history = []
            case "fill", line:
                self.history = [[*line, Segment(f"{y} ab")] for y in range(lines)]
            case "scroll", rows, line if self.history:
                fresh = [[*line, Segment(f"new {y}")] for y in range(abs(rows))]
                old = self.history
                self.history = [*old[rows:], *fresh] if rows >= 0 else [*fresh, *old[:rows]]
            case ("forget",):
                self.ours.scramble()
                self.output.forget()
            case ("resize",):
                self.size = (self.size[0] - 1, max(3, self.size[1] - 1))
                self.history = []
                self.begin()
        if step[0] in ("fill", "scroll") and len(self.history) == lines:
            for y, line in enumerate(self.history):
                self.full(y, line)

    def flush(self, cursor: tuple[int, int] | None = None) -> str:
        written = self.output.flush(cursor)
        self.ours.feed(written)
        return written


@settings(max_examples=200)
@given(steps(LETTERS), st.sampled_from(KINDS))
def test_random_frames_look_the_same(done: list[tuple[Any, ...]], abilities: Abilities) -> None:
    both = Both(abilities)
    both.flush()
    for step in [*done, ("flush", None, 0)]:
        if step[0] != "flush":
            both.run(step)
            continue
        _, x, y = step
        cursor = None if x is None else (min(x, both.size[0] - 1), min(y, both.size[1] - 1))
        both.flush(cursor)
        assert both.ours.look() == both.plain.look()
        if cursor is not None:
            assert (both.ours.cursor.x, both.ours.cursor.y) == cursor
        assert both.flush(cursor) == ""
    if not abilities.erases_in_color:
        assert not both.ours.erased_cells


@settings(max_examples=100)
@given(
    steps(CLUSTERS),
    st.sampled_from(KINDS),
    st.fixed_dictionaries(
        {character: st.integers(1, 2) for character in "❤👩🚀\U0001fae8☂"}
        | {"\ufe0f": st.just(0), "\u200d": st.just(0)}
    ),
)
@example(
    # At the end of a line, the cursor stays in the last column.
    [("fill", [Segment("a" * 20 + "日❤️")]), ("flush", None, 0), ("paint", 20, 0, [Segment("a")])],
    KINDS[0],
    {"❤": 1, "\ufe0f": 0},
)
def test_where_terminals_disagree_on_widths_nothing_is_left_behind(
    done: list[tuple[Any, ...]], abilities: Abilities, widths: dict[str, int]
) -> None:
    both = Both(abilities, widths)
    both.flush()
    for step in [*done, ("flush", None, 0)]:
        both.run(step)
        if step[0] != "flush":
            continue
        both.flush()
        # It may look odd, but no odder than if everything were written anew.
        before = both.ours.look()
        both.ours.scramble()
        both.output.forget()
        both.flush()
        assert both.ours.look() == before


def written(lines: list[str], *more: list[str], term: str = "xterm") -> str:
    """What the last of several frames costs to write."""
    output = CellOutput(Abilities.of({"TERM": term}), ColorSystem.EIGHT_BIT)
    output.resize(40, len(lines))
    text = ""
    for frame in (lines, *more):
        for y, line in enumerate(frame):
            output.paint(0, y, [Segment(line.ljust(40), Style(bgcolor="color(234)"))])
        text = output.flush()
    return text


def test_lines_that_move_are_scrolled() -> None:
    lines = [f"{number} {'abcdefgh'[number % 8] * 20}" for number in range(20)]
    for term, scrolled in (("xterm", True), ("linux", True), ("vt100", False)):
        text = written(lines[:16], lines[1:17], term=term)
        assert ("\x1b[1;16r" in text) == scrolled
        assert (len(text) < 80) == scrolled


def test_what_else_moved_is_repaired_or_nothing_is_scrolled() -> None:
    lines = [f"{number} {'abcdefgh'[number % 8] * 8}".ljust(30) for number in range(20)]
    still = [f"{number * 7919}" for number in range(16)]
    first = [a + b for a, b in zip(lines, still, strict=False)]
    second = [a + b for a, b in zip(lines[1:], still, strict=False)]
    text = written(first, second)
    assert len(text) < 16 * 24


def test_blanks_are_erased_only_where_that_takes_the_background() -> None:
    full, empty = ["x" * 39 + "│"], [" " * 39 + "│"]
    assert "\x1b[39X" in written(full, empty)
    assert "X" not in written(full, empty, term="screen-256color")
    assert Abilities.of({"TERM": "xterm", "STY": "1.pts"}).erases_in_color is False


def test_one_attribute_is_one_code() -> None:
    output = CellOutput(Abilities(), ColorSystem.EIGHT_BIT)
    output.resize(4, 1)
    bold = Style(color="color(110)", bgcolor="color(234)", bold=True)
    output.paint(0, 0, [Segment("ab", bold), Segment("cd", bold + Style(bold=False))])
    assert output.flush().endswith("ab\x1b[22mcd")


def test_links_begin_and_end() -> None:
    output = CellOutput(Abilities())
    output.resize(10, 1)
    output.paint(0, 0, [Segment("a"), Segment("b", Style(link="https://x.test")), Segment("c")])
    assert ";https://x.test\x1b\\b" in output.flush()
    output.paint(3, 0, [Segment("d")])
    assert "\x1b]8;;\x1b\\" in output.flush()


def test_no_control_character_of_a_text_is_written() -> None:
    output = CellOutput(Abilities())
    output.resize(12, 1)
    output.paint(0, 0, [Segment("a\x1b]0;t\x07b\x9b5n\u200d\x1b[c")])
    assert "\x07" not in (text := output.flush())
    assert "\x9b" not in text
    assert "\x1b]" not in text
    assert "\x1b[c" not in text


def test_thousands_of_pens_are_not_kept_for_ever() -> None:
    output = CellOutput(Abilities())
    terminal = Emulator(8, 1)
    output.resize(8, 1)
    for number in range(9_000):
        color = f"#{number:06x}"
        output.paint(0, 0, [Segment("ab", Style(color=color)), Segment(" c")])
        terminal.feed(output.flush())
    assert len(output.pens.pens) < 5_000
    assert terminal.display == ["ab c    "]
    assert terminal.buffer[0][0].fg == f"{8_999:06x}"


def differences(plain: Emulator, ours: Emulator) -> list[tuple[Any, ...]]:
    """Where two terminals differ, and what each shows there."""
    pairs = zip(plain.look(), ours.look(), strict=True)
    return [
        (x, y, *cells)
        for y, lines in enumerate(pairs)
        for x, cells in enumerate(zip(*lines, strict=True))
        if cells[0] != cells[1]
    ]


class Compared(LayerscopeApp):
    """Shows all that it paints on two terminals, and compares them each time."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            "hello:latest",
            **fakes.parts(),
            **options,
        )
        self.abilities = KINDS[0]
        self.output = CellOutput(self.abilities, ColorSystem.EIGHT_BIT)
        self.shown: tuple[Emulator, Emulator] | None = None
        self.written = [0, 0]
        self.frames = 0

    def _display(self, screen: Screen[Any], renderable: Any) -> None:
        super()._display(screen, renderable)
        if not isinstance(renderable, LayoutUpdate | ChopsUpdate):
            return
        if isinstance(renderable, LayoutUpdate) and self.output.size != renderable.region.size:
            size = renderable.region.size
            colored = self.abilities.erases_in_color
            self.shown = (Emulator(*size), Emulator(*size, erases_in_color=colored))
        assert self.shown is not None
        plain, ours = self.shown
        texts = renderable.render_segments(CONSOLE), ""
        paint(self.output, renderable)
        texts = texts[0], self.output.flush()
        for number, (emulator, text) in enumerate(zip(self.shown, texts, strict=True)):
            emulator.feed(text)
            self.written[number] += len(text.encode())
        self.frames += 1
        found = differences(plain, ours)
        assert not found, "\n".join([*map(str, found[:5]), *plain.display])


KEYS = (
    *("j", "k", "j", "k", "g", "G", "pagedown", "pageup", "ctrl+d", "ctrl+u", "tab", "shift+tab"),
    *("1", "2", "3", "4", "enter", "space", "E", "C", "h", "l", "t", "a", "r", "m", "u", "s", "S"),
    *("z", "question_mark", "escape", "escape", "slash", "p", "backspace", "ctrl+p", "down", "up"),
)


@pytest.mark.parametrize(
    ("kind", "theme"),
    [
        pytest.param(KINDS[0], "layerscope-dark", id="xterm"),
        pytest.param(KINDS[1], "layerscope-light", id="screen"),
        pytest.param(KINDS[2], "layerscope-terminal", id="vt100"),
    ],
)
async def test_random_sessions_look_the_same(theme: str, kind: Abilities) -> None:
    choose = random.Random(f"{theme} {kind}")
    app = Compared(theme=theme)
    app.abilities = kind
    app.output = CellOutput(kind, ColorSystem.EIGHT_BIT)
    async with app.run_test(size=(100, 30)) as pilot:
        ui = Driven(app, pilot)
        await ui.started()
        for _ in range(70):
            if choose.random() < 0.04:
                await pilot.resize_terminal(choose.randint(60, 130), choose.randint(20, 45))
            keys = choose.choices(KEYS, k=choose.randint(1, 3))
            # Textual's palette cannot turn pages before it has been laid out.
            if "ctrl+p" in keys or len(app.screen_stack) > 1:
                keys = [key for key in keys if not key.startswith("page")]
            for key in keys:
                app.simulate_key(key)
            await (ui.calm() if choose.random() < 0.3 else pilot._wait_for_screen())
        await ui.rest()
    assert app.frames > 10
    assert app.written[1] < app.written[0] / 2
