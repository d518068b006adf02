"""Settings, and the locations of layerscope's files.

A flag takes precedence over an environment variable, that over the settings file, and that over the
default. Each invalid value is reported in a sentence and ignored, and the others apply.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from layerscope.bounded import read_file
from layerscope.errors import LayerscopeError
from layerscope.text import listed, parse_size, visible
from layerscope.writing import write_whole

ENGINE = "LAYERSCOPE_ENGINE"  # The variable that names the engine.
STORE = "embedded store"  # The name of our own store; as an engine, with "The" before it.


def use_engine(name: str) -> None:
    """Uses an engine from now on, through a variable, so that child processes use it too."""
    os.environ[ENGINE] = name


#: Keys that a terminal sends as another key or not at all.
_FORBIDDEN = {
    "ctrl+m": "the same as enter",
    "ctrl+i": "the same as tab",
    "ctrl+h": "the same as backspace",
    "ctrl+space": "the same as ctrl+@",
    "ctrl+@": "not sent by every terminal",
}


def _name(value: object) -> str | None:
    return value.strip() if isinstance(value, str) and value.strip() else None


def _switch(value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    known = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    return known.get(value.lower()) if isinstance(value, str) else None


def _bytes(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    return parse_size(str(value))


@dataclass(frozen=True, slots=True)
class _Kind:
    """A description of valid values, and their parser, which returns None for invalid ones.

    A value is from the settings file, or a string from the environment.
    """

    wanted: str
    parse: Callable[[object], Any]


_NAME = _Kind("the name of a theme", _name)
_ENGINE = _Kind("the name of an engine", _name)
_SWITCH = _Kind("true or false", _switch)
_AUTO = _Kind('true, false or "auto"', lambda value: "auto" if value == "auto" else _switch(value))
_OUTPUT = _Kind('"cells" or "plain"', lambda value: value if value in ("cells", "plain") else None)
_BYTES = _Kind('a number of bytes such as "500MB" or "1GiB"', _bytes)


@dataclass(frozen=True, slots=True)
class Option:
    name: str
    kind: _Kind
    default: Any
    what: str

    @property
    def variable(self) -> str:
        return f"LAYERSCOPE_{self.name.upper().replace('-', '_')}"


#: Every setting except the keys, in display order.
OPTIONS: tuple[Option, ...] = (
    Option(
        "theme",
        _NAME,
        "auto",
        "colors: auto, dark, light, terminal (its own 16), plain (none), or one of Textual's",
    ),
    Option("ascii", _AUTO, "auto", "draw with ASCII only; auto looks at the locale and TERM"),
    Option("mouse", _SWITCH, True, "use the mouse; false leaves it to the terminal"),
    Option("wrap", _SWITCH, False, "wrap long lines of text at first"),
    Option("line-numbers", _SWITCH, True, "show line numbers at first"),
    Option(
        "output",
        _OUTPUT,
        "cells",
        "write only the cells that changed; plain repaints whole regions, if a terminal needs that",
    ),
    Option("cache-limit", _BYTES, 1 << 30, "maximum size of cached layers; 0 disables the cache"),
    Option(
        "engine",
        _ENGINE,
        "auto",
        "the engine, as `layerscope engines` names it; auto: the one that docker would use",
    ),
)


@dataclass(slots=True)
class Settings:
    path: Path
    exists: bool = False
    values: dict[str, Any] = field(default_factory=dict)  # The value of each of `OPTIONS`, by name.
    #: The source of each: `default`, `file`, `flag`, or the name of a variable.
    origins: dict[str, str] = field(default_factory=dict)
    #: The line of each value in the file, from 1; 0 if unknown.
    lines: dict[str, int] = field(default_factory=dict)
    #: The keys of bindings by id, in Textual's notation.
    keys: dict[str, tuple[str, ...]] = field(default_factory=dict)
    #: The line of each of `keys` in the file, from 1; 0 if unknown.
    key_lines: dict[str, int] = field(default_factory=dict)
    #: Ignored values and the reasons: sentences that name the file and the line.
    warnings: list[str] = field(default_factory=list)

    def set(self, name: str, value: object, origin: str) -> None:
        self.values[name], self.origins[name] = value, origin

    def warn(self, line: int, text: str) -> None:
        """Adds a warning; the line is 0 if unknown, the text the end of a sentence."""
        where = visible(str(self.path)) + (f", line {line}" if line else "")
        self.warnings.append(f"{where}: {text}.")

    def drop_key(self, name: str, text: str) -> None:
        del self.keys[name]
        self.warn(self.key_lines.get(name, 0), text)


def settings_file(environment: Mapping[str, str] = os.environ) -> Path:
    """The settings file: `$XDG_CONFIG_HOME/layerscope/config.toml`, or under `~/.config`."""
    return _base(environment, "XDG_CONFIG_HOME", ".config") / "layerscope" / "config.toml"


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """The cache: `$XDG_CACHE_HOME/layerscope`, or `~/.cache/layerscope`."""
    return _base(environment, "XDG_CACHE_HOME", ".cache") / "layerscope"


def data_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Data that must not be lost: `$XDG_DATA_HOME/layerscope`, or `~/.local/share/layerscope`."""
    return _base(environment, "XDG_DATA_HOME", ".local/share") / "layerscope"


