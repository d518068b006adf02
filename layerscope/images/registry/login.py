"""Logging in to and out of registries; logins are stored where Docker stores them."""

from __future__ import annotations

import json
import os
import shutil
from base64 import b64encode
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from layerscope.errors import LayerscopeError, UsageError
from layerscope.images.registry.client import Check, RegistryClient, no_check
from layerscope.images.registry.credentials import (
    HUB_KEY,
    HUB_NAMES,
    TOKEN_USER,
    VARIABLE,
    Credentials,
    Lookup,
    Trouble,
    ask_helper,
    docker_config,
    find_credentials,
    mapping,
    plain_key,
    read_config,
    run_helper,
    server_of,
)
from layerscope.oci.reference import DEFAULT_DOMAIN, parse_reference
from layerscope.records import text_of
from layerscope.redaction import hide
from layerscope.text import visible
from layerscope.writing import failure, write_whole

#: Where Docker Hub's users create tokens; its other ways to log in are not documented.
_HUB_TOKENS = "https://app.docker.com/settings/personal-access-tokens"


class HelperError(LayerscopeError):
    """A credential helper that fails or hangs; the login can be stored as plain text instead."""


@dataclass(frozen=True, slots=True)
class Keeper:
    """The place where Docker stores the login of a registry."""

    file: Path  # Its config.json.
    helper: str  # The name of a credential helper; empty for plain text in the file.

    @property
    def name(self) -> str:
        return f"docker-credential-{self.helper}" if self.helper else str(self.file)


def registry_of(text: str) -> str:
    """The registry that a user names: a host, a URL or a reference; Docker Hub if it is empty.

    Raises UsageError.
    """
    host = plain_key(text.strip()).partition("/")[0]
    if not host or host in HUB_NAMES:
        return DEFAULT_DOMAIN
    try:
        found = parse_reference(f"{host}/x").domain
    except ValueError:
        found = ""
    if found.lower() != host.lower():
        raise UsageError(
            f"{visible(text)} is not the address of a registry.",
            "Write HOST[:PORT], such as ghcr.io.",
        )
    return found


def credentials_of(user: str, password: str) -> Credentials:
    """Credentials as typed; raises UsageError if they cannot be sent. Messages do not show them."""
    hide(password)
    if not user or not password:
        raise UsageError(f"The {'password' if user else 'user name'} is empty.")
    try:
        user.encode(), password.encode()
    except UnicodeEncodeError:
        raise UsageError("The user name or the password is not valid UTF-8.") from None
    if ":" in user or not user.isprintable():
        raise UsageError("The user name has a colon or a control character.")
    if user == TOKEN_USER:
        return Credentials("", "", password)
    return Credentials(user, password)


def token_hint(domain: str) -> str:
    """How to get a token to use as a password."""
    if domain != DEFAULT_DOMAIN:
        return ""
    return f"Docker Hub accepts an access token as the password: {_HUB_TOKENS}"


def keeper_of(domain: str, *, plain: bool = False) -> Keeper:
    """Where Docker would store a login; with `plain`, the file even if there is a helper.

    Without a login or store in config.json, Docker selects an installed helper. Raises
    LayerscopeError if that file cannot be read.
    """
    document = _config()
    file = docker_config()
    if plain:
        return Keeper(file, "")
    named = text_of(mapping(document, "credHelpers"), server_of(domain))
    named = named or text_of(document, "credsStore")
    if not named and not any(document.get(key) for key in ("auths", "credHelpers")):
        default = "pass" if shutil.which("pass") else "secretservice"
        named = default if shutil.which(f"docker-credential-{default}") else ""
    return Keeper(file, named)


