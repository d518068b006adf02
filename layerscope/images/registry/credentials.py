"""Credentials for registries, as Docker and Podman store them.

Files, helpers and DOCKER_AUTH_CONFIG are those of `docker login` and containers-auth.json(5).
docker-py supports only part of this, not Podman's files, and takes a fifth of a second to import.
Secrets appear in no message and no `repr`.
"""

from __future__ import annotations

import binascii
import os
import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from layerscope.bounded import read_file
from layerscope.config import home
from layerscope.oci.reference import DEFAULT_DOMAIN
from layerscope.programs import OutputError, run
from layerscope.records import go_json, text_of
from layerscope.redaction import hide
from layerscope.text import visible

#: The key under which Docker stores the login of Docker Hub.
HUB_KEY = "https://index.docker.io/v1/"
HUB_NAMES = ("docker.io", "index.docker.io", "registry-1.docker.io")
#: The user name that a helper reports for an identity token.
TOKEN_USER = "<token>"  # noqa: S105 - a name

#: A variable with a document like Docker's config.json, which takes precedence over files.
VARIABLE = "DOCKER_AUTH_CONFIG"

_HELPER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
#: A helper's key store may ask for a fingerprint or a PIN.
_HELPER_PATIENCE = 60.0
_LONGEST = 1 << 20  # Bytes that a helper may print.


@dataclass(frozen=True, slots=True)
class Credentials:
    """A login or a token."""

    username: str  # Empty for tokens.
    password: str = field(repr=False)
    #: A refresh token, to be exchanged for a bearer token.
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)  # A bearer token.
    origin: str = ""  # Where it was found, for users.


@dataclass(frozen=True, slots=True)
class Lookup:
    credentials: Credentials | None
    trouble: str = ""  # The problem, as the end of a sentence; empty if there was none.


def find_credentials(domain: str, repository: str) -> Lookup:
    """Looks for credentials in $DOCKER_AUTH_CONFIG, then in the files of Docker and Podman.

    The file named by $REGISTRY_AUTH_FILE precedes the others. A broken file or helper is not an
    error, since most images need no login; it is reported if the registry then requires one. A
    login may be valid for only some repositories of a registry.
    """
    troubles: list[str] = []
    for path in (None, *_files()):
        try:
            found = _in_file(path, domain, repository) if path else _in_variable(domain, repository)
        except Trouble as trouble:
            troubles.append(str(trouble))
            continue
        if found is not None:
            return Lookup(found)
    return Lookup(None, "; ".join(troubles))


class Trouble(Exception):
    """A file or helper that cannot be used; the text names it and the reason."""


def _files() -> Iterator[Path]:
    named = os.environ.get("REGISTRY_AUTH_FILE")
    if named:
        yield Path(named)
    yield docker_config()
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        yield Path(runtime) / "containers" / "auth.json"
    config = os.environ.get("XDG_CONFIG_HOME")
    yield (Path(config) if config else home() / ".config") / "containers" / "auth.json"


def docker_config() -> Path:
    """Docker's config.json, whether it exists or not."""
    folder = os.environ.get("DOCKER_CONFIG")
    return (Path(folder) if folder else home() / ".docker") / "config.json"


def read_config(path: Path) -> dict[str, Any]:
    """A file like Docker's config.json, or {} if it does not exist. Raises Trouble."""
    try:
        data = read_file(path)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise Trouble(f"{visible(str(path))} cannot be read ({error.strerror})") from None
    return _object(data, visible(str(path)))


def _object(data: bytes, origin: str) -> dict[str, Any]:
    try:
        document = go_json(data)
    except ValueError:
        raise Trouble(f"{origin} is not valid JSON") from None
    if not isinstance(document, dict):
        raise Trouble(f"{origin} is not a JSON object")
    return document


def _in_variable(domain: str, repository: str) -> Credentials | None:
    value = os.environ.get(VARIABLE)
    if not value:
        return None
    document = _object(os.fsencode(value), VARIABLE)
    return _in_auths(document, keys_of(domain, repository), VARIABLE)


