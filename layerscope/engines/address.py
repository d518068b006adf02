"""Addresses of engines: the chosen one, DOCKER_HOST, Docker contexts, connections, sockets.

`docker context create` stores contexts in the folder of Docker's config.json: `contexts/meta/ID/
meta.json` has the address of a context's engine, `contexts/tls/ID/docker` its certificates; ID is
the SHA-256 of the name. docker-py finds them only next to a config.json, which may not exist.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerscope.bounded import open_regular, read_file
from layerscope.config import ENGINE, home, load, store_folder
from layerscope.engines.folders import is_folder
from layerscope.engines.podman_connections import podman_connections
from layerscope.errors import EngineError
from layerscope.records import Record, parse, read
from layerscope.text import visible

DOCKER_SOCKET = "/var/run/docker.sock"
EMBEDDED = "embedded"  # The name of the embedded store, and its transport.
AUTO = "auto"  # The engine that the docker command would use.
PODMAN = "podman:"  # The prefix of names of Podman connections.
_MOST_CONTEXTS = 1000

NO_ENGINE = "no engine was found"  # Why the embedded store is the default.
_LIST = "`layerscope engines` lists the engines."
_DEFAULT = "the default socket"  # The origin of an address by default.
_HINT = "Check it with `docker context ls`, or set DOCKER_HOST."


@dataclass(frozen=True, slots=True)
class Address:
    host: str  # Such as `unix:///var/run/docker.sock`, `tcp://host:2376`, `ssh://user@host`.
    tls: Any  # A `docker.tls.TLSConfig`, or None.
    why: str  # Its origin, for messages.
    identity: str = ""  # The private key for ssh; "" leaves the choice to ssh.

    @property
    def listens(self) -> bool:
        """Whether a process listens there, unlike for a data folder or the embedded store."""
        return not is_folder(self.host) and not self.own_store

    @property
    def own_store(self) -> bool:
        return self.host.startswith(f"{EMBEDDED}:")

    @property
    def shown(self) -> str:
        """The host, safe to show: without a password or other secrets."""
        if not self.listens:
            return visible(self.host)
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


class _Name(Record, frozen=True, rename={"name": "Name"}):
    name: str = ""


class _DockerConfig(Record, frozen=True, rename={"current": "currentContext"}):
    current: str = ""


@dataclass(frozen=True, slots=True)
class DockerContext:
    name: str  # Its name.
    host: str  # Address of its engine.
    #: Certificate of the engine's authority; None for the authorities that this host trusts.
    ca: Path | None
    pair: tuple[Path, Path] | None  # The client's certificate and key.
    verify: bool  # Whether the engine's certificate must be valid.


def docker_folder() -> Path:
    """Returns the docker command's settings folder: DOCKER_CONFIG, or `~/.docker`."""
    named = os.environ.get("DOCKER_CONFIG")
    return Path(named) if named else home() / ".docker"


def context_names() -> list[str]:
    """Returns the sorted names of all Docker contexts except `default` and damaged ones."""
    folder = docker_folder() / "contexts" / "meta"
    try:
        identifiers = os.listdir(folder)  # noqa: PTH208 - names are what is wanted
    except OSError:
        return []
    found = (read(folder / each / "meta.json", _Name) for each in identifiers[:_MOST_CONTEXTS])
    return sorted(each.name for each in found if each is not None and each.name)


def current_context() -> DockerContext | None:
    """Returns the context of DOCKER_CONTEXT or `docker context use`; None for `default`.

    Raises EngineError if there is no such context, or it is invalid.
    """
    name = os.environ.get("DOCKER_CONTEXT") or _chosen()
    return None if name in ("", "default") else docker_context(name)


def docker_context(name: str) -> DockerContext | None:
    """Returns a context by name; None if it has no Docker engine.

    Raises EngineError if there is no such context, or it is invalid.
    """
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
    # A damaged file is reported where it is needed.
    config = read(docker_folder() / "config.json", _DockerConfig)
    return "" if config is None else config.current


def chosen_engine() -> str:
    """Returns the name of the engine chosen for layerscope; `auto` for the docker command's.

    `--engine` sets the variable. DOCKER_HOST and DOCKER_CONTEXT take precedence over the stored
    choice, as any variable does over the settings file.
    """
    if name := os.environ.get(ENGINE):
        return name
    if os.environ.get("DOCKER_HOST") or os.environ.get("DOCKER_CONTEXT"):
        return AUTO
    return str(load().values["engine"])


