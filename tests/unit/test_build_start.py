"""What a build waits for before its builder is started."""

from __future__ import annotations

import subprocess
import sys


def test_the_process_of_a_build_begins_without_what_measures_layers() -> None:
    # numpy alone takes longer to import than all else that it needs.
    code = "import sys, layerscope.build.worker; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = set(done.stdout.split())
    assert "layerscope.build.recorder" in modules
    assert not modules & {"numpy", "layerscope.engines.resolve", "layerscope.build.layer_facts"}