def _in_file(path: Path, domain: str, repository: str) -> Credentials | None:
    document = read_config(path)
    keys = keys_of(domain, repository)
    helpers = mapping(document, "credHelpers")
    for key in keys:
        helper = helpers.get(key)
        if isinstance(helper, str) and helper:
            return ask_helper(helper, server_of(domain) if key in HUB_NAMES else key)
    trouble: Trouble | None = None
    store = text_of(document, "credsStore")
    if store:
        try:
            found = ask_helper(store, server_of(domain))
            if found is not None:
                return found
        except Trouble as error:
            trouble = error
    found = _in_auths(document, keys, visible(str(path)))
    if found is None and trouble is not None:
        raise trouble
    return found


def _in_auths(document: Mapping[str, Any], keys: list[str], origin: str) -> Credentials | None:
    auths = {plain_key(key): value for key, value in mapping(document, "auths").items()}
    for key in keys:
        entry = auths.get(plain_key(key))
        if isinstance(entry, dict):
            found = _from_entry(entry, origin)
            if found is not None:
                return found
    return None


def keys_of(domain: str, repository: str) -> list[str]:
    """The keys that a login can have, most specific first."""
    hosts = [HUB_KEY, *HUB_NAMES] if domain == DEFAULT_DOMAIN else [domain]
    parts = repository.split("/") if repository else []
    paths = ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return [*(f"{domain}/{path}" for path in paths), *hosts]


def server_of(domain: str) -> str:
    return HUB_KEY if domain == DEFAULT_DOMAIN else domain


def plain_key(key: str) -> str:
    """A key without the scheme and API version that old logins included."""
    if "://" in key:
        parts = urlsplit(key)
        key = parts.netloc + parts.path
    key = key.rstrip("/")
    for version in ("/v1", "/v2"):
        key = key.removesuffix(version)
    return key


def mapping(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def _from_entry(entry: Mapping[str, Any], origin: str) -> Credentials | None:
    username, password = text_of(entry, "username"), text_of(entry, "password")
    auth = text_of(entry, "auth")
    if auth:
        try:
            plain = b64decode(auth, validate=True).decode()
        except (binascii.Error, ValueError):
            raise Trouble(f"{origin} holds a login that is not base64") from None
        username, _, password = plain.partition(":")
        password = password.strip("\0")
    identity, token = text_of(entry, "identitytoken"), text_of(entry, "registrytoken")
    if not (username or identity or token):
        return None
    return _checked(Credentials(username, password, identity, token, origin))


def _checked(found: Credentials) -> Credentials:
    """Credentials that can be sent; raises Trouble, whose text does not contain them."""
    secrets = (found.password, found.identity_token, found.registry_token)
    hide(*secrets)
    try:
        for text in (found.username, *secrets):
            text.encode()
    except UnicodeEncodeError:
        raise Trouble(f"{found.origin} holds a login that is not valid text") from None
    # It goes into a header, where a line break would start another one.
    token = found.registry_token
    if not (token.isascii() and token.isprintable()):
        raise Trouble(f"{found.origin} holds a token that is not valid")
    return found


def run_helper(name: str, verb: str, given: str) -> bytes | None:
    """Runs `docker-credential-NAME VERB` (the protocol of docker-credential-helpers).

    Returns its output, or None if it does not know the server. Raises Trouble if it fails.
    """
    program = f"docker-credential-{name}"
    if not _HELPER_NAME.fullmatch(name):
        raise Trouble("the name of a credential helper is invalid")
    try:
        # Its stderr may contain anything, so it is dropped.
        code, out, _ = run([program, verb], given.encode(), seconds=_HELPER_PATIENCE, most=_LONGEST)
    except FileNotFoundError:
        raise Trouble(f"{program} is not installed") from None
    except OutputError as error:
        raise Trouble(f"{program} {error}") from None
    except OSError as error:
        raise Trouble(f"{program} cannot be run ({error.strerror})") from None
    if code and b"credentials not found" in out:
        return None
    if code:
        raise Trouble(f"{program} failed")
    return out


def ask_helper(name: str, server: str) -> Credentials | None:
    """A helper's login for a server; raises Trouble."""
    program = f"docker-credential-{name}"
    out = run_helper(name, "get", server)
    if out is None:
        return None
    try:
        answer = go_json(out)
        username, secret = answer["Username"], answer["Secret"]
    except (ValueError, LookupError, TypeError):
        raise Trouble(f"{program} answered with something other than a login") from None
    if not isinstance(username, str) or not isinstance(secret, str) or not secret:
        return None
    if username == TOKEN_USER:
        return _checked(Credentials("", "", secret, origin=program))
    return _checked(Credentials(username, secret, origin=program))
