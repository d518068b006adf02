"""Dockerfiles: our problems are BuildKit's, and an image's history is its Dockerfile again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from layerscope.dockerfile.checks.facts import World
from layerscope.dockerfile.checks.lint import lint
from layerscope.dockerfile.checks.tools import build_check
from layerscope.dockerfile.context.context import open_context
from layerscope.dockerfile.meaning.match_history import match_layers
from layerscope.dockerfile.meaning.reverse import reconstruct
from layerscope.dockerfile.syntax.parser import parse
from layerscope.engines.resolve import open_image
from tests.engines.docker_daemon import program_path
from tests.engines.harness import Engine
from tests.engines.images import busybox_base
from tests.engines.listings import use

S = "FROM scratch\n"

AGREED = [
    "FROM scratch AS Ab\nENV a b\nCOPY a $X/\nMAINTAINER x\n",
    S + "ENV d=${b}\nCOPY a /\n",
    S + "ARG x\nENV d=$x\nCOPY a /\n",
    "from scratch as x\nCOPY a /\nFROM scratch AS X\nCOPY a /\n",
    "FROM --platform=linux/amd64 scratch\nCOPY a /\n",
    "FROM --platform=$TARGETPLATFORM scratch\nCOPY a /\n",
    S + "WORKDIR x\nEXPOSE 80/TCP 1:2\nCMD a\nCMD b\nENTRYPOINT x\n",
    S + "HEALTHCHECK CMD a\nHEALTHCHECK CMD b\nARG API_TOKEN\nENV PUBLIC_KEY=1 auth_x=y\n",
    "ARG V\nFROM $V\nCOPY a /\n",
    "FROM $W\nCOPY a /\n",
    "ARG V\nFROM scratch$V\nCOPY a /\n",
    S + "COPY --from=3 a b\n",
    "FROM scratch AS q\nCOPY --from=q a b\n",
    "FROM scratch AS 1\n",
    "FROM scratch as x y\n",
    S + "SHELL a\n",
    S + "CMD []\n",
    S + "ONBUILD FROM x\n",
    S + "RUN --mount=type=cache,target=/x,mode=77x y\n",
    S + "RUN --mount=type=tmpfs,uid=3,target=/x y\n",
    S + "RUN --mount=type=secret y\n",
    S + "RUN --mount=type=ssh,from=x y\n",
    S + "RUN --network=x y\n",
    S + "COPY --chmod=xx a /\n",
    S + "LABEL a\n",
    S + "LABEL a b\n",
    S + "ENV =x\n",
    S + "STOPSIGNAL\n",
    S + "USER a b\n",
    S + "HEALTHCHECK --retries=-1 CMD x\n",
    S + "HEALTHCHECK --interval=1 CMD x\n",
    "FROM scratch AS a\nFROM a AS a\nCOPY a /\n",
    "FROM scratch AS context\nCOPY a /\n",
    S + "COPY a <<E\nE\n",
    "ONBUILD RUN x\n",
    S + "Run x\nCOPY a /\n",
    "# check=skip=all\nFROM scratch\nENV a b\n",
    S + "ENV a=$PATH\nENV b=$a$c\n",
    S + "USER ${u?}\n",
    S + "ENV a='x\n",
    S + 'CMD ["a", 1]\n',
    "# escape=x\nFROM scratch\n",
    S + "ARG a=1=2 b\n",
    S + "COPY --link= a b\n",
    S + "RUN --mount=type=bind,from=$x,target=/y z\n",
    S + "RUN --mount=foo=bar,target=/x z\n",
    S + "COPY --chown=$u a /\n",
    S + "COPY ign /\n",
    "",
]
#: What BuildKit does not check, or only when it runs.
OURS = frozenset({"CopySourceMissing", "CopyIgnoredFile", "UnusedStage"})


def test_problems_are_those_that_buildkit_finds(
    docker_28: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where BuildKit says that a file cannot be built, so do we, and its warnings are ours."""
    (tmp_path / "a").write_text("a")
    (tmp_path / "ign").write_text("a")
    (tmp_path / ".dockerignore").write_text("ign\n")
    world = World(context=open_context(tmp_path))
    other = {}
    for text in AGREED:
        document = parse(text)
        done = docker_28.docker(
            *("buildx", "build", "--call=check,format=json", "-f", "-", str(tmp_path)),
            stdin=text.encode(),
            check=False,
        )
        said: Any = json.loads(done.stdout) if done.stdout.strip() else {"buildError": True}
        theirs = {warning["ruleName"] for warning in said.get("warnings") or ()} - OURS
        problems = lint(document, world)
        fails = any(p.certain and p.code not in OURS for p in problems)
        ours = {p.code for p in problems if not p.certain} - OURS
        if fails != bool(said.get("buildError")) or (not fails and ours != theirs):
            other[text] = (theirs, said.get("buildError"), [p.code for p in problems])
    assert other == {}


