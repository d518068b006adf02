"""docker-py's clients for all kinds of connections, and all uses of its private methods."""

from __future__ import annotations

import contextlib
import errno
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import docker
from docker.constants import MINIMUM_DOCKER_API_VERSION
from docker.credentials.errors import CredentialsNotFound, StoreError
from docker.errors import APIError, DockerException
from docker.utils import version_lt
from docker.utils.config import find_config_file
from requests import PreparedRequest, RequestException, Response

from layerscope.bounded import LARGE, read_file
from layerscope.engines.address import Address
from layerscope.errors import EngineError
from layerscope.programs import OutputError, run
from layerscope.text import visible

_HELPER_PATIENCE = 60.0  # Seconds for a credential helper, which may ask for a PIN.
#: Errors of Podman, and of Docker with the containerd store, about all images while another one is
#: being created or removed, and the seconds before retrying.
_GOING = re.compile(
    r"consider removing the image to resolve the issue|snapshot \S+ does not exist: not found"
)
_WHILE_IT_GOES = (0.1, 0.2, 0.4, 0.8, 1.6)
_PATIENCE = 10  # Seconds to wait for an engine's first answer.


class Client(docker.APIClient):  # type: ignore[misc]
    """docker-py's client, with requests that its own methods do not support."""

    def __init__(self, address: Address) -> None:
        """Connects, and determines the version of the engine's API.

        Raises:
            EngineError: The address is invalid, or the engine is too old.
            Exception: What docker-py raises; see `answers.unreachable`.
        """
        _check_config()
        ssh = address.host.startswith("ssh://")
        super().__init__(
            base_url="http://localhost:80" if ssh else address.host,
            tls=address.tls or False,
            # Without a version, it would request it right here.
            version=MINIMUM_DOCKER_API_VERSION,
            timeout=_PATIENCE,
        )
        if ssh:
            # docker-py's own adapter needs another package, and cannot cancel a request.
            from layerscope.engines.ssh import SshAdapter, ssh_host

            adapter = SshAdapter(ssh_host(address.host, address.identity), _PATIENCE)
            self.mount("http+docker://", adapter)
            self._custom_adapter = adapter
            self.base_url = "http+docker://localhost"
        elif _is_loopback(address.host):
            # As in the docker command, no proxy for this host.
            self.trust_env = False
        self._auth_configs._get_store_instance = _Helper  # noqa: SLF001
        version = self._greet()
        if version_lt(version, MINIMUM_DOCKER_API_VERSION):
            raise EngineError(f"The engine at {address.shown} is too old (API {visible(version)}).")
        self._version = version

    def _greet(self) -> str:
        """Returns the API version, from the headers of `GET /_ping` if possible.

        For `GET /version`, Podman queries dpkg or rpm, which takes a second or more.
        """
        try:
            answer = self._ping(_PATIENCE)
        except RequestException as error:
            raise DockerException(str(error)) from error
        #: The engine's own name, such as `Docker/28.0.1 (linux)`, or "".
        self.server = str(answer.headers.get("Server", ""))
        version = str(answer.headers.get("Api-Version", ""))
        if answer.ok and re.fullmatch(r"\d{1,4}\.\d{1,4}", version):
            return version
        return str(self._retrieve_server_version())

    def send(self, request: PreparedRequest, **options: Any) -> Response:
        """Sends a request; unless it is a stream, reads the response up to a limit."""
        streamed = options.pop("stream", False)
        response: Response = super().send(request, stream=True, **options)
        if not streamed:
            data = bytearray()
            for piece in response.iter_content(1 << 16):
                data += piece
                if len(data) > LARGE:
                    response.close()
                    raise EngineError(
                        f"The engine sent an answer larger than {LARGE >> 20} MiB.",
                        "Check that DOCKER_HOST is a container engine.",
                    )
            response._content = bytes(data)  # noqa: SLF001 - as requests does
        return response

    def get_json(self, path: str, *names: str, **parameters: str) -> Any:
        """Gets the JSON at a path; `names` replace `{0}` and so on in it."""
        url = self._url(path, *names)
        waits = iter(_WHILE_IT_GOES)
        while True:
            try:
                return self._result(self._get(url, params=parameters), True)
            except APIError as error:
                wait = next(waits, None)
                if wait is None or not _GOING.search(str(error.explanation)):
                    raise
            time.sleep(wait)

    def post_json(self, path: str, body: Any = None, **parameters: str | Sequence[str]) -> Any:
        """Posts to a path, without a timeout; returns the JSON response."""
        url = self._url(path)
        return self._result(self._post_json(url, body, params=parameters, timeout=None), True)

    def open_stream(
        self, path: str, name: str = "", parameters: Mapping[str, str | bytes] | None = None
    ) -> Response:
        """Gets a path; returns the response with an unread body."""
        url = self._url(path, name)
        url += f"?{urlencode(parameters, quote_via=quote)}" if parameters else ""
        # Uncompressed, to read the body in pieces of any size.
        headers = {"Accept-Encoding": "identity"}
        response: Response = self._get(url, stream=True, timeout=None, headers=headers)
        self._raise_for_status(response)
        return response

    def post_build(
        self, parameters: Mapping[str, str | Sequence[str]], context: Iterable[bytes]
    ) -> Response:
        """`POST /build` with a context, and credentials for the base images' registries."""
        headers = {"Content-Type": "application/x-tar"}
        self._set_auth_headers(headers)
        response: Response = self.post(
            self._url("/build"),
            params={**parameters, "version": "1"},
            data=iter(context),
            headers=headers,
            stream=True,
            timeout=None,
        )
        return response

    def post_stream(
        self, path: str, name: str, parameters: Mapping[str, str], headers: Mapping[str, str]
    ) -> Response:
        """Posts to a path; returns the response with an unread stream of messages."""
        response: Response = self.post(
            self._url(path, name) if name else self._url(path),
            params=dict(parameters),
            headers={**headers, "Accept-Encoding": "identity"},
            stream=True,
            timeout=None,
        )
        self._raise_for_status(response)
        return response

    def post_load(self, pieces: Iterable[bytes]) -> Response:
        """`POST /images/load` with an archive, which is sent before the response begins."""
        response: Response = self.post(
            self._url("/images/load"),
            data=iter(pieces),
            headers={"Content-Type": "application/x-tar", "Accept-Encoding": "identity"},
            stream=True,
            timeout=None,
        )
        self._raise_for_status(response)
        return response

    def _set_auth_headers(self, headers: dict[str, str]) -> None:
        # As in the docker command, a helper that fails counts as no login.
        errors = (StoreError, DockerException, ValueError, LookupError, TypeError, AttributeError)
        with contextlib.suppress(*errors):
            super()._set_auth_headers(headers)

    def answers_ping(self, seconds: float) -> bool:
        """`GET /_ping`, on a separate or idle connection."""
        return bool(self._ping(seconds).ok)

    def _ping(self, seconds: float) -> Response:
        answer: Response = self.get(f"{self.base_url}/_ping", timeout=seconds)
        return answer


class _Helper(docker.credentials.Store):  # type: ignore[misc]
    """A credential helper; docker-py's has no limits on time and output."""

    def _execute(self, command: str, data: bytes | None) -> bytes:
        if self.exe is None:
            raise StoreError(f"{self.program} is not installed")
        try:
            code, out, _ = run([self.exe, command], data or b"", seconds=_HELPER_PATIENCE)
        except (OutputError, OSError) as error:
            raise StoreError(f"{self.program} {error}") from None
        if code and b"credentials not found" in out:
            raise CredentialsNotFound
        if code:
            raise StoreError(f"{self.program} failed")
        return out


def _check_config() -> None:
    """Raises EngineError if docker-py would never finish reading Docker's config.json."""
    path = find_config_file()
    if path is None:
        return
    try:
        read_file(path)
    except OSError as error:
        # Otherwise docker-py ignores it, as the docker command does.
        if error.errno not in (errno.EINVAL, errno.EFBIG):
            return
        raise EngineError(
            f"{visible(path)} cannot be read ({error.strerror}).",
            "Repair it, or set DOCKER_CONFIG to a folder.",
        ) from None


def _is_loopback(host: str) -> bool:
    try:
        name = urlsplit(host).hostname or ""
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False
