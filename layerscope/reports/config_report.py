"""`layerscope config`: the effective settings, as a settings file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from layerscope.config import OPTIONS, Settings
from layerscope.text import visible

#: The default keys and the description of each binding, by id.
Bindings = Mapping[str, tuple[tuple[str, ...], str]]


def config_document(settings: Settings, bindings: Bindings) -> dict[str, Any]:
    return {
        "schema": "layerscope.config/1",
        "path": str(settings.path),
        "exists": settings.exists,
        "settings": [
            {
                "name": option.name,
                "value": settings.values[option.name],
                "from": settings.origins[option.name],
                "default": option.default,
            }
            for option in OPTIONS
        ],
        "keys": [
            {
                "id": name,
                "keys": list(settings.keys.get(name, default)),
                "from": "file" if name in settings.keys else "default",
                "default": list(default),
                "what": what,
            }
            for name, (default, what) in bindings.items()
        ],
        "warnings": list(settings.warnings),
    }


def config_text(settings: Settings, bindings: Bindings) -> Iterator[str]:
    """A settings file; comments show each value's source and meaning."""
    there = "" if settings.exists else " (does not exist)"
    yield f"# {visible(str(settings.path))}{there}"
    for option in OPTIONS:
        origin = settings.origins[option.name]
        value = f"{option.name} = {_toml(settings.values[option.name])}"
        yield f"{value:<28} # {origin}: {option.what}"
    yield ""
    yield "[keys]"
    for name, (default, what) in bindings.items():
        origin = "file" if name in settings.keys else "default"
        keys = settings.keys.get(name, default)
        value = f"{_toml(name)} = {_toml(keys[0] if len(keys) == 1 else list(keys))}"
        yield f"{value:<44} # {origin}{': ' if what else ''}{what}"


def _toml(value: object) -> str:
    # Strings, numbers, booleans and lists are as in JSON.
    return visible(json.dumps(value, ensure_ascii=False))
