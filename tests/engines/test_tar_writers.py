"""Random folders, packed by every common tar writer: a container shows what layerscope says.

`LAYERSCOPE_TEST_TARS` says how many images there are in all: 50 by default, 2000 for a nightly run.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from docker.errors import APIError

from layerscope.text import decode
from tests.archives import TAG, docker_archive, write
from tests.engines.exports import listing_of_export
from tests.engines.fixtures import ENGINES
from tests.engines.harness import Engine, EngineUnavailable, find_program
from tests.truth.command import as_exported, command, differences, listed
from tests.truth.stacks import stack_of

Pack = Callable[[Path, random.Random], bytes]

IMAGES = int(os.environ.get("LAYERSCOPE_TEST_TARS", "50"))

NAMES = [
    *("a", "b", "c.d", "-rf", "with space", "new\nline", "wh.x", "...", "\\back"),
    *("ä-日本", "latin1-\udce4\udcff", "n" * 99, "o" * 100, "p" * 101, "q" * 255),
]
KINDS = ["file", "file", "dir", "dir", "link", "symlink", "fifo", "device"]
TARGETS = ["a", "/b/c", "../x", "t" * 150]
MODES = [0o644, 0o755, 0o600, 0o4755, 0o1777, 0]
TIMES = [0, 1, 1_500_000_000, 1_700_000_000.75, 2**31, 2**33 + 5, -1000]
OWNERS = [0, 1000, 0o7777777, 0o10000000, 3_000_000]


# --- folders ---


def fill(folder: Path, chance: random.Random, below: list[str], depth: int = 0) -> None:
    """Make random files in a folder, and whiteouts of names that the layer below may have."""
    names = chance.sample(NAMES, chance.randint(1, 6))
    files: list[Path] = []
    for name in names:
        path, kind = folder / name, chance.choice(KINDS)
        if kind == "link" and files:
            path.hardlink_to(chance.choice(files))
            continue
        if kind == "dir":
            path.mkdir()
            if depth < 3:
                fill(path, chance, below, depth + 1)
        elif kind == "symlink":
            path.symlink_to(chance.choice(TARGETS))
        elif kind == "fifo":
            os.mkfifo(path)
        elif kind == "device":
            os.mknod(path, chance.choice([stat.S_IFCHR, stat.S_IFBLK]), os.makedev(1, 3))
        else:
            _write(path, chance)
            files.append(path)
        os.chown(path, chance.choice(OWNERS), chance.choice(OWNERS), follow_symlinks=False)
        if kind != "symlink":
            path.chmod(chance.choice(MODES))
    for name in chance.sample(below, min(len(below), chance.randint(0, 2))):
        if name not in names and len(name) < 250:
            (folder / f".wh.{name}").touch()
    if below and chance.random() < 0.1:
        (folder / ".wh..wh..opq").touch()
    for name in names:
        # Those of folders at last, as making files in them changes their times.
        time = chance.choice(TIMES)
        os.utime(folder / name, (time, time), follow_symlinks=False)


def _write(path: Path, chance: random.Random) -> None:
    with path.open("wb") as file:
        file.write(chance.randbytes(chance.choice([0, 1, 511, 512, 513, 5000])))
        if chance.random() < 0.2:
            file.seek(chance.choice([4096, 1 << 20]), os.SEEK_CUR)
            file.write(b"end")
            if chance.random() < 0.5:
                file.truncate(file.tell() + 70_000)


# --- writers ---


def by_tarfile(folder: Path, chance: random.Random) -> bytes:
    form = chance.choice([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
    stream = io.BytesIO()
    with tarfile.open(
        fileobj=stream, mode="w", format=form, encoding="utf-8", errors="surrogateescape"
    ) as tar:
        for path in _walk(folder, chance):
            # What a format cannot hold is left out.
            with contextlib.suppress(ValueError):
                tar.add(path, str(path.relative_to(folder)), recursive=False)
    return stream.getvalue()


def _walk(folder: Path, chance: random.Random) -> Iterator[Path]:
    """The paths in a folder, each behind the folder that holds it."""
    paths = sorted(folder.iterdir())
    chance.shuffle(paths)
    for path in paths:
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path, chance)


def _output(*arguments: str | Path) -> bytes:
    """What a writer writes; names that its format cannot hold are warnings and an exit code."""
    run = subprocess.run(arguments, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    assert len(run.stdout) >= 512, run.stderr
    return run.stdout


def by_gnu_tar(folder: Path, chance: random.Random) -> bytes:
    form = chance.choice(["v7", "oldgnu", "gnu", "ustar", "posix", "posix"])
    options = [f"--format={form}", "--warning=none"]
    if form == "posix" and chance.random() < 0.7:
        # The sparse files of the other formats are loaded by no engine.
        options += ["--sparse", f"--sparse-version={chance.choice(['0.0', '0.1', '1.0'])}"]
    options += chance.sample(["--sort=name", "--numeric-owner", "--blocking-factor=1"], 2)
    return _output("tar", "-C", folder, *options, "-cf", "-", chance.choice([".", "./"]))


def by_bsdtar(folder: Path, chance: random.Random) -> bytes:
    form = chance.choice(["pax", "posix", "ustar", "gnutar", "v7"])
    program = find_program("bsdtar")
    return _output(program, "-C", folder, f"--format={form}", "-cf", "-", ".")


def by_busybox(folder: Path, chance: random.Random) -> bytes:
    return _output(find_program("busybox"), "tar", "-C", folder, "-cf", "-", ".")


def by_git(folder: Path, chance: random.Random) -> bytes:
    """What `git archive` makes of a commit, with a global header and without empty folders."""
    git = [
        str(find_program("git")),
        "-C",
        str(folder),
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@b",
        "-c",
        "gc.auto=0",
    ]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "--allow-empty", "-m", "m"]):
        subprocess.run([*git, *arguments], check=True, capture_output=True)
    return _output(*git, "archive", "--format=tar", "HEAD")


WRITERS: dict[str, Pack] = {
    "tarfile": by_tarfile,
    "GNU tar": by_gnu_tar,
    "bsdtar": by_bsdtar,
    "BusyBox": by_busybox,
    "git": by_git,
}


def packed(pack: Pack, folder: Path, seed: int) -> list[bytes]:
    """The layers of a random image."""
    chance = random.Random(seed)
    layers = []
    for number in range(chance.randint(1, 3)):
        top = folder / f"{seed}-{number}"
        top.mkdir()
        fill(top, chance, NAMES if number else [])
        layers.append(pack(top, chance))
        shutil.rmtree(top)
    return layers


def implied(layers: list[bytes]) -> set[str]:
    """The folders that a layer has no entry for, as its writer's format could not hold one."""
    found = set()
    for layer in layers:
        stack = stack_of([layer])
        for row in range(stack.bases[-1], len(stack.nodes)):
            found.add(f"/{decode(stack.tree.path(int(stack.nodes[row])))}")
    return found


@pytest.mark.parametrize("writer", WRITERS)
def test_a_container_shows_what_a_writer_packed(
    engine: Engine, writer: str, tmp_path: Path
) -> None:
    share = -(-IMAGES // (len(WRITERS) * len(ENGINES)))
    first = ENGINES.index(engine.name) * share
    for seed in range(first, first + share):
        try:
            layers = packed(WRITERS[writer], tmp_path, seed)
        except EngineUnavailable as error:
            pytest.skip(str(error))
        data = docker_archive(layers)
        source = write(tmp_path / "image.tar", data)
        with engine.api() as client:
            try:
                events = list(client.load_image(data))
                assert not [each for each in events if "error" in each], (seed, events)
                truth = as_exported(engine, listing_of_export(engine, TAG))
            finally:
                with contextlib.suppress(APIError):
                    client.remove_image(TAG, force=True)
        said = as_exported(engine, listed(command("files", "--json-lines", source)))
        # What no entry of a layer describes, engines make, and differ about owner, mode and time.
        for path in implied(layers):
            for listing in (said, truth):
                if path in listing:
                    listing[path] = listing[path][:1]
        found = differences(said, truth)
        assert not found, f"seed {seed}:\n{found}"
