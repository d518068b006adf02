"""hadolint, and the grammar used for highlighting."""

from __future__ import annotations

from pathlib import Path

import pytest

from layerscope.dockerfile.checks import tools
from layerscope.dockerfile.checks.lint import lint
from layerscope.dockerfile.checks.problems import Problem, Severity
from layerscope.dockerfile.checks.tools import find_hadolint, hadolint
from layerscope.dockerfile.syntax.parser import parse
from layerscope.dockerfile.syntax.source import Span

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
def test_what_hadolint_cannot_parse_is_not_an_error() -> None:
    broken = parse("FROM a:1\nCOPI x\n")
    result = hadolint(broken)
    assert result is not None
    assert [p.code for p in result.problems] == ["DL1000"]
    assert [p.code for p in lint(broken, None, result.problems)] == ["UnknownInstruction"]


@pytest.mark.skipif(find_hadolint() is None, reason="hadolint is not installed")
@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ('CMD ["a"]\nCMD ["b"]\n', "MultipleInstructionsDisallowed", 2),
        ("HEALTHCHECK NONE\nHEALTHCHECK NONE\n", "MultipleInstructionsDisallowed", 2),
        ("ENV A=1 B=$A\n", "UndefinedVar", 2),
        ("COPY --from=x /a /b\n", "CircularStage", 2),
        ("ONBUILD FROM x\n", "InvalidArguments", 2),
        ("CMD [\"a\", 'b']\n", "JSONFormIgnored", 2),
        ("RUN\n", "MissingCommand", 2),
        ("RUN apt-get update\n", None, 2),
    ],
)
def test_hadolints_duplicates_are_dropped(text: str, code: str | None, line: int) -> None:
    document = parse(f"FROM debian:12 AS x\n{text}")
    result = hadolint(document)
    assert result is not None
    assert result.failure == ""
    own = lint(document)
    assert lint(document, None, result.problems) == own
    if code is not None:
        (found,) = [p for p in own if p.code == code]
        assert document.source.line_at(found.span.start) + 1 == line


@pytest.mark.skipif(find_hadolint() is None, reason="hadolint is not installed")
@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("RUN echo 中文 $y && cd /x\n", [(2, 1)]),
        ("RUN cd /x \\\r\n  && y\r\nRUN cd /y\r\n", [(2, 1), (4, 1)]),
        ("\tRUN cd /x \\\n\t\t&& y\n", [(2, 2)]),
        ("RUN a \\\n# 😀\n\n && cd /y\n", [(2, 1)]),
        ("# hadolint ignore=DL3003\nRUN cd /x\n", []),
        ("# hadolint global ignore=DL3003\nRUN cd /x\n", []),
        ("# check=skip=DL3003\nRUN cd /x\n", []),
    ],
)
def test_problems_of_hadolint_are_at_their_instructions(
    text: str, places: list[tuple[int, int]]
) -> None:
    document = parse(f"FROM debian:12\n{text}")
    result = hadolint(document)
    assert result is not None
    problems = [p for p in lint(document, None, result.problems) if p.code == "DL3003"]
    starts = [document.source.position(p.span.start) for p in problems]
    assert [(start.line + 1, start.column + 1) for start in starts] == places
    assert {document.source.slice(p.span) for p in problems} <= {"RUN"}


@pytest.mark.skipif(find_hadolint() is None, reason="hadolint is not installed")
def test_hadolints_settings_are_heeded(tmp_path: Path) -> None:
    settings = "ignored: [DL3003]\noverride:\n  info: [DL3004]\ntrustedRegistries: [docker.io]\n"
    (tmp_path / ".hadolint.yaml").write_text(settings)
    result = hadolint(parse("FROM quay.io/debian:12\nRUN cd /x && sudo y\n"), tmp_path)
    assert result is not None
    assert [(p.code, p.severity.label) for p in result.problems] == [
        ("DL3026", "error"),
        ("DL3004", "info"),
    ]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        # What it has started holds its output open, and is ended with it.
        ("/bin/sleep 30 & /bin/sleep 30", "hadolint took longer than 0.3 s"),
        ("echo '{\"a\": 1}'", 'hadolint failed ({"a": 1})'),
        ("echo garbage; exit 1", "hadolint failed (garbage)"),
        ("printf 'hadolint: index\\nCallStack\\n' >&2; exit 1", "hadolint failed (index)"),
        ("exit 7", "hadolint failed (exited with code 7)"),
        ("kill -9 $$", "hadolint failed (was killed by SIGKILL)"),
        ("printf '\\377\\033[2J'; exit 1", "hadolint failed (\\xff\\e[2J)"),
        ("echo '[{\"code\": 1}]'", 'hadolint failed ([{"code": 1}])'),
    ],
)
def test_a_tool_that_fails_says_why(
    script: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "hadolint"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(tools, "_SECONDS", 0.3 if "longer" in said else 30)
    result = hadolint(parse("FROM a:1\n"))
    assert result is not None
    assert (result.problems, result.failure) == ((), said)


def test_buildkits_duplicates_are_dropped() -> None:
    document = parse("")
    empty = Problem("BuildError", Severity.ERROR, "empty", Span(0, 0), source="buildkit")
    assert [p.code for p in lint(document, None, [empty])] == ["NoInstructions"]


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
def test_an_independent_grammar_finds_the_same_instructions(text: str) -> None:
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
