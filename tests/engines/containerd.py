"""A private containerd, as a Kubernetes node has one, with `ctr`."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.engines.harness import SYSTEM_PATH, Service, find_program, need_root

CONFIG = """\
version = 2
root = "{data}"
state = "{folder}/x"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "{folder}/s"
"""

NAMESPACE = "k8s.io"


class Containerd(Service):
    """A containerd with a socket and a data folder of its own."""

    def __init__(self) -> None:
        """Start it.

        Raises EngineUnavailable if it is not installed, or cannot run here.
        """
        need_root()
        containerd = find_program("containerd")
        self._ctr = find_program("ctr")
        super().__init__("containerd")
        folder = self.folder.path
        config = folder / "config.toml"
        config.write_text(CONFIG.format(data=self.data_root, folder=folder))
        self._start([containerd, "--config", config], {"PATH": SYSTEM_PATH}, self._answers)

    def ctr(self, *arguments: str | Path, namespace: str = NAMESPACE) -> str:
        """Run `ctr`, and return what it prints."""
        command = [self._ctr, "--address", self.folder.path / "s", "--namespace", namespace]
        run = subprocess.run(
            [str(each) for each in (*command, *arguments)],
            check=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        return run.stdout

    def _answers(self) -> bool:
        try:
            self.ctr("version")
        except subprocess.CalledProcessError:
            return False
        return True
