"""Settings: what can be set, where it was set, and what was wrong with it.

A setting comes from its default, the settings file, an environment variable or a flag, the later
going before the earlier. Whatever makes no sense is told in one sentence each and left out; the
rest applies, so that a mistake in the file never keeps anyone from an image.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from layerscope.text import parse_size, visible

#: Keys that a terminal sends as another one, or not at all.
_FORBIDDEN = {
    "ctrl+m": "the same as enter",
    "ctrl+i": "the same as tab",
    "ctrl+h": "the same as backspace",
    "ctrl+space": "the same as ctrl+@",
    "ctrl+@": "not sent by every terminal",
}


@dataclass(frozen=True, slots=True)
class Option:
    """A setting that there is.

    Attributes:
        name: As the file has it.
        default: Its value where nobody sets it.
        what: What it does, for `config show` and the documentation.
        wanted: What a value has to be, in words.
        parse: From a value of the file, or a text of the environment; None if it makes no sense.
        variable: The environment variable; empty if there is none.
    """

    name: str
    default: Any
    what: str
    wanted: str
    parse: Callable[[object], Any]
    variable: str = ""


def _name(value: object) -> str | None:
    return value.strip() if isinstance(value, str) and value.strip() else None


def _switch(value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    known = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    return known.get(value.lower()) if isinstance(value, str) else None


def _auto_switch(value: object) -> bool | str | None:
    return "auto" if value == "auto" else _switch(value)


def _bytes(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    return parse_size(str(value))


#: Every setting but the keys, in the order in which they are shown.
OPTIONS: tuple[Option, ...] = (
    Option(
        "theme",
        "auto",
        "colours: auto, dark, light, terminal (its own 16), plain (none), or one of Textual's",
        "the name of a theme",
        _name,
        "LAYERSCOPE_THEME",
    ),
    Option(
        "ascii",
        "auto",
        "draw with ASCII characters only; auto asks the locale and TERM",
        'true, false or "auto"',
        _auto_switch,
        "LAYERSCOPE_ASCII",
    ),
    Option(
        "mouse",
        True,
        "take clicks and the wheel; false leaves them to the terminal",
        "true or false",
        _switch,
        "LAYERSCOPE_MOUSE",
    ),
    Option(
        "wrap",
        False,
        "begin with long lines of texts wrapped",
        "true or false",
        _switch,
        "LAYERSCOPE_WRAP",
    ),
    Option(
        "line-numbers",
        True,
        "begin with the lines of a file numbered",
        "true or false",
        _switch,
        "LAYERSCOPE_LINE_NUMBERS",
    ),
    Option(
        "output",
        "cells",
        "write the cells that differ; plain repaints whole regions, if a terminal needs that",
        '"cells" or "plain"',
        lambda value: value if value in ("cells", "plain") else None,
        "LAYERSCOPE_OUTPUT",
    ),
    Option(
        "cache-limit",
        1 << 30,
        "bytes that layers take which were read once; 0 keeps none",
        'a number of bytes such as "500MB" or "1GiB"',
        _bytes,
        "LAYERSCOPE_CACHE_LIMIT",
    ),
)


@dataclass(slots=True)
class Settings:
    """What applies, and why.

    Attributes:
        path: The settings file, whether or not there is one.
        exists: Whether there is one.
        values: The value of each of `OPTIONS` by its name.
        origins: Where it came from: `default`, `file`, `flag`, or the name of a variable.
        lines: The line of the file that each value from there is in, from 1; 0 if not found.
        keys: For the id of a binding its keys, as Textual names them.
        key_lines: The line of the file that each of `keys` is in, from 1; 0 if it was not found.
        warnings: What was left out and why, a sentence each that names the file and the line.
    """

    path: Path
    exists: bool = False
    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    keys: dict[str, tuple[str, ...]] = field(default_factory=dict)
    key_lines: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def warn(self, line: int, text: str) -> None:
        """Notes what was left out.

        Args:
            line: The line of the file, or 0.
            text: What is wrong, as the end of a sentence.
        """
        where = visible(str(self.path)) + (f", line {line}" if line else "")
        self.warnings.append(f"{where}: {text}.")

    def drop_key(self, name: str, text: str) -> None:
        """Leaves out the keys of a binding, and says why."""
        del self.keys[name]
        self.warn(self.key_lines.get(name, 0), text)


def settings_file(environment: Mapping[str, str] = os.environ) -> Path:
    """The settings file: `$XDG_CONFIG_HOME/layerscope/config.toml`, or under `~/.config`."""
    return _base(environment, "XDG_CONFIG_HOME", ".config") / "layerscope" / "config.toml"


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where the cache is: `$XDG_CACHE_HOME/layerscope`, or `~/.cache/layerscope`."""
    return _base(environment, "XDG_CACHE_HOME", ".cache") / "layerscope"


def state_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """What outlives a run and is no setting: under `$XDG_STATE_HOME` or `~/.local/state`."""
    return _base(environment, "XDG_STATE_HOME", ".local/state") / "layerscope"


