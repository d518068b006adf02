"""Registries: search, tags, drift, login, logout."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from contextlib import closing
from typing import TYPE_CHECKING

from layerscope.commands.asking import agreed, may_ask
from layerscope.errors import LayerscopeError, UsageError
from layerscope.output import say, warn, write_lines, write_report
from layerscope.reports.progress import shown_progress
from layerscope.text import visible

if TYPE_CHECKING:
    from layerscope.images.registry.credentials import Credentials

_LONGEST = 1 << 16  # Bytes of a password on standard input.


def search(arguments: argparse.Namespace) -> int:
    """Searches a registry; returns 1 if nothing was found."""
    from layerscope.engines.searching import search_anywhere
    from layerscope.images.registry.login import registry_of
    from layerscope.images.registry.search import split_term
    from layerscope.images.registry.tags import pulls_left
    from layerscope.reports.registry_report import hits_document, hits_text

    if arguments.registry:
        domain, term = registry_of(arguments.registry), arguments.term
    else:
        domain, term = split_term(arguments.term)
    with shown_progress("Asking the registry"):
        hits = search_anywhere(term, domain, arguments.limit or 25, insecure=arguments.insecure)
        pulls = pulls_left(domain) if hits else None
    hits = [
        hit
        for hit in hits
        if (hit.official or not arguments.official) and (hit.stars or 0) >= (arguments.stars or 0)
    ]
    if hits or arguments.json:
        write_report(arguments.json, hits_document, hits_text, hits, pulls)
    else:
        warn("nothing was found.")
    return 0 if hits else 1


def tags(arguments: argparse.Namespace) -> int:
    from layerscope.images.registry.tags import list_tags, pulls_left
    from layerscope.oci.reference import is_reference, parse_reference
    from layerscope.reports.registry_report import tags_document, tags_text

    name = arguments.repository.removeprefix("docker://")
    if not is_reference(name):
        raise UsageError(f"{visible(name)} is not the name of a repository.", "Write [HOST/]NAME.")
    with shown_progress("Asking the registry"):
        found = list_tags(
            name,
            arguments.limit or 50,
            platform=arguments.platform,
            insecure=arguments.insecure,
            cache=not arguments.no_cache,
        )
        pulls = pulls_left(parse_reference(name).domain) if found.tags else None
    write_report(arguments.json, tags_document, tags_text, found, pulls)
    return 0


def drift(arguments: argparse.Namespace) -> int:
    """Compares images with their registries; returns 1 if any is out of date."""
    from layerscope.engines.docker import connect_any
    from layerscope.engines.drift import find_drift
    from layerscope.reports.drift_report import drift_document, drift_text
    from layerscope.reports.progress import shown_progress

    with shown_progress("Asking the registries"), closing(connect_any()) as engine:
        found = find_drift(engine, arguments.names, insecure=arguments.insecure)
    write_report(arguments.json, drift_document, drift_text, found)
    return 1 if any(each.is_behind for each in found) else 0


def login(arguments: argparse.Namespace) -> int:
    """Checks and stores a login; without a user name, checks the stored one."""
    from layerscope.images.registry.credentials import find_credentials
    from layerscope.images.registry.login import (
        HelperError,
        check_login,
        keep_login,
        keeper_of,
        registry_of,
        warning_of,
    )

    domain = registry_of(arguments.registry or "")
    if arguments.password_stdin and not arguments.username:
        raise UsageError("--password-stdin needs --username.")
    known = None if arguments.username else find_credentials(domain, "").credentials
    if known is not None:
        try:
            check_login(domain, known, insecure=arguments.insecure)
        except LayerscopeError as error:
            if not may_ask():
                raise
            warn(error.message)
        else:
            text = f" with the login from {known.origin}"
            _report(arguments, domain, known.username, text, known.origin, kept=False)
            return 0
    keeper = keeper_of(domain, plain=arguments.plain_text)
    typed = _typed(arguments, domain, known.username if known else "")
    found, asked = check_login(domain, typed, insecure=arguments.insecure)
    if not asked:
        warn(f"{visible(domain)} requires no login, so it was not checked.")
    try:
        keep_login(domain, found, keeper)
    except HelperError as error:
        keeper = keeper_of(domain, plain=True)
        if not may_ask():
            raise
        warn(error.message)
        if not agreed(f"Keep it in {visible(keeper.name)}, not encrypted? (y/N) "):
            return 1
        keep_login(domain, found, keeper)
    text = f": the login is kept {'by' if keeper.helper else 'in'} {visible(keeper.name)}"
    text += "" if keeper.helper else ", not encrypted"
    _report(arguments, domain, typed.username, text, keeper.name, kept=True)
    if warning := warning_of(domain):
        warn(warning)
    return 0


def logout(arguments: argparse.Namespace) -> int:
    from layerscope.images.registry.login import forget_login, registry_of, still_known

    domain = registry_of(arguments.registry or "")
    places = forget_login(domain)
    left = still_known(domain)
    if arguments.json:
        document = {"schema": "layerscope.logout/1", "registry": domain, "removed_from": places}
        write_lines([json.dumps(document | {"left_in": left or None})])
    else:
        where = " and ".join(map(visible, places))
        removed = f"removed the login from {where}" if places else "there was no login"
        write_lines([f"{visible(domain)}: {removed}."])
    if left:
        warn(f"{visible(left)} still has a login for it.")
    return 1 if left else 0


def _report(
    arguments: argparse.Namespace, domain: str, user: str, text: str, origin: str, *, kept: bool
) -> None:
    if arguments.json:
        document = {"schema": "layerscope.login/1", "registry": domain, "username": user or None}
        write_lines([json.dumps(document | {"origin": origin, "kept": kept})])
        return
    whom = f" as {visible(user)}" if user else ""
    write_lines([f"Logged in to {visible(domain)}{whom}{text}."])


def _typed(arguments: argparse.Namespace, domain: str, known: str) -> Credentials:
    from layerscope.images.registry.login import credentials_of, token_hint

    if arguments.password_stdin:
        data = sys.stdin.buffer.read(_LONGEST + 1)
        if len(data) > _LONGEST:
            raise UsageError("The password is longer than 64 KiB.")
        password = data.decode("utf-8", "surrogateescape").removesuffix("\n").removesuffix("\r")
        return credentials_of(arguments.username, password)
    if not may_ask():
        raise UsageError(
            "There is no terminal to ask for the password on.",
            "Add --username and --password-stdin.",
        )
    user = arguments.username
    if hint := token_hint(domain):
        say(hint)
    if not user:
        shown = f" [{visible(known)}]" if known else ""
        sys.stderr.write(f"User name{shown}: ")
        sys.stderr.flush()
        user = sys.stdin.readline().strip() or known
    return credentials_of(user, getpass.getpass("Password: ", sys.stderr))
