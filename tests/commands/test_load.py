"""Archives on standard input, as the command says what is wrong with them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from layerscope.engines import address as addresses
from tests.command import one_line_error
from tests.commands.conftest import Run


def test_a_bad_archive_on_standard_input_is_called_that(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAYERSCOPE_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("LAYERSCOPE_ENGINE", addresses.EMBEDDED)
    (tmp_path / "a").write_bytes(b"no archive" * 100)
    with (tmp_path / "a").open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        outcome = run("load", "-")
    assert one_line_error(outcome).startswith("Standard input, byte 0: it is not a tar archive.")
