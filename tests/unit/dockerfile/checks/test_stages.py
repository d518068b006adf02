"""How builders resolve stages and build arguments, and what follows from errors."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from layerscope.dockerfile.checks.facts import World
from layerscope.dockerfile.checks.lint import lint
from layerscope.dockerfile.checks.support import Builder
from layerscope.dockerfile.meaning.stages import find_stages
from layerscope.dockerfile.syntax.parser import parse

B = "FROM base:1 AS base\n"


def found(
    text: str, arguments: Mapping[str, str] | None = None, builder: str = ""
) -> list[tuple[str, int]]:
    document = parse(text)
    chosen = Builder(builder, builder) if builder else None
    problems = lint(document, World(arguments=arguments, builder=chosen))
    return [(p.code, document.source.line_at(p.span.start) + 1) for p in problems]


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("FROM a:1 AS Base\nFROM Base\n", "cp"),
        ("FROM a:1 AS Base\nFROM base\n", "bc"),
        ("FROM a:1 AS base\nFROM BASE\n", "c"),
        ("FROM a:1 AS base\nFROM base\n", "bcp"),
        ("FROM a:1\nFROM 0\n", "p"),
        ("FROM a:1 AS base\nFROM b:1\nCOPY --from=BASE x y\n", "bc"),
        ("FROM a:1 AS Base\nFROM b:1\nCOPY --from=Base x y\n", "bcp"),
        ("FROM a:1\nFROM b:1\nCOPY --from=0 x y\n", "bcp"),
        ("FROM a:1\nFROM b:1\nRUN --mount=from=0,target=/m x\n", "p"),
        ("FROM a:1 AS base\nFROM b:1\nRUN --mount=from=BASE,target=/m x\n", "bc"),
        ("FROM b:1\nCOPY --from=z x y\nFROM a:1 AS z\n", "b"),
        ("FROM b:1\nCOPY --from=1 x y\nFROM a:1 AS z\n", "b"),
    ],
)
def test_builders_compare_names_differently(text: str, finding: str) -> None:
    builders = {"b": "buildkit", "c": "classic", "p": "podman"}
    documents = {key: find_stages(parse(text), builder=name) for key, name in builders.items()}
    using = {
        key: any(use.stage is not None for stage in stages.stages for use in stage.uses)
        for key, stages in documents.items()
    }
    assert "".join(key for key, uses in using.items() if uses) == finding
    unknown = find_stages(parse(text))
    assert [[use.stage for use in stage.uses] for stage in unknown.stages] == [
        [use.stage for use in stage.uses] for stage in documents["b"].stages
    ]


def test_from_finds_stages_by_their_name_in_lower_case() -> None:
    assert found("FROM a:1 AS base\nFROM Base\n") == [("InvalidBaseName", 2)]
    (problem,) = lint(parse("FROM a:1 AS base\nFROM Base\n"))
    assert problem.hint == "In FROM, write the stage in lower case: base."


def test_a_stage_must_begin_above_its_use() -> None:
    assert found("FROM a:1 AS b\nCOPY --from=z x y\nFROM a:1 AS z\nFROM b\n") == [
        ("UnknownStage", 2)
    ]
    # Nobody builds it.
    text = "FROM a:1 AS b\nCOPY --from=z x y\nFROM a:1 AS z\n"
    assert found(text) == [("UnusedStage", 1)]


@pytest.mark.parametrize(
    ("text", "given", "codes"),
    [
        ("ARG I=${I:?m}\nFROM $I\n", {}, ["InvalidSubstitution"]),
        ("ARG I=${I:?m}\nFROM $I\n", {"I": "a:1"}, []),
        ("ARG I=${Y:?m}\nFROM $I\n", {"I": "a:1"}, []),
        ("ARG I=${Y:?m}\nFROM a:1\n", {"Y": "a:1"}, ["InvalidSubstitution"]),
        ("FROM a:1\nARG I=${I:?m}\n", {"I": "1"}, []),
        ("FROM a:1\nARG I=${I:?m}\n", {}, ["InvalidSubstitution"]),
        ("ARG I\nFROM $I\n", {"I": "a:1"}, []),
        ("FROM $I\n", {"I": "a:1"}, ["EmptyBaseName", "UndefinedArgInFrom"]),
        ("ARG I\nFROM ${I:+a}:1\n", {}, ["InvalidBaseName"]),
        ("ARG I\nFROM ${I:+a}:1\n", {"I": "x"}, []),
        ("FROM a:$TARGETARCH\n", {"TARGETARCH": "x"}, []),
        ("ARG S\nFROM a:1 AS x\nFROM ${S:-x}\n", {}, []),
    ],
)
def test_given_arguments_count(text: str, given: dict[str, str], codes: list[str]) -> None:
    assert [code for code, _ in found(text, given)] == codes


def test_other_builders_evaluate_defaults_that_do_not_count() -> None:
    text, given = "ARG I=${I:?m}\nFROM $I\n", {"I": "a:1"}
    assert ("InvalidSubstitution", 1) in found(text, given, "classic")
    assert found(text, given, "buildkit") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (B + "FROM a:1\nCOPPY --from=base x y\n", [("UnknownInstruction", 3)]),
        (B + "FROM a:1\nCOPY --from=bsae x y\n", [("UnknownStage", 3)]),
        (B + "ARG S=base\nFROM a:1\nCOPY --from=$S x y\n", [("NotSupported", 4)]),
        (B + "FROM a:1\nCOPY <<E /\n", [("OpenHeredoc", 3)]),
        (B + "FROM ${x!}\n", [("InvalidSubstitution", 2)]),
        ("FROM a:1\nAGR X=1\nCOPY $X /\n", [("UnknownInstruction", 2)]),
        ("FROM a:1\nENV X=${y\nCOPY $X /\n", [("InvalidSubstitution", 2)]),
        ("AGR X=1\nFROM a:$X\n", [("UnknownInstruction", 1)]),
        ("FROM a:1\nWORKDRI /a\nWORKDIR b\n", [("UnknownInstruction", 2)]),
        ("FROM scratch\nCOPY $X /\nAGR Y=1\n", [("UnknownInstruction", 3), ("UndefinedVar", 2)]),
        (
            "FROM scratch\nCOPY --chmod=xyz a /\nCOPY $X /\n",
            [("InvalidFlag", 2), ("UndefinedVar", 3)],
        ),
    ],
)
def test_no_advice_follows_from_an_error(text: str, expected: list[tuple[str, int]]) -> None:
    assert found(text) == expected


def test_podman_takes_any_name() -> None:
    text = "FROM a:1 AS 1a\nFROM 1a\n"
    assert found(text) == [("InvalidStageName", 1)]
    assert found(text, builder="podman") == []
