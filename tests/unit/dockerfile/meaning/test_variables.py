"""Expansion of variables, their scope, and stages."""

from __future__ import annotations

import tracemalloc

import pytest

from layerscope.dockerfile.checks.facts import World
from layerscope.dockerfile.checks.lint import lint
from layerscope.dockerfile.meaning.scope import Scopes
from layerscope.dockerfile.meaning.stages import Stages, find_stages
from layerscope.dockerfile.syntax.expand import ExpansionError, expand
from layerscope.dockerfile.syntax.parser import parse

VALUES = {"a": "1", "empty": "", "path": "/x/y.tar.gz", "star": "a*c", "word": "béb"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$a", "1"),
        ("${a}", "1"),
        ("x$a-y", "x1-y"),
        ("$ab", ""),
        ("$unset", ""),
        ("$", "$"),
        ("$/", "$/"),
        ("\\$a", "$a"),
        ("'$a'", "$a"),
        ('"$a"', "1"),
        ('"\\$a"', "$a"),
        ('"\\n"', "\\n"),
        ("\\n", "n"),
        ("a\\", "a"),
        ("${a:-2}", "1"),
        ("${b:-2}", "2"),
        ("${empty:-2}", "2"),
        ("${empty-2}", ""),
        ("${b-2}", "2"),
        ("${a:+2}", "2"),
        ("${empty:+2}", ""),
        ("${empty+2}", "2"),
        ("${b+2}", ""),
        ("${b:-${a}}", "1"),
        ("${b:-'x y'}", "x y"),
        ("${a:?no}", "1"),
        ("${path#*/}", "x/y.tar.gz"),
        ("${path##*/}", "y.tar.gz"),
        ("${path%.*}", "/x/y.tar"),
        ("${path%%.*}", "/x/y"),
        ("${path#nothing}", "/x/y.tar.gz"),
        ("${path/x/z}", "/z/y.tar.gz"),
        ("${path//\\//-}", "-x-y.tar.gz"),
        ("${path/y*/z}", "/x/z"),
        ("${path//*/z}", "z"),
        ("${word//?/z}", "zzz"),
        ("${word///-}", "-b-é-b-"),
        ("${word%%b*}", ""),
        ("${word%b}", "bé"),
        ("${word#b?}", "b"),
        ("${word#?*b}", ""),
        ("${word%?b}", "b"),
        ("${star#a\\*}", "c"),
        ("${unset#x}", ""),
        ("$1x", "x"),
        ("<<$a", "<<1"),
    ],
)
def test_expansion(text: str, expected: str) -> None:
    assert expand(text, VALUES).text == expected


@pytest.mark.parametrize(
    "text",
    ["${", "${}", "${a", "${a:-", "'a", '"a', "${b:?gone}", "${b?}", "${a!}", "${a:#x}", "${{a}"],
)
def test_what_cannot_be_expanded(text: str) -> None:
    with pytest.raises(ExpansionError):
        expand(text, VALUES)


def test_a_custom_error_message_is_used() -> None:
    with pytest.raises(ExpansionError, match="b: set it"):
        expand("${b:?set it}", VALUES)


def test_words_and_references() -> None:
    result = expand("x${a} 'y z' $gone ${b:-c}", VALUES)
    assert [word.text for word in result.words] == ["x1", "y z", "c"]
    assert [(r.name, r.found, r.guarded) for r in result.references] == [
        ("a", True, False),
        ("gone", False, False),
        ("b", False, True),
    ]
    gone = result.references[1]
    assert "x${a} 'y z' $gone"[gone.start : gone.end] == "$gone"


def test_another_escape_character() -> None:
    assert expand("`$a\\", VALUES, escape="`").text == "$a\\"


def test_quotes_mean_nothing_in_a_heredoc() -> None:
    assert expand('it\'s "$a" \\$a', VALUES, quotes=False).text == 'it\'s "1" $a'