def test_buildkits_own_checks_are_read(
    docker_28: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, docker_28)
    monkeypatch.setenv("PATH", program_path("docker-28"))
    found = build_check(parse(S + "\nMAINTAINER x\n"), tmp_path)
    assert found is not None
    assert found.failure == ""
    assert [(p.code, p.source, p.span) for p in found.problems] == [
        ("MaintainerDeprecated", "buildkit", (14, 24))
    ]


@pytest.mark.parametrize(
    "text",
    [
        "FROM scratch\r\nENV a b\r\nCOPY a $x/\r\nWORKDIR x\r\n",
        S + "COPY <<EOF /x\nMAINTAINER x\n$y\nEOF\nENV a b\nWORKDIR y\n",
        S + "\tENV a b\n\tWORKDIR\t\\\n\t x\n",
        S + "# 中文\nENV a 中文\nLABEL 😀 b\nCOPY a $zz/\n",
        "# check=skip=LegacyKeyValueFormat;error=true\nFROM scratch\nENV a b\nWORKDIR x\n",
        "# check=error=true\nFROM scratch\nENV a b\n",
        "# check=skip=all\nFROM scratch\nENV a b\n",
        "FROM scratch AS a\nCMD x\nCMD y\nFROM a as B\nCMD z\nARG PASSWORD\n",
        S + "ENV A=$x B=$y\nCOPY a $z $w /\n",
        S + "COPI a\n",
        "",
        "\ufeffFROM scratch\nENV a \udcff\n",
    ],
)
def test_what_buildkit_finds_too_is_told_once(
    docker_28: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    use(monkeypatch, docker_28)
    monkeypatch.setenv("PATH", program_path("docker-28"))
    (tmp_path / "a").write_text("a")
    document = parse(text)
    found = build_check(document, tmp_path)
    assert found is not None
    assert found.failure == ""
    world = World(context=open_context(tmp_path))
    assert lint(document, world, found.problems) == lint(document, world)


def test_a_frontend_that_cannot_be_had_is_said(
    docker_28: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, docker_28)
    monkeypatch.setenv("PATH", program_path("docker-28"))
    found = build_check(parse("# syntax=nowhere.invalid/x:1\nFROM scratch\n"), tmp_path)
    assert found is not None
    assert found.failure.startswith("docker buildx failed (failed to resolve source metadata")


STEPS = """\
ENV A=1 B="x y"
LABEL l="some text" m="a=b c=d" n=e
WORKDIR /srv
COPY f /srv/f
RUN echo "$A  b" > /one && \\
    echo two > /two
RUN ["/bin/busybox", "touch", "/three"]
SHELL ["/bin/busybox", "sh", "-e", "-c"]
RUN echo "$A c" > /four
EXPOSE 80/tcp
VOLUME ["/data", "/more data"]
USER www
STOPSIGNAL SIGQUIT
HEALTHCHECK --interval=30s --retries=3 CMD true
ENTRYPOINT ["/bin/busybox", "echo"]
CMD ["a b", "c"]
CMD echo x y
ONBUILD RUN true
"""


def test_an_image_gives_its_dockerfile_again(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, engine)
    base = busybox_base(engine)
    (tmp_path / "f").write_text("f")
    text = f"FROM {base}\n{STEPS}"
    (tmp_path / "Dockerfile").write_text(text)
    tag = "layerscope.test/steps"
    podman = ["--format", "docker", "--layers"] if engine.name == "podman" else []
    engine.docker("build", "--network", "none", *podman, "-q", "-t", tag, str(tmp_path))
    reader = open_image(tag)
    image = reader.image
    reader.close()
    written = [entry.created_by for entry in image.history]
    again = parse("\n".join(reconstruct(image.history, "", image.config)) + "\n")
    # A command alone may be what `docker commit` recorded, so it is not taken for a RUN.
    bare = "/bin/busybox touch /three"
    wanted = [
        each
        for each in parse(STEPS).instructions
        if bare not in written or "/three" not in each.arguments
    ]
    for got, original in zip(again.instructions[-len(wanted) :], wanted, strict=True):
        assert got.keyword == original.keyword
        if original.keyword == "COPY":
            assert got.words[-1].text == "/srv/f"
        elif original.keyword == "RUN":
            # Docker's do not distinguish the exec form from the other.
            expected = " ".join(w.text for w in original.words).split()
            assert " ".join(w.text for w in got.words).split() == expected
        else:
            assert [(f.name, f.value) for f in got.flags] == [
                (f.name, f.value) for f in original.flags
            ]
            assert got.arguments.replace('"', "") == original.arguments.replace('"', "")
    layers = match_layers(parse(text), image)
    made = {parse(text).instructions[number].keyword for number in layers}
    assert {"RUN", "COPY"} <= made
    assert sorted(layers.values()) == list(layers.values())
    assert all(len(each) == 1 for each in layers.values())
