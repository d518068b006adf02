#!/usr/bin/env python3
"""Makes one file that runs layerscope on machines without a network: layerscope.pyz.

    .ci/zipapp/build.py [-o FILE] [--arch x86_64|aarch64] [--python 3.12]... [--libc glibc|musl]...
                        [--quick]

It has the wheels of all dependencies for each Python from 3.11 on, with glibc 2.28 or later (Debian
10, RHEL 8 and what came after) and with musl (Alpine); files that several of them share are in it
once. On the machine only Python itself is needed. `__main__.py` in this folder unpacks it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
#: The tags of wheels that each libc can load, newest first.
PLATFORMS = {
    "glibc": (
        *(f"manylinux_2_{n}" for n in range(28, 16, -1)),
        "manylinux2014",
        "manylinux2010",
        "manylinux_2_12",
        "manylinux_2_5",
        "manylinux1",
    ),
    "musl": ("musllinux_1_2", "musllinux_1_1"),
}
#: layerscope does without these where there are no wheels of them.
OPTIONAL = ("google-re2", "isal", "tree-sitter", "tree-sitter-containerfile")
#: What is only needed to build against a package, or to test it.
LEFT_OUT = (".pyi", ".a", ".h", ".c", ".pxd", ".pyx", "/RECORD", "/direct_url.json")
DATE = (1980, 1, 1, 0, 0, 0)


def pip(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "-q",
        *map(str, arguments),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def download(requirements: list[str], libc: str, arch: str, python: str, folder: Path) -> str:
    """Downloads wheels with what they need; returns why it failed, or an empty text."""
    options: list[str] = [
        "--only-binary",
        ":all:",
        "--implementation",
        "cp",
        "--python-version",
        python,
    ]
    for platform in PLATFORMS[libc]:
        options += ["--platform", f"{platform}_{arch}"]
    done = pip("download", *options, "-d", folder, *requirements)
    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    return "\n".join(errors or [done.stderr]) if done.returncode else ""


def name_of(requirement: str) -> str:
    end = next((n for n, c in enumerate(requirement) if not (c.isalnum() or c in "-_.")), None)
    return requirement[:end].lower()


def wheels(requirements: list[str], libc: str, arch: str, python: str, folder: Path) -> list[Path]:
    problem = download(requirements, libc, arch, python, folder)
    if problem:
        kept = []
        for requirement in requirements:
            name = name_of(requirement)
            if name in OPTIONAL and download([requirement], libc, arch, python, folder):
                print(f"  without {name}, which has no wheel", file=sys.stderr)
            else:
                kept.append(requirement)
        problem = download(kept, libc, arch, python, folder)
    if problem:
        sys.exit(f"build: Python {python} with {libc} on {arch}:\n{problem}")
    return sorted(folder.glob("*.whl"))


def files(wheel: Path, cache: Path) -> Iterator[tuple[str, bytes]]:
    """What a wheel puts beside other packages."""
    with zipfile.ZipFile(wheel) as opened:
        # Modules that were bound to libraries in the wheel were changed in a way that strip breaks.
        bound = any(".libs/" in name for name in opened.namelist())
        for entry in opened.infolist():
            path = entry.filename
            top, _, rest = path.partition("/")
            if top.endswith(".data"):
                kind, _, path = rest.partition("/")
                if kind not in ("purelib", "platlib"):
                    continue
            if not (entry.is_dir() or "/tests/" in path or path.endswith(LEFT_OUT)):
                data = opened.read(entry)
                native = ".so" in path and not bound
                yield path, without_symbols(data, cache) if native else data


def without_symbols(data: bytes, cache: Path) -> bytes:
    """A native module without what only a debugger needs; some are ten times as large with it."""
    path = cache / hashlib.sha256(data).hexdigest()
    if not path.exists():
        path.write_bytes(data)
        try:
            subprocess.run(["strip", "--strip-debug", path], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            path.write_bytes(data)  # It is of another architecture, or there is no `strip`.
    return path.read_bytes()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("layerscope.pyz"))
    parser.add_argument("--arch", choices=("x86_64", "aarch64"), default=os.uname().machine)
    parser.add_argument("--python", action="append", choices=PYTHONS)
    parser.add_argument("--libc", action="append", choices=PLATFORMS)
    parser.add_argument("--quick", action="store_true", help="leave native modules uncompressed")
    asked = parser.parse_args()
    requirements = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    contents: dict[str, bytes] = {}
    indexes: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / "stripped").mkdir()
        done = pip("wheel", "--no-deps", "-w", work / "own", ROOT)
        if done.returncode:
            sys.exit(f"build: {done.stderr}")
        for libc in asked.libc or PLATFORMS:
            for python in asked.python or PYTHONS:
                target = f"cp{python.replace('.', '')}-{libc}-{asked.arch}"
                print(target, file=sys.stderr)
                found = wheels(requirements, libc, asked.arch, python, work / target)
                index = indexes[target] = {}
                for wheel in [*found, *(work / "own").glob("*.whl")]:
                    for path, data in files(wheel, work / "stripped"):
                        digest = hashlib.sha256(data).hexdigest()
                        contents[digest] = data
                        index[path] = digest
    write(asked.output, contents, indexes, quick=asked.quick)
    print(f"{asked.output}: {asked.output.stat().st_size / 1e6:.0f} MB", file=sys.stderr)


def write(
    output: Path, contents: dict[str, bytes], indexes: dict[str, dict[str, str]], *, quick: bool
) -> None:
    build = hashlib.sha256(json.dumps(indexes, sort_keys=True).encode()).hexdigest()[:16]
    start = Path(__file__).with_name("__main__.py").read_text().replace('"BUILD"', f'"{build}"')
    partial = output.with_name(output.name + ".partial")
    with partial.open("wb") as raw:
        raw.write(b"#!/usr/bin/env python3\n")
        with zipfile.ZipFile(raw, "w") as file:

            def add(name: str, data: bytes, compression: int) -> None:
                entry = zipfile.ZipInfo(name, DATE)
                entry.external_attr = 0o644 << 16
                file.writestr(entry, data, compression)

            # Python itself reads this one, and cannot read LZMA.
            add("__main__.py", start.encode(), zipfile.ZIP_DEFLATED)
            for target, index in sorted(indexes.items()):
                add(f"for/{target}.json", json.dumps(index).encode(), zipfile.ZIP_DEFLATED)
            for digest, data in sorted(contents.items()):
                stored = quick and data.startswith(b"\x7fELF")
                add(f"content/{digest}", data, zipfile.ZIP_STORED if stored else zipfile.ZIP_LZMA)
    partial.chmod(0o755)
    partial.replace(output)


if __name__ == "__main__":
    main()