def test_many_stars_take_no_time() -> None:
    pattern = "*a" * 40 + "b"
    value = "a" * 2000
    assert expand("${v#" + pattern + "}", {"v": value}).text == value


def values(text: str, line: int = -1, **arguments: str) -> dict[str, str]:
    document = parse(text)
    scopes = Scopes(document, arguments=arguments)
    found = dict(scopes.before(document.instructions[line]).values)
    found.pop("PATH", None)
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ARG a=1\nFROM x\nRUN y", {}),
        ("ARG a=1\nFROM x\nARG a\nRUN y", {"a": "1"}),
        ("ARG a=1\nARG b=$a.2\nFROM x\nARG b\nRUN y", {"b": "1.2"}),
        ("ARG a=1\nFROM x\nARG a=2\nRUN y", {"a": "2"}),
        ("FROM x\nARG a\nRUN y", {}),
        ("FROM x\nENV a=1 b=$a\nRUN y", {"a": "1", "b": ""}),
        ("FROM x\nARG a=1 b=$a\nRUN y", {"a": "1", "b": "1"}),
        ("FROM x\nENV a=1\nENV a=2$a\nRUN y", {"a": "21"}),
        ("FROM x\nARG a=1\nENV a=2\nRUN y", {"a": "2"}),
        ("FROM x\nENV a=2\nARG a\nRUN y", {"a": "2"}),
        ("FROM x\nENV a b c\nRUN y", {"a": "b c"}),
        ("FROM x AS s\nENV a=1\nFROM s\nRUN y", {"a": "1"}),
        ("FROM x AS s\nENV a=1\nFROM z\nRUN y", {}),
        ("FROM x AS s\nENV a=1\nFROM 0\nRUN y", {}),
    ],
)
def test_scope(text: str, expected: dict[str, str]) -> None:
    assert values(text) == expected


def test_build_arguments_win_over_defaults() -> None:
    assert values("FROM x\nARG a=1\nRUN y", a="9") == {"a": "9"}
    assert values("FROM x\nRUN y", a="9") == {}
    assert values("ARG a=1\nFROM x\nARG a\nRUN y", a="9") == {"a": "9"}


def test_variables_of_the_base_image() -> None:
    document = parse("FROM x:1\nRUN y\nFROM z\nRUN y\nFROM scratch\nCOPY a b")
    scopes = Scopes(document, environment={"x:1": {"PATH": "/own", "V": "1"}}.get)
    known = scopes.before(document.instructions[1])
    assert (known.values, known.complete) == ({"PATH": "/own", "V": "1"}, True)
    assert not scopes.before(document.instructions[3]).complete
    own = scopes.before(document.instructions[5])
    assert own.complete
    assert "usr/bin" in own.values["PATH"]


def stages(text: str) -> Stages:
    return find_stages(parse(text))


def test_the_graph() -> None:
    found = stages(
        "ARG v=2\nFROM a:$v AS Base\nFROM base AS build\nCOPY --from=tools x y\n"
        "FROM b AS tools\nFROM scratch\nCOPY --from=build x y\nCOPY --from=2 x y\n"
        "COPY --from=nginx:1 x y\nRUN --mount=type=bind,from=base,target=/b z\nFROM c AS spare\n"
    )
    edges = {
        (s.index, u.stage, u.what) for s in found.stages for u in s.uses if u.stage is not None
    }
    assert sorted(edges) == [
        (1, 0, "from"),
        (1, 2, "copy"),
        (3, 0, "mount"),
        (3, 1, "copy"),
        (3, 2, "copy"),
    ]
    assert [stage.label for stage in found.stages] == ["base", "build", "tools", "3", "spare"]
    base = found.stages[0].base
    assert base is not None
    assert (base.name, base.stage) == ("a:2", None)
    assert found.needed() == {4}
    assert found.needed(3) == {0, 1, 2, 3}
    assert (found.find("BUILD"), found.find("3"), found.find("9"), found.find("x")) == (
        1,
        3,
        None,
        None,
    )
    assert found.cycle() is None


