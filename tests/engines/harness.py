"""What every private engine has in common: a folder, processes, and how to be rid of them.

An engine here is one that the tests started themselves, with its own socket and its own data. The
machine's own daemon is never asked. Everything that an engine leaves behind (processes, mounts,
control groups, folders) is found by the name of its private folder, so that nothing that belongs to
somebody else can be hit.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import docker

from tests.folders import orphans, owned_folder, release

PREFIX = "lsc-e-"
"""How the private folders are called; short, since a socket's path has 108 bytes at most."""

SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
"""Where the distribution's programs are; `/usr/local` may hold others of the same name."""

MARKER = "LAYERSCOPE_TEST_ENGINE"
"""An environment variable that the processes of an engine inherit, to be known by."""


class EngineUnavailable(Exception):
    """The engine cannot be had on this machine; the text says why."""


def cache_folder() -> Path:
    """Return the folder for what is made once and kept between runs."""
    named = os.environ.get("LAYERSCOPE_TEST_CACHE")
    if named:
        folder = Path(named)
    else:
        home = os.environ.get("XDG_CACHE_HOME")
        folder = (Path(home) if home else Path.home() / ".cache") / "layerscope-tests"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def find_program(name: str, path: str = SYSTEM_PATH) -> Path:
    """Return where a program is, or raise `EngineUnavailable`."""
    found = shutil.which(name, path=path)
    if found is None:
        raise EngineUnavailable(f"{name} is not installed (looked in {path})")
    return Path(found)


def need_root() -> None:
    """Raise `EngineUnavailable` unless this user may start an engine."""
    if os.geteuid() != 0:
        raise EngineUnavailable("only root can start a private engine")


# --- processes, by the folder they belong to ---------------------------------------------------


def _ancestors() -> set[int]:
    """Return this process and those that it descends from, which are never to be ended."""
    found = {os.getpid()}
    pid = os.getpid()
    while pid > 1:
        try:
            text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        except OSError:
            break
        pid = int(text.rpartition(")")[2].split()[1])
        found.add(pid)
    return found


def _belongs(pid: int, folders: Sequence[str]) -> bool:
    """Tell whether a process is one of the engine that owns the folders.

    It is when it carries the engine's marker, runs in the engine's control group, names the folder
    on its command line (a shim), or has a root file system whose layers lie there (a container,
    which inherits nothing else once its shim is gone).
    """
    base = Path(f"/proc/{pid}")
    try:
        with (base / "environ").open("rb") as file:
            if f"{MARKER}={folders[0]}".encode() in file.read().split(b"\0"):
                return True
        with (base / "cgroup").open(encoding="utf-8", errors="replace") as text:
            if f"/{Path(folders[0]).name}/" in text.read():
                return True
        with (base / "cmdline").open("rb") as file:
            program, *arguments = file.read().split(b"\0")
        known = (b"dockerd", b"containerd", b"conmon", b"podman", b"runc", b"crun")
        if program.rpartition(b"/")[2].startswith(known):
            for folder in folders:
                if any(folder.encode() + b"/" in argument for argument in arguments):
                    return True
        with (base / "mountinfo").open(encoding="utf-8", errors="replace") as text:
            for line in text:
                if line.split(" ", 5)[4] == "/":
                    return any(f"={folder}/" in line for folder in folders)
    except OSError:
        pass
    return False


def processes_of(*folders: Path) -> list[int]:
    """Return the ids of the processes of an engine, by its folders, the private one first."""
    spared = _ancestors()
    names = [str(folder) for folder in folders]
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [pid for pid in pids if pid not in spared and _belongs(pid, names)]


def mounts_under(*folders: Path) -> list[str]:
    """Return the mount points in the folders, the deepest first."""
    found = []
    with Path("/proc/self/mountinfo").open(encoding="utf-8", errors="surrogateescape") as text:
        for line in text:
            point = line.split(" ", 5)[4].replace("\\040", " ")
            if any(point.startswith(f"{folder}/") or point == str(folder) for folder in folders):
                found.append(point)
    return found[::-1]


