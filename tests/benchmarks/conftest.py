"""The table that all benchmarks write to, and where it is printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.budgets import Table

RESULTS = Path(__file__).with_name("RESULTS.md")

_TABLE = pytest.StashKey[Table]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("benchmarks")
    group.addoption(
        "--dive-limit",
        type=float,
        default=300.0,
        metavar="SECONDS",
        help="how long to wait for dive on the whole reference image (default: 300)",
    )
    group.addoption(
        "--keep-rows",
        action="store_true",
        help=f"write what was measured into {RESULTS.name}, even if that is not everything",
    )


@pytest.fixture(scope="session")
def table(request: pytest.FixtureRequest) -> Table:
    return request.config.stash.setdefault(_TABLE, Table())


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    table = config.stash.get(_TABLE, None)
    if table is None or not table.findings:
        return
    terminalreporter.section("benchmarks")
    for line in table.lines():
        terminalreporter.write_line(line)
    if table.complete:
        head, _, _ = RESULTS.read_text().partition("\n| | against")
        RESULTS.write_text("\n".join([head, *table.markdown(), ""]))
        terminalreporter.write_line(f"{RESULTS.name} has the table.")
    elif config.getoption("--keep-rows"):
        head, line, rest = RESULTS.read_text().partition("\n| | against")
        lines = (line + rest).strip().splitlines()
        RESULTS.write_text("\n".join([head, *table.merged(lines), ""]))
        terminalreporter.write_line(f"{RESULTS.name} has these rows.")
    else:
        terminalreporter.write_line(f"Not everything was measured: {RESULTS.name} stays as it is.")
