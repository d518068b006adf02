"""Problems of Dockerfiles, and that there are no false positives."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings

from layerscope.dockerfile.checks.facts import BaseImage, World
from layerscope.dockerfile.checks.lint import lint
from layerscope.dockerfile.checks.problems import Problem, Severity
from layerscope.dockerfile.context.context import open_context
from layerscope.dockerfile.meaning.match_history import StepWaste
from layerscope.dockerfile.syntax.parser import parse
from layerscope.dockerfile.syntax.source import Span
from tests.unit.dockerfile.syntax.test_properties import texts

F = "FROM a:1\n"


def found(text: str, world: World | None = None) -> list[tuple[str, str]]:
    """The codes of all problems, and the text at their positions."""
    document = parse(text)
    return [(p.code, document.source.slice(p.span)) for p in lint(document, world)]


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ("", "NoInstructions", ""),
        ("# c\n", "NoInstructions", ""),
        ("ARG a\n", "NoFrom", "ARG"),
        ("RUN x\n" + F, "BeforeFrom", "RUN"),
        (F + "COPI a b\n", "UnknownInstruction", "COPI"),
        (F + "ONBUILD COPI a b\n", "UnknownInstruction", "COPI"),
        (F + "COPY --form=x a b\n", "UnknownFlag", "--form"),
        (F + "COPY --link=maybe a b\n", "InvalidFlag", "maybe"),
        (F + "COPY --chown a b\n", "InvalidFlag", "--chown"),
        (F + "COPY --chown=a --chown=b c d\n", "InvalidFlag", "--chown=b"),
        (F + "RUN --network=some x\n", "InvalidFlag", "some"),
        (F + "HEALTHCHECK --interval=5 CMD x\n", "InvalidFlag", "5"),
        (F + "HEALTHCHECK --retries=x CMD x\n", "InvalidFlag", "x"),
        (F + "RUN --mount=type=cach,target=/x y\n", "InvalidMount", "--mount=type=cach,target=/x"),
        (F + "RUN --mount=type=cache,tagret=/x y\n", "InvalidMount", "tagret=/x"),
        (F + "RUN --mount=type=bind,size=3 y\n", "InvalidMount", "size=3"),
        (F + "RUN --mount=type=cache,sharing=x y\n", "InvalidMount", "x"),
        (F + "RUN --mount=type=bind,from=$x y\n", "InvalidMount", "$x"),
        (F + "RUN --mount=type=secret y\n", "InvalidMount", "--mount=type=secret"),
        ("# escape=x\n" + F, "InvalidDirective", "x"),
        ("# syntax=a\n# syntax=b\n" + F, "InvalidDirective", "# syntax=b"),
        ("FROM a:1 b\n", "InvalidArguments", "a:1 b"),
        ("FROM\n", "InvalidArguments", "FROM"),
        (F + "COPY a\n", "InvalidArguments", "COPY"),
        (F + "COPY a <<E\nx\nE\n", "InvalidArguments", "<<E"),
        (F + "ENV\n", "InvalidArguments", "ENV"),
        (F + "ENV a\n", "InvalidArguments", "a"),
        (F + "ENV a=b c\n", "InvalidArguments", "c"),
        (F + "ENV =b\n", "InvalidArguments", ""),
        (F + "CMD\n", "MissingCommand", "CMD"),
        (F + "ENTRYPOINT\n", "MissingCommand", "ENTRYPOINT"),
        (F + "RUN\n", "MissingCommand", "RUN"),
        (F + "RUN []\n", "MissingCommand", "RUN"),
        (F + "COPY --chmod=rwx a b\n", "InvalidFlag", "rwx"),
        (F + "RUN --mount=type=cache,target=/x,mode=8 y\n", "InvalidMount", "8"),
        (F + "RUN --mount=type=cache,target=/ y\n", "InvalidMount", "target=/"),
        (F + "RUN --mount=type=secret,env=X y\n", "InvalidMount", "--mount=type=secret,env=X"),
        (F + "RUN --mount=required,type=ssh y\n", "InvalidMount", "required"),
        ("FROM A:1\n", "InvalidBaseName", "A:1"),
        ("FROM a:1:2\n", "InvalidBaseName", "a:1:2"),
        (F + "SHELL bash\n", "InvalidArguments", "SHELL"),
        (F + "WORKDIR\n", "InvalidArguments", "WORKDIR"),
        (F + "ONBUILD\n", "InvalidArguments", "ONBUILD"),
        (F + "ONBUILD FROM x\n", "InvalidArguments", "FROM"),
        (F + "HEALTHCHECK curl x\n", "InvalidArguments", "curl"),
        (F + "HEALTHCHECK CMD\n", "InvalidArguments", "CMD"),
        (F + "HEALTHCHECK NONE x\n", "InvalidArguments", "NONE"),
        (F + 'CMD ["a", 1]\n', "InvalidJSON", '["a", 1]'),
        (F + "CMD ['a']\n", "JSONFormIgnored", "['a']"),
        (F + "RUN <<E\nx\n", "OpenHeredoc", "<<E"),
        (F + "RUN a \\\n\n b\n", "NoEmptyContinuation", ""),
        (F + "WORKDIR /${x\n", "InvalidSubstitution", "/${x"),
        ("FROM a:1 AS x\nFROM b:1 AS x\nFROM x\n", "DuplicateStageName", "x"),
        ("FROM a:1 AS 1x\n", "InvalidStageName", "1x"),
        ("FROM a:1 AS Xy\n", "StageNameCasing", "Xy"),
        ("FROM a:1 AS context\n", "ReservedStageName", "context"),
        ("FROM a:1 as x\n", "FromAsCasing", "as"),
        ("FROM a:1 AS x\nCOPY --from=x a b\n", "CircularStage", "x"),
        (F + "COPY --from=7 a b\n", "UnknownStage", "7"),
        ("FROM a:1 AS build\nFROM b:1\nCOPY --from=biuld a b\n", "UnknownStage", "biuld"),
        (F + "FROM b:1\n", "UnusedStage", "FROM"),
        ("FROM a:1 AS x\nFROM b:1\n", "UnusedStage", "x"),
        ("FROM a\n", "BaseWithoutTag", "a"),
        ("FROM r.example:5000/a\n", "BaseWithoutTag", "r.example:5000/a"),
        ("FROM a:latest\n", "LatestBase", "a:latest"),
        ("ARG v=latest\nFROM a:$v\n", "LatestBase", "a:$v"),
        ("ARG v=\nFROM $v\n", "EmptyBaseName", "$v"),
        (
            "FROM --platform=$TARGETPLATFORM a:1\n",
            "RedundantTargetPlatform",
            "--platform=$TARGETPLATFORM",
        ),
        (
            "FROM --platform=linux/amd64 a:1\n",
            "FromPlatformFlagConstDisallowed",
            "--platform=linux/amd64",
        ),
        ("FROM a:$v\n", "UndefinedArgInFrom", "$v"),
        ("ARG v\nFROM a:$v\n", "InvalidDefaultArgInFrom", "$v"),
        (F + "WORKDIR /$xy\n", "UndefinedVar", "$xy"),
        (F + "ENV a=1 \\\n  b=x\\\ny$xy\n", "UndefinedVar", "$xy"),
        (F + "COPY \\\n  --chown=$u a \\\n  /$xy\n", "UndefinedVar", "$xy"),
        (F + "COPY <<E /x\nit's $xy\nE\n", "UndefinedVar", "$xy"),
        (F + "COPY <<-E /x\n\t$xy\n\tE\n", "UndefinedVar", "<<-E"),
        (F + "COPY <<E /x\n${\nE\n", "InvalidSubstitution", "<<E"),
        (F + "ENV API_KEY=x\n", "SecretsUsedInArgOrEnv", "API_KEY"),
        (F + "ARG GITHUB_TOKEN\n", "SecretsUsedInArgOrEnv", "GITHUB_TOKEN"),
        (F + "MAINTAINER x\n", "MaintainerDeprecated", "MAINTAINER"),
        (F + "ENV a b\n", "LegacyKeyValueFormat", "ENV"),
        (F + "WORKDIR x\n", "WorkdirRelativePath", "x"),
        (F + "CMD x\n", "JSONArgsRecommended", "CMD"),
        (F + 'CMD ["a"]\nCMD ["b"]\n', "MultipleInstructionsDisallowed", "CMD"),
        (F + "RUN x\nrun y\n", "ConsistentInstructionCasing", "run"),
        (F + "EXPOSE 80/TCP\n", "ExposeProtoCasing", "80/TCP"),
        (F + "EXPOSE 80:80\n", "ExposeInvalidFormat", "80:80"),
        (F + "ADD x /\n", "AddLocalFile", "ADD"),
        (F + "RUN apt-get update\n", "AptUpdateAlone", "RUN"),
        (F + "RUN apt-get install -y x\n", "AptInstallWithoutUpdate", "RUN"),
        (F + "RUN apt-get update && apt-get install -y x\n", "AptListsKept", "RUN"),
        (F + "RUN <<E\napt update\napt install x\nE\n", "AptListsKept", "RUN"),
    ],
)
def test_what_is_a_problem(text: str, code: str, place: str) -> None:
    assert (code, place) in found(text)


@pytest.mark.parametrize(
    "text",
    [
        F + 'CMD ["a"]\n',
        F + "ENTRYPOINT []\nCMD []\n",
        F + "RUN --mount=type=cache,target=/x,sharing=locked,id=a,ro y\n",
        F + "RUN --mount=type=secret,id=x,required y\nRUN --mount=type=ssh y\n",
        F + "RUN --mount=target=/x,rw y\nRUN --mount=type=tmpfs,target=/x,size=1g y\n",
        F
        + "HEALTHCHECK --interval=1m30s --retries=3 CMD x\nHEALTHCHECK_\n".replace(
            "HEALTHCHECK_\n", ""
        ),
        F + "COPY --from=nginx:1 a b\nCOPY --from=r.example/x a b\n",
        "FROM a:1 AS x\nFROM b:1\nCOPY --from=x a b\n",
        "FROM a:1 AS x\nFROM b:1\nRUN --mount=from=x,target=/y z\n",
        "FROM scratch\nCOPY a b\n",
        "FROM a@sha256:" + "0" * 64 + "\n",
        "ARG v=1\nFROM a:${v}\n",
        "ARG v\nFROM a:${v:-1}\n",
        "ARG v\nFROM a:1$v\n",
        F + "COPY --chmod=u+x,g=r a b\nCOPY --chmod=$m a b\n".replace("$m", "0755"),
        "FROM --platform=$BUILDPLATFORM a:1\n",
        F + "ARG u\nUSER $u\n",
        F + "ENV a=$PATH b=${c:-d}\n",
        F + "ENV PUBLIC_KEY=x KEYBOARD=y\n",
        F + "WORKDIR /x\nWORKDIR y\n",
        "FROM a:1 AS x\nWORKDIR /x\nFROM x\nWORKDIR y\n",
        F + 'SHELL ["/bin/bash", "-c"]\nCMD x\n',
        "from a:1 as x\nrun y\n",
        F + "ADD https://example.com/x /\nADD x.tar.gz /\nADD git@example.com:a/b.git /\n",
        F + "RUN apt-get update && apt-get install x && rm -rf /var/lib/apt/lists/*\n",
        F + "RUN --mount=type=cache,target=/var/lib/apt apt-get update && apt-get install x\n",
        "FROM a:1 AS x\nRUN apt-get update && apt-get install x\nFROM b:1\nCOPY --from=x a b\n",
        F + "RUN apt-get update && apt-get install x; rm -rf /var/lib/{apt,dpkg,cache}/\n",
        F + "RUN aptitude; echo apt-get\n",
        F + "RUN [ -f x ] && y\n",
        F + "RUN a \\\n# why\n b\n",
        F + "ONBUILD RUN x\n",
        F + "COPY <<'E' /x\n$xy ${\nE\nRUN <<E\n$xy\nE\n",
    ],
)
def test_what_is_not_a_problem(text: str) -> None:
    assert found(text) == []


def test_problems_are_sorted_by_severity_then_position() -> None:
    document = parse("FROM a\nCOPI x\nWORKDIR x\nWORKDIR /$y\n")
    assert [p.code for p in lint(document)] == [
        "UnknownInstruction",
        "BaseWithoutTag",
        "WorkdirRelativePath",
        "UndefinedVar",
    ]


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("# check=skip=all\nFROM a\nMAINTAINER x\n", []),
        ("# check=skip=BaseWithoutTag\nFROM a\nMAINTAINER x\n", ["MaintainerDeprecated"]),
        ("# check=skip=all\nFROM a\nCOPI x\n", ["UnknownInstruction"]),
        ("FROM a:1\n# check=skip=MaintainerDeprecated\nMAINTAINER x\n", []),
        ("FROM a:1\n# check=skip=MaintainerDeprecated\n\nMAINTAINER x\n", ["MaintainerDeprecated"]),
        ("# hadolint ignore=DL3006\nFROM a\nMAINTAINER x\n", ["MaintainerDeprecated"]),
        ("# hadolint ignore=DL3006,DL4000\nFROM a\n", []),
        ("# hadolint global ignore=DL4000\nFROM a:1\nMAINTAINER x\n", []),
        ("# hadolint ignore=DL4000\nFROM a:1\nMAINTAINER x\n", ["MaintainerDeprecated"]),
    ],
)
def test_comments_disable_problems(text: str, codes: list[str]) -> None:
    assert [code for code, _ in found(text)] == codes


def test_warnings_can_count_as_errors() -> None:
    problems = lint(parse("# check=error=true;skip=BaseWithoutTag\nFROM a\nMAINTAINER x\n"))
    assert [(p.code, p.severity) for p in problems] == [("MaintainerDeprecated", Severity.ERROR)]


def test_duplicates_of_other_tools_are_dropped() -> None:
    document = parse("FROM a:1\nMAINTAINER x\nCOPI y\n")
    span = document.instructions[1].span
    bad = document.instructions[2].span
    others = [
        Problem("DL4000", Severity.ERROR, "old", span, source="hadolint"),
        Problem("MaintainerDeprecated", Severity.WARNING, "old", span, source="buildkit"),
        Problem("SC1000", Severity.INFO, "else", span, source="hadolint"),
        Problem("BuildError", Severity.ERROR, "unknown", bad, source="buildkit"),
    ]
    problems = lint(document, None, others)
    assert [(p.code, p.source) for p in problems] == [
        ("UnknownInstruction", "layerscope"),
        ("MaintainerDeprecated", "layerscope"),
        ("SC1000", "hadolint"),
    ]


def test_base_images_are_looked_up() -> None:
    known = {"a:1": BaseImage(True, {"HOME": "/x"}), "gone:1": BaseImage(False)}
    asked: list[str] = []

    def base(name: str) -> BaseImage | None:
        asked.append(name)
        return known.get(name)

    world = World(base=base)
    assert found("FROM a:1\nWORKDIR $HOME\nCOPY --from=a:1 x /$y\n", world) == [
        ("UndefinedVar", "$y")
    ]
    assert asked == ["a:1"]
    assert found("FROM gone:1\n", world) == [("BaseImageMissing", "gone:1")]
    assert found("FROM offline:1\nUSER $y\n", world) == [("UndefinedVar", "$y")]


def test_severity_of_a_variable_depends_on_what_is_known() -> None:
    sure = lint(parse("FROM scratch\nUSER $y\n"))
    unsure = lint(parse("FROM a:1\nUSER $y\n"))
    assert [p.severity for p in sure + unsure] == [Severity.WARNING, Severity.INFO]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("Dockerfile", "main.py", "src/a.txt", "src/b.md", "build/out"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    (tmp_path / ".dockerignore").write_text("# c\nbuild\n**/*.md\nDockerfile\n")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/a.log").write_text("")
    (tmp_path / "logs/keep").write_text("")
    with (tmp_path / ".dockerignore").open("a") as rules:
        rules.write("logs\n!logs/keep\n")
    (tmp_path / "link").symlink_to("src")
    (tmp_path / "out").symlink_to("/etc")
    return tmp_path


@pytest.mark.parametrize(
    ("line", "code", "hint"),
    [
        ("COPY mian.py /", "CopySourceMissing", "main.py"),
        ("COPY . /", None, ""),
        ("COPY / /", None, ""),
        ("COPY ./src/../main.py /", None, ""),
        ("COPY ../main.py /", None, ""),
        ("COPY src main.py /x/", None, ""),
        ("COPY link/a.txt /", None, ""),
        ("COPY out/passwd /", "CopySourceMissing", ""),
        ("COPY build/out /", "CopyIgnoredFile", "!build/out"),
        ("COPY build /", "CopyIgnoredFile", "!build"),
        ("COPY logs /", None, ""),
        ("COPY lo*/keep /", None, ""),
        ("COPY logs/*.log /", "CopySourceMissing", ""),
        ("COPY src/b.md /", "CopyIgnoredFile", "!src/b.md"),
        ("COPY Dockerfile /", "CopyIgnoredFile", "!Dockerfile"),
        ("COPY src/*.txt /", None, ""),
        ("COPY src/*.rs /", "CopySourceMissing", ""),
        ('COPY ["src/a.txt", "/"]', None, ""),
        ("COPY --from=b:1 nothing /", None, ""),
        ("COPY $later /", None, ""),
        ("COPY ${d:-src} /", None, ""),
        ("COPY <<E /x\nE", None, ""),
        ("ADD https://example.com/x.tar /", None, ""),
        ("RUN --mount=type=bind,source=nope,target=/x y", "CopySourceMissing", ""),
        ("RUN --mount=type=bind,source=src,target=/x y", None, ""),
        ("RUN --mount=type=cache,source=nope,target=/x y", None, ""),
    ],
)
def test_sources_in_the_context(folder: Path, line: str, code: str | None, hint: str) -> None:
    document = parse(f"FROM a:1\nARG later\n{line}\n")
    problems = lint(document, World(context=open_context(folder)))
    assert [p.code for p in problems] == ([code] if code else [])
    assert all(hint in p.hint for p in problems)


def test_an_ignored_source_names_the_rule(folder: Path) -> None:
    problem = lint(parse("FROM a:1\nCOPY src/b.md /\n"), World(context=open_context(folder)))[0]
    assert problem.message == "src/b.md is excluded by line 3 of .dockerignore: **/*.md."


@pytest.mark.parametrize(
    ("step", "copied", "words"),
    [
        ("RUN chown -R a /x", 5_000_000, "--chown"),
        ("RUN chmod -R 700 /x", 5_000_000, "--chmod"),
        ("RUN rm -rf /x", 0, "Remove them in the RUN that creates them"),
        ("RUN rm /x; chown a /y", 1_000_000, "Remove them in the RUN that creates them"),
        ("COPY a /x", 0, "Write each file once"),
    ],
)
def test_what_the_last_build_wasted(step: str, copied: int, words: str) -> None:
    waste = StepWaste(1, "app:1", 3, 5_000_000, copied, [("/x/a", 4_000_000)])
    problems = lint(parse(f"FROM a:1\n{step}\n"), World(waste=[waste]))
    assert [p.code for p in problems] == ["WastedBytes"]
    assert "/x/a" in problems[0].message
    assert "5MB" in problems[0].message
    assert words in problems[0].hint
    copied_too = "removed or copied 5MB" in problems[0].message
    assert copied_too == ("rm /x; chown" in step)


def test_what_onbuild_wasted_is_reported_at_the_from() -> None:
    trigger = "ONBUILD RUN rm /x && " + "y" * 60
    waste = StepWaste(0, "the last build (job 1)", None, 5_000_000, 0, [("/x", 1)], trigger)
    (problem,) = lint(parse("FROM a:1\n"), World(waste=[waste]))
    start = f"In the last build (job 1) {trigger[:59]}… removed 5MB that lower layers still contain"
    assert problem.message.startswith(start)


@given(texts)
@settings(max_examples=300)
def test_no_text_makes_it_fail(text: str) -> None:
    document = parse(text)
    for problem in lint(document):
        assert isinstance(problem.span, Span)
        assert 0 <= problem.span.start <= problem.span.end <= len(text)
        assert problem.message.endswith(".")
