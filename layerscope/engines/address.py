"""Where the current engine listens: DOCKER_HOST, the current Docker context, or a default socket.

`docker context create` keeps contexts in the folder of Docker's config.json: `contexts/meta/ID/
meta.json` has the address of a context's engine, `contexts/tls/ID/docker` its certificates; ID is
the SHA-256 of the name. docker-py only finds them next to a config.json, which need not exist.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerscope.bounded import open_regular, read_file
from layerscope.config import home
from layerscope.errors import EngineError
from layerscope.records import Record, parse, read
from layerscope.text import visible

DOCKER_SOCKET = "/var/run/docker.sock"

_HINT = "Check it with `docker context ls`, or set DOCKER_HOST."


@dataclass(frozen=True, slots=True)
class Address:
    host: str  # Such as `unix:///var/run/docker.sock`, `tcp://host:2376`, `ssh://user@host`.
    tls: Any  # A `docker.tls.TLSConfig`, or None.
    why: str  # What chose it, for messages.

    @property
    def shown(self) -> str:
        """The host, safe to show: without a password, or whatever else may be a secret."""
        scheme, separator, rest = self.host.rpartition("://")
        login, at, host = rest.rpartition("@")
        user = login.partition(":")[0] if scheme == "ssh" and "/" not in login else "***"
        return visible(f"{scheme}{separator}{at and user}{at}{host}")


class _Endpoint(Record, frozen=True, rename={"host": "Host", "lax": "SkipTLSVerify"}):
    host: str
    lax: bool = False


class _Endpoints(Record, frozen=True):
    docker: _Endpoint


class _Meta(Record, frozen=True, rename={"endpoints": "Endpoints"}):
    endpoints: _Endpoints


class _DockerConfig(Record, frozen=True, rename={"current": "currentContext"}):
    current: str = ""


@dataclass(frozen=True, slots=True)
class DockerContext:
    name: str  # Its name.
    host: str  # Where its engine listens.
    #: Certificate of the authority that signed the engine's; None for those this host trusts.
    ca: Path | None
    pair: tuple[Path, Path] | None  # Certificate and key of the client, or None.
    verify: bool  # Whether the engine's certificate must be valid.


def docker_folder() -> Path:
    """The docker command's settings: DOCKER_CONFIG, or `~/.docker`."""
    named = os.environ.get("DOCKER_CONFIG")
    return Path(named) if named else home() / ".docker"


def current_context() -> DockerContext | None:
    """The context in DOCKER_CONTEXT, or chosen by `docker context use`; None for `default`.

    Raises EngineError if there is no such context, or it is invalid.
    """
    name = os.environ.get("DOCKER_CONTEXT") or _chosen()
    if name in ("", "default"):
        return None
    identifier = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
    folder = docker_folder() / "contexts"
    try:
        meta = parse(read_file(folder / "meta" / identifier / "meta.json"), _Meta)
    except (FileNotFoundError, NotADirectoryError):
        raise EngineError(
            f"There is no Docker context {visible(name)}.", "Choose one of `docker context ls`."
        ) from None
    except OSError as error:
        raise EngineError(
            f"The Docker context {visible(name)} cannot be read ({error.strerror}).", _HINT
        ) from None
    except ValueError:
        raise EngineError(f"The Docker context {visible(name)} is damaged.", _HINT) from None
    host = meta.endpoints.docker.host
    if not host:
        return None
    tls = folder / "tls" / identifier / "docker"
    files = [tls / f"{kind}.pem" for kind in ("ca", "cert", "key")]
    ca, certificate, key = (path if path.is_file() else None for path in files)
    pair = (certificate, key) if certificate is not None and key is not None else None
    return DockerContext(name, host, ca, pair, not meta.endpoints.docker.lax)


def _chosen() -> str:
    # A damaged file is reported where more of it is needed.
    config = read(docker_folder() / "config.json", _DockerConfig)
    return "" if config is None else config.current


def current_address() -> Address:
    """The engine that the docker command would use, or Podman's socket if there is none.

    Raises EngineError if the environment or the context is invalid.
    """
    host = os.environ.get("DOCKER_HOST", "")
    if host:
        return Address(host, _tls_from_environment(host), "DOCKER_HOST")
    context = _current_context()
    if context is not None:
        return context
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    own = [f"{runtime}/docker.sock", f"{runtime}/podman/podman.sock"] if runtime else []
    sockets = (DOCKER_SOCKET, *own, "/run/podman/podman.sock")
    socket = next((name for name in sockets if Path(name).exists()), DOCKER_SOCKET)
    return Address(f"unix://{socket}", None, "the default socket")


def _current_context() -> Address | None:
    context = current_context()
    if context is None:
        return None
    title = f"the Docker context {visible(context.name)}"
    if not context.host.startswith("tcp://") or not (context.ca or context.pair):
        return Address(context.host, None, title)
    ca = context.ca if context.verify else None
    return Address(context.host, _tls(ca, context.pair, verify=context.verify), title)


def _tls_from_environment(host: str) -> Any:
    verify = os.environ.get("DOCKER_TLS_VERIFY", "")
    folder = os.environ.get("DOCKER_CERT_PATH", "")
    if not host.startswith("tcp://") or not (verify or folder):
        return None
    certificates = Path(folder) if folder else docker_folder()
    pair = (certificates / "cert.pem", certificates / "key.pem")
    return _tls(certificates / "ca.pem" if verify else None, pair, verify=bool(verify))


def _tls(ca: Path | None, pair: tuple[Path, Path] | None, *, verify: bool) -> Any:
    """A `docker.tls.TLSConfig`; raises EngineError if a file is missing, or cannot be read."""
    from docker.errors import TLSParameterError
    from docker.tls import TLSConfig

    for path in filter(None, (ca, *(pair or ()))):
        # docker-py would report that the engine refused the connection.
        try:
            os.close(open_regular(path))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise EngineError(
                f"{visible(str(path))} cannot be read ({error.strerror}).",
                "Check its permissions, or choose another engine.",
            ) from None
    try:
        return TLSConfig(
            client_cert=None if pair is None else tuple(map(str, pair)),
            ca_cert=None if ca is None else str(ca),
            verify=verify,
        )
    except TLSParameterError:
        folder = (pair[0] if pair is not None else ca or Path()).parent
        raise EngineError(
            f"The certificates in {visible(str(folder))} cannot be read.", "Check DOCKER_CERT_PATH."
        ) from None
