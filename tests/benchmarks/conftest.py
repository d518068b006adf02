"""The table that all benchmarks write to, and where it is printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.budgets import Table, rewrite

README = Path(__file__).parents[2] / "README.md"

_TABLE = pytest.StashKey[Table]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("benchmarks")
    group.addoption(
        "--markdown", action="store_true", help="write the table between the README's markers"
    )
    group.addoption(
        "--dive-limit",
        type=float,
        default=300.0,
        metavar="SECONDS",
        help="how long to wait for dive on the whole reference image (default: 300)",
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
    if not config.getoption("--markdown"):
        return
    if not table.complete:
        terminalreporter.write_line("Not everything was measured: README.md stays as it is.")
        return
    try:
        README.write_text(rewrite(README.read_text(), table.markdown()))
    except ValueError as error:
        terminalreporter.write_line(f"README.md: {error}.")
    else:
        terminalreporter.write_line("README.md has the table.")
