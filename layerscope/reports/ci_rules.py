"""The rules of `layerscope ci`, and where their thresholds come from.

Flags come first, then `[ci]` in a `layerscope.toml` or `[tool.layerscope.ci]` in a
`pyproject.toml`, then dive's `.dive-ci`, then dive's own defaults, so that a pipeline that used
dive goes on as it was.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from layerscope.errors import UsageError
from layerscope.text import parse_size, visible


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Limits that an image must keep; None switches a rule off.

    Attributes:
        lowest_efficiency: Visible ÷ shipped bytes, at least.
        highest_wasted_bytes: Wasted bytes, at most.
        highest_wasted_percent: Wasted ÷ shipped bytes, as a fraction, at most.
        highest_user_wasted_percent: Wasted ÷ bytes shipped above the base layer, at most.
        highest_size: Shipped bytes, at most.
        exclude: Globs of paths whose waste does not count.
    """

    lowest_efficiency: float | None = 0.9
    highest_wasted_bytes: int | None = None
    highest_wasted_percent: float | None = None
    highest_user_wasted_percent: float | None = 0.1
    highest_size: int | None = None
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Given:
    """A value that somebody has set.

    Attributes:
        value: The value.
        rule: The name of the rule, as it is written there.
        where: In front of the name, to say where: the file and the line, or the dashes of a flag.
    """

    value: object
    rule: str
    where: str

    @property
    def name(self) -> str:
        """Which rule, and where."""
        return f"{self.where}{visible(self.rule)}"


#: Names in dive's file, and in ours.
_DIVE_NAMES = {
    "lowestEfficiency": "lowest_efficiency",
    "highestWastedBytes": "highest_wasted_bytes",
    "highestUserWastedPercent": "highest_user_wasted_percent",
}


def load_thresholds(
    flags: Mapping[str, Any], folder: Path, config: Path | None = None
) -> Thresholds:
    """Puts the thresholds together.

    Args:
        flags: Values of flags, as text; None where a flag was not given.
        folder: Where to look for files.
        config: A file to read instead.

    Raises:
        UsageError: A file cannot be read, or a value makes no sense.
    """
    values = _search(folder) if config is None else _read(config)
    if config is not None and not values:
        raise UsageError(
            f"{visible(str(config))} sets no threshold.",
            "They are in [ci], in [tool.layerscope.ci] of pyproject.toml, or under rules: in YAML.",
        )
    values |= {
        key: _Given(value, key.replace("_", "-"), "--")
        for key, value in flags.items()
        if value not in (None, [])
    }
    known = {field.name for field in fields(Thresholds)}
    unknown = sorted(values.keys() - known)
    if unknown:
        given = values[unknown[0]]
        raise UsageError(
            f"{given.where}there is no rule {visible(given.rule)}.",
            f"Rules are {', '.join(sorted(name.replace('_', '-') for name in known))}.",
        )
    return Thresholds(**{key: _value(key, given) for key, given in values.items()})


def _search(folder: Path) -> dict[str, _Given]:
    for name in ("layerscope.toml", "pyproject.toml"):
        path = folder / name
        if path.is_file() and (found := _read(path)):
            return found
    path = folder / ".dive-ci"
    return _read(path) if path.is_file() else {}


def _read(path: Path) -> dict[str, _Given]:
    name = visible(str(path))
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(f"{name} cannot be read ({reason}).") from None
    if path.suffix != ".toml":
        return _dive_rules(text, name)
    try:
        table = tomllib.loads(text)
    # Besides its own, there is that of a number with too many digits.
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name} is not valid TOML ({visible(str(error))}).") from None
    keys = ("tool", "layerscope", "ci") if path.name == "pyproject.toml" else ("ci",)
    for key in keys:
        table = table.get(key, {})
        if not isinstance(table, dict):
            raise UsageError(f"{name}{_line_of(text, key)}: {key} is not a table.")
    below = rf"^\s*\[\s*{re.escape('.'.join(keys))}\s*\]"
    return {
        key.replace("-", "_"): _Given(value, key, f"{name}{_line_of(text, key, below)}: ")
        for key, value in table.items()
    }


def _line_of(text: str, key: str, below: str = "") -> str:
    """In which line a key is set, as the next part of a sentence; empty if that is not found.

    Args:
        text: TOML or YAML.
        key: The key.
        below: What is in a line above it, as a regular expression.
    """
    lines = text.splitlines()
    begin = next((n for n, line in enumerate(lines) if below and re.match(below, line)), 0)
    quoted = rf"""["']?{re.escape(key)}["']?"""
    # In one line with its table, behind a dot, or as the heading of a table itself.
    wanted = re.compile(rf"(?:^|[\s.{{,\[]){quoted}\s*[=:\]]")
    found = (n for n, line in enumerate(lines[begin:], begin + 1) if wanted.search(line))
    number = next(found, 0)
    return f", line {number}" if number else ""


def _dive_rules(text: str, name: str) -> dict[str, _Given]:
    """The rules of a `.dive-ci` file: YAML with one flat mapping under `rules`."""
    import yaml

    try:
        document = yaml.safe_load(text)
    # A date that there is not, or a number with too many digits, is an error of another kind.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f", line {mark.line + 1}"
        raise UsageError(f"{name}{where}: this is not valid YAML.") from None
    rules = document.get("rules") if isinstance(document, dict) else document
    if not isinstance(rules, dict | None):
        raise UsageError(f"{name} has no mapping of rules.")
    return {
        _DIVE_NAMES.get(str(key), str(key)): _Given(
            value, str(key), f"{name}{_line_of(text, str(key))}: "
        )
        for key, value in (rules or {}).items()
    }


def _value(key: str, given: _Given) -> Any:
    value = given.value
    if key == "exclude":
        if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
            raise UsageError(f"{given.name} is not a list of globs.", 'Write ["/usr/share/*"].')
        return tuple(value)
    if isinstance(value, str) and value.strip().lower() in ("disabled", "off"):
        return None
    if not isinstance(value, str | int | float):
        # Aliases of YAML can make the text of one endless.
        value = f"a {type(value).__name__}" if value is not None else "empty"
    if key in ("highest_wasted_bytes", "highest_size"):
        return parse_bytes(value, given.name)
    return _fraction(value, given.name)


def _fraction(value: object, name: str) -> float:
    text = str(value).strip()
    try:
        number = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        number = -1.0
    if isinstance(value, bool) or not 0 <= number <= 1:
        raise UsageError(
            f"{name} is {visible(text)}.",
            "It must be a fraction from 0 to 1, a percentage such as 90%, or disabled.",
        )
    return number


def parse_bytes(value: object, name: str) -> int:
    """Reads a number of bytes such as `20MB`, `1.5 GiB` or 1000.

    Args:
        value: The number.
        name: What it is, for errors, and where it is set.

    Raises:
        UsageError: It is none.
    """
    size = None if isinstance(value, bool) else parse_size(str(value))
    if size is None:
        raise UsageError(
            f"{name} is {visible(str(value))}.",
            "It must be a number of bytes such as 20MB or 1GiB, or disabled.",
        )
    return size


def excluded(path: bytes, patterns: Iterable[re.Pattern[bytes]]) -> bool:
    """Whether one of the patterns matches a path."""
    return any(pattern.search(path) for pattern in patterns)
