"""Runs a command of layerscope and then writes its peaks of memory to a file descriptor.

The own peak is the kernel's for this address space: `ru_maxrss` would begin with what the process
that started us had, if it had more.
"""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

from layerscope.cli import main

if __name__ == "__main__":
    code = main(sys.argv[2:])
    status = Path("/proc/self/status").read_text().splitlines()
    own = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    os.write(int(sys.argv[1]), b"%d %d" % (own << 10, children << 10))
    sys.exit(code)
