"""Fuzzes one target for some time: `python -m tests.fuzz.run_target NAME SECONDS FOLDER`.

The folder takes the inputs that lead to new code, and an input that is a finding.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["layerscope"]):
    from tests.fuzz.targets import TARGETS

from tests.fuzz.seeds import seeds


def main() -> None:
    """Never returns: libFuzzer ends the process, with 0 if it found nothing."""
    name, seconds, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in seeds(name):
        (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    arguments = [
        sys.argv[0],
        f"-max_total_time={seconds}",
        f"-artifact_prefix={folder}/",
        "-max_len=16384",
        "-timeout=10",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
        "-verbosity=0",
        str(corpus),
    ]
    atheris.Setup(arguments, TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
