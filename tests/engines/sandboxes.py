"""Sandboxes in tests: each rung as the user that it is for, and images made for them."""

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from layerscope.sandbox.rung import LADDER, RungName
from tests.archives import Item, folder, layer_tar, saved, symlink, text
from tests.command import ROOT
from tests.engines.harness import SYSTEM_PATH, find_program

USER = "lsc-sandbox"
"""A user with subordinate ids, made for a test run where root runs it."""
NOBODY = 54_321
"""A user without."""

_TOOLS = (
    "cat chmod chown cp dd echo env grep head hostname id ip kill ln ls mkdir mkfifo mknod mv ps"
    " rm setsid sh sleep stat tail touch true wc"
)


@dataclass(frozen=True)
class Case:
    """A rung, and who uses it."""

    number: int

    @property
    def overlay(self) -> bool:
        return LADDER[self.number].overlay

    @property
    def name(self) -> RungName:
        return LADDER[self.number].name

    @property
    def root(self) -> bool:
        return self.name in (RungName.ROOT, RungName.CHROOT)

    @property
    def keeps_owners(self) -> bool:
        return self.root or self.name is RungName.IDS

    def __repr__(self) -> str:
        return f"{self.name.replace(' ', '-')}{'' if self.overlay else '-tree'}"


CASES = [Case(number) for number in range(len(LADDER))]
OVERLAYS = [case for case in CASES if case.overlay]


def python_for_all() -> tuple[str, str]:
    """A Python that every user can run, and its PYTHONPATH; skips if there is none."""
    packages = [path for path in sys.path if path.endswith("site-packages")]
    paths = os.pathsep.join([str(ROOT), *packages])
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    for program in (sys.executable, f"/usr/bin/python{version}"):
        command = [*as_user(NOBODY), program, "-c", "import layerscope.sandbox, numpy, msgspec"]
        env = {"PATH": SYSTEM_PATH, "PYTHONPATH": paths}
        with contextlib.suppress(OSError):
            if not subprocess.run(command, env=env, capture_output=True, check=False).returncode:
                return program, paths
    pytest.skip(f"no Python {version} that users other than root can run, with all packages")


def as_user(user: int | str) -> list[str]:
    if not user:
        return []
    # setpriv itself keeps root's rights while it starts a program.
    groups = ["--init-groups"] if isinstance(user, str) else ["--clear-groups"]
    return ["setpriv", "--reuid", str(user), "--regid", str(user), *groups, "env"]


@contextlib.contextmanager
def user_with_ids() -> Iterator[str]:
    """Makes the user while the block runs; test processes share it."""
    with Path(tempfile.gettempdir(), f"{USER}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        subprocess.run(["useradd", "-M", "-U", USER], check=False, capture_output=True)
        try:
            yield USER
        finally:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                subprocess.run(["userdel", USER], check=False, capture_output=True)


class Sandboxes:
    """Runs commands on rungs, in folders that go at the end."""

    def __init__(self, base: Path) -> None:
        if os.geteuid():
            pytest.skip("only root can be each of the users that the rungs are for")
        self.base = base
        self.python, self.paths = python_for_all()

    def folder(self, user: int | str) -> Path:
        path = self.base / str(user)
        if not path.exists():
            path.mkdir()
            shutil.chown(path, user, user)
        return path

    def user(self, case: Case) -> int | str:
        if case.root:
            return 0
        return USER if case.name is RungName.IDS else NOBODY

    def run(
        self,
        case: Case,
        image: Path,
        *command: str,
        each: Sequence[dict[str, Any]] = (),
        **options: Any,
    ) -> dict[str, Any]:
        """Runs a command, once with each of further options; skips if the rung cannot be had."""
        user = self.user(case)
        given = {
            "folder": str(self.folder(user)),
            "rung": case.number,
            "image": str(image),
            "command": command,
            "each": each,
            "options": options,
        }
        answer = self.ask(user, given)
        if "lacks" in answer:
            pytest.skip(f"{case!r} as {user or 'root'}: {answer['lacks']}")
        return answer

    def env(self, user: int | str) -> dict[str, str]:
        return {"PATH": SYSTEM_PATH, "PYTHONPATH": self.paths, "HOME": str(self.folder(user))}

    def ask(self, user: int | str, given: dict[str, Any]) -> dict[str, Any]:
        runner = str(ROOT / "tests/engines/run_sandboxed.py")
        done = subprocess.run(
            [*as_user(user), self.python, runner, json.dumps(given)],
            env=self.env(user),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            cwd="/",
        )
        assert done.returncode == 0, done.stderr.decode()
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer


@contextlib.contextmanager
def sandboxes_in(base: Path) -> Iterator[Sandboxes]:
    """Sandboxes of all users in a folder, which the others can then come into too."""
    for above in (base, *base.parents[:3]):
        if above.stat().st_uid == 0 and above != Path("/tmp"):
            above.chmod(above.stat().st_mode | 0o711)
    with user_with_ids():
        yield Sandboxes(base)


def base_items(*tools: str) -> list[Item]:
    """A root folder with a shell and tools."""
    program = find_program("busybox").read_bytes()
    return [
        folder("bin"),
        Item("bin/busybox", content=program, mode=0o755),
        *(symlink(f"bin/{name}", "busybox") for name in _TOOLS.split()),
    ]


def write_image(path: Path, *layers: Sequence[Item]) -> Path:
    path.write_bytes(saved(*map(layer_tar, layers), config={"config": {}}))
    path.chmod(0o644)
    return path


def users() -> list[Item]:
    return [
        folder("etc"),
        text("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nwww:x:33:34::/var/www:/bin/sh\n"),
        text("etc/group", "root:x:0:\nweb:x:34:\nmore:x:50:www\n"),
    ]


def by_path(entries: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {entry["path"]: entry for entry in entries}


def running(marker: str) -> list[str]:
    """Processes with a marker among their arguments, but this one."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if marker.encode() in line:
            found.append(str(path))
    return found


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
