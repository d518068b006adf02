"""Colours computed when they are needed equal those of the whole text."""

from __future__ import annotations

import pytest

from layerscope.dockerfile.editing import highlight
from layerscope.dockerfile.editing.highlight import ColoursWhenSeen, line_colours
from layerscope.dockerfile.syntax.parser import parse

TEXT = """\
# syntax=docker/dockerfile:1
FROM debian:12 AS build
# hi
RUN <<EOF
echo $VAR "x"
EOF

RUN a && b \\
   # c
   && ${X} \\

   -t
COPY --from=build <<A <<-"B" /x
A1 $V
A
\tB1
\tB
ENV A=b c="d é" e=$F
ONBUILD RUN x
CMD ["a", "b"]
"""


def test_lazy_colours_equal_eager_ones() -> None:
    assert list(ColoursWhenSeen(parse(TEXT))) == line_colours(TEXT)


@pytest.mark.parametrize("before", ["", "FROM a\n"])
def test_long_heredocs_are_coloured(before: str) -> None:
    text = f"{before}RUN <<EOF\n" + "echo 1\n" * 5000 + "EOF\nENV A=b\n"
    ours, all_of_it = ColoursWhenSeen(parse(text)), line_colours(text)
    assert len(ours) == len(all_of_it)
    for line in (0, 1, 2, 4000, len(all_of_it) - 4, len(all_of_it) - 2, len(all_of_it) - 1):
        assert ours[line] == all_of_it[line], line
    # The grammar also marks its end as a string, below its own colour.
    assert ours[len(all_of_it) - 3][-1] == all_of_it[len(all_of_it) - 3][-1]


def test_a_long_line_is_coloured_at_its_start() -> None:
    text = "ENV " + "A=b " * 250_000 + "\nRUN x\n"
    ours = ColoursWhenSeen(parse(text))
    assert [name for _, name in ours[0]][:2] == ["keyword", "property"]
    assert ours[0][-1].span.end <= 20_000
    assert [name for _, name in ours[1]] == ["keyword"]


def test_pygments_takes_the_place_of_the_grammar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(highlight, "_grammar", lambda: None)
    lines = line_colours('FROM a\n\n# é\nENV A="x y"\n')
    assert lines[0][0] == ((0, 4), "keyword")
    assert lines[2] == [((0, 3), "comment")]
    assert lines[3][0] == ((0, 3), "keyword")
    assert ((6, 11), "string") in lines[3]
