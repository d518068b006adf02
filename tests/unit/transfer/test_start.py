"""What the process of a transfer imports for a pull by our own client."""

from __future__ import annotations

import subprocess
import sys


def test_a_pull_from_a_registry_needs_neither_numpy_nor_the_client_of_engines() -> None:
    # Importing them takes longer than everything else.
    modules = ("commands.transfers", "transfer.worker", "transfer.registry_pull")
    names = ", ".join(f"layerscope.{name}" for name in (*modules, "transfer.targets"))
    code = f"import sys, {names}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found = set(done.stdout.split())
    assert "layerscope.images.registry.kept_blobs" in found
    assert not found & {"numpy", "docker", "requests", "layerscope.engines.resolve"}
