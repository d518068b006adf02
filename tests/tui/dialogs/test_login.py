"""Logging in to a registry and out of it, in a dialog."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from textual import events

from layerscope.tui.app import LayerscopeApp
from layerscope.tui.dialogs.login import LoginScreen
from layerscope.tui.dialogs.question import QuestionScreen
from tests.tui import fakes
from tests.tui.conftest import Drive, Driven
from tests.tui.pictures import Picture, Size, sizes
from tests.tui.registries import no_logins
from tests.unit.images.registry.misbehaving_registry import (
    BASIC,
    LOGIN,
    FakeRegistry,
    Handler,
    fake_registry,
)

USER, PASSWORD = LOGIN.username, LOGIN.password
CHALLENGE = 'Basic realm="tests"'


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    no_logins(tmp_path, monkeypatch)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return tmp_path


@pytest.fixture
def registry(home: Path) -> Iterator[FakeRegistry]:
    """Accepts one login."""

    def guarded(handler: Handler) -> bool:
        if handler.headers.get("Authorization") == BASIC:
            return False
        handler.reply(401, b"", {"WWW-Authenticate": CHALLENGE})
        return True

    with fake_registry() as found:
        found.when("/v2/", guarded)
        yield found


async def ask(ui: Driven, registry: FakeRegistry) -> None:
    await ui.press("I")
    await ui.until(lambda: isinstance(ui.app.screen, LoginScreen))
    # It is about the registry of the image under the cursor.
    assert ui.at(LoginScreen)._entry("registry").value == "docker.io"
    await ui.press("shift+tab", "ctrl+u", *registry.address)
    await ui.until(lambda: ui.at(LoginScreen)._known is not None)
    await ui.rest()


async def log_in(ui: Driven, password: str = PASSWORD) -> None:
    await ui.press("enter", *USER, "enter", *password, "enter")


def said(ui: Driven) -> str:
    """What a dialog says, in one line."""
    return " ".join(ui.text.replace("│", " ").split())


def config(home: Path) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = json.loads((home / "config.json").read_text())
    return found


async def test_a_login_is_checked_and_kept_where_it_says(
    drive: Drive, home: Path, registry: FakeRegistry
) -> None:
    async with drive(None) as ui:
        await ask(ui, registry)
        assert registry.asked == []
        assert "as plain text: everyone who can read that file can use it." in said(ui)
        await log_in(ui, "wrong")
        await ui.until(lambda: "rejects the user name or the password (401)" in said(ui))
        assert not (home / "config.json").exists()
        await ui.press("ctrl+u", *PASSWORD)
        assert PASSWORD not in ui.text
        await ui.press("enter")
        await ui.until(lambda: ui.app.screen is ui.main)
        assert f"Logged in to {registry.address} as {USER}; it is kept in" in ui.message
        assert list(config(home)["auths"]) == [registry.address]


async def test_logging_out_says_what_goes_and_asks(
    drive: Drive, home: Path, registry: FakeRegistry
) -> None:
    async with drive(None) as ui:
        await ask(ui, registry)
        await ui.press("ctrl+r")
        ui.at(LoginScreen)
        await log_in(ui)
        await ui.until(lambda: ui.app.screen is ui.main)
        await ask(ui, registry)
        await ui.until(lambda: f"You are logged in as {USER}" in said(ui))
        await ui.press("ctrl+r")
        await ui.until(lambda: f"This removes the login of {USER}" in said(ui))
        await ui.press("enter")
        ui.at(LoginScreen)
        await ui.press("ctrl+r")
        await ui.until(lambda: isinstance(ui.app.screen, QuestionScreen))
        await ui.press("y")
        await ui.until(lambda: ui.app.screen is ui.main)
        assert "Removed the login" in ui.message
        assert config(home)["auths"] == {}


@pytest.mark.parametrize(
    ("script", "says", "answer"),
    [
        ("", "docker-credential-odd is not installed", "k"),
        ("exit 1", "docker-credential-odd failed", "n"),
        ("cat >/dev/null; exec sleep 60", "docker-credential-odd took longer than", "escape"),
        ("cat >/dev/null; echo credentials not found; [ $1 = store ]", "did not keep it", "k"),
    ],
    ids=["missing", "fails", "hangs", "forgets"],
)
async def test_a_helper_that_does_not_work_leaves_a_choice(
    drive: Drive,
    home: Path,
    registry: FakeRegistry,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    says: str,
    answer: str,
) -> None:
    monkeypatch.setattr("layerscope.images.registry.credentials._HELPER_PATIENCE", 0.2)
    (home / "config.json").write_text('{"credsStore": "odd"}')
    if script:
        program = home / "bin/docker-credential-odd"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    async with drive(None) as ui:
        await ask(ui, registry)
        assert "kept by docker-credential-odd" in said(ui)
        await log_in(ui)
        await ui.until(lambda: isinstance(ui.app.screen, QuestionScreen) and says in said(ui))
        await ui.press(answer)
        if kept := answer == "k":
            await ui.until(lambda: ui.app.screen is ui.main)
        else:
            await ui.until(lambda: "Nothing was kept." in said(ui))
        assert ("auths" in config(home)) is kept


async def test_what_is_no_registry_is_said_and_docker_hub_is_the_default(
    drive: Drive, home: Path
) -> None:
    async with drive(None) as ui:
        await ui.press("I")
        await ui.until(lambda: "personal-access-tokens" in ui.text)
        await ui.press("shift+tab", "ctrl+u", *"a b")
        await ui.until(lambda: "a b is not the address of a registry" in said(ui))
        await ui.press("escape")
        assert ui.app.screen is ui.main


async def test_a_password_typed_ahead_is_not_shown(
    drive: Drive, home: Path, registry: FakeRegistry
) -> None:
    async with drive(None) as ui:
        await ask(ui, registry)
        keys = ["enter", *USER, "enter", *PASSWORD, "enter"]
        for key in keys:
            name = "space" if key == " " else key
            ui.app.post_message(events.Key(name, key if len(key) == 1 else None))
        await ui.until(lambda: ui.app.screen is ui.main)
        assert list(config(home)["auths"]) == [registry.address]


async def test_a_password_is_not_copied(drive: Drive, home: Path) -> None:
    async with drive(None) as ui:
        await ui.press("I", "tab", *"geheim", "shift+home", "ctrl+c", "ctrl+x")
        assert ui.at(LoginScreen)._entry("password").value == "geheim"
        assert ui.app.clipboard == ""


@sizes((80, 24), (120, 40))
def test_pictures(
    picture: Picture, home: Path, size: Size, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", "/home/gordon/.docker")

    async def before(ui: Driven) -> None:
        await ui.until(lambda: "debian" in ui.text)
        await ui.press("I", "shift+tab", "ctrl+u", *"ghcr.io", "tab", *"gordon", "tab", *"secret")
        await ui.rest()

    opener = fakes.opener(fakes.FakeReader())
    app = LayerscopeApp(None, opener, fakes.connector(), clock=lambda: fakes.NOW)
    picture(app, size, before)