def current_address() -> Address:
    """Returns the address of the current engine: the chosen one, or else the docker command's.

    Raises EngineError if the environment, the choice or the context is invalid.
    """
    return engine_address(chosen_engine())


def has_engine() -> bool:
    """Whether there is an engine: one is configured, or a default socket exists."""
    try:
        address = current_address()
    except EngineError:
        return True
    path = address.host.removeprefix("unix://")
    return address.listens and (path != DOCKER_SOCKET or Path(path).exists())


def engine_address(name: str) -> Address:
    """Returns the address of an engine.

    `name` is `auto`, `default`, `embedded`, a Docker context, `podman:CONNECTION`, a name of
    `local_sockets`, an address, or a data folder as a source.

    Raises EngineError if there is no such engine, or its settings are invalid.
    """
    if name == AUTO:
        if not os.environ.get("DOCKER_HOST") and (context := current_context()) is not None:
            return _address_of(context)
        address = default_address()
        # Without an engine, there is still the embedded store.
        return address if _may_listen(address) else _own_store(NO_ENGINE)
    if name == "default":
        return default_address()
    if name.rstrip(":") == EMBEDDED:
        return _own_store("its name")
    if is_folder(name):
        return Address(name, None, "its folder")
    if "://" in name:
        return Address(name, _tls_from_environment(name), "its address")
    if name.startswith(PODMAN):
        connection = podman_connections().get(name.removeprefix(PODMAN))
        if connection is None:
            raise EngineError(f"Podman has no connection {visible(name)}.", _LIST)
        return Address(connection.uri, None, "Podman's connection", connection.identity)
    try:
        context = docker_context(name)
    except EngineError:
        socket = local_sockets().get(name)
        if socket is not None:
            return Address(f"unix://{socket}", None, "its socket")
        if name in context_names():
            raise
        raise EngineError(f"There is no engine {visible(name)}.", _LIST) from None
    if context is None:
        raise EngineError(f"The Docker context {visible(name)} has no engine.", _LIST)
    return _address_of(context)


def _own_store(why: str) -> Address:
    return Address(f"{EMBEDDED}:{store_folder()}", None, why)


def _may_listen(address: Address) -> bool:
    return address.why != _DEFAULT or Path(address.host.removeprefix("unix://")).exists()


def default_address() -> Address:
    """Returns the address in DOCKER_HOST, or Docker's socket, or Podman's if only that exists."""
    host = os.environ.get("DOCKER_HOST", "")
    if host:
        return Address(host, _tls_from_environment(host), "DOCKER_HOST")
    sockets = (DOCKER_SOCKET, *local_sockets().values())
    socket = next((name for name in sockets if Path(name).exists()), DOCKER_SOCKET)
    return Address(f"unix://{socket}", None, _DEFAULT)


def local_sockets() -> dict[str, str]:
    """Returns the default sockets of this host's engines, by the names that `--engine` takes."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    rootless = {"docker-rootless": "docker.sock", "podman-rootless": "podman/podman.sock"}
    own = {name: f"{runtime}/{path}" for name, path in rootless.items()} if runtime else {}
    return {**own, "podman": "/run/podman/podman.sock", "docker": DOCKER_SOCKET}


def command_environment() -> dict[str, str]:
    """Returns the environment that makes the docker and podman commands use the current engine.

    Raises EngineError, as `engine_address`.
    """
    found = dict(os.environ)
    name = chosen_engine()
    address = engine_address(name)
    if not address.listens:
        return found
    # The podman command ignores DOCKER_HOST.
    found["CONTAINER_HOST"] = address.host
    if address.identity:
        found["CONTAINER_SSHKEY"] = address.identity
    if name == "default" or name in context_names():
        found["DOCKER_CONTEXT"] = name
        if name != "default":
            found.pop("DOCKER_HOST", None)
    elif name != AUTO:
        found.pop("DOCKER_CONTEXT", None)
        found["DOCKER_HOST"] = address.host
    return found


def _address_of(context: DockerContext) -> Address:
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
    """Returns a `docker.tls.TLSConfig`; raises EngineError if a file is missing or unreadable."""
    from docker.errors import TLSParameterError
    from docker.tls import TLSConfig

    for path in filter(None, (ca, *(pair or ()))):
        # docker-py would report a refused connection.
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
