"""Clients of docker-py, by whatever way an engine is reached."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

import docker
from docker.constants import MINIMUM_DOCKER_API_VERSION
from docker.utils import version_lt

from layerscope.engines.address import Address
from layerscope.errors import EngineError
from layerscope.text import visible

#: Seconds in which an engine says what it is, if it answers at all.
_PATIENCE = 10


def new_client(address: Address) -> docker.APIClient:
    """A client that knows the version of the engine's API.

    Raises:
        EngineError: The address makes no sense, or the engine is too old.
        Exception: What docker-py raises; see `answers.unreachable`.
    """
    ssh = address.host.startswith("ssh://")
    client = docker.APIClient(
        base_url="http://localhost:80" if ssh else address.host,
        tls=address.tls or False,
        # What it would ask for it, it would ask at once.
        version=MINIMUM_DOCKER_API_VERSION,
        timeout=_PATIENCE,
    )
    if ssh:
        # That of docker-py wants one more package, and cannot hang up.
        from layerscope.engines.ssh import SshAdapter, ssh_host

        adapter = SshAdapter(ssh_host(address.host), _PATIENCE)
        client.mount("http+docker://", adapter)
        client._custom_adapter = adapter  # noqa: SLF001
        client.base_url = "http+docker://localhost"
    elif _is_loopback(address.host):
        # As the docker command: no proxy leads to this very host.
        client.trust_env = False
    version = client._retrieve_server_version()  # noqa: SLF001
    if version_lt(version, MINIMUM_DOCKER_API_VERSION):
        raise EngineError(
            f"The engine at {visible(address.host)} is too old (API {visible(version)})."
        )
    client._version = version  # noqa: SLF001
    return client


def _is_loopback(host: str) -> bool:
    try:
        name = urlsplit(host).hostname or ""
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False
