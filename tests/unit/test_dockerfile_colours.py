"""Colours that are made when they are seen, against those of the text as a whole."""

from __future__ import annotations

import pytest

from layerscope.dockerfile.colours import ColoursWhenSeen, line_colours
from layerscope.dockerfile.parser import parse

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


def test_they_are_the_same() -> None:
    assert list(ColoursWhenSeen(parse(TEXT))) == line_colours(TEXT)


@pytest.mark.parametrize("before", ["", "FROM a\n"])
def test_a_heredoc_of_any_length_has_them(before: str) -> None:
    text = f"{before}RUN <<EOF\n" + "echo 1\n" * 5000 + "EOF\nENV A=b\n"
    ours, all_of_it = ColoursWhenSeen(parse(text)), line_colours(text)
    assert len(ours) == len(all_of_it)
    for line in (0, 1, 2, 4000, len(all_of_it) - 4, len(all_of_it) - 2, len(all_of_it) - 1):
        assert ours[line] == all_of_it[line], line
    # The grammar calls the end of it a string as well, below its own colour.
    assert ours[len(all_of_it) - 3][-1] == all_of_it[len(all_of_it) - 3][-1]


def test_a_line_of_a_million_characters_has_those_of_its_beginning() -> None:
    text = "ENV " + "A=b " * 250_000 + "\nRUN x\n"
    ours = ColoursWhenSeen(parse(text))
    assert [name for _, name in ours[0]][:2] == ["keyword", "property"]
    assert ours[0][-1].span.end <= 20_000
    assert [name for _, name in ours[1]] == ["keyword"]
