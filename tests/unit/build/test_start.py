"""What the process of a build imports before it starts its builder."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("way", ["by_engine", "embedded.job"])
def test_the_process_of_a_build_starts_without_numpy(way: str) -> None:
    # Importing numpy takes longer than everything else.
    code = f"import sys, layerscope.build.worker, layerscope.build.{way}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = set(done.stdout.split())
    assert "layerscope.build.recorder" in modules
    assert ("docker" in modules) is (way == "by_engine")
    assert not modules & {"numpy", "layerscope.engines.resolve", "layerscope.build.layer_facts"}
