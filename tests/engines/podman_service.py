"""A private Podman, with its Docker-compatible API on a unix socket."""

from __future__ import annotations

import resource
import shutil
from pathlib import Path

from tests.engines.harness import SYSTEM_PATH, Engine, EngineUnavailable, find_program, need_root

CONTAINERS_CONF = """\
[containers]
log_driver = "k8s-file"
default_ulimits = [{limits}]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
"""

STORAGE_CONF = """\
[storage]
driver = "overlay"
graphroot = "{data}"
runroot = "{run}"
"""

REGISTRIES_CONF = """\
unqualified-search-registries = []
short-name-mode = "permissive"
[[registry]]
location = "127.0.0.1"
insecure = true
"""

POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}'


def _limits() -> str:
    """Return limits that a container may be given here.

    Podman's defaults are more than a root without CAP_SYS_RESOURCE can set, and its containers
    would not start.
    """
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    processes = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    # RLIM_INFINITY is -1: as many as we ask for.
    few = 4096 if processes < 0 else min(4096, processes)
    return f'"nofile={files}:{files}", "nproc={few}:{few}"'


class Podman(Engine):
    """A Podman service with a socket and a storage of its own."""

    kind = "podman"

    def __init__(self, data_root: Path | None = None) -> None:
        """Start the service.

        Args:
            data_root: a storage to keep when the service ends; the default is a temporary one.

        Raises EngineUnavailable if it is not installed, or cannot run here.
        """
        need_root()
        podman = find_program("podman")
        runtime = shutil.which("runc", path=SYSTEM_PATH) or shutil.which("crun", path=SYSTEM_PATH)
        if runtime is None:
            raise EngineUnavailable("podman finds neither runc nor crun")
        super().__init__("podman", data_root)
        folder = self.folder.path
        run = folder / "x"
        written = {
            "containers.conf": CONTAINERS_CONF.format(limits=_limits()),
            "storage.conf": STORAGE_CONF.format(data=self.data_root, run=run),
            "registries.conf": REGISTRIES_CONF,
            "policy.json": POLICY,
        }
        for name, text in written.items():
            (folder / name).write_text(text)
        (folder / "t").mkdir()
        # Where DOCKER_CONFIG is set, it wants to find a file there.
        (folder / "config" / "config.json").write_text("{}")
        env = {
            "PATH": SYSTEM_PATH,
            "HOME": str(folder),
            "TMPDIR": str(folder / "t"),
            "XDG_RUNTIME_DIR": str(folder),
            "CONTAINERS_CONF": str(folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
            "CONTAINERS_REGISTRIES_CONF": str(folder / "registries.conf"),
            # Its answer on versions names packages, for which dpkg would read all of its lists.
            "DPKG_ADMINDIR": str(folder / "t"),
        }
        self.env.update(env)
        self._cli: list[str | Path] = [podman, "--root", self.data_root, "--runroot", run]
        self._cli += ["--tmpdir", folder / "l", "--runtime", runtime]
        serve = ["system", "service", "-t", "0", self.host]
        self._start([*self._cli, *serve], env, self.answers)

    def command(self, *arguments: str | Path) -> list[str]:
        """Return the command line of a `podman` on the same storage."""
        return [str(part) for part in (*self._cli, *arguments)]
