"""Settings: from the file, the environment and flags; invalid values are reported and ignored."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerscope.config import (
    OPTIONS,
    cache_folder,
    is_first_start,
    keep,
    load,
    settings_file,
    state_folder,
    with_setting,
)
from layerscope.errors import LayerscopeError
from layerscope.images.cache.changesets import ChangesetCache
from tests.command import run


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in list(os.environ):
        if name.startswith("LAYERSCOPE_") or name == "NO_COLOR":
            monkeypatch.delenv(name)
    (tmp_path / "layerscope").mkdir()
    return tmp_path / "layerscope" / "config.toml"


def test_folders_follow_the_base_directory_specification(monkeypatch: pytest.MonkeyPatch) -> None:
    home = Path.home()
    for of, variable, fallback in (
        (settings_file, "XDG_CONFIG_HOME", home / ".config/layerscope/config.toml"),
        (cache_folder, "XDG_CACHE_HOME", home / ".cache/layerscope"),
        (state_folder, "XDG_STATE_HOME", home / ".local/state/layerscope"),
    ):
        assert of({}) == fallback
        assert of({variable: "relative"}) == fallback
        assert str(of({variable: "/x"})).startswith("/x/layerscope")


def test_without_a_file_there_are_the_defaults(file: Path) -> None:
    settings = load(environment={"XDG_CONFIG_HOME": str(file.parents[1])})
    assert not settings.exists
    assert settings.values == {option.name: option.default for option in OPTIONS}
    assert set(settings.origins.values()) == {"default"}
    assert settings.warnings == []


def test_a_file_that_cannot_be_read_exists_all_the_same(file: Path) -> None:
    file.mkdir()
    settings = load(environment={"XDG_CONFIG_HOME": str(file.parents[1])})
    assert settings.exists
    assert len(settings.warnings) == 1


def test_the_order_of_precedence(file: Path) -> None:
    file.write_text('theme = "light"\nascii = true\nmouse = false\ncache-limit = "2 MiB"\n')
    settings = load(
        {"theme": None, "ascii": False},
        {"XDG_CONFIG_HOME": str(file.parents[1]), "LAYERSCOPE_THEME": "nord", "NO_COLOR": "1"},
    )
    assert settings.warnings == []
    assert settings.values == {
        "theme": "nord",
        "ascii": False,
        "mouse": False,
        "wrap": False,
        "line-numbers": True,
        "output": "cells",
        "cache-limit": 2 << 20,
        "engine": "auto",
    }
    assert settings.origins == {
        "theme": "LAYERSCOPE_THEME",
        "ascii": "flag",
        "mouse": "file",
        "wrap": "default",
        "line-numbers": "default",
        "output": "default",
        "cache-limit": "file",
        "engine": "default",
    }


def test_no_color_takes_precedence_over_the_file_only(file: Path) -> None:
    file.write_text('theme = "light"\n')
    environment = {"XDG_CONFIG_HOME": str(file.parents[1]), "NO_COLOR": "1"}
    assert load(environment=environment).values["theme"] == "plain"
    assert load({"theme": "dark"}, environment).values["theme"] == "dark"
    assert load(environment={**environment, "NO_COLOR": ""}).values["theme"] == "light"


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        ('\ncolour = "x"', 2, "there is no setting 'colour'; there are theme, ascii"),
        ("theme = 3", 1, "theme is '3'; it must be the name of a theme"),
        ('theme = ""', 1, "it must be the name of a theme"),
        ('ascii = "perhaps"', 1, 'it must be true, false or "auto"'),
        ("mouse = 2", 1, "it must be true or false"),
        ('wrap = "long"', 1, "it must be true or false"),
        ('output = "fast"', 1, 'it must be "cells" or "plain"'),
        ('cache-limit = "lots"', 1, "it must be a number of bytes such as"),
        ("cache-limit = -1", 1, "it must be a number of bytes"),
        ("cache-limit = true", 1, "it must be a number of bytes"),
        ("keys = 3", 1, "keys must be a table"),
        ("[keys]\n'main.filter' = 3", 2, "main.filter must be a key or a list of keys"),
        ("[keys]\nmain.filter = []", 2, "main.filter must be a key or a list of keys"),
        ("[keys]\nmain.filter = 'ctrl+m'", 2, "the same as enter"),
        ("[keys]\nmain.filter = ['f3', 'ctrl+h']", 2, "the same as backspace"),
        ("[keys]\nmain.filter = 'ctrl+i'", 2, "the same as tab"),
        ("[keys]\nmain.filter = 'ctrl+space'", 2, "cannot be bound"),
        ("[keys]\nmain.filter = 'ctrl+shift+a'", 2, "not every terminal sends it"),
        ("\n\nmouse = = 2", 3, "this is not valid TOML, so all of the file is ignored"),
    ],
)
def test_invalid_values_are_reported_in_one_line(
    file: Path, text: str, line: int, part: str
) -> None:
    file.write_text(text)
    (warning,) = load(environment={"XDG_CONFIG_HOME": str(file.parents[1])}).warnings
    assert warning.startswith(f"{file}, line {line}: ")
    assert part in warning
    assert warning.isprintable()


def test_the_other_values_apply(file: Path) -> None:
    file.write_text(
        'colour = 1\nmouse = "x"\nascii = true\n[keys]\n"main.zoom" = "Z"\nmain.sort = 3\n'
    )
    settings = load()
    assert len(settings.warnings) == 3
    assert settings.values["ascii"] is True
    assert settings.values["mouse"] is True
    assert settings.keys == {"main.zoom": ("Z",)}


def test_unreadable_files_are_reported(file: Path) -> None:
    file.write_bytes(b"theme = '\xff'")
    assert "not UTF-8" in load().warnings[0]
    file.unlink()
    file.mkdir()
    assert "cannot be read" in load().warnings[0]


@pytest.mark.parametrize(
    "text",
    [
        "theme = " + "[" * 6_000 + "]" * 6_000,
        "[keys]\n" + ".".join(["a"] * 6_000) + ' = "x"',
        ".".join(["theme"] * 6_000) + ' = "x"',
        "cache-limit = " + "9" * 5000,
    ],
)
def test_no_file_is_a_traceback(file: Path, text: str) -> None:
    file.write_text(text)
    (warning,) = load(environment={"XDG_CONFIG_HOME": str(file.parents[1])}).warnings
    assert len(warning) < 500


def test_invalid_variables_are_reported(file: Path) -> None:
    settings = load(environment={"LAYERSCOPE_MOUSE": "x\x1b", "LAYERSCOPE_ASCII": "1"}, path=file)
    assert settings.warnings == ["LAYERSCOPE_MOUSE is 'x\\\\e'; it must be true or false."]
    assert settings.values["ascii"] is True


def test_hostile_text_in_the_file_is_escaped(file: Path) -> None:
    file.write_text('"\\u001b[31m\\u202e" = 1\n[keys]\n"\\u001bx" = "\\u001b"\n')
    for warning in load().warnings:
        assert warning.isprintable()


def test_the_cache_takes_its_limit_from_the_settings(file: Path) -> None:
    file.write_text("cache-limit = 12345")
    assert ChangesetCache()._limit == 12345
    file.write_text("")
    assert ChangesetCache()._limit == 1 << 30
    assert ChangesetCache(limit=7)._limit == 7


def test_config_path(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "config", "path").out == f"{file}\n"


def test_config_show_is_a_settings_file_that_means_the_same(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text('theme = "light"\n[keys]\nmain.filter = ["slash", "f3"]\n')
    first = run(capsys, "config", "show")
    assert first.code == 0
    assert first.err == ""
    assert '"main.filter" = ["slash", "f3"]' in first.out
    assert "# file: Filter by name" in first.out
    assert "# default:" in first.out
    before = load()
    file.write_text(first.out)
    after = load()
    assert after.values == before.values
    assert after.keys["main.filter"] == ("slash", "f3")
    # All others are now set to what they were, which is no clash.
    again = run(capsys, "config")
    assert again.err == ""


def test_config_show_json(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text('theme = "no-such"\n[keys]\nmain.zoom = "Z"\nmain.none = "x"\n')
    outcome = run(capsys, "config", "show", "--json")
    document = json.loads(outcome.out)
    assert document["schema"] == "layerscope.config/1"
    assert document["path"] == str(file)
    assert {"name": "theme", "value": "auto", "from": "default", "default": "auto"} in document[
        "settings"
    ]
    (zoom,) = [key for key in document["keys"] if key["id"] == "main.zoom"]
    assert (zoom["keys"], zoom["from"], zoom["default"]) == (["Z"], "file", ["z"])
    assert len(document["warnings"]) == 2
    assert len(outcome.err.splitlines()) == 2
    assert "no theme 'no-such'" in outcome.err
    assert "no binding 'main.none'" in outcome.err


def test_other_commands_report_it_and_continue(
    file: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file.write_text("colour = 1")
    outcome = run(capsys, "inspect", str(tmp_path / "none.tar"))
    known = (
        "there are theme, ascii, mouse, wrap, line-numbers, output, cache-limit, engine and keys."
    )
    assert outcome.err.splitlines()[0].endswith(known)
    assert len(outcome.err.splitlines()) == 2


@given(
    before=st.sampled_from(["", "# mine\n", "mouse = false\n", 'mouse = false # "x"\n\n']),
    line=st.sampled_from(["", 'theme = "dark"\n', "theme='a' # why\n", '  "theme" = "nord"\n']),
    after=st.sampled_from(["", '[keys]\n"main.zoom" = "f9"\ntheme = "x"\n', "wrap = true"]),
    value=st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=8),
)
def test_a_setting_is_kept_and_the_rest_stays(
    before: str, line: str, after: str, value: str
) -> None:
    text = before + line + after
    new = with_setting(text, "theme", value)
    assert tomllib.loads(new) == tomllib.loads(text) | {"theme": value}
    kept = [each for each in text.splitlines() if "theme" not in each or "#" in each]
    assert all(any(each.partition("#")[2] in other for other in new.splitlines()) for each in kept)


def test_a_setting_is_written_to_the_file(tmp_path: Path) -> None:
    path = tmp_path / "dotfiles" / "config.toml"
    link = tmp_path / "conf" / "config.toml"
    link.parent.mkdir()
    link.symlink_to(path)
    assert keep("theme", "nord", link) == link
    assert link.is_symlink()
    settings = load(environment={}, path=link)
    assert (settings.values["theme"], settings.warnings) == ("nord", [])
    path.write_text("theme = [\n")
    with pytest.raises(LayerscopeError, match="not valid TOML"):
        keep("theme", "dark", link)
    assert path.read_text() == "theme = [\n"


def test_the_first_start_is_known_once(tmp_path: Path) -> None:
    environment = {"XDG_STATE_HOME": str(tmp_path / "state")}
    assert [is_first_start(environment) for _ in range(3)] == [True, False, False]
    # Where that cannot be kept, nothing is said again and again.
    (tmp_path / "file").touch()
    assert not is_first_start({"XDG_STATE_HOME": str(tmp_path / "file")})
