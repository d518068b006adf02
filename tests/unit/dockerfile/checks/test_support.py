"""What builders cannot do is known before they are asked."""

from __future__ import annotations

import pytest

from layerscope.dockerfile.checks.facts import World
from layerscope.dockerfile.checks.lint import lint
from layerscope.dockerfile.checks.support import Builder, frontend_of, unsupported
from layerscope.dockerfile.syntax.parser import parse

F = "FROM base:1\n"
BUILDERS = {
    "c": Builder("classic", "the classic builder", (1, 2)),
    "C": Builder("classic", "the classic builder", (1, 19)),
    "b": Builder("buildkit", "BuildKit", (1, 2)),
    "B": Builder("buildkit", "BuildKit", (1, 19)),
    "N": Builder("buildkit", "BuildKit"),
    "p": Builder("podman", "Podman", (4, 3)),
    "P": Builder("podman", "Podman", (5, 8)),
}
#: Each Dockerfile, and the builders that cannot build it. Real engines were asked.
CASES = {
    F + "RUN a\nCOPY --chown=1 a /\n": "",
    F + "RUN cat <<EOF\na\nEOF\n": "cCbp",
    F + "COPY <<EOF /a\na\nEOF\n": "cCbp",
    F + "ONBUILD RUN <<EOF\na\nEOF\n": "cCbp",
    F + "RUN --mount=target=/m a\n": "cC",
    F + "RUN --mount=type=cache,target=/m a\n": "cC",
    F + "RUN --mount=type=tmpfs,target=/m a\n": "cC",
    F + "RUN --mount=type=tmpfs,target=/m,size=1m a\n": "cCbpP",
    F + "RUN --mount=type=secret,id=x a\n": "cC",
    F + "RUN --mount=type=secret,id=x,env=X a\n": "cCbpP",
    F + "RUN --mount=type=secret,target=/x a\n": "cCpP",
    F + "RUN --mount=type=secret,id=x,required a\n": "cCp",
    F + "RUN --mount=type=secret,id=x,required=true a\n": "cC",
    F + "RUN --mount=type=ssh a\n": "cC",
    F + "RUN --mount=target=m a\n": "cCp",
    F + "RUN --network=none a\n": "cCbp",
    F + "RUN --security=sandbox a\n": "cCbBpP",
    F + "RUN --device=a.b/c=d a\n": "cCbBNpP",
    F + "COPY --link a /\n": "cCbp",
    F + "COPY --chmod=700 a /\n": "cC",
    F + "COPY --chmod=$M a /\n": "cC",
    F + "COPY --chmod=u+x a /\n": "cCbpP",
    F + "ADD --chmod=700 a /\n": "cC",
    F + "COPY --exclude=a . /\n": "cCbp",
    F + "COPY --parents a /\n": "cCbBp",
    F + "COPY --from=$x a /\n": "cCbBN",
    F + "COPY --from=x a /\n": "",
    F + "ADD --checksum=sha256:0 https://a/b /\n": "cCbp",
    F + "ADD --keep-git-dir https://a/b.git /\n": "cCbp",
    F + "ADD --unpack=false a /\n": "cCbpP",
    F + "ADD https://a/b.git /\n": "cCbp",
    F + "ADD https://a/b.git#main /\n": "cCbp",
    F + "ADD git@a:b /\n": "cCbp",
    F + "ADD https://a/b.gitignore /\n": "",
    F + "HEALTHCHECK --start-interval=1s CMD a\n": "cbp",
    F + "ENV a=${b:?c}\n": "p",
    F + "ENV a=${b-c}\n": "cbpP",
    F + "ENV a=${b+c}\n": "cbpP",
    F + "ENV a=${b:-c}${d:+e}\n": "",
    F + "ENV a=${b#c}\n": "cbp",
    F + "ENV a=${b/c/d}\n": "cbp",
    F + "ENV a=\\${b/c/d}\n": "",
    F + "RUN echo ${b/c/d}\n": "",
    "FROM --platform=linux/amd64 a\n": "",
    "FROM --platform=$BUILDPLATFORM a\n": "cC",
    "ARG BUILDPLATFORM=linux/amd64\nFROM --platform=$BUILDPLATFORM a\n": "",
    "# syntax=docker/dockerfile:1\n" + F + "COPY --parents a /\n": "cCp",
    "# syntax=docker/dockerfile:1.4\n" + F + "COPY --parents a /\n": "cCbBNp",
    "# syntax=docker/dockerfile:1.7-labs\n" + F + "COPY --parents a /\n": "cCp",
    "# syntax=docker/dockerfile:labs\n" + F + "RUN --device=a.b/c=d a\n": "cCpP",
    "# syntax=example.com/own\n" + F + "COPY --parents a /\n": "cCp",
    F + "ONBUILD RUN --network=none a\n": "",
    "FROM a AS b\nONBUILD RUN --network=none a\nFROM b\n": "cCbp",
    "FROM a AS b\nRUN --network=none a\nFROM c\n": "cCb",
}


@pytest.mark.parametrize("text", CASES)
def test_what_a_builder_cannot_do(text: str) -> None:
    document = parse(text)
    found = {key: unsupported(document, builder) for key, builder in BUILDERS.items()}
    assert "".join(key for key, each in found.items() if each) == CASES[text]


def test_only_what_is_built_counts() -> None:
    document = parse("FROM a AS b\nFROM b AS c\nRUN --mount=type=cache,target=/x y\n")
    assert len(unsupported(document, BUILDERS["c"])) == 1
    assert unsupported(document, BUILDERS["c"], "b") == []


def test_sentences() -> None:
    document = parse(F + "\n# z\nRUN --mount=type=cache,target=/x <<EOF\nEOF\n")
    found = unsupported(document, BUILDERS["c"])
    assert [(each.sentence, each.hint) for each in found] == [
        ("Line 4: The classic builder does not support heredocs.", "BuildKit does."),
        ("Line 4: The classic builder does not support RUN --mount=type=cache.", "BuildKit does."),
    ]
    (one,) = unsupported(document, BUILDERS["p"])
    assert one.hint == "Podman 4.8 and BuildKit do."
    (one,) = unsupported(document, BUILDERS["b"])
    assert one.hint == "Begin the file with # syntax=docker/dockerfile:1."


@pytest.mark.parametrize(
    ("syntax", "expected"),
    [
        ("docker/dockerfile", ((999, 0), False)),
        ("docker.io/docker/dockerfile:1.10.0", ((1, 10), False)),
        ("docker/dockerfile:1-labs", ((999, 0), True)),
        ("docker/dockerfile:1.7.0-labs", ((1, 7), True)),
        ("docker/dockerfile:1.7@sha256:0", None),
        ("docker/dockerfile-upstream:master", None),
        ("example.com/docker/dockerfile:1", None),
    ],
)
def test_the_frontend(syntax: str, expected: tuple[tuple[int, int], bool] | None) -> None:
    assert frontend_of(parse(f"# syntax={syntax}\nFROM a\n"), (1, 2)) == expected


def test_lint_reports_what_the_chosen_builder_cannot_do() -> None:
    document = parse("FROM a:1\nCOPY --link a /\nCOPY --from=$b a /\n")

    def found(builder: Builder | None) -> list[tuple[str, int]]:
        problems = lint(document, World(builder=builder))
        codes = [problem for problem in problems if problem.code == "NotSupported"]
        return [(p.severity.label, document.source.line_at(p.span.start) + 1) for p in codes]

    assert found(None) == [("error", 3)]
    assert found(BUILDERS["c"]) == [("error", 2), ("error", 3)]
    assert found(BUILDERS["p"]) == [("error", 2)]