def check_login(
    domain: str, credentials: Credentials, *, insecure: bool = False, check: Check = no_check
) -> tuple[Credentials, bool]:
    """Checks whether a registry accepts credentials; returns those to store.

    The second value is whether the registry required a login at all. Raises LayerscopeError.
    """
    found = Lookup(credentials)
    with closing(RegistryClient(domain, "", find=lambda *_: found, insecure=insecure)) as client:
        token = client.check_login(check)
    if token:
        credentials = replace(credentials, password="", identity_token=token)
    return credentials, token is not None


def keep_login(domain: str, credentials: Credentials, keeper: Keeper) -> None:
    """Stores a login. Raises HelperError, and LayerscopeError if config.json cannot be written."""
    document = _config()
    server = server_of(domain)
    entry: dict[str, str] = {}
    if keeper.helper:
        secret = credentials.identity_token or credentials.password
        user = TOKEN_USER if credentials.identity_token else credentials.username
        given = {"ServerURL": server, "Username": user, "Secret": secret}
        try:
            run_helper(keeper.helper, "store", json.dumps(given))
            # Some report success but store nothing, for example without an encryption key.
            if ask_helper(keeper.helper, server) is None:
                raise Trouble(f"{keeper.name} did not keep it")
        except Trouble as trouble:
            raise HelperError(
                f"The login cannot be kept: {trouble}.",
                f"Repair it, or add --plain-text to keep it in {visible(str(keeper.file))}, "
                "not encrypted.",
            ) from None
    else:
        login = f"{credentials.username}:{credentials.password}"
        entry["auth"] = b64encode(login.encode()).decode()
        if credentials.identity_token:
            entry["identitytoken"] = credentials.identity_token
    auths = dict(mapping(document, "auths"))
    _write(keeper.file, {**document, "auths": {**auths, server: entry}})


def forget_login(domain: str) -> list[str]:
    """Removes a login from everywhere Docker may store it; returns those places.

    Raises LayerscopeError if something is left.
    """
    document = _config()
    file = docker_config()
    keys = [HUB_KEY, *HUB_NAMES] if domain == DEFAULT_DOMAIN else [domain]
    hosts = [key for key in keys if "://" not in key]
    keys += [f"{scheme}://{host}" for host in hosts for scheme in ("http", "https")]
    helpers = mapping(document, "credHelpers")
    found: dict[str, None] = {}
    trouble = ""
    for key in keys:
        named = (text_of(helpers, key), text_of(document, "credsStore"))
        for helper in filter(None, dict.fromkeys(named)):
            try:
                if ask_helper(helper, key) is not None:
                    run_helper(helper, "erase", key)
                    found[f"docker-credential-{helper}"] = None
            except Trouble as error:
                trouble = trouble or str(error)
    plain = {plain_key(key) for key in keys}
    auths = dict(mapping(document, "auths"))
    kept = {key: value for key, value in auths.items() if plain_key(key) not in plain}
    if len(kept) < len(auths):
        _write(file, {**document, "auths": kept})
        if any(auths[key] for key in auths if key not in kept):
            found[str(file)] = None
    if trouble:
        raise HelperError(
            f"The login for {visible(domain)} may not be removed: {trouble}.", "Repair it."
        )
    return list(found)


def still_known(domain: str) -> str:
    """Where a login for a registry is still found, or an empty string."""
    found = find_credentials(domain, "").credentials
    return "" if found is None else found.origin


def warning_of(domain: str) -> str:
    """Why the stored login would not be used; empty if it would."""
    origin = still_known(domain)
    return f"{VARIABLE} has another login, which is used first." if origin == VARIABLE else ""


def _config() -> dict[str, Any]:
    try:
        return read_config(docker_config())
    except Trouble as trouble:
        raise LayerscopeError(f"{trouble}.", "Repair the file first.") from None


def _write(file: Path, document: dict[str, Any]) -> None:
    text = json.dumps(document, indent="\t", ensure_ascii=False)
    try:
        write_whole(Path(os.path.realpath(file)), text.encode("utf-8", "surrogatepass"))
    except OSError as error:
        raise LayerscopeError(failure(error, str(file))) from None
