"""The manual page: all commands and options, in valid roff, and in the wheel."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from layerscope.cli import parser_of
from layerscope.command_table import COMMANDS
from layerscope.manual import page
from tests.command import ROOT


def _shown(tmp_path: Path) -> str:
    """The page as a reader sees it, each paragraph on one line."""
    path = tmp_path / "layerscope.1"
    path.write_text(page())
    done = subprocess.run(
        ["mandoc", "-T", "utf8", "-O", "width=1000", path],
        check=True,
        capture_output=True,
        text=True,
    )
    return re.sub(r".\x08", "", done.stdout)


needs_mandoc = pytest.mark.skipif(shutil.which("mandoc") is None, reason="there is no mandoc")


@needs_mandoc
def test_everything_is_on_the_page(tmp_path: Path) -> None:
    text = _shown(tmp_path)
    for name in sorted(COMMANDS.keys() - {"tui"}):
        start = text.index(f"\n{name.upper()}\n")
        section = text[start : text.index("\n\n\n", start) if "\n\n\n" in text[start:] else None]
        parser = parser_of(name)
        for option in parser._option_string_actions:
            assert option in text
        for example in parser.examples:
            assert example in section
    assert "[SOURCE]" in text
    assert "130" in text


@needs_mandoc
def test_the_page_has_no_errors(tmp_path: Path) -> None:
    path = tmp_path / "layerscope.1"
    path.write_text(page())
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", path], capture_output=True, text=True, check=False
    )
    # The date is left out: the page of a version is always the same.
    found = [line for line in done.stdout.splitlines() if "missing date" not in line]
    assert found == []


def test_the_page_is_in_the_wheel(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    source = tmp_path / "source"
    shutil.copytree(ROOT / "layerscope", source / "layerscope")
    shutil.copytree(ROOT / ".ci", source / ".ci")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")],
        cwd=source,
        check=True,
        capture_output=True,
    )
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        (name,) = (each for each in file.namelist() if each.endswith("share/man/man1/layerscope.1"))
        assert file.read(name).decode() == page()
