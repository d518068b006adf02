"""What is measured, what it is measured against, and how much of that is allowed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Budget:
    """A row of the table."""

    what: str  # What is measured.
    floor: str  # What it is measured against; empty for a figure of its own.
    unit: str  # `×`, or the unit of a figure of its own.
    limit: float | None  # How much is allowed; None for what is measured for information.
    #: How much fails the run; None if nothing does, since times are noisy.
    hard: float | None = None
    least: bool = False  # Whether the limit is the least instead of the most.

    def allowed(self) -> str:
        """The limit in words."""
        if self.limit is None:
            return "–"
        return f"{'≥' if self.least else '≤'} {figure(self.limit, self.unit)}"


#: What the memory of an image of a million entries may be, of 174,000 having 200 MB.
_MILLION = 200 * 1_000_000 / 174_000

BUDGETS = {
    # The reference image: 3.9 GB, 10 layers, 174,000 entries.
    "inspect": Budget("inspect an archive", "tar tvf of each layer", "×", 1.2),
    "inspect-memory": Budget("its memory, child included", "", "MB", 200, 300),
    "cached": Budget("inspect again, from the cache", "python -c 'import numpy'", "×", 2),
    "files": Budget("files --json-lines", "tar tvf of each layer", "×", None),
    "dive": Budget("dive on the archive", "inspect", "×", 100, least=True),
    "dive-without": Budget("dive without the mass delete", "inspect", "×", 4, least=True),
    "whiteouts": Budget("stack with the mass delete", "stack without it", "×", 1.5),
    "gzip": Budget("inspect a layer in gzip", "gunzip -c | tar tvf -", "×", 1.5),
    # The same in engines.
    "data-folder": Budget("inspect in Docker's data folder", "find -printf", "×", 1.5),
    "folder-or-save": Budget("the same", "docker save > /dev/null", "×", 1.5),
    "export": Budget("inspect an engine's export", "docker save > /dev/null", "×", 1.5),
    "containerd": Budget("inspect a gzip blob of containerd", "gunzip -c | tar tvf -", "×", 1.5),
    "ssh": Budget("inspect over ssh: received, with layerscope there", "", "MB", 5, 5),
    "ssh-export": Budget("what an export would transfer", "", "MB", None),
    # By our own client; nothing is there yet.
    "pull": Budget("pull --via registry into a layout", "skopeo copy", "×", 1.1),
    "pull-cpu": Budget("its processor time", "skopeo copy", "×", 1.1),
    # Unpacked, which skopeo does not do.
    "pull-embedded": Budget("pull into the embedded store", "skopeo copy into a layout", "×", 1.1),
    "pull-embedded-cpu": Budget(
        "its processor time, unpacking included", "skopeo copy into a layout", "×", None
    ),
    # The engine's processor time is counted too.
    "pull-by-registry": Budget("pull --via registry into Docker", "docker pull", "×", 1.1),
    "pull-by-registry-cpu": Budget("its processor time", "docker pull, by registry", "×", 1.1),
    "pull-by-engine": Budget("pull by Docker", "docker pull", "×", 1.1),
    "pull-by-engine-cpu": Budget("its processor time", "docker pull", "×", 1.1),
    "push-by-engine": Budget("push by Docker", "docker push", "×", 1.1),
    "push-by-engine-cpu": Budget("its processor time", "docker push", "×", 1.1),
    "push": Budget("push --via registry of an archive", "skopeo copy", "×", 1.1),
    "push-cpu": Budget("its processor time", "skopeo copy of an archive", "×", 1.1),
    # Other images.
    "million": Budget("inspect 1,000,000 entries", "tar tvf of each layer", "×", 1.2),
    "million-cached": Budget(
        "the same from the cache", "python -c 'import numpy'", "×", 2_000 / 174
    ),
    "million-memory": Budget("its memory, child included", "", "MB", _MILLION, 1.5 * _MILLION),
    "find": Budget("find in 50 images, from the cache", "python -c 'import numpy'", "×", 10),
    # The TUI, at 120×40 with 256 colours, on the reference image.
    "paint": Budget("TUI: first paint", "a bare Textual app's", "×", 1.6),
    "ready": Budget("TUI: first paint to ready", "tar tvf of each layer", "×", 1.2),
    # The list of 50 images of 100,000 entries, which are in the cache, and were never measured.
    "images-listed": Budget("TUI: list of 50 images", "the same without what they waste", "×", 1.1),
    "images-keys": Budget("TUI: keys while they are measured, first byte, p95", "", "ms", 50),
    "tui-memory": Budget("TUI: memory", "", "MB", 200, 300),
    "idle": Budget("TUI: idle, in 3 s", "", "bytes", 0, 0),
    "keys": Budget("TUI: all keys, p95", "", "ms", 50),
    "keys-cursor": Budget("TUI: cursor, p95", "", "ms", 50),
    "keys-page": Budget("TUI: page, home, end, p95", "", "ms", 50),
    "keys-layer": Budget("TUI: next layer, p95", "", "ms", 50),
    "keys-union-layer": Budget("TUI: next layer of the union, p95", "", "ms", 50),
    "keys-union": Budget("TUI: layer or union (t), p95", "", "ms", 50),
    "keys-expand": Budget("TUI: expand, collapse all, p95", "", "ms", 50),
    "keys-sort": Budget("TUI: sort, reverse, p95", "", "ms", 50),
    "keys-kinds": Budget("TUI: show, hide kinds, p95", "", "ms", 50),
    "keys-filter-echo": Budget("TUI: type a filter, first byte, p95", "", "ms", 50),
    # 60 ms of it pass before the search begins, so that fast typing is one search.
    "keys-filter": Budget("TUI: type a filter, result, p95", "", "ms", 150),
    "million-move": Budget("TUI, 1,000,000: move, page, home, end, p95", "", "ms", 50),
    "million-expand": Budget("TUI, 1,000,000: expand, collapse all, p95", "", "ms", 150),
    "million-sort": Budget("TUI, 1,000,000: sort, reverse, p95", "", "ms", 150),
    "million-kinds": Budget("TUI, 1,000,000: show, hide kinds, p95", "", "ms", 150),
    "million-layer": Budget("TUI, 1,000,000: next layer, union, p95", "", "ms", 150),
    "million-echo": Budget("TUI, 1,000,000: type a filter, first byte, p95", "", "ms", 50),
    "million-filter": Budget("TUI, 1,000,000: its result, p95", "", "ms", 150 * 1_000 / 174),
    "bytes-cursor": Budget("TUI: move the cursor", "", "bytes", 120),
    "bytes-rest": Budget("TUI: rest there, so that Details follow", "", "bytes", None),
    "bytes-page": Budget("TUI: page", "", "bytes", 1_700),
    "bytes-layer": Budget("TUI: change layer", "", "bytes", 500),
    "bytes-union-layer": Budget("TUI: change layer of the union", "", "bytes", 500),
    # Builds.
    "build-classic": Budget("build, classic builder", "docker build", "×", 1.05),
    "build-buildkit": Budget("build, BuildKit", "docker build", "×", 1.05),
    "build-worker-100000": Budget("its memory, 100,000 lines of a log", "", "MB", 120, 200),
    "build-worker-1000000": Budget("its memory, 1,000,000 lines", "", "MB", 120, 200),
    "build-screen-100000": Budget("TUI: memory, 100,000 lines of a log", "", "MB", 150, 250),
    "build-screen-1000000": Budget("TUI: memory, 1,000,000 lines", "", "MB", 150, 250),
    "build-bytes": Budget("TUI: a build prints 200 lines a second", "", "KB/s", 5, 40),
    # Builds without an engine.
    "embedded-many": Budget("COPY of 100,000 files, embedded", "the faster docker build", "×", 1),
    "embedded-large": Budget("COPY of 2 GB, embedded", "the faster docker build", "×", 1),
    "embedded-commands": Budget("30 RUN of true, embedded", "the faster docker build", "×", 1),
    "embedded-cached": Budget("a fully cached build, embedded", "", "ms", 500),
    "demo": Budget("TUI: the demo, from the key to the finished image", "", "ms", 3_000),
    # An image so small that dive answers at once; the note has what layerscope needs there.
    "dive-cursor": Budget("dive: move the cursor", "", "bytes", None),
    "dive-page": Budget("dive: page", "", "bytes", None),
    "dive-layer": Budget("dive: change layer", "", "bytes", None),
}
"""All rows, in the order of the table. Only exceeding `hard` fails the run."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a measurement gave."""

    budget: Budget  # Its row.
    value: float  # The quotient of the least times, or whatever the row says.
    spread: tuple[float, float] | None = None  # The least and the most, or None.
    note: str = ""  # What else there is to say.
    more: bool = False  # Whether it was stopped, and is more than that.

    @property
    def measured(self) -> str:
        """The value in words."""
        return ("> " if self.more else "") + figure(self.value, self.budget.unit)

    @property
    def between(self) -> str:
        """The spread in words."""
        if self.spread is None:
            return ""
        low, high = (figure(value, self.budget.unit, bare=True) for value in self.spread)
        return f"{low}–{high}"

    @property
    def verdict(self) -> str:
        """`ok`, or by how much it is missed."""
        limit = self.budget.limit
        if limit is None:
            return ""
        if self.budget.least:
            if self.value >= limit:
                return "ok"
            return "not known" if self.more else f"missed, {self.value / limit:.0%} of it"
        if self.value <= limit:
            return "ok"
        return f"missed by {self.value / limit - 1:.0%}" if limit else "missed"


