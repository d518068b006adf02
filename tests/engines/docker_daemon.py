"""Private Docker daemons: the distribution's, and a newer one that was only unpacked."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.engines.harness import SYSTEM_PATH, Engine, cache_folder, find_program, need_root

FLAVOURS = ("docker-debian", "docker-28", "docker-28-containerd")
"""The distribution's Docker, and the newer one without and with the containerd image store."""


def unpacked_folder() -> Path:
    """Return where `tests/run` unpacks the newer Docker."""
    return cache_folder() / "docker-sid"


def program_path(flavour: str) -> str:
    """Return the PATH on which a flavour's own programs come first."""
    if flavour == "docker-debian":
        return SYSTEM_PATH
    folder = unpacked_folder()
    # The machine's own runc comes after them: a newer one may ask for a newer libc.
    return f"{folder}/usr/sbin:{folder}/usr/bin:{SYSTEM_PATH}"


class DockerDaemon(Engine):
    """A Docker daemon with a socket, a data folder and a containerd of its own."""

    def __init__(
        self,
        flavour: str,
        data_root: Path | None = None,
        hosts: Sequence[str] = (),
        more: Mapping[str, object] | None = None,
    ) -> None:
        """Start the daemon.

        Args:
            flavour: one of `FLAVOURS`.
            data_root: a data folder to keep when the daemon ends; the default is a temporary one.
            hosts: where it listens too, beside its socket.
            more: more of its settings.

        Raises EngineUnavailable if it is not installed, or cannot run here.
        """
        if flavour not in FLAVOURS:
            raise ValueError(f"no such flavour of Docker: {flavour}")
        need_root()
        self.path = program_path(flavour)
        own = self.path.removesuffix(f":{SYSTEM_PATH}")
        dockerd = find_program("dockerd", own)
        self._cli = find_program("docker", own)
        find_program("containerd", own)
        find_program("runc", self.path)
        super().__init__(flavour, data_root)
        folder = self.folder.path
        if flavour != "docker-debian":
            plugins = folder / "config" / "cli-plugins"
            plugins.mkdir()
            for plugin in unpacked_folder().glob("usr/libexec/docker/cli-plugins/docker-*"):
                (plugins / plugin.name).symlink_to(plugin)
        settings: dict[str, object] = {
            "data-root": str(self.data_root),
            "exec-root": str(folder / "x"),
            "pidfile": str(folder / "pid"),
            "hosts": [self.host, *hosts],
            "bridge": "none",
            "iptables": False,
            "ip-forward": False,
            "ip-masq": False,
            "userland-proxy": False,
            "exec-opts": ["native.cgroupdriver=cgroupfs"],
            # By this the processes of containers are found when all their parents are gone.
            "cgroup-parent": f"/{folder.name}",
            "shutdown-timeout": 2,
            **(more or {}),
        }
        if flavour == "docker-28-containerd":
            settings["features"] = {"containerd-snapshotter": True}
        else:
            settings["storage-driver"] = "overlay2"
        config = folder / "daemon.json"
        config.write_text(json.dumps(settings))
        env = {"PATH": self.path, "HOME": str(folder), "TMPDIR": str(folder)}
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "LANG"):
            if name in os.environ:
                env[name] = os.environ[name]
        self._start([dockerd, "--config-file", config], env, self.answers)

    def command(self, *arguments: str | Path) -> list[str]:
        """Return the command line of the `docker` that belongs to this daemon."""
        return [str(self._cli), *(str(argument) for argument in arguments)]
