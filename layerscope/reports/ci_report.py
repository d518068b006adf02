"""`layerscope ci`: rules, values, thresholds and verdicts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from layerscope.filesystem.search import Joined
from layerscope.filesystem.waste import measure
from layerscope.images.loading import Loaded
from layerscope.patterns import glob_pattern
from layerscope.reports.ci_rules import Thresholds
from layerscope.reports.color import DIM, GREEN, RED, painted, sized
from layerscope.reports.layout import table
from layerscope.text import decode, docker_size, visible

_PATHS = 10  # Wasted paths shown.


@dataclass(frozen=True, slots=True)
class Verdict:
    """A rule, and whether the image passes."""

    rule: str  # Its name.
    value: float  # The measured value.
    threshold: float | None  # The limit; None if the rule is off.
    is_bytes: bool = False  # Whether the value is a number of bytes rather than a fraction.
    is_least: bool = False  # Whether the limit is a minimum.

    @property
    def passed(self) -> bool | None:
        """None if the rule is off."""
        if self.threshold is None:
            return None
        return self.value >= self.threshold if self.is_least else self.value <= self.threshold


@dataclass(frozen=True, slots=True)
class Gate:
    loaded: Loaded
    verdicts: list[Verdict]  # One for each rule.
    #: The paths with waste that counts, largest first, with their bytes.
    wasted: list[tuple[bytes, int]]
    excluded_size: int  # Wasted bytes in excluded paths.

    @property
    def passed(self) -> bool:
        return all(verdict.passed is not False for verdict in self.verdicts)


def judge(loaded: Loaded, limits: Thresholds) -> Gate:
    waste = measure(loaded.stack)
    paths = Joined(b"\0".join(path.path for path in waste.paths))
    excluded = np.zeros(len(paths), np.bool_)
    for glob in limits.exclude:
        excluded |= paths.matching(glob_pattern(glob))
    counted = [path for path, out in zip(waste.paths, excluded, strict=False) if not out]
    wasted = sum(path.size for path in counted)
    size = waste.size
    user_size = size - (waste.layer_sizes[0] if waste.layer_sizes else 0)
    share = wasted / size if size else 0.0
    user_share = wasted / user_size if user_size else 0.0
    verdicts = [
        Verdict("lowest-efficiency", 1 - share, limits.lowest_efficiency, is_least=True),
        Verdict("highest-wasted-bytes", wasted, limits.highest_wasted_bytes, is_bytes=True),
        Verdict("highest-wasted-percent", share, limits.highest_wasted_percent),
        Verdict("highest-user-wasted-percent", user_share, limits.highest_user_wasted_percent),
        Verdict("highest-size", size, limits.highest_size, is_bytes=True),
    ]
    named = [(path.path, path.size) for path in counted]
    return Gate(loaded, verdicts, named, waste.wasted_size - wasted)


def ci_document(gate: Gate) -> dict[str, Any]:
    """The object of `ci --json`; sizes are bytes, percentages are fractions."""
    return {
        "schema": "layerscope.ci/1",
        "reference": gate.loaded.image.reference,
        "id": gate.loaded.image.id,
        "passed": gate.passed,
        "excluded_size": gate.excluded_size,
        "rules": [
            {
                "rule": verdict.rule,
                "value": verdict.value,
                "threshold": verdict.threshold,
                "passed": verdict.passed,
            }
            for verdict in gate.verdicts
        ],
        "wasted": [
            {"path": "/" + decode(path), "size": size} for path, size in gate.wasted[:_PATHS]
        ],
    }


def ci_text(gate: Gate) -> Iterator[str]:
    """A table, and the largest wasted paths if a rule failed."""
    yield visible(gate.loaded.image.reference)
    rows = [("RULE", "VALUE", "THRESHOLD", "VERDICT")]
    for verdict in gate.verdicts:
        word = {True: "pass", False: "FAIL", None: "off"}[verdict.passed]
        limit = "-" if verdict.threshold is None else _amount(verdict, verdict.threshold)
        word = painted(word, {True: GREEN, False: RED, None: DIM}[verdict.passed])
        rows.append((verdict.rule, _amount(verdict, verdict.value), limit, word))
    yield from table(rows, "<>><")
    if gate.excluded_size:
        yield f"{docker_size(gate.excluded_size)} in excluded paths do not count."
    if not gate.passed and gate.wasted:
        yield ""
        yield "Largest wasted paths:"
        for path, size in gate.wasted[:_PATHS]:
            yield f"{sized(size, 8)}  /{visible(path)}"


def _amount(verdict: Verdict, value: float) -> str:
    return docker_size(int(value)) if verdict.is_bytes else f"{value:.2%}"
