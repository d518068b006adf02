"""Programs in terminals, which are ended after each test."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import pytest

from tests.tui.terminal.programs import Terminal


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    """Terminals that are closed at the end."""
    running: list[Terminal] = []
    yield running
    for terminal in running:
        if terminal.process.poll() is None:
            terminal.process.kill()
        terminal.process.wait()
        with contextlib.suppress(OSError):
            os.close(terminal.fd)