def _row(line: str) -> str:
    """What a line of the table is about, and is compared with."""
    return "|".join(line.split("|")[:3])


def figure(value: float, unit: str, *, bare: bool = False) -> str:
    """A number as the table has it."""
    digits = 2 if unit == "×" and value < 10 else 1 if unit in ("×", "ms") and value < 100 else 0
    text = f"{value:,.{digits}f}"
    return text if bare else f"{text}{'' if unit == '×' else ' '}{unit}"


class Table:
    """The findings of a run."""

    def __init__(self) -> None:
        self.findings: dict[str, Finding] = {}

    def record(self, key: str, value: float, **more: object) -> None:
        """Notes a finding.

        Args:
            key: Its row.
            value: As for `Finding`.
            **more: As for `Finding`.

        Raises AssertionError if it is so much that no noise explains it.
        """
        budget = BUDGETS[key]
        finding = self.findings[key] = Finding(budget, value, **more)  # type: ignore[arg-type]
        if budget.hard is not None:
            assert value <= budget.hard, f"{budget.what}: {finding.measured}, {budget.allowed()}"

    @property
    def complete(self) -> bool:
        """Whether there is a finding for each row."""
        return self.findings.keys() == BUDGETS.keys()

    def lines(self) -> list[str]:
        """The table as plain text."""
        rows = [("", "against", "measured", "spread", "budget", "")]
        rows += [
            (
                *(found.budget.what, found.budget.floor, found.measured, found.between),
                *(found.budget.allowed(), f"{found.verdict}  {found.note}".strip()),
            )
            for found in self._ordered()
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(6)]
        return [
            "  ".join(
                cell.rjust(width) if column in (2, 3, 4) else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]

    def markdown(self) -> list[str]:
        """The table as Markdown."""
        lines = ["| | against | measured | budget | |", "|---|---|--:|--:|---|"]
        for found in self._ordered():
            floor = f"`{found.budget.floor}`" if "tar tvf" in found.budget.floor else ""
            cells = (
                *(found.budget.what, floor or found.budget.floor, found.measured),
                *(found.budget.allowed(), "; ".join(filter(None, (found.verdict, found.note)))),
            )
            lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
        return lines

    def merged(self, lines: Sequence[str]) -> list[str]:
        """A table in Markdown with the rows of this run; a new row follows the one above it."""
        rows = {_row(line): line for line in lines}
        places = list(rows)
        above = len(places) - 1
        for line in self.markdown()[2:]:
            if _row(line) in rows:
                above = places.index(_row(line))
            else:
                above += 1
                places.insert(above, _row(line))
            rows[_row(line)] = line
        return [rows[each] for each in places]

    def _ordered(self) -> list[Finding]:
        return [self.findings[key] for key in BUDGETS if key in self.findings]
