"""The rules of `layerscope ci`, and the sources of their thresholds.

Flags take precedence, then `[ci]` in a `layerscope.toml` or `[tool.layerscope.ci]` in a
`pyproject.toml`, then dive's `.dive-ci`, then dive's own defaults: a pipeline that used dive works
as before.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from layerscope.bounded import read_file
from layerscope.config import line_of
from layerscope.errors import UsageError
from layerscope.text import listed, parse_size, visible


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Limits for an image; None turns a rule off."""

    lowest_efficiency: float | None = 0.9  # Visible ÷ shipped bytes, at least.
    highest_wasted_bytes: int | None = None  # Wasted bytes, at most.
    highest_wasted_percent: float | None = None  # Wasted ÷ shipped bytes, as a fraction, at most.
    #: Wasted ÷ bytes shipped above the base layer, at most.
    highest_user_wasted_percent: float | None = 0.1
    highest_size: int | None = None  # Shipped bytes, at most.
    exclude: tuple[str, ...] = ()  # Globs of paths with waste that does not count.


@dataclass(frozen=True, slots=True)
class _Given:
    value: object
    rule: str  # The rule's name in its source.
    where: str  # The prefix of the name in messages: the file and line, or the dashes of a flag.

    @property
    def name(self) -> str:
        return f"{self.where}{visible(self.rule)}"


RULES = tuple(field.name for field in fields(Thresholds))

#: Names in dive's file.
_DIVE_NAMES = {
    "lowestEfficiency": "lowest_efficiency",
    "highestWastedBytes": "highest_wasted_bytes",
    "highestUserWastedPercent": "highest_user_wasted_percent",
}


def load_thresholds(
    flags: Mapping[str, Any], folder: Path, config: Path | None = None
) -> Thresholds:
    """The thresholds from flags by rule, and from `config` or the first file that has any.

    Raises UsageError if a file cannot be read or a value is invalid.
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
    unknown = sorted(values.keys() - set(RULES))
    if unknown:
        given = values[unknown[0]]
        raise UsageError(
            f"{given.where}there is no rule {visible(given.rule)}.",
            f"Rules are {listed(sorted(name.replace('_', '-') for name in RULES))}.",
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
        text = read_file(path).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(f"{name} cannot be read ({reason}).") from None
    if path.suffix != ".toml":
        return _dive_rules(text, name)
    try:
        table = tomllib.loads(text)
    # ValueError: also a number with too many digits.
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name} is not valid TOML ({visible(str(error))}).") from None
    keys = ("tool", "layerscope", "ci") if path.name == "pyproject.toml" else ("ci",)
    for key in keys:
        table = table.get(key, {})
        if not isinstance(table, dict):
            raise UsageError(f"{name}{_place(text, key)}: {key} is not a table.")
    below = rf"^\s*\[\s*{re.escape('.'.join(keys))}\s*\]"
    return {
        key.replace("-", "_"): _Given(value, key, f"{name}{_place(text, key, below)}: ")
        for key, value in table.items()
    }


def _place(text: str, key: str, below: str = "") -> str:
    """The line that sets a key, as the next part of a sentence; empty if it is not found."""
    number = line_of(text, key, below)
    return f", line {number}" if number else ""


def _dive_rules(text: str, name: str) -> dict[str, _Given]:
    """The rules of a `.dive-ci` file: YAML with one flat mapping under `rules`."""
    import yaml

    try:
        document = yaml.safe_load(text)
    # ValueError: an impossible date, or a number with too many digits.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f", line {mark.line + 1}"
        raise UsageError(f"{name}{where}: this is not valid YAML.") from None
    rules = document.get("rules") if isinstance(document, dict) else document
    if not isinstance(rules, dict | None):
        raise UsageError(f"{name} has no mapping of rules.")
    return {
        _DIVE_NAMES.get(str(key), str(key)): _Given(
            value, str(key), f"{name}{_place(text, str(key))}: "
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
        # Aliases in YAML can make a collection's text endless.
        value = f"a {type(value).__name__}" if value is not None else "empty"
    text = str(value).strip()
    number: float | None = None
    if key in ("highest_wasted_bytes", "highest_size"):
        number, wanted = parse_size(text), "a number of bytes such as 20MB or 1GiB"
    else:
        wanted = "a fraction from 0 to 1, a percentage such as 90%"
        with suppress(ValueError):
            number = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
            number = number if 0 <= number <= 1 else None
    if isinstance(value, bool) or number is None:
        raise UsageError(f"{given.name} is {visible(text)}.", f"It must be {wanted}, or disabled.")
    return number
