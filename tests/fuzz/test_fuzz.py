"""Every parser, for two seconds each at least, and what was found before, for good.

`LAYERSCOPE_FUZZ_SECONDS` sets another time.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS

SECONDS = int(os.environ.get("LAYERSCOPE_FUZZ_SECONDS", "2"))
FINDINGS = Path(__file__).parent / "findings"

# Two at a time at most, and niced: they take the time in which other tests wait.
LANES = [
    pytest.param(name, marks=pytest.mark.xdist_group(f"fuzz {number % 2}"))
    for number, name in enumerate(TARGETS)
]


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_findings_raise_nothing(name: str) -> None:
    inputs = [path.read_bytes() for path in sorted((FINDINGS / name).glob("*"))]
    for data in (b"", *seeds(name), *inputs):
        TARGETS[name](data)


@pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris cannot be had for this Python"
)
@pytest.mark.parametrize("name", LANES)
def test_fuzzing_finds_nothing(name: str, tmp_path: Path) -> None:
    executed, seconds = 0, SECONDS
    # On a busy machine the time may pass with a few inputs, and it gets more.
    while executed <= 10:
        fuzzer = [sys.executable, "-m", "tests.fuzz.run_target", name, str(seconds), str(tmp_path)]
        run = subprocess.run(
            ["nice", "-n", "15", *fuzzer],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        found = {
            path.name: path.read_bytes()[:4096] for path in tmp_path.iterdir() if path.is_file()
        }
        assert run.returncode == 0, f"{run.stderr[-3000:]}\n{found!r}"
        units = re.search(r"number_of_executed_units:\s*(\d+)", run.stderr)
        assert units is not None, run.stderr[-1000:]
        executed, seconds = int(units[1]), seconds * 4
    print(f"{executed} inputs")
