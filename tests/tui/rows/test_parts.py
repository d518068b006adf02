"""The small parts: text that fits, lines that differ, steps, rates."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.style import Style

from layerscope.tui.explore.layer_list import steps_of
from layerscope.tui.rows import format as fmt
from layerscope.tui.session import Rate
from layerscope.tui.work import problem_of
from tests.tui import fakes

TEXT = st.text(st.sampled_from("abz é日本e\u0301🙂…│"), max_size=40)
STYLES = st.sampled_from([Style(), Style(bold=True), Style(color="red")])
# Every piece of a row begins with a column or a mark, so with a cell of its own: Textual's strips
# drop pieces that have none when they are cut.
PIECES = TEXT.map(lambda text: f"x{text}" if text else "")
LINES = st.lists(st.tuples(PIECES, STYLES), max_size=6)


@given(TEXT, st.integers(0, 30))
def test_cut_and_columns_take_the_cells_they_are_given(text: str, width: int) -> None:
    assert cell_len(fmt.cut(text, width)) <= width
    assert cell_len(fmt.left(text, width)) == width
    assert cell_len(fmt.right(text, width)) == width


@given(TEXT, st.integers(2, 30))
def test_wrap_loses_nothing_and_fits(text: str, width: int) -> None:
    lines = fmt.wrap(text, width)
    assert all(cell_len(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_long_words_are_broken_where_they_have_joints() -> None:
    text = "RUN --mount=type=cache,target=/root/.cache pip install"
    assert fmt.wrap(text, 36) == ["RUN", "--mount=type=cache,target=/root/", ".cache pip install"]
    assert fmt.wrap("/a" + "b" * 12, 10) == ["/abbbbbbbb", "bbbb"]


def test_numbers_and_bars() -> None:
    assert [fmt.count(n) for n in (0, 9_999, 12_345, 174_000, 2_300_000)] == [
        "0",
        "9,999",
        "12.3k",
        "174k",
        "2.3M",
    ]
    assert fmt.bar(0, 4) == "    "
    assert fmt.bar(0.001, 4) == "╸   "
    assert fmt.bar(0.6, 4) == "━━╸ "
    assert fmt.bar(7, 4) == "━━━━"
    assert fmt.percent(0.99999) == "99.9%"
    assert fmt.percent(1) == "100%"
    assert fmt.moment(10**18) == "unknown"
    assert fmt.mode(3, 0o1777) == "drwxrwxrwt"
    assert fmt.plural(1, "match", "matches") == "1 match"


def test_steps_keep_every_layer() -> None:
    image = fakes.sample_image()
    assert [step.layer for step in steps_of(image)] == [0, None, 1, None, 2, 3, None]
    bare = dataclasses.replace(image, history=image.history[:2])
    assert [step.layer for step in steps_of(bare)] == [0, None, 1, 2, 3]


def test_rate_is_smoothed() -> None:
    rate = Rate()
    assert rate.of(0, 0.0) == 0
    assert rate.of(1000, 1.0) == 1000
    assert rate.of(1000, 2.0) == 600


def test_problems_are_one_line_without_control_characters() -> None:
    problem = problem_of(ValueError("a\nb\x1b[0m" + "x" * 500))
    assert "\n" not in problem.message
    assert "\x1b" not in problem.message
    assert len(problem.message) < 400
    assert problem_of(MemoryError()).hint
