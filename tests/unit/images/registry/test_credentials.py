"""Credentials, from wherever Docker and Podman keep them."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from layerscope.images.registry.credentials import Credentials, find_credentials

HUB = "https://index.docker.io/v1/"


def auth(login: str) -> dict[str, str]:
    return {"auth": b64encode(login.encode()).decode()}


def helper(write: Callable[[str, object], Path], name: str, script: str) -> None:
    write(f"bin/docker-credential-{name}", f"#!/bin/sh\nread server\n{script}\n").chmod(0o755)


def found(domain: str, repository: str = "a/b") -> tuple[str, str] | None:
    credentials = find_credentials(domain, repository).credentials
    return None if credentials is None else (credentials.username, credentials.password)


def test_none(write: Callable[[str, object], Path]) -> None:
    lookup = find_credentials("example.com", "a")
    assert (lookup.credentials, lookup.trouble) == (None, "")


def test_docker_config(
    write: Callable[[str, object], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write(
        ".docker/config.json",
        {
            "auths": {
                HUB: auth("hub:p:w"),
                "https://example.com/v1/": auth("old:p"),
                "127.0.0.1:5000": {"username": "plain", "password": "x"},
                "empty.example.com": {},
            }
        },
    )
    assert found("docker.io") == ("hub", "p:w")
    assert found("example.com") == ("old", "p")
    assert found("127.0.0.1:5000") == ("plain", "x")
    assert found("127.0.0.1") is None
    assert found("empty.example.com") is None
    assert found("sub.example.com") is None
    write("other/config.json", {"auths": {"example.com": auth("other:p")}})
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "other"))
    assert found("example.com") == ("other", "p")
    assert found("docker.io") is None


def test_podman_files(
    write: Callable[[str, object], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write(
        ".config/containers/auth.json",
        {
            "auths": {
                "quay.io": auth("all:p"),
                "quay.io/team": auth("team:p"),
                "quay.io/team/app": auth("app:p"),
                "docker.io": auth("hub:p"),
            }
        },
    )
    assert found("quay.io", "other/app") == ("all", "p")
    assert found("quay.io", "team/x") == ("team", "p")
    assert found("quay.io", "team/app") == ("app", "p")
    assert found("quay.io", "teams/app") == ("all", "p")
    assert found("docker.io", "library/debian") == ("hub", "p")
    run = write("run/containers/auth.json", {"auths": {"quay.io": auth("run:p")}})
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(run.parent.parent))
    assert found("quay.io") == ("run", "p")
    write(".docker/config.json", {"auths": {"quay.io": auth("docker:p")}})
    assert found("quay.io") == ("docker", "p")
    named = write("named.json", {"auths": {"quay.io": auth("named:p")}})
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(named))
    assert found("quay.io") == ("named", "p")


def test_tokens(write: Callable[[str, object], Path]) -> None:
    write(
        ".docker/config.json",
        {"auths": {"a.b": {"identitytoken": "I", **auth("x:")}, "c.d": {"registrytoken": "R"}}},
    )
    one = find_credentials("a.b", "x").credentials
    other = find_credentials("c.d", "x").credentials
    assert one is not None
    assert other is not None
    assert (one.identity_token, other.registry_token) == ("I", "R")


def test_helpers(write: Callable[[str, object], Path]) -> None:
    helper(write, "one", 'echo "{\\"Username\\": \\"$server\\", \\"Secret\\": \\"s\\"}"')
    helper(write, "token", 'echo \'{"Username": "<token>", "Secret": "t"}\'')
    helper(write, "none", "echo credentials not found in native keychain; exit 1")
    write(
        ".docker/config.json",
        {
            "credsStore": "none",
            "credHelpers": {"one.example.com": "one", "token.example.com": "token"},
            "auths": {"file.example.com": auth("file:p"), "one.example.com": auth("not:this")},
        },
    )
    assert found("one.example.com") == ("one.example.com", "s")
    assert found("file.example.com") == ("file", "p")
    assert found("nobody.example.com") is None
    token = find_credentials("token.example.com", "x").credentials
    assert token is not None
    assert (token.identity_token, token.username) == ("t", "")


def test_store(write: Callable[[str, object], Path]) -> None:
    helper(write, "store", 'echo "{\\"Username\\": \\"$server\\", \\"Secret\\": \\"s\\"}"')
    write(".docker/config.json", {"credsStore": "store", "auths": {HUB: {}}})
    assert found("docker.io") == (HUB, "s")
    assert found("example.com:5000") == ("example.com:5000", "s")


@pytest.mark.parametrize(
    ("document", "trouble"),
    [
        ("{", "is not valid JSON"),
        ("[]", "is not a JSON object"),
        ({"auths": {"x.y": {"auth": "?"}}}, "not base64"),
        ({"credsStore": "missing"}, "docker-credential-missing is not installed"),
        ({"credsStore": "../../x"}, "the name of a credential helper is invalid"),
        ({"credsStore": "fails"}, "docker-credential-fails failed"),
        ({"credsStore": "babbles"}, "something other than a login"),
    ],
)
def test_trouble(write: Callable[[str, object], Path], document: object, trouble: str) -> None:
    helper(write, "fails", "echo SECRET; echo SECRET >&2; exit 1")
    helper(write, "babbles", "echo SECRET")
    write(".docker/config.json", document)
    lookup = find_credentials("x.y", "a")
    assert lookup.credentials is None
    assert trouble in lookup.trouble
    assert "SECRET" not in lookup.trouble
    write(".config/containers/auth.json", {"auths": {"x.y": auth("podman:p")}})
    assert found("x.y") == ("podman", "p")


def test_secrets_are_not_shown() -> None:
    shown = repr(Credentials("user", "SECRET", "SECRET", "SECRET", "file"))
    assert "SECRET" not in shown
    assert "user" in shown
