"""`layerscope engines`: the available engines, and what each has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from layerscope.reports.color import sized
from layerscope.reports.layout import table
from layerscope.reports.sandbox_report import ladder_document, ladder_text
from layerscope.text import visible

if TYPE_CHECKING:
    from layerscope.engines.probing import EngineState
    from layerscope.sandbox.rungs import Tried


def engines_document(states: Sequence[EngineState], ladder: Sequence[Tried]) -> dict[str, Any]:
    """The object of `engines --json`; `problem` is why an engine cannot be used, or null."""
    return {
        "schema": "layerscope.engines/1",
        "engines": [
            {
                "name": state.engine.name,
                "kind": state.engine.kind,
                "address": state.engine.shown or None,
                "current": state.engine.current,
                "version": state.version or None,
                "store": state.store or None,
                "images": state.images,
                "disk": state.disk,
                "problem": None if state.problem is None else str(state.problem),
            }
            for state in states
        ],
        "sandbox": ladder_document(ladder),
    }


def engines_text(states: Sequence[EngineState], ladder: Sequence[Tried]) -> Iterator[str]:
    rows = [(" ", "NAME", "ENGINE", "STORE", "IMAGES", "DISK", "ADDRESS")]
    rows += [
        (
            "*" if state.engine.current else " ",
            visible(state.engine.name),
            state.version or "-",
            state.store or "-",
            "-" if state.images is None else str(state.images),
            "-" if state.disk is None else sized(state.disk),
            "-" if state.engine.shown == state.engine.name else state.engine.shown or "-",
        )
        for state in states
    ]
    yield from table(rows, "<<<<>><")
    problems = [state for state in states if state.problem is not None]
    if problems:
        yield ""
    for state in problems:
        yield f"{visible(state.engine.name)}: {state.problem}"
    yield ""
    yield from ladder_text(ladder)
