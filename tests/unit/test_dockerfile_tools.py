"""hadolint itself, and the grammar that colours are from."""

from __future__ import annotations

import pytest

from layerscope.dockerfile.lint import lint
from layerscope.dockerfile.parser import parse
from layerscope.dockerfile.tools import find_hadolint, hadolint

TEXT = """\
FROM debian:latest
MAINTAINER x
RUN cd /x && echo $y
# hadolint ignore=DL3020
ADD a b
"""


@pytest.mark.skipif(find_hadolint() is None, reason="hadolint is not installed")
def test_hadolints_own_problems() -> None:
    document = parse(TEXT)
    result = hadolint(document)
    assert result is not None
    assert result.failure == ""
    found = {p.code: document.source.slice(p.span) for p in result.problems}
    assert found["DL3007"] == "FROM"
    assert found["DL3003"] == "RUN"
    assert "DL3020" not in found
    codes = [(p.code, p.source) for p in lint(document, None, result.problems)]
    assert ("LatestBase", "layerscope") in codes
    assert ("DL3003", "hadolint") in codes
    assert not {"DL3007", "DL4000", "AddLocalFile"} & {code for code, _ in codes}


@pytest.mark.skipif(find_hadolint() is None, reason="hadolint is not installed")
def test_what_hadolint_cannot_read_is_no_error_of_the_file() -> None:
    broken = parse("FROM a:1\nCOPI x\n")
    result = hadolint(broken)
    assert result is not None
    assert [p.code for p in result.problems] == ["DL1000"]
    assert [p.code for p in lint(broken, None, result.problems)] == ["UnknownInstruction"]


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        "# escape=`\nFROM a AS b\nRUN x `\n  y\nCMD z\n",
        "FROM a\nCOPY <<A <<-B /x\n1\nA\n\t2\n\tB\nUSER y\n",
        'ARG v=1\nFROM a:$v\nRUN --mount=type=cache,target=/c x \\\n# c\n && y\nCMD ["a", "b"]\n',
        "FROM a\nONBUILD COPY --from=b c d\nHEALTHCHECK --interval=5s CMD x\nLABEL a=b c='d e'\n",
    ],
)
def test_instructions_stand_where_an_independent_grammar_finds_them(text: str) -> None:
    tree_sitter = pytest.importorskip("tree_sitter")
    grammar = pytest.importorskip("tree_sitter_containerfile")
    parser = tree_sitter.Parser(tree_sitter.Language(grammar.language()))
    nodes = [n for n in parser.parse(text.encode()).root_node.children if n.type != "comment"]
    document = parse(text)
    assert [n.type.split("_")[0].upper() for n in nodes] == [
        i.keyword for i in document.instructions
    ]
    assert [n.start_byte for n in nodes] == [
        document.source.position(i.span.start).byte for i in document.instructions
    ]
