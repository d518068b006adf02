"""Logging in and out: what is checked, where it is kept, and what is left."""

from __future__ import annotations

import json
import stat
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from layerscope.errors import LayerscopeError, RegistryError, UsageError
from layerscope.images.registry.credentials import Credentials, find_credentials
from layerscope.images.registry.login import (
    HelperError,
    check_login,
    credentials_of,
    forget_login,
    keep_login,
    keeper_of,
    registry_of,
    still_known,
    warning_of,
)
from tests.unit.images.registry.misbehaving_registry import (
    BASIC,
    LOGIN,
    FakeRegistry,
    Handler,
    answer,
)
from tests.unit.images.registry.test_credentials import HUB, auth

Write = Callable[[str, object], Path]
HOST = "registry.example.com:5000"

#: A helper that keeps logins in files of its own, as those of docker-credential-helpers do.
HELPER = """#!/bin/sh
cd "$HOME/store" || exit 1
case $1 in
get|erase)
    read -r server; name=$(echo "$server" | tr '/' '%')
    [ -e "$name" ] || { echo "credentials not found in native keychain"; exit 1; }
    [ "$1" = erase ] && exec rm "$name"; exec cat "$name";;
store)
    given=$(cat)
    name=$(echo "$given" | sed 's/.*"ServerURL": *"\\([^"]*\\)".*/\\1/' | tr '/' '%')
    echo "$given" > "$name";;
esac
"""


def helper(write: Write, name: str, script: str = HELPER) -> Path:
    program = write(f"bin/docker-credential-{name}", script)
    program.chmod(0o755)
    store = program.parent.parent / "store"
    store.mkdir(exist_ok=True)
    return store


def config(tmp_path: Path) -> dict[str, object]:
    document: dict[str, object] = json.loads((tmp_path / ".docker/config.json").read_text())
    return document


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("", "docker.io"),
        ("docker.io", "docker.io"),
        (HUB, "docker.io"),
        ("ghcr.io", "ghcr.io"),
        ("https://ghcr.io/v2/", "ghcr.io"),
        ("ghcr.io/org/app:1", "ghcr.io"),
        ("localhost:5000", "localhost:5000"),
        ("[::1]:5000", "[::1]:5000"),
    ],
)
def test_registries(text: str, domain: str) -> None:
    assert registry_of(text) == domain


@pytest.mark.parametrize("text", ["ghcr io", "a\x1b[31m.io", "user@ghcr.io", "host:port", "-"])
def test_what_is_not_a_registry(text: str) -> None:
    with pytest.raises(UsageError, match="is not the address of a registry"):
        registry_of(text)


def test_a_login_is_kept_in_the_file_and_the_rest_of_it_stays(write: Write, tmp_path: Path) -> None:
    write(".docker/config.json", {"auths": {"other.example.com": auth("a:b")}, "proxies": {"x": 1}})
    keeper = keeper_of(HOST)
    assert (keeper.file, keeper.helper) == (tmp_path / ".docker/config.json", "")
    keep_login(HOST, Credentials("gordon", "pa:ss wörd"), keeper)
    document = config(tmp_path)
    assert document["proxies"] == {"x": 1}
    assert list(document["auths"]) == ["other.example.com", HOST]  # type: ignore[call-overload]
    assert b64decode(document["auths"][HOST]["auth"]).decode() == "gordon:pa:ss wörd"  # type: ignore[index]
    assert stat.S_IMODE(keeper.file.stat().st_mode) == 0o600
    found = find_credentials(HOST, "a/b").credentials
    assert found is not None
    assert (found.username, found.password) == ("gordon", "pa:ss wörd")
    assert forget_login(HOST) == [str(keeper.file)]
    assert list(config(tmp_path)["auths"]) == ["other.example.com"]  # type: ignore[call-overload]
    assert forget_login(HOST) == []


def test_docker_hub_has_its_own_key_and_all_forms_are_removed(write: Write, tmp_path: Path) -> None:
    keep_login("docker.io", Credentials("gordon", "secret"), keeper_of("docker.io"))
    assert list(config(tmp_path)["auths"]) == [HUB]  # type: ignore[call-overload]
    old = {name: auth("a:b") for name in ("docker.io", "https://index.docker.io/v1/", "x.org")}
    write(".docker/config.json", {"auths": old})
    assert len(forget_login("docker.io")) == 1
    assert list(config(tmp_path)["auths"]) == ["x.org"]  # type: ignore[call-overload]
    forms = {f"{scheme}{HOST}{end}": auth("a:b") for scheme in ("", "http://", "https://")
             for end in ("", "/v2/")}  # fmt: skip
    write(".docker/config.json", {"auths": forms})
    forget_login(HOST)
    assert config(tmp_path)["auths"] == {}


