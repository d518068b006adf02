"""Credentials for registries, from where Docker and Podman keep them.

The files are read and the helpers run as `docker login` and containers-auth.json(5) define them.
docker-py can do part of this, but knows nothing of Podman's files and takes a fifth of a second to
import. Secrets are in no message and in no `repr`.
"""

from __future__ import annotations

import binascii
import json
import os
import re
import subprocess
from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from layerscope.oci.reference import DEFAULT_DOMAIN
from layerscope.text import visible

#: The key under which Docker keeps the login of Docker Hub.
_HUB_KEY = "https://index.docker.io/v1/"
_HUB_NAMES = ("docker.io", "index.docker.io", "registry-1.docker.io")

_HELPER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
#: A helper may ask a key store that wants a finger or a PIN.
_HELPER_PATIENCE = 60.0
_MAX_FILE = 4 << 20


@dataclass(frozen=True, slots=True)
class Credentials:
    """How to prove who is asking.

    Attributes:
        username: User name; empty with the tokens.
        password: Password.
        identity_token: A refresh token, to be exchanged for one that lets us in.
        registry_token: A bearer token that lets us in as it is.
        origin: Where they were found, for people.
    """

    username: str
    password: str = field(repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Lookup:
    """What a search for credentials came to.

    Attributes:
        credentials: The credentials, or None.
        trouble: What went wrong on the way, as the end of a sentence; empty if nothing did.
    """

    credentials: Credentials | None
    trouble: str = ""


def find_credentials(domain: str, repository: str) -> Lookup:
    """Looks for credentials: the file that $REGISTRY_AUTH_FILE names, Docker's, then Podman's.

    A broken file or helper ends nothing, since most of what is read needs no login; it is told
    where the registry then refuses.

    Args:
        domain: Host and port as references have them.
        repository: Path of the repository, for logins that are good for a part of a registry.
    """
    troubles: list[str] = []
    for path in _files():
        try:
            found = _in_file(path, domain, repository)
        except _Trouble as trouble:
            troubles.append(str(trouble))
            continue
        if found is not None:
            return Lookup(found)
    return Lookup(None, "; ".join(troubles))


class _Trouble(Exception):
    """A file or helper that cannot be used; the text says which and why."""


def _files() -> Iterator[Path]:
    named = os.environ.get("REGISTRY_AUTH_FILE")
    if named:
        yield Path(named)
    folder = os.environ.get("DOCKER_CONFIG")
    home = Path.home()
    yield (Path(folder) if folder else home / ".docker") / "config.json"
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        yield Path(runtime) / "containers" / "auth.json"
    config = os.environ.get("XDG_CONFIG_HOME")
    yield (Path(config) if config else home / ".config") / "containers" / "auth.json"


def _in_file(path: Path, domain: str, repository: str) -> Credentials | None:
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(_MAX_FILE))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _Trouble(f"{visible(str(path))} cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError):
        raise _Trouble(f"{visible(str(path))} is not valid JSON") from None
    if not isinstance(document, dict):
        raise _Trouble(f"{visible(str(path))} is not a JSON object")
    keys = _keys(domain, repository)
    helpers = _mapping(document, "credHelpers")
    for key in keys:
        helper = helpers.get(key)
        if isinstance(helper, str) and helper:
            return _ask_helper(helper, _server(domain) if key in _HUB_NAMES else key)
    trouble: _Trouble | None = None
    store = document.get("credsStore")
    if isinstance(store, str) and store:
        try:
            found = _ask_helper(store, _server(domain))
            if found is not None:
                return found
        except _Trouble as error:
            trouble = error
    auths = {_plain_key(key): value for key, value in _mapping(document, "auths").items()}
    for key in keys:
        entry = auths.get(_plain_key(key))
        if isinstance(entry, dict):
            found = _from_entry(entry, visible(str(path)))
            if found is not None:
                return found
    if trouble is not None:
        raise trouble
    return None


def _keys(domain: str, repository: str) -> list[str]:
    """The keys under which a login can be kept, the most particular first."""
    hosts = [_HUB_KEY, *_HUB_NAMES] if domain == DEFAULT_DOMAIN else [domain]
    parts = repository.split("/")
    paths = ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return [*(f"{domain}/{path}" for path in paths), *hosts]


def _server(domain: str) -> str:
    """What credential helpers call a registry."""
    return _HUB_KEY if domain == DEFAULT_DOMAIN else domain


def _plain_key(key: str) -> str:
    """A key without scheme and API version, which old logins wrote."""
    if "://" in key:
        parts = urlsplit(key)
        key = parts.netloc + parts.path
    key = key.rstrip("/")
    for version in ("/v1", "/v2"):
        key = key.removesuffix(version)
    return key


def _mapping(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def _text(document: Mapping[str, Any], key: str) -> str:
    value = document.get(key)
    return value if isinstance(value, str) else ""


def _from_entry(entry: Mapping[str, Any], origin: str) -> Credentials | None:
    username, password = _text(entry, "username"), _text(entry, "password")
    auth = _text(entry, "auth")
    if auth:
        try:
            plain = b64decode(auth, validate=True).decode()
        except (binascii.Error, ValueError):
            raise _Trouble(f"{origin} holds a login that is not base64") from None
        username, _, password = plain.partition(":")
        password = password.strip("\0")
    identity, token = _text(entry, "identitytoken"), _text(entry, "registrytoken")
    if not (username or identity or token):
        return None
    return Credentials(username, password, identity, token, origin)


def _ask_helper(name: str, server: str) -> Credentials | None:
    """Runs `docker-credential-NAME get` (the protocol of docker-credential-helpers)."""
    program = f"docker-credential-{name}"
    if not _HELPER_NAME.fullmatch(name):
        raise _Trouble("the name of a credential helper is not one")
    try:
        # Its stderr may hold anything, so nothing of it is passed on.
        run = subprocess.run(  # noqa: S603 - the user's own configuration names it
            [program, "get"],
            input=server.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_HELPER_PATIENCE,
            check=False,
        )
    except FileNotFoundError:
        raise _Trouble(f"{program} is not installed") from None
    except subprocess.TimeoutExpired:
        raise _Trouble(f"{program} does not answer") from None
    except OSError as error:
        raise _Trouble(f"{program} cannot be run ({error.strerror})") from None
    if run.returncode:
        if b"credentials not found" in run.stdout:
            return None
        raise _Trouble(f"{program} failed")
    try:
        answer = json.loads(run.stdout)
        username, secret = answer["Username"], answer["Secret"]
    except (ValueError, RecursionError, LookupError, TypeError):
        raise _Trouble(f"{program} answered with something else than a login") from None
    if not isinstance(username, str) or not isinstance(secret, str) or not secret:
        return None
    if username == "<token>":
        return Credentials("", "", secret, origin=program)
    return Credentials(username, secret, origin=program)
