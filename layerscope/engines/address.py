"""Where the current engine listens: DOCKER_HOST, the current Docker context, a default socket."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerscope.engines.contexts import current_context, docker_folder
from layerscope.errors import EngineError
from layerscope.text import visible

DOCKER_SOCKET = "/var/run/docker.sock"


@dataclass(frozen=True, slots=True)
class Address:
    """How an engine is reached.

    Attributes:
        host: Such as `unix:///var/run/docker.sock`, `tcp://host:2376`, `ssh://user@host`.
        tls: A `docker.tls.TLSConfig`, or None.
        why: What chose it, for messages.
    """

    host: str
    tls: Any
    why: str


def current_address() -> Address:
    """The engine that the docker command would talk to, or Podman's socket where there is none.

    Raises:
        EngineError: The environment or the context names something that makes no sense.
    """
    host = os.environ.get("DOCKER_HOST", "")
    if host:
        return Address(host, _tls_from_environment(host), "DOCKER_HOST")
    context = _current_context()
    if context is not None:
        return context
    for socket in _default_sockets():
        if Path(socket).exists():
            return Address(f"unix://{socket}", None, "the default socket")
    return Address(f"unix://{DOCKER_SOCKET}", None, "the default socket")


def _default_sockets() -> list[str]:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    sockets = [DOCKER_SOCKET]
    if runtime:
        sockets += [f"{runtime}/docker.sock", f"{runtime}/podman/podman.sock"]
    return [*sockets, "/run/podman/podman.sock"]


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
    """What docker-py takes.

    Raises:
        EngineError: A file is not there, or may not be read.
    """
    from docker.errors import TLSParameterError
    from docker.tls import TLSConfig

    for path in filter(None, (ca, *(pair or ()))):
        # It would look as if the engine let nobody in.
        try:
            path.open("rb").close()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise EngineError(
                f"{visible(str(path))} cannot be read ({error.strerror}).",
                "Let it be read, or name another engine.",
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
            f"The certificates in {visible(str(folder))} cannot be read.",
            "Check DOCKER_CERT_PATH.",
        ) from None