def test_a_link_to_the_file_stays_a_link(write: Write, tmp_path: Path) -> None:
    target = write("dotfiles/config.json", {"auths": {"x.org": auth("a:b")}})
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker/config.json").symlink_to(target)
    keep_login(HOST, Credentials("gordon", "secret"), keeper_of(HOST))
    assert (tmp_path / ".docker/config.json").is_symlink()
    assert HOST in json.loads(target.read_text())["auths"]


@pytest.mark.parametrize("text", ["{", "[]", '{"auths": '])
def test_a_broken_file_is_not_overwritten(write: Write, text: str) -> None:
    path = write(".docker/config.json", text)
    with pytest.raises(LayerscopeError, match="Repair the file"):
        keeper_of(HOST)
    with pytest.raises(LayerscopeError, match="Repair the file"):
        forget_login(HOST)
    assert path.read_text() == text


def test_a_file_that_cannot_be_written_is_an_error(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", "/proc/nothing")
    with pytest.raises(LayerscopeError, match="cannot be written"):
        keep_login(HOST, Credentials("gordon", "secret"), keeper_of(HOST))


@pytest.mark.parametrize(
    "settings", [{"credsStore": "vault"}, {"credHelpers": {HOST: "vault"}, "credsStore": "none"}]
)
def test_a_helper_keeps_it_and_the_file_has_no_secret(
    write: Write, tmp_path: Path, settings: dict[str, object]
) -> None:
    write(".docker/config.json", settings)
    store = helper(write, "vault")
    keeper = keeper_of(HOST)
    assert keeper.name == "docker-credential-vault"
    keep_login(HOST, Credentials("gordon", "secret"), keeper)
    assert config(tmp_path)["auths"] == {HOST: {}}
    assert json.loads((store / HOST).read_text())["Secret"] == "secret"
    found = find_credentials(HOST, "").credentials
    assert found is not None
    assert (found.username, found.password) == ("gordon", "secret")
    keep_login(HOST, Credentials("gordon", "", "refresh"), keeper)
    assert json.loads((store / HOST).read_text())["Username"] == "<token>"
    if "credHelpers" in settings:
        helper(write, "none")
    assert forget_login(HOST) == ["docker-credential-vault"]
    assert not list(store.iterdir())
    assert config(tmp_path)["auths"] == {}


@pytest.mark.parametrize(
    ("programs", "expected"),
    [
        ([], ""),
        (["pass"], ""),
        (["docker-credential-pass"], ""),
        (["pass", "docker-credential-pass", "docker-credential-secretservice"], "pass"),
        (["docker-credential-pass", "docker-credential-secretservice"], "secretservice"),
    ],
)
def test_the_store_that_docker_would_choose(
    write: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    programs: list[str],
    expected: str,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for program in programs:
        write(f"bin/{program}", "#!/bin/sh\n").chmod(0o755)
    assert keeper_of(HOST).helper == expected
    # With a login in the file, Docker goes on keeping them there.
    write(".docker/config.json", {"auths": {"x.org": auth("a:b")}})
    assert keeper_of(HOST).helper == ""
    assert keeper_of(HOST, plain=True).helper == ""


@pytest.mark.parametrize(
    "script", ["#!/bin/sh\nexit 1\n", "#!/bin/sh\ncat > /dev/null\n", "#!/bin/sh\nyes\n"]
)
def test_a_helper_that_does_not_keep_it(write: Write, tmp_path: Path, script: str) -> None:
    write(".docker/config.json", {"credsStore": "vault"})
    helper(write, "vault", script)
    with pytest.raises(HelperError, match=r"docker-credential-vault .* add --plain-text"):
        keep_login(HOST, Credentials("gordon", "secret"), keeper_of(HOST))
    assert config(tmp_path) == {"credsStore": "vault"}
    keep_login(HOST, Credentials("gordon", "secret"), keeper_of(HOST, plain=True))
    assert "auth" in config(tmp_path)["auths"][HOST]  # type: ignore[index]


def test_a_helper_that_hangs(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    from layerscope.images.registry import credentials

    monkeypatch.setattr(credentials, "_HELPER_PATIENCE", 0.2)
    write(".docker/config.json", {"credsStore": "vault"})
    helper(write, "vault", "#!/bin/sh\nexec sleep 100\n")
    with pytest.raises(HelperError, match="took longer than"):
        keep_login(HOST, Credentials("gordon", "secret"), keeper_of(HOST))
    with pytest.raises(HelperError, match="may not be removed"):
        forget_login(HOST)


def test_the_variable_goes_before_the_files(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write(".docker/config.json", {"auths": {HOST: auth("file:secret")}})
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", json.dumps({"auths": {HOST: auth("env:secret")}}))
    found = find_credentials(HOST, "a/b").credentials
    assert found is not None
    assert (found.username, found.origin) == ("env", "DOCKER_AUTH_CONFIG")
    assert warning_of(HOST).startswith("DOCKER_AUTH_CONFIG has another login")
    forget_login(HOST)
    assert still_known(HOST) == "DOCKER_AUTH_CONFIG"
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", "{")
    assert find_credentials(HOST, "").trouble == "DOCKER_AUTH_CONFIG is not valid JSON"


@pytest.mark.parametrize(
    ("user", "password", "said"),
    [("", "x", "user name is empty"), ("x", "", "password is empty"), ("a:b", "x", "colon"),
     ("a\x1b", "x", "control"), ("a", "\udcff", "UTF-8")],
)  # fmt: skip
def test_what_cannot_be_sent(user: str, password: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        credentials_of(user, password)


def test_the_password_is_not_in_a_repr() -> None:
    assert "hush-hush" not in repr(credentials_of("gordon", "hush-hush"))
    assert credentials_of("<token>", "hush-hush").identity_token == "hush-hush"


# --- what the registry says ---


def asks_basic(handler: Handler) -> bool:
    if handler.headers.get("Authorization") == BASIC:
        return answer(200)(handler)
    return answer(401, WWW_Authenticate='Basic realm="x"')(handler)


def test_it_is_checked_with_the_registry(registry: FakeRegistry) -> None:
    registry.when("v2", asks_basic)
    assert LOGIN is not None
    kept, asked = check_login(registry.address, LOGIN)
    assert asked
    assert kept == LOGIN
    with pytest.raises(RegistryError, match="rejects the user name or the password"):
        check_login(registry.address, Credentials("gordon", "wrong"))


def test_a_registry_without_logins_checks_nothing(registry: FakeRegistry) -> None:
    registry.when("v2", answer(200))
    assert check_login(registry.address, Credentials("gordon", "any"))[1] is False


@pytest.mark.parametrize("status", [404, 403, 500])
def test_what_does_not_let_us_in(registry: FakeRegistry, status: int) -> None:
    registry.when("v2", answer(status))
    with pytest.raises(LayerscopeError):
        check_login(registry.address, Credentials("gordon", "any"))


def test_a_refresh_token_is_kept_in_place_of_the_password(registry: FakeRegistry) -> None:
    asked: list[str] = []

    def token(handler: Handler) -> bool:
        asked.append(handler.path)
        if handler.headers.get("Authorization") != BASIC:
            return answer(401)(handler)
        return answer(200, json.dumps({"token": "t", "refresh_token": "again"}).encode())(handler)

    def api(handler: Handler) -> bool:
        if handler.headers.get("Authorization") == "Bearer t":
            return answer(200)(handler)
        realm = f'Bearer realm="http://{registry.address}/token",service="s"'
        return answer(401, WWW_Authenticate=realm)(handler)

    registry.when("v2", api)
    registry.when("token", token)
    assert LOGIN is not None
    kept, _ = check_login(registry.address, LOGIN)
    assert (kept.username, kept.password, kept.identity_token) == (LOGIN.username, "", "again")
    query = parse_qs(urlsplit(asked[0]).query)
    assert query["offline_token"] == ["true"]
    assert "scope" not in query
    with pytest.raises(RegistryError, match="rejects the user name"):
        check_login(registry.address, Credentials("gordon", "wrong"))
