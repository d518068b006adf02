"""Bindings: each has an id and can get other keys; invalid ones are reported."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import layerscope.tui
from layerscope.config import load
from layerscope.tui.keys.help import help_groups
from layerscope.tui.keys.key import Keyed
from layerscope.tui.keys.keymap import all_bound, checked_keymap, owners
from layerscope.tui.rooms import ROOMS
from layerscope.tui.settings import theme_of
from tests.tui.conftest import Drive


def found() -> Iterator[type[Keyed]]:
    """Every class of the UI with keys of its own, found by looking."""
    for module_info in pkgutil.walk_packages(layerscope.tui.__path__, "layerscope.tui."):
        module = import_module(module_info.name)
        for _, owner in inspect.getmembers(module, inspect.isclass):
            if owner.__module__ == module.__name__ and owner.__dict__.get("KEYS"):
                assert issubclass(owner, Keyed)
                yield owner


def keymap(tmp_path: Path, text: str) -> tuple[dict[str, str], list[str]]:
    path = tmp_path / "config.toml"
    path.write_text(f"[keys]\n{text}\n")
    settings = load(environment={}, path=path)
    return checked_keymap(settings, ROOMS), settings.warnings


def test_every_class_with_keys_is_in_a_room() -> None:
    assert {owner.__qualname__ for owner in found()} == {
        owner.__qualname__ for owner in owners(ROOMS) if owner.__dict__.get("KEYS")
    }
    assert all(owner.HEADING for owner in owners(ROOMS))


def test_every_key_has_an_id_of_its_own() -> None:
    seen: dict[str, tuple[str, str]] = {}
    for owner in owners(ROOMS):
        for key in owner.__dict__.get("KEYS", ()):
            mine = owner.__qualname__, key.action
            assert seen.setdefault(key.id, mine) == mine
            assert key.text, key.id
    assert len(seen) > 40


def test_no_key_that_old_terminals_cannot_tell_apart() -> None:
    for bound in all_bound(ROOMS).values():
        for key in bound.keys:
            assert key not in ("ctrl+m", "ctrl+h", "ctrl+i", "ctrl+space", "ctrl+@")
            assert not key.startswith("ctrl+shift")


def test_no_key_means_two_things_in_the_same_place() -> None:
    for owner in owners(ROOMS):
        keys = [binding.key for key in owner.__dict__.get("KEYS", ()) for binding in key.bindings()]
        assert len(keys) == len(set(keys)), owner


def test_keys_by_name_and_by_character(tmp_path: Path) -> None:
    mapped, warnings = keymap(tmp_path, 'main.filter = ["f3", "?x"]')
    assert mapped == {}
    assert "no key '?x'" in warnings[0]
    mapped, warnings = keymap(tmp_path, 'main.filter = ["f3", "&", "alt+f"]\nmain.zoom = "Z"')
    assert mapped == {"main.filter": "f3,ampersand,alt+f", "main.zoom": "Z"}
    assert warnings == []


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        ('main.nothing = "x"', 2, "there is no binding 'main.nothing'"),
        ('main.zoom = "hyperspace"', 2, "there is no key 'hyperspace'"),
        ('main.zoom = "t"', 2, "the key t is taken by main.union"),
        ('main.zoom = "ctrl+p"', 2, "the key ctrl+p is taken by app.palette"),
        ('main.zoom = "j"', 2, "the key j is taken by rows.down"),
        ('files.expand = "t"', 2, "the key t is taken by main.union"),
        ('main.zoom = "X"\nmain.sort = "X"', 3, "the key X is taken by main.zoom"),
    ],
)
def test_what_cannot_be_is_told(tmp_path: Path, text: str, line: int, part: str) -> None:
    mapped, warnings = keymap(tmp_path, text)
    assert len(warnings) == 1
    assert f"config.toml, line {line}: " in warnings[0]
    assert part in warnings[0]
    assert len(mapped) == text.count("\n")


def test_a_theme_that_there_is_not_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('mouse = true\n\ntheme = "nope"\n')
    settings = load(environment={}, path=path)
    theme_of(settings)
    (warning,) = settings.warnings
    assert warning.startswith(f"{path}, line 3: there is no theme 'nope'; there are auto, dark")
    settings = load({"theme": "nope"}, environment={}, path=path)
    theme_of(settings)
    assert settings.warnings[0].startswith("--theme: there is no theme 'nope'")


def test_keys_may_be_swapped_and_shared_by_panes(tmp_path: Path) -> None:
    mapped, warnings = keymap(tmp_path, 'main.zoom = "t"\nmain.union = "z"')
    assert mapped == {"main.zoom": "t", "main.union": "z"}
    assert not warnings
    mapped, warnings = keymap(tmp_path, 'images.open = "X"\nlayers.files = "X"')
    assert len(mapped) == 2
    assert not warnings


async def test_remapped_keys_work_and_are_shown(drive: Drive) -> None:
    async with drive(keymap={"main.union": "x", "main.filter": "f3,ampersand"}) as ui:
        await ui.press("x")
        assert "merged view of" in ui.text
        assert "x This layer" in ui.lines[-1]
        assert "f3 & Filter" in ui.lines[-1] or "f3 Filter" in ui.lines[-1]
        await ui.press("t")
        assert "merged view of" in ui.text
        await ui.press("question_mark")
        assert any(line.split()[1:2] == ["x"] for line in ui.lines if "merged view" in line)
        await ui.press("escape", "f3", *"lib")
        await ui.until(lambda: "match" in ui.text)


async def test_help_begins_with_the_keys_of_the_screen(drive: Drive) -> None:
    async with drive(size=(80, 24)) as ui:
        await ui.press("question_mark")
        assert "2 Layers" in ui.lines[1]
        assert "Around an image" in ui.text
        await ui.press("escape", "3", "G", "d")
        await ui.until(lambda: "Versions" in ui.text)
        await ui.press("question_mark")
        assert "Versions and differences" in ui.lines[1]
        headings = [heading for heading, _ in help_groups(ui.app, ui.app.screen, ROOMS)]
        assert sorted(headings) == sorted({owner.HEADING for owner in owners(ROOMS)})
        keys = [
            keys.split()
            for _, rows in help_groups(ui.app, ui.app.screen, ROOMS)
            for keys, _ in rows
        ]
        assert all(len(set(each)) == len(each) for each in keys)


async def test_a_warning_is_said_until_the_next_key(drive: Drive) -> None:
    async with drive(notice="config.toml, line 1: nonsense.") as ui:
        assert "config.toml, line 1: nonsense." in ui.message
        await ui.press("j")
        assert "nonsense" not in ui.text


def test_a_letter_for_a_screen_means_that_on_every_screen() -> None:
    labels: dict[str, set[str]] = {}
    for owner in owners(ROOMS):
        for key in owner.__dict__.get("KEYS", ()):
            for pressed in key.keys.split(","):
                labels.setdefault(pressed, set()).add(key.label.rstrip("…"))
    meant = {letter: labels[letter] for letter in "xfvDPJFBHO0V"}
    assert meant == {
        "x": {"Shell"},
        "f": {"Find"},
        "v": {"View"},
        "D": {"Remove"},
        "P": {"Packages"},
        "J": {"Jobs"},
        "F": {"Search registries", "Other term"},
        "B": {"Newer images"},
        "H": {"All engines"},
        "O": {"Engines"},
        "0": {"Hex"},
        "V": {"Side by side"},
    }
