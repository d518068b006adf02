"""The rows of a diff."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from layerscope.content.diff_rows import (
    CHANGED,
    DiffRow,
    DiffText,
    RowKind,
    overlaid,
    side_rows,
    unified_rows,
)
from layerscope.content.line_diff import diff_lines

ASCII = ("ascii", "ascii")
_TEXTS = st.lists(st.sampled_from(["a b c\n", "a b d\n", "x\n", "\n", "y z\n"]), max_size=25).map(
    "".join
)


def text_of(old: str, new: str) -> DiffText:
    return DiffText(diff_lines(old.encode(), new.encode()), ASCII)


@given(_TEXTS, _TEXTS)
def test_rows_contain_both_texts_in_order(old: str, new: str) -> None:
    text = text_of(old, new)
    for rows in (unified_rows(text.diff, None), side_rows(text, None)):
        left = [row.old for row in rows if row.old is not None]
        right = [row.new for row in rows if row.new is not None]
        assert left == list(range(len(text.diff.old)))
        assert right == list(range(len(text.diff.new)))
        for row in rows:
            if row.kind is RowKind.SAME:
                assert row.old is not None
                assert row.new is not None
                assert text.old(row.old) == text.new(row.new)


@given(_TEXTS, _TEXTS, st.integers(0, 3))
def test_hunks_contain_all_differences(old: str, new: str, context: int) -> None:
    text = text_of(old, new)
    for rows in (unified_rows(text.diff, context), side_rows(text, context)):
        changed = [row for row in rows if row.kind in (RowKind.OLD, RowKind.NEW, RowKind.BOTH)]
        assert sum(row.old is not None for row in changed) == text.diff.removed
        assert sum(row.new is not None for row in changed) == text.diff.added
        assert not rows or rows[0].kind is RowKind.HUNK


@given(_TEXTS, _TEXTS)
def test_unmarked_parts_of_changed_rows_are_equal(old: str, new: str) -> None:
    text = text_of(old, new)
    for row in side_rows(text, None):
        if row.kind is not RowKind.BOTH or row.old is None or row.new is None:
            continue
        gone, come = text.changed(row)
        kept = []
        for line, spans in ((text.old(row.old), gone), (text.new(row.new), come)):
            kept.append(
                [c for at, c in enumerate(line) if not any(s <= at < e for s, e, _ in spans)]
            )
        assert "".join(kept[0]).split() == "".join(kept[1]).split()


@given(_TEXTS, _TEXTS)
def test_changes_begin_where_rows_begin_to_differ(old: str, new: str) -> None:
    text = text_of(old, new)
    for side in (False, True):
        for whole in (False, True):
            rows, starts = text.rows(side, whole)
            assert len(starts) == len(text.diff.blocks)
            assert all(rows[at].kind in (RowKind.OLD, RowKind.NEW, RowKind.BOTH) for at in starts)
            assert all(rows[at - 1].kind in (RowKind.SAME, RowKind.HUNK) for at in starts if at)


def test_lines_that_correspond_share_a_row() -> None:
    text = text_of("keep\nname = 1\ngone\n", "keep\nnew thing here\nname = 2\n")
    rows = side_rows(text)
    assert rows == [
        DiffRow(RowKind.HUNK, 0, 0),
        DiffRow(RowKind.SAME, 0, 0),
        DiffRow(RowKind.NEW, None, 1),
        DiffRow(RowKind.BOTH, 1, 2),
        DiffRow(RowKind.OLD, 2, None),
    ]
    assert text.changed(rows[3]) == ([(7, 8, CHANGED)], [(7, 8, CHANGED)])
    assert text.changed(rows[2]) == ([], [(0, 14, CHANGED)])
    assert text.header(rows[0]) == "@@ -1,3 +1,3 @@"
    unified = unified_rows(text.diff)
    assert [row.kind for row in unified[2:]] == [
        RowKind.OLD,
        RowKind.OLD,
        RowKind.NEW,
        RowKind.NEW,
    ]
    assert text.changed(unified[2]) == ([(7, 8, CHANGED)], [(7, 8, CHANGED)])


def test_nothing_is_marked_if_the_other_text_is_empty() -> None:
    text = text_of("", "a\nb\n")
    assert [text.changed(row) for row in unified_rows(text.diff)] == [([], [])] * 3


def test_line_ends() -> None:
    text = text_of("a\r\nb\r\n", "a\r\nc\r\n")
    assert (text.old(1), text.new(1)) == ("b", "c")
    mixed = text_of("a\r\n", "a\n")
    assert (mixed.old(0), mixed.new(0)) == ("a\r", "a")
    assert mixed.changed(DiffRow(RowKind.BOTH, 0, 0))[0] == [(1, 2, CHANGED)]
    ends = text_of("a", "a\n")
    assert ends.ends_without_newline(DiffRow(RowKind.BOTH, 0, 0)) == (True, False)


def test_encodings() -> None:
    diff = diff_lines("é\n".encode("latin-1"), "é\n".encode())
    text = DiffText(diff, ("latin-1", "utf-8"))
    assert (text.old(0), text.new(0)) == ("é", "é")
    assert DiffText(diff, ("utf-8", "utf-8")).old(0) == "\udce9"


def test_spans_on_top_of_others() -> None:
    assert overlaid([(0, 4, 1), (6, 8, 2)], [(2, 7, CHANGED)], 10) == [
        (0, 2, 1),
        (2, 4, CHANGED + 1),
        (4, 6, CHANGED),
        (6, 7, CHANGED + 2),
        (7, 8, 2),
    ]
    assert overlaid([(0, 2, 1)], [], 5) == [(0, 2, 1)]
    assert overlaid([], [(0, 99, CHANGED)], 5) == [(0, 5, CHANGED)]
