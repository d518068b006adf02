"""The default builder, its reason, and what builders lack."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from layerscope.build import buildkit
from layerscope.build.builders import (
    Builders,
    builders_of,
    check_files,
    check_secrets,
    known_builder,
    refused,
)
from layerscope.dockerfile.checks.support import NEWEST
from layerscope.dockerfile.syntax.parser import parse
from layerscope.engines.podman_builds import secret_files, takes_secrets
from layerscope.errors import UsageError


def of(name: str, monkeypatch: pytest.MonkeyPatch, *, buildx: bool = True) -> Builders:
    monkeypatch.setattr(buildkit, "has_buildx", lambda: buildx)
    engine: Any = SimpleNamespace(
        name=name, platform="linux/amd64", is_podman=name.startswith("Podman")
    )
    return builders_of(engine)


def test_the_default_builder_and_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    docker = of("Docker 28.2", monkeypatch)
    assert (docker.chosen("auto"), docker.why) == ("buildkit", "docker has buildx.")
    assert docker.chosen("classic") == "classic"
    bare = of("Docker 20.10", monkeypatch, buildx=False)
    assert (bare.chosen("auto"), bare.why) == ("classic", "docker with buildx is not installed.")
    podman = of("Podman 4.3.1", monkeypatch)
    assert (podman.chosen("auto"), podman.why) == ("podman", "Podman 4.3.1 has no other builder.")


@pytest.mark.parametrize(
    ("engine", "buildx", "builder", "said"),
    [
        (
            "Docker 28",
            True,
            "podman",
            "Docker 28 does not have Podman's builder. Choose",
        ),
        ("Docker 28", False, "buildkit", "BuildKit needs a docker command with buildx"),
        ("Podman 5.0", True, "classic", "Podman 5.0 does not have the classic builder."),
        ("Podman 5.0", True, "buildkit", "Podman 5.0 does not have BuildKit. Choose podman"),
    ],
)
def test_what_an_engine_does_not_have(
    engine: str, buildx: bool, builder: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError) as caught:
        of(engine, monkeypatch, buildx=buildx).chosen(builder)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("engine", "buildx", "builder", "said"),
    [
        ("Docker 28", True, "auto", ""),
        (
            "Docker 28",
            True,
            "classic",
            "The classic builder does not support secrets; ",
        ),
        (
            "Docker 28",
            False,
            "auto",
            "The classic builder does not support secrets; BuildKit does.",
        ),
        ("Podman 4.3.1", False, "auto", ""),
        ("Podman 3.4.4", False, "podman", "The API of Podman 3.4.4 does not support secrets;"),
    ],
)
def test_which_builders_support_secrets(
    engine: str, buildx: bool, builder: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = of(engine, monkeypatch, buildx=buildx)
    check_secrets(found, builder, ())
    if not said:
        check_secrets(found, builder, ("id=a,env=B",))
        return
    with pytest.raises(UsageError) as caught:
        check_secrets(found, builder, ("id=a,env=B",))
    assert str(caught.value).startswith(said)


def test_buildx_is_only_looked_for_when_it_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def has_buildx() -> bool:
        asked.append("buildx")
        return True

    monkeypatch.setattr(buildkit, "has_buildx", has_buildx)
    docker: Any = SimpleNamespace(name="Docker 28", platform="linux/amd64", is_podman=False)
    assert builders_of(docker, "classic").chosen("classic") == "classic"
    assert asked == []
    assert builders_of(docker, "buildkit").chosen("buildkit") == "buildkit"
    assert asked == ["buildx"]


@pytest.mark.parametrize(
    ("name", "secrets"),
    [
        ("Podman 3.4.4", False),
        ("Podman 4.3.1", True),
        ("Podman 10.0.0-dev", True),
        ("Podman", False),
    ],
)
def test_features_of_podman_versions(name: str, secrets: bool) -> None:
    engine: Any = SimpleNamespace(name=name)
    assert takes_secrets(engine) == secrets


@pytest.mark.parametrize(
    ("engine", "name", "expected"),
    [
        ("Docker 20.10.24", "classic", ("the classic builder of Docker 20.10", (1, 2))),
        ("Docker 25.0.1", "buildkit", ("BuildKit of Docker 25.0", (1, 6))),
        ("Docker 27.2.0", "buildkit", ("BuildKit of Docker 27.2", (1, 9))),
        ("Docker 28.5.2+dfsg4", "buildkit", ("BuildKit of Docker 28.5", (1, 19))),
        ("Docker 29.1.0", "buildkit", ("BuildKit of Docker 29.1", NEWEST)),
        ("Docker 19.03.1", "classic", ("the classic builder of Docker 19.03", (1, 0))),
        ("Podman 4.3.1", "podman", ("Podman 4.3", (4, 3))),
        ("Docker", "buildkit", ("BuildKit", NEWEST)),
    ],
)
def test_what_is_known_of_a_builder(
    engine: str, name: str, expected: tuple[str, tuple[int, int]]
) -> None:
    known = known_builder(Builders(engine, "", name, "", {}, {}), name)
    assert (known.title, known.version) == expected


def test_the_buildx_builder_decides_what_buildkit_can_do(monkeypatch: pytest.MonkeyPatch) -> None:
    document = parse("FROM scratch\nCOPY --parents a /\n")
    docker = Builders("Docker 28.5.2", "", "buildkit", "", {}, {})
    for answer, count in {("docker", 0): 1, ("docker", 25): 1, ("docker", 26): 0}.items():
        monkeypatch.setattr(buildkit, "buildx_builder", lambda *_, answer=answer: answer)
        assert len(refused(docker, "buildkit", document)) == count
    monkeypatch.setattr(buildkit, "buildx_builder", lambda *_: ("docker-container", 0))
    assert refused(docker, "buildkit", document) == []
    monkeypatch.setattr(buildkit, "buildx_builder", lambda *_: ("", 0))
    assert [each.sentence for each in refused(docker, "buildkit", document)] == [
        "Line 2: BuildKit of Docker 28.5 does not support COPY --parents."
    ]


def test_a_template_is_not_built_by_podman() -> None:
    check_files("buildkit", Path("Containerfile.in"))
    check_files("podman", Path("Containerfile"))
    with pytest.raises(UsageError, match=r"passes Containerfile.in through cpp"):
        check_files("podman", Path("x/Containerfile.in"))


def test_buildkit_reads_the_rules_itself() -> None:
    check_files("classic", Path("a"), "/rules")
    with pytest.raises(UsageError, match=r"no --ignorefile. Call the file a.dockerignore, beside"):
        check_files("buildkit", Path("x/a"), "/rules")


def test_podman_gets_secrets_as_files_with_random_names() -> None:
    files, parameters = secret_files({"a": b"one", "b": b"two"})
    assert sorted(files.values()) == [b"one", b"two"]
    names = {value: name for name, value in files.items()}
    assert parameters == {
        "secrets": f'["id=a,src={names[b"one"]}", "id=b,src={names[b"two"]}"]',
    }
    assert not files.keys() & secret_files({"a": b"one"})[0].keys()
    assert secret_files({}) == ({}, {})