def test_from_sees_only_earlier_stages() -> None:
    found = stages("FROM b AS a\nFROM c AS b\nFROM 0\n")
    assert [use.stage for stage in found.stages for use in stage.uses] == [None, None, None]


def test_a_cycle_is_found() -> None:
    use = stages("FROM a AS x\nCOPY --from=y 1 2\nFROM a AS y\nCOPY --from=x 1 2\n").cycle()
    assert use is not None
    assert (use.name, use.instruction.stage) == ("x", 1)
    assert stages("FROM a AS x\nCOPY --from=x 1 2\n").cycle() is not None


def test_many_stages_take_no_time() -> None:
    names = [f"FROM s{number} AS s{number + 1}\nCOPY --from=s1 a b\n" for number in range(1000)]
    found = stages("".join(names))
    assert found.cycle() is not None
    assert found.needed() == set(range(1000))


def test_no_stages() -> None:
    assert stages("RUN x\nARG a").needed() == frozenset()
    assert len(stages("RUN x\nARG a").above) == 2


LONG = "x" * 60_000


@pytest.mark.parametrize(
    "text",
    [
        "ARG A=x\n" + "ARG A=$A$A\n" * 60 + "FROM $A\n",
        "ARG A0=x\n"
        + "".join(f"ARG A{n}=$A{n - 1}$A{n - 1}\n" for n in range(1, 60))
        + "FROM $A59\n",
        "FROM x\nENV A=x\n" + "ENV A=$A$A\n" * 60 + "COPY $A /\n",
        f"FROM x\nENV A={LONG}\n" + "".join(f"ENV B{n}=$A$A\n" for n in range(800)),
        f"FROM x\nENV A={LONG[:4000]}\nENV B=${{A//x/{LONG}}}\n",
        f"FROM x\nENV A={LONG}\nENV B=${{A%*y}}\nENV C=${{A#*y}}\nENV D=${{A/*y/z}}\n",
        f"FROM x\nENV A={LONG}\nCOPY <<E /\n" + "$A" * 60_000 + "\nE\n",
    ],
    ids=["self", "chain", "env", "many", "replaced", "pattern", "heredoc"],
)
def test_exponential_values_are_bounded(text: str) -> None:
    tracemalloc.start()
    try:
        document = parse(text)
        Scopes(document)
        lint(document, World(), [])
        assert tracemalloc.get_traced_memory()[1] < 120 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("text", ["$a$a$a", "${a//x/yyyyyyyy}", "${b:-$a$a$a}"])
def test_a_value_that_is_too_long_is_an_error(text: str) -> None:
    with pytest.raises(ExpansionError, match="too long"):
        expand(text, {"a": LONG})
    assert expand("$a$a", {"a": LONG}).text == LONG * 2
    assert expand("x y " * LONG.count("x"), {}).text == "x y " * LONG.count("x")


@pytest.mark.parametrize(
    ("number", "stage"),
    [
        ("0", 0),
        ("01", 1),
        ("0" * 5000, 0),
        ("2", None),
        ("00000000099", None),
        ("9" * 5000, None),
        ("\u0661", None),
        ("-1", None),
    ],
    ids=["zero", "one", "zeros", "two", "padded", "nines", "arabic", "negative"],
)
def test_stages_by_number(number: str, stage: int | None) -> None:
    text = f"FROM x\nRUN a\nFROM x\nCOPY --from={number} a /\n"
    stages = find_stages(parse(text))
    assert [use.stage for use in stages.stages[1].uses if use.what == "copy"] == [stage]
    assert stages.find(number) == stage
    lint(parse(text), World(), [])


def test_the_last_stage_of_a_name_counts() -> None:
    text = "FROM x AS A\nFROM a AS a\nFROM a\nCOPY --from=A b /\nFROM x AS a\nCOPY --from=1 b /\n"
    found = find_stages(parse(text))
    assert [[use.stage for use in stage.uses] for stage in found.stages] == [
        [None],
        [0],
        [1, 3],
        [None, 1],
    ]
