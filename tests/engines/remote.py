"""Ways to an engine on another host, on this one: TCP, TLS, and a private sshd."""

from __future__ import annotations

import datetime
import ipaddress
import os
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.command import ROOT
from tests.engines.builds import Site
from tests.engines.harness import EngineUnavailable, Service, find_program, need_root

SSHD_CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
PidFile {folder}/sshd.pid
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
SetEnv DOCKER_HOST={host} PATH={path}
"""

SSH_CONFIG = """\
Host *
  IdentityFile {folder}/user_key
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
  StrictHostKeyChecking yes
"""


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class SshServer(Service):
    """An sshd on loopback, behind which an engine's own `docker` is."""

    def __init__(self, host: str, path: str) -> None:
        """Start it.

        Args:
            host: where the engine listens that is reached through it.
            path: the PATH that its `docker` is on.

        Raises EngineUnavailable if it is not installed, or cannot run here.
        """
        need_root()
        sshd, keygen = find_program("sshd"), find_program("ssh-keygen")
        ssh = find_program("ssh")
        super().__init__("sshd")
        folder = self.folder.path
        for name in ("host_key", "user_key"):
            made = [str(keygen), "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(made, check=True, stdin=subprocess.DEVNULL)
        self.port = free_port()
        values = {"port": self.port, "folder": folder, "host": host, "path": path}
        (folder / "sshd_config").write_text(SSHD_CONFIG.format(**values))
        (folder / "ssh_config").write_text(SSH_CONFIG.format(**values))
        key = (folder / "host_key.pub").read_text().split()
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {key[0]} {key[1]}\n")
        # ssh takes its configuration from the home of the account, whatever HOME says.
        (folder / "bin").mkdir()
        (folder / "bin/ssh").write_text(f'#!/bin/sh\nexec {ssh} -F {folder}/ssh_config "$@"\n')
        (folder / "bin/ssh").chmod(0o755)
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        command: list[str | Path] = [sshd, "-D", "-e", "-f", folder / "sshd_config"]
        self._start(command, {"PATH": os.environ["PATH"]}, self._listens)
        tried = subprocess.run(
            [
                folder / "bin/ssh",
                "-o",
                "BatchMode=yes",
                "-p",
                str(self.port),
                "root@127.0.0.1",
                "docker",
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if tried.returncode == 255:
            self.stop()
            raise EngineUnavailable(f"sshd lets nobody in: {tried.stderr.strip()}")

    @property
    def host(self) -> str:
        """What DOCKER_HOST is."""
        return f"ssh://root@127.0.0.1:{self.port}"

    @property
    def bin(self) -> Path:
        """The folder with an `ssh` that knows this server."""
        return self.folder.path / "bin"

    def _listens(self) -> bool:
        with socket.socket() as asked:
            return not asked.connect_ex(("127.0.0.1", self.port))


def write_program(path: Path) -> None:
    """Write a `layerscope` that is this one, with a cache of its own."""
    path.parent.mkdir()
    path.write_text(
        f"#!/bin/sh\nexport PYTHONPATH={ROOT} XDG_CACHE_HOME={path.parent}\n"
        f'exec {sys.executable} -m layerscope "$@"\n'
    )
    path.chmod(0o755)


def write_certificates(folder: Path) -> None:
    """Write `ca.pem`, and `cert.pem` and `key.pem` that serve on 127.0.0.1 and for a client.

    As Docker has them: what DOCKER_CERT_PATH names.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    now = datetime.datetime.now(datetime.UTC)

    def builder(name: str, issuer: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        def named(text: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

        return (
            x509.CertificateBuilder()
            .subject_name(named(name))
            .issuer_name(named(issuer))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30))
        )

    authority = ec.generate_private_key(ec.SECP256R1())
    key = ec.generate_private_key(ec.SECP256R1())
    ca = (
        builder("ca", "ca", authority)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(authority.public_key()), critical=False
        )
        .sign(authority, hashes.SHA256())
    )
    certificate = (
        builder("engine", "ca", key)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(
            x509.ExtendedKeyUsage(
                [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            ),
            critical=False,
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()),
            critical=False,
        )
        .sign(authority, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(ca.public_bytes(encoding))
    (folder / "cert.pem").write_bytes(certificate.public_bytes(encoding))
    (folder / "key.pem").write_bytes(
        key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


@dataclass
class RemoteSite(Site):
    """A site whose engine is reached in another way than by its socket."""

    way: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a user who goes that way."""
        environment = super().environment
        path = self.way.get("PATH")
        environment |= self.way
        if path:
            environment["PATH"] = f"{path}:{super().environment['PATH']}"
        if "DOCKER_CONTEXT" in self.way:
            del environment["DOCKER_HOST"]
        return environment
