"""Where engines listen: the chosen one, DOCKER_HOST, Docker contexts, connections, sockets.

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
from layerscope.config import ENGINE, home, load, store_folder
from layerscope.engines.folders import is_folder
from layerscope.engines.podman_connections import podman_connections
from layerscope.errors import EngineError
from layerscope.records import Record, parse, read
from layerscope.text import visible

DOCKER_SOCKET = "/var/run/docker.sock"
EMBEDDED = "embedded"  # The name of layerscope's own store, and its transport.
AUTO = "auto"  # The engine that the docker command would use.
PODMAN = "podman:"  # What precedes the name of a connection of Podman.
_MOST_CONTEXTS = 1000

NO_ENGINE = "no engine was found"  # Why our own store is used that nobody has chosen.
_LIST = "`layerscope engines` lists the engines."
_DEFAULT = "the default socket"  # What chose an address, if nothing else did.
_HINT = "Check it with `docker context ls`, or set DOCKER_HOST."


@dataclass(frozen=True, slots=True)
class Address:
    host: str  # Such as `unix:///var/run/docker.sock`, `tcp://host:2376`, `ssh://user@host`.
    tls: Any  # A `docker.tls.TLSConfig`, or None.
    why: str  # What chose it, for messages.
    identity: str = ""  # The private key for ssh; empty leaves that to ssh.

    @property
    def listens(self) -> bool:
        """Whether it is that of a process, and not a data folder or our own store."""
        return not is_folder(self.host) and not self.own_store

    @property
    def own_store(self) -> bool:
        return self.host.startswith(f"{EMBEDDED}:")

    @property
    def shown(self) -> str:
        """The host, safe to show: without a password, or whatever else may be a secret."""
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
    host: str  # Where its engine listens.
    #: Certificate of the authority that signed the engine's; None for those this host trusts.
    ca: Path | None
    pair: tuple[Path, Path] | None  # Certificate and key of the client, or None.
    verify: bool  # Whether the engine's certificate must be valid.


def docker_folder() -> Path:
    """The docker command's settings: DOCKER_CONFIG, or `~/.docker`."""
    named = os.environ.get("DOCKER_CONFIG")
    return Path(named) if named else home() / ".docker"


def context_names() -> list[str]:
    """The names of all Docker contexts but `default`, sorted; damaged ones have none."""
    folder = docker_folder() / "contexts" / "meta"
    try:
        identifiers = os.listdir(folder)  # noqa: PTH208 - names are what is wanted
    except OSError:
        return []
    found = (read(folder / each / "meta.json", _Name) for each in identifiers[:_MOST_CONTEXTS])
    return sorted(each.name for each in found if each is not None and each.name)


def current_context() -> DockerContext | None:
    """The context in DOCKER_CONTEXT, or chosen by `docker context use`; None for `default`.

    Raises EngineError if there is no such context, or it is invalid.
    """
    name = os.environ.get("DOCKER_CONTEXT") or _chosen()
    return None if name in ("", "default") else docker_context(name)


def docker_context(name: str) -> DockerContext | None:
    """A context by its name; None if it has no Docker engine.

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
    # A damaged file is reported where more of it is needed.
    config = read(docker_folder() / "config.json", _DockerConfig)
    return "" if config is None else config.current


def chosen_engine() -> str:
    """The name of the engine that was chosen for layerscope; `auto` for the docker command's.

    `--engine` sets the variable. DOCKER_HOST and DOCKER_CONTEXT precede a choice that was kept, as
    any variable precedes the settings file.
    """
    if name := os.environ.get(ENGINE):
        return name
    if os.environ.get("DOCKER_HOST") or os.environ.get("DOCKER_CONTEXT"):
        return AUTO
    return str(load().values["engine"])


def current_address() -> Address:
    """Where the current engine listens: the one that was chosen, or else the docker command's.

    Raises EngineError if the environment, the choice or the context is invalid.
    """
    return engine_address(chosen_engine())


def has_engine() -> bool:
    """Whether there is an engine to ask: one is named, or a socket is at a usual place."""
    try:
        address = current_address()
    except EngineError:
        return True
    path = address.host.removeprefix("unix://")
    return address.listens and (path != DOCKER_SOCKET or Path(path).exists())


def engine_address(name: str) -> Address:
    """Where an engine listens.

    `name` is `auto`, `default`, `embedded`, a Docker context, `podman:CONNECTION`, a name of
    `local_sockets`, an address, or a data folder as a source.

    Raises EngineError if there is no such engine, or its settings are invalid.
    """
    if name == AUTO:
        if not os.environ.get("DOCKER_HOST") and (context := current_context()) is not None:
            return _address_of(context)
        address = default_address()
        # Without an engine, there is still our own store.
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
    """The address in DOCKER_HOST, or Docker's default socket; Podman's if only that exists."""
    host = os.environ.get("DOCKER_HOST", "")
    if host:
        return Address(host, _tls_from_environment(host), "DOCKER_HOST")
    sockets = (DOCKER_SOCKET, *local_sockets().values())
    socket = next((name for name in sockets if Path(name).exists()), DOCKER_SOCKET)
    return Address(f"unix://{socket}", None, _DEFAULT)


def local_sockets() -> dict[str, str]:
    """Where engines of this host listen by default, by the names that `--engine` takes."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    rootless = {"docker-rootless": "docker.sock", "podman-rootless": "podman/podman.sock"}
    own = {name: f"{runtime}/{path}" for name, path in rootless.items()} if runtime else {}
    return {**own, "podman": "/run/podman/podman.sock", "docker": DOCKER_SOCKET}


def command_environment() -> dict[str, str]:
    """The environment in which the docker and podman commands use the current engine.

    Raises EngineError as `engine_address` does.
    """
    found = dict(os.environ)
    name = chosen_engine()
    address = engine_address(name)
    if not address.listens:
        return found
    # Podman's command ignores what the docker command obeys.
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
