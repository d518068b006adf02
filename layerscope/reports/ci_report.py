"""`layerscope ci`: rules, values, thresholds and verdicts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from layerscope.filesystem.globs import glob_pattern
from layerscope.filesystem.waste import measure
from layerscope.images.loading import Loaded
from layerscope.reports.ci_rules import Thresholds, excluded
from layerscope.text import decode, docker_size, visible

SCHEMA = "layerscope.ci/1"

#: Wasted paths that are named when a rule is broken.
_PATHS = 10


@dataclass(frozen=True, slots=True)
class Verdict:
    """One rule and how an image keeps it.

    Attributes:
        rule: Its name.
        value: What was measured.
        threshold: The limit; None if the rule is off.
        passed: Whether it is kept; None if it is off.
        is_bytes: Whether the value is a number of bytes rather than a fraction.
    """

    rule: str
    value: float
    threshold: float | None
    passed: bool | None
    is_bytes: bool


@dataclass(frozen=True, slots=True)
class Gate:
    """All verdicts on an image.

    Attributes:
        loaded: The image.
        verdicts: One for each rule.
        wasted: The paths whose waste counts, largest first, with their bytes.
        excluded_size: Wasted bytes in excluded paths.
    """

    loaded: Loaded
    verdicts: list[Verdict]
    wasted: list[tuple[bytes, int]]
    excluded_size: int

    @property
    def passed(self) -> bool:
        """Whether no rule is broken."""
        return all(verdict.passed is not False for verdict in self.verdicts)


def judge(loaded: Loaded, thresholds: Thresholds) -> Gate:
    """Measures an image against thresholds."""
    waste = measure(loaded.stack)
    patterns = [glob_pattern(glob) for glob in thresholds.exclude]
    counted = [path for path in waste.paths if not excluded(path.path, patterns)]
    wasted = sum(path.size for path in counted)
    size = waste.size
    user_size = size - (waste.layer_sizes[0] if waste.layer_sizes else 0)
    efficiency = 1 - wasted / size if size else 1.0

    def at_most(rule: str, value: float, limit: float | None, is_bytes: bool) -> Verdict:
        return Verdict(rule, value, limit, None if limit is None else value <= limit, is_bytes)

    lowest = thresholds.lowest_efficiency
    verdicts = [
        Verdict(
            "lowest-efficiency",
            efficiency,
            lowest,
            None if lowest is None else efficiency >= lowest,
            False,
        ),
        at_most("highest-wasted-bytes", wasted, thresholds.highest_wasted_bytes, True),
        at_most(
            "highest-wasted-percent",
            wasted / size if size else 0.0,
            thresholds.highest_wasted_percent,
            False,
        ),
        at_most(
            "highest-user-wasted-percent",
            wasted / user_size if user_size else 0.0,
            thresholds.highest_user_wasted_percent,
            False,
        ),
        at_most("highest-size", size, thresholds.highest_size, True),
    ]
    return Gate(
        loaded, verdicts, [(path.path, path.size) for path in counted], waste.wasted_size - wasted
    )


def ci_document(gate: Gate) -> dict[str, Any]:
    """The object that `ci --json` prints; sizes are bytes, percentages are fractions."""
    return {
        "schema": SCHEMA,
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
    """The same for people: a table, and the paths to look at if a rule is broken."""
    yield visible(gate.loaded.image.reference)
    rows = [("RULE", "VALUE", "THRESHOLD", "VERDICT")]
    for verdict in gate.verdicts:
        word = {True: "pass", False: "FAIL", None: "off"}[verdict.passed]
        limit = "-" if verdict.threshold is None else _amount(verdict, verdict.threshold)
        rows.append((verdict.rule, _amount(verdict, verdict.value), limit, word))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        rule, value, limit, word = row
        yield f"{rule:<{widths[0]}}  {value:>{widths[1]}}  {limit:>{widths[2]}}  {word}"
    if gate.excluded_size:
        yield f"{docker_size(gate.excluded_size)} in excluded paths does not count."
    if not gate.passed and gate.wasted:
        yield ""
        yield "Largest wasted paths:"
        for path, size in gate.wasted[:_PATHS]:
            yield f"{docker_size(size):>8}  /{visible(path)}"


def _amount(verdict: Verdict, value: float) -> str:
    return docker_size(int(value)) if verdict.is_bytes else f"{value:.2%}"
