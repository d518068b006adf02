"""Which builder is meant, why, and what it lacks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from layerscope.build import builders
from layerscope.build.builders import Builders, builders_of, check_secrets
from layerscope.engines.podman_builds import crashes_at_required, secret_files, takes_secrets
from layerscope.errors import UsageError


def of(name: str, monkeypatch: pytest.MonkeyPatch, *, buildx: bool = True) -> Builders:
    monkeypatch.setattr(builders, "has_buildx", lambda: buildx)
    engine: Any = SimpleNamespace(
        name=name, platform="linux/amd64", is_podman=name.startswith("Podman")
    )
    return builders_of(engine)


def test_auto_says_which_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    docker = of("Docker 28.2", monkeypatch)
    assert (docker.chosen("auto"), docker.why) == ("buildkit", "docker has buildx here.")
    assert docker.chosen("classic") == "classic"
    bare = of("Docker 20.10", monkeypatch, buildx=False)
    assert (bare.chosen("auto"), bare.why) == ("classic", "There is no docker with buildx here.")
    podman = of("Podman 4.3.1", monkeypatch)
    assert (podman.chosen("auto"), podman.why) == ("podman", "Podman 4.3.1 has no other.")


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
        ("Podman 5.0", True, "buildkit", "Podman 5.0 does not have BuildKit. Choose podman."),
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
        ("Docker 28", True, "classic", "The classic builder has no secrets; BuildKit does. Choose"),
        ("Docker 28", False, "auto", "The classic builder has no secrets; BuildKit does."),
        ("Podman 4.3.1", False, "auto", ""),
        ("Podman 3.4.4", False, "podman", "Podman 3.4.4 takes no secrets by its API; 4.0 is"),
    ],
)
def test_who_takes_secrets(
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


def test_buildx_is_asked_only_where_it_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def has_buildx() -> bool:
        asked.append("buildx")
        return True

    monkeypatch.setattr(builders, "has_buildx", has_buildx)
    docker: Any = SimpleNamespace(name="Docker 28", platform="linux/amd64", is_podman=False)
    assert builders_of(docker, "classic").chosen("classic") == "classic"
    assert asked == []
    assert builders_of(docker, "buildkit").chosen("buildkit") == "buildkit"
    assert asked == ["buildx"]


@pytest.mark.parametrize(
    ("name", "secrets", "crashes"),
    [
        ("Podman 3.4.4", False, True),
        ("Podman 4.3.1", True, True),
        ("Podman 4.6.0", True, False),
        ("Podman 10.0.0-dev", True, False),
        ("Podman", False, True),
    ],
)
def test_what_versions_of_podman_can(name: str, secrets: bool, crashes: bool) -> None:
    engine: Any = SimpleNamespace(name=name)
    assert (takes_secrets(engine), crashes_at_required(engine)) == (secrets, crashes)


def test_podman_is_given_files_that_nobody_can_name() -> None:
    files, parameters = secret_files({"a": b"one", "b": b"two"})
    assert sorted(files.values()) == [b"one", b"two"]
    names = {value: name for name, value in files.items()}
    assert parameters == {
        "secrets": f'["id=a,src={names[b"one"]}", "id=b,src={names[b"two"]}"]',
    }
    assert not files.keys() & secret_files({"a": b"one"})[0].keys()
    assert secret_files({}) == ({}, {})
