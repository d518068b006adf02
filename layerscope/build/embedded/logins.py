"""Logins in addresses of a Dockerfile."""

from __future__ import annotations

import urllib.parse
from base64 import b64encode


def split_login(url: str) -> tuple[str, str]:
    """Returns a URL without its login, and the value of the `Authorization` header, or ""."""
    parts = urllib.parse.urlsplit(url)
    login, _, host = parts.netloc.rpartition("@")
    if not login:
        return url, ""
    name, _, password = login.partition(":")
    pair = b":".join(map(urllib.parse.unquote_to_bytes, (name, password)))
    return parts._replace(netloc=host).geturl(), f"Basic {b64encode(pair).decode()}"