def store_folder() -> Path:
    """Layerscope's own images: LAYERSCOPE_STORE, or `store` in the data folder."""
    named = os.environ.get("LAYERSCOPE_STORE")
    return Path(named).expanduser().absolute() if named else data_folder() / "store"


def sandbox_folder() -> Path:
    """Unpacked layers for commands that run without an engine; in the cache."""
    return cache_folder() / "sandbox"


def state_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Jobs and unsaved texts: under `$XDG_STATE_HOME` or `~/.local/state`."""
    return _base(environment, "XDG_STATE_HOME", ".local/state") / "layerscope"


def _base(environment: Mapping[str, str], variable: str, fallback: str) -> Path:
    # The specification requires relative paths to be ignored.
    base = Path(environment.get(variable, ""))
    return base if base.is_absolute() else home() / fallback


def home() -> Path:
    """The user's home directory; `/` for a user without one."""
    # Path.home() would raise RuntimeError.
    found = Path(os.path.expanduser("~"))  # noqa: PTH111
    return found if found.is_absolute() else Path("/")


def load(
    flags: Mapping[str, object] | None = None,
    environment: Mapping[str, str] = os.environ,
    path: Path | None = None,
) -> Settings:
    """Reads the settings; in `flags`, None means not given."""
    settings = Settings(settings_file(environment) if path is None else path)
    for option in OPTIONS:
        settings.set(option.name, option.default, "default")
    text = _read(settings)
    if text:
        try:
            _apply_file(settings, text)
        except RecursionError:
            settings.warn(0, "it is nested too deeply, so the rest of it is ignored")
    if environment.get("NO_COLOR"):
        settings.set("theme", "plain", "NO_COLOR")
    for option in OPTIONS:
        if given := environment.get(option.variable):
            value = option.kind.parse(given)
            if value is None:
                settings.warnings.append(
                    f"{option.variable} is {visible(given)!r}; it must be {option.kind.wanted}."
                )
            else:
                settings.set(option.name, value, option.variable)
        flag = (flags or {}).get(option.name)
        if flag is not None:
            settings.set(option.name, flag, "flag")
    return settings


def keep(name: str, value: str, path: Path | None = None) -> Path:
    """Stores a setting in the settings file, and returns the file; the rest does not change.

    Raises LayerscopeError if the file cannot be read as TOML or cannot be written.
    """
    import tomllib

    path = settings_file() if path is None else path
    shown = visible(str(path))
    # A link, perhaps into a folder under version control, stays a link.
    target = Path(os.path.realpath(path))
    try:
        text = read_file(target).decode("utf-8") if target.exists() else ""
        tomllib.loads(text)
        text = with_setting(text, name, value)
        # A multi-line value, which is not found, also leaves the file unchanged.
        tomllib.loads(text)
        write_whole(target, text.encode())
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise LayerscopeError(f"{shown} cannot be written: {why}.") from None
    except ValueError:
        hint = "`layerscope config` says where."
        raise LayerscopeError(f"{shown} is not valid TOML, so it stays as it is.", hint) from None
    return path