def _base(environment: Mapping[str, str], variable: str, fallback: str) -> Path:
    # The specification asks for relative paths to be ignored.
    base = Path(environment.get(variable, ""))
    return base if base.is_absolute() else Path.home() / fallback


def load(
    flags: Mapping[str, object] | None = None,
    environment: Mapping[str, str] = os.environ,
    path: Path | None = None,
) -> Settings:
    """Reads the settings.

    Args:
        flags: Values by name of an option; None stands for a flag that was not given.
        environment: The environment.
        path: The settings file; None for the user's.
    """
    settings = Settings(settings_file(environment) if path is None else path)
    for option in OPTIONS:
        settings.values[option.name] = option.default
        settings.origins[option.name] = "default"
    text = _read(settings)
    if text:
        _apply_file(settings, text)
    if environment.get("NO_COLOR"):
        settings.values["theme"], settings.origins["theme"] = "plain", "NO_COLOR"
    for option in OPTIONS:
        given = environment.get(option.variable, "") if option.variable else ""
        if given:
            value = option.parse(given)
            if value is None:
                settings.warnings.append(
                    f"{option.variable} is {visible(given)!r}; it must be {option.wanted}."
                )
            else:
                settings.values[option.name] = value
                settings.origins[option.name] = option.variable
        flag = (flags or {}).get(option.name)
        if flag is not None:
            settings.values[option.name], settings.origins[option.name] = flag, "flag"
    return settings


def _read(settings: Settings) -> str:
    try:
        text = settings.path.read_text("utf-8")
    except FileNotFoundError:
        return ""
    except NotADirectoryError:
        return ""
    except OSError as error:
        settings.warn(0, f"it cannot be read ({error.strerror or type(error).__name__})")
        return ""
    except UnicodeDecodeError:
        settings.warn(0, "it is not UTF-8, so nothing of it applies")
        return ""
    settings.exists = True
    return text


def _apply_file(settings: Settings, text: str) -> None:
    # Not at the top: most runs have no settings file.
    import tomllib

    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        found = re.search(r"\(at line (\d+)[^)]*\)", str(error))
        what = visible(re.sub(r"\s*\(at .*\)", "", str(error)))
        line = int(found[1]) if found else 0
        settings.warn(line, f"this is not valid TOML, so nothing of it applies ({what})")
        return
    known = {option.name: option for option in OPTIONS}
    for name, value in document.items():
        line = _line_of(text, name)
        if name == "keys":
            _apply_keys(settings, value, text)
        elif name not in known:
            names = ", ".join([*known, "keys"])
            settings.warn(line, f"there is no setting {visible(name)!r}; there are {names}")
        else:
            parsed = known[name].parse(value)
            if parsed is None:
                shown = visible(str(value))[:60]
                settings.warn(line, f"{name} is {shown!r}; it must be {known[name].wanted}")
            else:
                settings.values[name], settings.origins[name] = parsed, "file"
                settings.lines[name] = line


def _apply_keys(settings: Settings, table: object, text: str) -> None:
    if not isinstance(table, dict):
        settings.warn(_line_of(text, "keys"), "keys must be a table of binding ids")
        return
    for name, value in _flat(table):
        line = _line_of(text, name)
        keys = value.split(",") if isinstance(value, str) else value
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or not keys:
            settings.warn(line, f"{visible(name)} must be a key or a list of keys")
            continue
        keys = [key.strip() if len(key) > 1 else key for key in keys]
        problem = next((told for key in keys if (told := _unusable(key))), "")
        if problem:
            settings.warn(line, f"{visible(name)}: {problem}")
            continue
        settings.keys[name] = tuple(keys)
        settings.key_lines[name] = line


def _flat(table: Mapping[str, object], before: str = "") -> list[tuple[str, object]]:
    """The entries of a table; `main.filter` without quotes is a table in a table to TOML."""
    found: list[tuple[str, object]] = []
    for name, value in table.items():
        if isinstance(value, dict):
            found += _flat(value, f"{before}{name}.")
        else:
            found.append((before + name, value))
    return found


def _unusable(key: str) -> str:
    """Why a key cannot be bound, in words; empty if it can."""
    name = key.lower()
    if not key:
        return "a key has no name"
    if name in _FORBIDDEN:
        return f"{visible(key)} cannot be bound: it is {_FORBIDDEN[name]}"
    if name.startswith(("ctrl+shift+", "shift+ctrl+")):
        return f"{visible(key)} cannot be bound: not every terminal sends it"
    return ""


def _line_of(text: str, name: str) -> int:
    """The line in which a name is set, or a table begins; 0 if that is not found."""
    last = name.rpartition(".")[2]
    for wanted in (name, last):
        quoted = rf"""["']?{re.escape(wanted)}["']?"""
        pattern = rf"^\s*(?:\[\s*{quoted}\s*[.\]]|(?:[\w-]+\s*\.\s*)*{quoted}\s*=)"
        for number, line in enumerate(text.splitlines(), 1):
            if re.match(pattern, line):
                return number
    return 0
