"""A private registry on loopback, with a login."""

from __future__ import annotations

import json
import re
import ssl
import subprocess
import urllib.request
from base64 import b64encode
from pathlib import Path

from tests.engines.harness import SYSTEM_PATH, Service, find_program

CONFIG = """\
version: 0.1
log: {{level: info}}
storage:
  filesystem: {{rootdirectory: "{data}"}}
  delete: {{enabled: true}}
http:
  addr: 127.0.0.1:0
{secret}{tls}auth:
  htpasswd: {{realm: layerscope, path: "{htpasswd}"}}
"""


class Registry(Service):
    """A `docker-registry` that keeps its blobs in a private folder and asks for a password."""

    def __init__(
        self,
        user: str = "gordon",
        password: str = "mola mola",
        *,
        secret: str = "layerscope",
        tls: Path | None = None,
    ) -> None:
        """Start the registry on a free port of 127.0.0.1.

        Args:
            user: who may log in.
            password: the user's password.
            secret: what it signs the state of uploads with; empty for another one at each start.
            tls: a folder with `cert.pem` and `key.pem`, to serve with TLS.

        Raises EngineUnavailable if it is not installed, or cannot run here.
        """
        program, htpasswd = find_program("docker-registry"), find_program("htpasswd")
        super().__init__("registry")
        self.user, self.password = user, password
        self.port = 0
        folder = self.folder.path
        made = subprocess.run(
            [htpasswd, "-Bbn", "-C", "4", user, password], check=True, capture_output=True
        )
        (folder / "htpasswd").write_bytes(made.stdout)
        config = folder / "config.yml"
        self._scheme = "http" if tls is None else "https"
        pair = (
            ""
            if tls is None
            else (f"  tls: {{certificate: {tls / 'cert.pem'}, key: {tls / 'key.pem'}}}\n")
        )
        text = CONFIG.format(
            data=self.data_root,
            htpasswd=folder / "htpasswd",
            secret=f"  secret: {secret}\n" if secret else "",
            tls=pair,
        )
        config.write_text(text)
        self._command: list[str | Path] = [program, "serve", config]
        self.start()

    def start(self) -> None:
        """Start it, again if it was killed, on another port."""
        self._start(self._command, {"PATH": SYSTEM_PATH}, self._answers)

    @property
    def address(self) -> str:
        """The `127.0.0.1:PORT` that references begin with."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Where the API is."""
        return f"{self._scheme}://{self.address}/v2/"

    @property
    def authorization(self) -> str:
        """The value of the header that lets a request in."""
        return "Basic " + b64encode(f"{self.user}:{self.password}".encode()).decode()

    @property
    def auth_config(self) -> dict[str, str]:
        """What `docker.APIClient.push` and `pull` take as `auth_config`."""
        return {"username": self.user, "password": self.password}

    def get(self, path: str) -> object:
        """Return the JSON that the API answers under `/v2/`."""
        request = urllib.request.Request(self.url + path)
        request.add_header("Authorization", self.authorization)
        context = None
        if self._scheme == "https":
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:
            return json.load(answer)

    def _answers(self) -> bool:
        """Tell whether the registry serves, and learn the port that the system chose for it."""
        said = self.log.read_text(errors="replace")
        found = re.findall(r"listening on 127\.0\.0\.1:(\d+)", said)
        if not found:
            return False
        self.port = int(found[-1])
        try:
            self.get("")
        except OSError:
            return False
        return True