def with_setting(text: str, name: str, value: str) -> str:
    """The text of a settings file with a setting added or replaced."""
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    line = f'{name} = "{quoted}"'
    # Settings come before the first table.
    found = re.search(r"^\s*\[", text, re.MULTILINE)
    place = len(text) if found is None else found.start()
    head, tables = text[:place], text[place:]
    value_now = r"""("[^"\n]*"|'[^'\n]*'|[^#\s]+)"""
    known = re.compile(rf"""(?m)^[ \t]*["']?{re.escape(name)}["']?[ \t]*=[ \t]*{value_now}""")
    if known.search(head):
        return known.sub(lambda _: line, head, count=1) + tables
    head = head if not head or head.endswith("\n") else f"{head}\n"
    return f"{head}{line}\n{tables}"


def is_first_start(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the TUI starts for the first time; false if that cannot be recorded."""
    path = state_folder(environment) / "started"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError:
        return False
    return True


def _read(settings: Settings) -> str:
    try:
        text = read_file(settings.path).decode("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        settings.warn(0, f"it cannot be read ({error.strerror or type(error).__name__})")
        text = ""
    except UnicodeDecodeError:
        settings.warn(0, "it is not UTF-8, so all of it is ignored")
        text = ""
    settings.exists = True
    return text


def _apply_file(settings: Settings, text: str) -> None:
    # Imported here: most runs have no settings file.
    import tomllib

    try:
        document = tomllib.loads(text)
    except ValueError as error:
        found = re.search(r"\(at line (\d+)[^)]*\)", str(error))
        what = visible(re.sub(r"\s*\(at .*\)", "", str(error)))
        line = int(found[1]) if found else 0
        settings.warn(line, f"this is not valid TOML, so all of the file is ignored ({what})")
        return
    known = {option.name: option for option in OPTIONS}
    for name, value in document.items():
        line = line_of(text, name)
        if name == "keys":
            _apply_keys(settings, value, text)
        elif name not in known:
            names = listed([*known, "keys"])
            settings.warn(line, f"there is no setting {visible(name)!r}; there are {names}")
        else:
            kind = known[name].kind
            parsed = kind.parse(value)
            if parsed is None:
                shown = visible(str(value))[:60]
                settings.warn(line, f"{name} is {shown!r}; it must be {kind.wanted}")
            else:
                settings.set(name, parsed, "file")
                settings.lines[name] = line


def _apply_keys(settings: Settings, table: object, text: str) -> None:
    if not isinstance(table, dict):
        settings.warn(line_of(text, "keys"), "keys must be a table of binding ids")
        return
    for name, value in _flat(table):
        line = line_of(text, name)
        keys = value.split(",") if isinstance(value, str) else value
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or not keys:
            settings.warn(line, f"{visible(name)} must be a key or a list of keys")
            continue
        keys = [key.strip() if len(key) > 1 else key for key in keys]
        problem = next((why for key in keys if (why := _unusable(key))), "")
        if problem:
            settings.warn(line, f"{visible(name)}: {problem}")
            continue
        settings.keys[name] = tuple(keys)
        settings.key_lines[name] = line


def _flat(table: Mapping[str, object], before: str = "") -> list[tuple[str, object]]:
    """The entries of a table and its subtables: TOML reads unquoted `main.filter` as a table."""
    found: list[tuple[str, object]] = []
    for name, value in table.items():
        if isinstance(value, dict):
            found += _flat(value, f"{before}{name}.")
        else:
            found.append((before + name, value))
    return found


def _unusable(key: str) -> str:
    """Why a key cannot be bound; empty if it can."""
    name = key.lower()
    if not key:
        return "a key has no name"
    if name in _FORBIDDEN:
        return f"{visible(key)} cannot be bound: it is {_FORBIDDEN[name]}"
    if name.startswith(("ctrl+shift+", "shift+ctrl+")):
        return f"{visible(key)} cannot be bound: not every terminal sends it"
    return ""


def line_of(text: str, name: str, below: str = "") -> int:
    """The line, from 1, of TOML or YAML that sets a name or begins its table; 0 if there is none.

    For dotted names, the last part is enough. The search begins at the first line that the
    expression `below` matches.
    """
    lines = text.splitlines()
    begin = next((n for n, line in enumerate(lines) if below and re.match(below, line)), 0)
    for wanted in (name, name.rpartition(".")[2]):
        quoted = rf"""["']?{re.escape(wanted)}["']?"""
        # In one line with its table, after a dot, or as the heading of a table itself.
        pattern = re.compile(rf"(?:^|[^#]*?[\s.{{,\[]){quoted}\s*[=:.\]]")
        for number, line in enumerate(lines[begin:], begin + 1):
            if pattern.match(line):
                return number
    return 0
