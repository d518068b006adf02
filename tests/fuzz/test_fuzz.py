"""Every parser, for half a minute each (two at a time), and what was found before, for good.

`LAYERSCOPE_FUZZ_SECONDS` sets another time.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS

SECONDS = int(os.environ.get("LAYERSCOPE_FUZZ_SECONDS", "30"))
FINDINGS = Path(__file__).parent / "findings"


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_findings_raise_nothing(name: str) -> None:
    inputs = [path.read_bytes() for path in sorted((FINDINGS / name).glob("*"))]
    for data in (b"", *seeds(name), *inputs):
        TARGETS[name](data)


def fuzz(name: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Fuzz one target in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "tests.fuzz.run_target", name, str(SECONDS), str(folder)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=SECONDS + 240,
        check=False,
    )


@pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris cannot be had for this Python"
)
def test_fuzzing_finds_nothing(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        runs = dict(
            zip(TARGETS, pool.map(lambda name: fuzz(name, tmp_path / name), TARGETS), strict=True)
        )
    for name, run in runs.items():
        found = [path.name for path in (tmp_path / name).iterdir() if path.is_file()]
        kept = [(tmp_path / name / file).read_bytes()[:4096] for file in found]
        assert run.returncode == 0, f"{name}: {run.stderr[-3000:]}\n{found} {kept!r}"
        executed = re.search(r"number_of_executed_units:\s*(\d+)", run.stderr)
        assert executed is not None, run.stderr[-1000:]
        assert int(executed[1]) > 100
        print(f"{name}: {executed[1]} inputs")
