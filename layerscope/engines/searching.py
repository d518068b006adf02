"""Searches a registry, or lets an engine search it if it is not reachable from here."""

from __future__ import annotations

from contextlib import closing

from layerscope.engines.docker import connect_any
from layerscope.errors import RegistryError, failures_ignored
from layerscope.images.registry.client import Check, no_check
from layerscope.images.registry.search import Hit, hit_of, search
from layerscope.oci.reference import DEFAULT_DOMAIN


def search_anywhere(
    term: str, domain: str, limit: int, *, insecure: bool = False, check: Check = no_check
) -> list[Hit]:
    """Like `images.registry.search`; the engine may have a proxy or login that this host lacks."""
    try:
        return search(term, domain, limit, insecure=insecure, check=check)
    except RegistryError as error:
        whole = term if domain == DEFAULT_DOMAIN else f"{domain}/{term}"
        with failures_ignored(), closing(connect_any()) as engine:
            prefix = "" if domain == DEFAULT_DOMAIN else f"{domain}/"
            return [hit_of(found, prefix) for found in engine.search(whole, limit)]
        raise error from None
