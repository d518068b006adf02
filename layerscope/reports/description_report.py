"""The kind of file that a version is, for `cat --describe` and the TUI."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from layerscope.content.description import Description, Fact
from layerscope.images.loading import Loaded
from layerscope.text import decode, docker_size, visible

_SIZES = frozenset(("uncompressed_size", "source_size", "page_size"))


def fact_text(fact: Fact) -> str:
    value = fact.value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return docker_size(value) if fact.key in _SIZES else f"{value:,}"
    return visible(value if isinstance(value, str) else ", ".join(value))


def description_text(size: int, found: Description) -> Iterator[str]:
    rows = [("Kind", visible(found.summary)), ("Size", f"{docker_size(size)} ({size:,} bytes)")]
    rows += [(fact.title, fact_text(fact)) for fact in found.facts]
    width = max(len(title) for title, _ in rows)
    for title, text in rows:
        yield f"{title:{width}}  {text}"


def description_document(loaded: Loaded, row: int, size: int, found: Description) -> dict[str, Any]:
    stack = loaded.stack
    facts: dict[str, list[Any]] = {}
    for fact in found.facts:
        value = list(fact.value) if isinstance(fact.value, tuple) else fact.value
        facts.setdefault(fact.key, []).append(value)
    return {
        "schema": "layerscope.description/1",
        "path": "/" + decode(stack.tree.path(int(stack.nodes[row]))),
        "layer": int(stack.layers[row]),
        "size": size,
        "kind": found.kind,
        "summary": found.summary,
        "encoding": found.encoding,
        # A bundle of certificates has several of a kind.
        "facts": {key: each if each[1:] else each[0] for key, each in facts.items()},
    }
