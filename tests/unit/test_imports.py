"""The arrows between modules: no circles, and rooms of the TUI that do not know each other.

Imports inside functions and for type checking count as well.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "layerscope"
#: What every room of the TUI may import.
SHARED = {
    "base_app",
    "destinations",
    "dialogs",
    "diff",
    "drifts",
    "layer_packages",
    "keys",
    "removal",
    "rows",
    "base_screen",
    "session",
    "terminal",
    "title_bar",
    "trail",
    "work",
}
#: Modules that put the rooms together.
TOP = {"app", "rooms", "settings"}


def _modules() -> dict[str, Path]:
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = ["layerscope", *path.relative_to(PACKAGE).with_suffix("").parts]
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


MODULES = _modules()


def _imports(path: Path) -> Iterator[str]:
    """The modules of layerscope that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in MODULES else node.module


@functools.cache
def _graph() -> dict[str, set[str]]:
    return {name: set(_imports(path)) - {name} for name, path in MODULES.items()}


def _circles() -> list[list[str]]:
    """Groups of modules that import each other, by Tarjan's algorithm."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in sorted(_graph()[name]):
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                found.append(sorted(group))

    for name in sorted(_graph()):
        if name not in index:
            visit(name)
    return found


def test_no_modules_import_each_other() -> None:
    assert _circles() == []


ROOMS = sorted(
    path.parent.name
    for path in (PACKAGE / "tui").glob("*/__init__.py")
    if path.parent.name not in SHARED
)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_knows_no_other_room(room: str) -> None:
    foreign = {
        f"{name} imports {other}"
        for name, imported in _graph().items()
        if name.startswith(f"layerscope.tui.{room}")
        for other in imported
        if other.startswith("layerscope.tui.")
        if other.split(".")[2] not in SHARED | {room}
    }
    assert not foreign


def test_shared_parts_of_the_tui_know_no_room() -> None:
    foreign = {
        f"{name} imports {other}"
        for name, imported in _graph().items()
        if name.startswith("layerscope.tui.") and name.split(".")[2] in SHARED
        for other in imported
        if other.startswith("layerscope.tui.") and other.split(".")[2] not in SHARED
    }
    assert not foreign
