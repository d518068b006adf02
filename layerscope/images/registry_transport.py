"""One request to one address: connections, TLS, proxies, and what their failures mean."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from layerscope import __version__
from layerscope.errors import RegistryError
from layerscope.oci.distribution import is_loopback
from layerscope.text import visible

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

#: Where Docker and Podman look for the certificates of a registry (containers-certs.d(5)).
_CERTIFICATES = ("/etc/docker/certs.d", "/etc/containers/certs.d", "~/.config/containers/certs.d")


class ConnectionCut(Exception):
    """A connection that broke or went silent; worth another try. The text says how."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, and how often to try.

    Attributes:
        connect: Seconds until a connection must stand.
        read: Seconds until the next bytes must come.
        tries: How many times in a row a request may fail.
        first_wait: Seconds before the second try; each further wait is up to twice as long.
        longest_wait: No wait of our own is longer.
        longest_retry_after: Where a registry asks for more, the work ends with an error.
    """

    connect: float = 10.0
    read: float = 30.0
    tries: int = 5
    first_wait: float = 0.5
    longest_wait: float = 30.0
    longest_retry_after: float = 120.0


class Transport:
    """Connections to a registry and to where it redirects us.

    Args:
        host: Host and port of the registry, whose certificates are looked for.
        patience: How long to wait.
        verify: Whether the registry's certificate must be valid; those of others always must.
    """

    def __init__(self, host: str, patience: Patience, *, verify: bool = True) -> None:
        self._host = host
        self._patience = patience
        self._verify = verify
        self._pools: dict[tuple[str | None, bool], PoolManager] = {}
        self._lock = threading.Lock()

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
    ) -> BaseHTTPResponse:
        """Sends a request, and returns the answer with its body still unread.

        Redirects are not followed here, as whoever follows them must know what to leave out.

        Raises:
            ConnectionCut: The connection broke, or took too long.
            RegistryError: There is no use in trying again.
        """
        from urllib3 import exceptions

        host = urlsplit(url).netloc
        try:
            return self._pool(url).request(
                method,
                url,
                headers={
                    # Bytes must come as they are stored, or ranges and digests mean nothing.
                    "Accept-Encoding": "identity",
                    "User-Agent": f"layerscope/{__version__}",
                    **headers,
                },
                body=body,
                preload_content=False,
                decode_content=False,
                redirect=False,
                retries=False,
            )
        except exceptions.SSLError as error:
            raise _tls_error(host, error) from None
        except exceptions.ProxyError as error:
            if isinstance(error.original_error, exceptions.SSLError):
                raise _tls_error(host, error.original_error) from None
            if isinstance(error.original_error, ConnectionResetError | BrokenPipeError):
                # Proxies drop idle connections, as servers do.
                raise ConnectionCut(cause(error.original_error)) from None
            raise RegistryError(
                f"The proxy on the way to {visible(host)} does not let us through.",
                "Check HTTPS_PROXY, HTTP_PROXY and NO_PROXY.",
            ) from None
        except exceptions.NewConnectionError as error:
            if isinstance(error, exceptions.NameResolutionError):
                raise RegistryError(
                    f"There is no host {visible(host)}.", "Check the name and the network."
                ) from None
            raise _no_connection(host, error) from None
        except (exceptions.LocationValueError, exceptions.InvalidHeader, UnicodeError):
            raise RegistryError(f"{visible(host)} is not the address of a registry.") from None
        except (exceptions.HTTPError, OSError) as error:
            raise ConnectionCut(cause(error)) from None

    def close(self) -> None:
        """Closes idle connections."""
        with self._lock:
            pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            pool.clear()

    def _pool(self, url: str) -> PoolManager:
        import urllib3

        parts = urlsplit(url)
        proxy = proxy_for(url)
        verify = self._verify or parts.hostname != urlsplit(f"//{self._host}").hostname
        with self._lock:
            pool = self._pools.get((proxy, verify))
            if pool is None:
                options: dict[str, Any] = {
                    "num_pools": 8,
                    "maxsize": 8,
                    "timeout": urllib3.Timeout(
                        connect=self._patience.connect, read=self._patience.read
                    ),
                    "ssl_context": _tls_context(self._host, verify=verify),
                }
                if not verify:
                    # It would be said on stderr of what never leaves the machine, or was asked for.
                    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
                if proxy is None:
                    pool = urllib3.PoolManager(**options)
                else:
                    pool = urllib3.ProxyManager(
                        proxy if "://" in proxy else f"http://{proxy}",
                        proxy_headers=_proxy_headers(proxy),
                        **options,
                    )
                self._pools[proxy, verify] = pool
            return pool


def proxy_for(url: str) -> str | None:
    """The proxy on the way to an address, as the environment names it; None for none.

    HTTP_PROXY, HTTPS_PROXY and NO_PROXY, in capitals or not; in NO_PROXY also networks.
    """
    parts = urlsplit(url)
    if is_loopback(parts.netloc) or proxy_bypass(parts.netloc):
        return None
    entries = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if any(_in_network(parts.hostname or "", entry.strip()) for entry in entries.split(",")):
        return None
    return getproxies().get(parts.scheme)


def _in_network(host: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False  # One of them is a name.


def _proxy_headers(proxy: str) -> dict[str, str]:
    from urllib3.util import make_headers

    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if not parts.username:
        return {}
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return dict(make_headers(proxy_basic_auth=login))


def _tls_context(host: str, *, verify: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    for base in _CERTIFICATES:
        folder = Path(base).expanduser() / host
        try:
            for authority in sorted(folder.glob("*.crt")):
                context.load_verify_locations(authority)
            for certificate in sorted(folder.glob("*.cert")):
                context.load_cert_chain(certificate, certificate.with_suffix(".key"))
        except (OSError, ssl.SSLError):
            raise RegistryError(
                f"The certificates in {visible(str(folder))} cannot be used.",
                "Check that they are PEM files, and that you may read them.",
            ) from None
    return context


def _tls_error(host: str, error: Exception) -> RegistryError:
    text = str(error)
    if "WRONG_VERSION_NUMBER" in text or "wrong version number" in text.lower():
        return RegistryError(
            f"{visible(host)} does not speak TLS.",
            "Add --insecure if it may be read without, or name it in Docker's insecure-registries.",
        )
    if "CERTIFICATE_VERIFY_FAILED" in text or "certificate verify failed" in text:
        why = text.partition("certificate verify failed")[2].strip(" :()'").partition(" (_ssl")[0]
        return RegistryError(
            f"The certificate of {visible(host)} is not valid ({visible(why) or 'not trusted'}).",
            f"Put its authority's certificate into /etc/docker/certs.d/{visible(host)}/ca.crt, or "
            "add --insecure.",
        )
    return RegistryError(
        f"No secure connection to {visible(host)} can be made ({cause(error)}).",
        "Check that it speaks TLS, and the certificates on both sides.",
    )


def _no_connection(host: str, error: Exception) -> RegistryError:
    if _errno(error) == errno.ECONNREFUSED:
        return RegistryError(
            f"Nothing listens at {visible(host)}.", "Check the name and the port of the registry."
        )
    return RegistryError(
        f"{visible(host)} cannot be reached ({cause(error)}).", "Check the name and the network."
    )


def _errno(error: BaseException | None) -> int | None:
    while error is not None:
        if isinstance(error, OSError) and error.errno:
            return error.errno
        error = error.__cause__ or error.__context__
    return None


def cause(error: BaseException) -> str:
    """The end of a sentence about a failure of the network, without what libraries wrap around."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, socket.timeout | TimeoutError):
            return "it does not answer in time"
        if isinstance(seen, OSError) and seen.strerror:
            return visible(seen.strerror)
        seen = seen.__cause__ or seen.__context__
    return "timed out" if "Timeout" in type(error).__name__ else "the connection broke off"
