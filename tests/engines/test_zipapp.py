"""The one file to carry to a server, in a bare root folder without a network."""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.archives import layer, saved, write
from tests.command import ROOT
from tests.engines.harness import EngineUnavailable
from tests.engines.images import debian_rootfs

pytestmark = pytest.mark.xdist_group("zipapp")

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def zipapp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file for Debian's Python, without the compression that takes most of the time."""
    path = tmp_path_factory.mktemp("zipapp") / "layerscope.pyz"
    build = [sys.executable, str(ROOT / ".ci/zipapp/build.py"), "-o", str(path)]
    done = subprocess.run(
        [*build, "--python", "3.11", "--libc", "glibc", "--quick"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = done.stderr.strip()[-300:]
        if re.search("No matching distribution|Connection|Temporary failure", reason):
            pytest.skip(f"the wheels cannot be had: {reason}")
        raise AssertionError(reason)
    return path


@pytest.fixture(scope="module")
def root(zipapp: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A bare Debian with Python, the file, and an image."""
    if os.getuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("only root can change the root folder, with unshare")
    try:
        tar = debian_rootfs("python3")
    except EngineUnavailable as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("root")
    subprocess.run(["tar", "-xf", tar, "-C", folder], check=True)
    shutil.copy(zipapp, folder / "layerscope.pyz")
    files = layer(("etc/motd", b"one\n"), ("etc/gone", b"x" * 100))
    write(folder / "image.tar", saved(files, layer(("etc/.wh.gone", b""))))
    (folder / "Dockerfile").write_text("FROM a:1\nCOPY none /\n")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def _command(root: Path, arguments: Sequence[str], **variables: str) -> list[str]:
    known = {"HOME": "/root", "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **variables}
    pairs = [f"{name}={value}" for name, value in known.items()]
    inside = ["/usr/bin/env", "-i", *pairs, "/layerscope.pyz", *arguments]
    return ["unshare", "--net", "--mount", "chroot", str(root), *inside]


@pytest.fixture
def run(root: Path) -> Run:
    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        command = _command(root, arguments, **variables)
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)

    return run


def test_commands_run_without_a_network(run: Run, root: Path) -> None:
    assert run("version").stdout.startswith("layerscope ")
    done = run("inspect", "/image.tar")
    assert (done.returncode, done.stderr) == (0, "")
    assert "LAYER" in done.stdout
    # Native modules of all kinds: numpy, msgspec, RE2, PyYAML, zstandard, tree-sitter.
    assert "/etc/motd" in run("find", "--regex", "mo.d$", "/image.tar").stdout
    assert run("cat", "/image.tar", "/etc/motd").stdout == "one\n"
    assert run("lint", "/Dockerfile", "--no-hadolint").returncode == 1
    assert "Sources" in run("help", "sources").stdout
    assert "layerscope.pyz" in run("completion", "bash").stdout
    (unpacked,) = (root / "root/.cache/layerscope/app").iterdir()
    assert unpacked.name.endswith("-cp311-glibc-x86_64")
    for name in ("isal", "re2", "tree_sitter", "tree_sitter_containerfile", "yaml", "zstandard"):
        assert (unpacked / name).exists() or list(unpacked.glob(f"*{name}*")), name


def test_everything_can_be_imported(run: Run, root: Path) -> None:
    assert run("version").returncode == 0
    (unpacked,) = (root / "root/.cache/layerscope/app").iterdir()
    names = " ".join(
        ".".join(path.relative_to(unpacked).with_suffix("").parts).removesuffix(".__init__")
        for path in (unpacked / "layerscope").rglob("*.py")
        if path.name != "__main__.py"
    )
    code = f"import importlib; [importlib.import_module(name) for name in '{names}'.split()]"
    inside = ["/usr/bin/env", "-i", f"PYTHONPATH=/{unpacked.relative_to(root)}", "python3", "-c"]
    done = subprocess.run(
        ["unshare", "--net", "chroot", root, *inside, code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_tui_starts(root: Path) -> None:
    main, side = pty.openpty()
    command = _command(root, ["/image.tar"], TERM="xterm-256color", COLUMNS="100", LINES="30")
    with subprocess.Popen(command, stdin=side, stdout=side, stderr=side) as process:
        os.close(side)
        seen = b""
        end = time.monotonic() + 180
        while b"motd" not in seen and b"etc" not in seen:
            assert time.monotonic() < end, seen[-2000:]
            seen += os.read(main, 65536)
        os.write(main, b"q")
        while True:
            try:
                if not os.read(main, 65536):
                    break
            except OSError:
                break
        assert process.wait(timeout=120) == 0
    os.close(main)


def test_without_a_home_it_is_unpacked_elsewhere(run: Run, root: Path) -> None:
    for home in ("/etc/passwd", "relative"):
        assert run("version", HOME=home).returncode == 0
    assert list((root / "tmp/layerscope-0").iterdir())
    # What somebody else could write to is not run.
    shutil.rmtree(root / "tmp/layerscope-0")
    (root / "tmp/layerscope-0").mkdir(mode=0o777)
    (root / "tmp/layerscope-0").chmod(0o777)
    done = run("version", HOME="/etc/passwd")
    assert done.returncode == 2
    assert done.stderr.startswith("layerscope: There is no folder to unpack to.")
    shutil.rmtree(root / "tmp/layerscope-0")


def test_two_at_once_unpack_it_once(root: Path) -> None:
    command = _command(root, ["version"], HOME="/two")
    both = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(timeout=300) for process in both] == [0, 0]
    assert len(list((root / "two/.cache/layerscope/app").iterdir())) == 1


def _pythons() -> Iterator[Path]:
    """Pythons of other versions that this machine has."""
    folders = [*map(Path, os.environ["PATH"].split(os.pathsep))]
    folders += Path("~/.pyenv/versions").expanduser().glob("*/bin")
    for folder in folders:
        for minor in (6, 7, 8, 9, 10, 12, 13):
            program = folder / f"python3.{minor}"
            works = program.exists() and "shims" not in program.parts
            if works and not subprocess.run([program, "-c", ""], check=False).returncode:
                yield program


def test_another_python_learns_what_is_missing(zipapp: Path, tmp_path: Path) -> None:
    programs = list(_pythons())
    if not programs:
        pytest.skip("there is no other Python")
    for program in programs:
        done = subprocess.run(
            [program, zipapp, "version"],
            env={"HOME": str(tmp_path), "PATH": "/nowhere"},
            capture_output=True,
            text=True,
            check=False,
        )
        minor = program.name.partition(".")[2]
        if int(minor) < 11:
            expected = f"Python 3.11 or later is needed, and this is 3.{minor}."
        else:
            expected = f"This file is not for cp3{minor}-glibc-{os.uname().machine}, but for cp311-"
        assert done.stderr.startswith(f"layerscope: {expected}")
        assert (done.returncode, done.stdout) == (2, "")


def test_an_old_python_runs_a_newer_one(zipapp: Path, tmp_path: Path) -> None:
    old = next((each for each in _pythons() if int(each.name[8:]) < 11), None)
    if old is None or sys.version_info[:2] != (3, 11):
        pytest.skip("there is no older Python, or this one is not 3.11")
    broken = tmp_path / "python3.13"
    broken.write_text("#!/bin/sh\nexit 127\n")
    broken.chmod(0o755)
    (tmp_path / "python3.11").symlink_to(os.path.realpath(sys.executable))
    done = subprocess.run(
        [old, zipapp, "version"],
        env={"HOME": str(tmp_path), "PATH": f"{tmp_path}:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout[:11]) == (0, "layerscope ")