def _remove_control_groups(name: str) -> None:
    """Remove the empty control groups that killed containers leave."""
    for parent in [Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").glob("*/")]:
        group = parent / name
        if not group.is_dir():
            continue
        for folder, _, _ in os.walk(group, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()


def sweep(folder: Path, data_root: Path | None = None) -> None:
    """End and remove all that an engine left, except a data folder that lies elsewhere."""
    folders = [folder] if data_root is None else [folder, data_root]
    deadline = time.monotonic() + 10
    while (pids := processes_of(*folders)) and time.monotonic() < deadline:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    for point in mounts_under(*folders):
        subprocess.run(["umount", "-l", point], check=False, capture_output=True)
    _remove_control_groups(folder.name)
    # rm knows how to delete any name and any depth.
    subprocess.run(["rm", "-rf", "--one-file-system", str(folder)], check=False)


def sweep_orphans() -> None:
    """Remove what killed runs left behind."""
    for folder in orphans(PREFIX):
        with contextlib.suppress(OSError):
            sweep(folder, (folder / "data-root").readlink())


@functools.cache
def _sweep_once() -> None:
    sweep_orphans()


class PrivateFolder:
    """A short-lived folder of an engine."""

    def __init__(self, data_root: Path | None = None) -> None:
        _sweep_once()
        self.path = owned_folder(PREFIX)
        #: a data folder that may lie elsewhere, and outlives the engine then.
        self.data_root = data_root or self.path / "d"
        self.data_root.mkdir(parents=True, exist_ok=True)
        (self.path / "data-root").symlink_to(self.data_root)
        (self.path / "config").mkdir()

    def remove(self) -> None:
        """End what runs in the folder, and remove it."""
        sweep(self.path, self.data_root)
        release(self.path)


# --- a running engine --------------------------------------------------------------------------


def last_lines(log: Path, count: int = 4) -> str:
    """Return the end of a log, for an error message."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return " | ".join(line.strip() for line in lines[-count:])


def wait_for(
    ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, what: str
) -> None:
    """Wait until a service answers; raise `EngineUnavailable` if it ends or takes a minute."""
    deadline = time.monotonic() + 60
    while not ready():
        if process.poll() is not None:
            raise EngineUnavailable(f"{what} ended with {process.returncode}: {last_lines(log)}")
        if time.monotonic() > deadline:
            raise EngineUnavailable(f"{what} does not answer: {last_lines(log)}")
        time.sleep(0.05)


class Service:
    """A private process with a folder of its own, ended at the latest when Python ends."""

    name: str

    def __init__(self, name: str, data_root: Path | None = None) -> None:
        """Make the folder; subclasses start the process then."""
        self.name = name
        self.folder = PrivateFolder(data_root)
        self.data_root = self.folder.data_root
        self.log = self.folder.path / "log"
        self.process: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()
        atexit.register(self.stop)

    def __enter__(self) -> Self:
        """Return the running service."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.stop()

    def __repr__(self) -> str:
        """Return the name, for the ids of tests."""
        return self.name

    def _start(
        self, command: Sequence[str | Path], env: Mapping[str, str], ready: Callable[[], bool]
    ) -> None:
        """Start the process in a session of its own, and wait until it answers."""
        try:
            with self.log.open("ab") as log:
                self.process = subprocess.Popen(
                    [str(part) for part in command],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**env, MARKER: str(self.folder.path)},
                    start_new_session=True,  # an interrupted pytest must stop us, not the terminal
                    cwd="/",
                )
            wait_for(ready, self.process, self.log, self.name)
        except BaseException:
            self.stop()
            raise

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """End the process as a crash would: no goodbye, its data and folder left as they are."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        """End the process politely, then all that it left. May be called any number of times."""
        if os.getpid() != self._owner:
            return  # a forked child that ends takes nothing away from its parent
        atexit.unregister(self.stop)
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
        if self.folder.path.exists():
            self.folder.remove()


class Engine(Service):
    """A Docker-compatible engine on a private unix socket."""

    kind = "docker"
    """Which family of engine answers: `docker` or `podman`."""

    def __init__(self, name: str, data_root: Path | None = None) -> None:
        """Make the folder; subclasses start the engine then."""
        super().__init__(name, data_root)
        self.socket = self.folder.path / "s"
        self.host = f"unix://{self.socket}"
        self.env = {"DOCKER_HOST": self.host, "DOCKER_CONFIG": str(self.folder.path / "config")}
        self._api_version: str | None = None

    def client(self, timeout: int = 600) -> Any:
        """Return a new `docker.APIClient` of this engine; the caller closes it."""
        version = self._api_version or "auto"
        client = docker.APIClient(base_url=self.host, version=version, timeout=timeout)
        self._api_version = client.api_version
        return client

    @contextlib.contextmanager
    def api(self) -> Iterator[Any]:
        """Give a client, and close it."""
        client = self.client()
        try:
            yield client
        finally:
            client.close()

    def answers(self) -> bool:
        """Tell whether the engine can be talked to."""
        if not self.socket.exists():
            return False
        try:
            with self.api() as client:
                return bool(client.ping())
        except (docker.errors.DockerException, OSError):  # requests' errors are OSErrors
            return False

    def command(self, *arguments: str | Path) -> list[str]:
        """Return the command line of this engine's own CLI."""
        raise NotImplementedError

    def docker(
        self,
        *arguments: str | Path,
        stdin: bytes | None = None,
        check: bool = True,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run this engine's own CLI and return what it said."""
        return subprocess.run(
            self.command(*arguments),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            check=check,
            env={**os.environ, "PATH": SYSTEM_PATH, **self.env, **(env or {})},
        )

    def report(self) -> str:
        """Return name, version, API version and storage driver, in a line."""
        with self.api() as client:
            version, info = client.version(), client.info()
        return (
            f"{self.name}: version {version['Version']}, API {version['ApiVersion']}, "
            f"storage driver {info['Driver']}"
        )
