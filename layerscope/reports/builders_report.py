"""`layerscope engines builders`: the builders of buildx."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from layerscope.reports.layout import table
from layerscope.text import one_line

if TYPE_CHECKING:
    from layerscope.build.instances import BuilderInstance


def builders_document(builders: Sequence[BuilderInstance]) -> dict[str, Any]:
    """The object of `engines builders --json`; `state` is null if a builder was not asked."""
    return {
        "schema": "layerscope.builders/1",
        "builders": [
            {
                "name": builder.name,
                "driver": builder.driver or None,
                "endpoints": list(builder.endpoints),
                "current": builder.current,
                "state": builder.state or None,
                "buildkit": builder.buildkit or None,
                "platforms": list(builder.platforms),
                "problem": builder.problem or None,
            }
            for builder in builders
        ],
    }


def builders_text(builders: Sequence[BuilderInstance]) -> Iterator[str]:
    rows = [(" ", "NAME", "DRIVER", "STATE", "BUILDKIT", "ENDPOINTS")]
    rows += [
        (
            "*" if builder.current else " ",
            one_line(builder.name),
            one_line(builder.driver) or "-",
            one_line(builder.state) or "unknown",
            one_line(builder.buildkit) or "-",
            one_line(", ".join(builder.endpoints)) or "-",
        )
        for builder in builders
    ]
    yield from table(rows, "<<<<<<")
    problems = [builder for builder in builders if builder.problem]
    if problems:
        yield ""
    for builder in problems:
        yield f"{one_line(builder.name)}: {one_line(builder.problem)}"
