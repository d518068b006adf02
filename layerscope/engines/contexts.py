"""Docker contexts: engines by name, as `docker context create` keeps them.

In the folder of Docker's config.json, `contexts/meta/ID/meta.json` says where the engine of a
context listens, and `contexts/tls/ID/docker` has its certificates; ID is the SHA-256 of the name.
docker-py looks for them beside a config.json alone, which need not be there.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerscope.errors import EngineError
from layerscope.text import visible

_HINT = "Check it with `docker context ls`, or set DOCKER_HOST."


@dataclass(frozen=True, slots=True)
class DockerContext:
    """A context.

    Attributes:
        name: Its name.
        host: Where its engine listens.
        ca: Certificate of who signed the engine's; None for those that the host trusts.
        pair: Certificate and key that we show; None for none.
        verify: Whether the engine's certificate has to be valid.
    """

    name: str
    host: str
    ca: Path | None
    pair: tuple[Path, Path] | None
    verify: bool


def docker_folder() -> Path:
    """Where the docker command keeps its settings: DOCKER_CONFIG, or `~/.docker`."""
    named = os.environ.get("DOCKER_CONFIG")
    return Path(named) if named else Path.home() / ".docker"


def current_context() -> DockerContext | None:
    """The context that DOCKER_CONTEXT names, or `docker context use` chose; None for `default`.

    Raises:
        EngineError: There is no such context, or it makes no sense.
    """
    name = os.environ.get("DOCKER_CONTEXT") or _chosen()
    if name in ("", "default"):
        return None
    identifier = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
    folder = docker_folder() / "contexts"
    try:
        document = json.loads((folder / "meta" / identifier / "meta.json").read_bytes())
        endpoint = document["Endpoints"]["docker"]
        host, lax = endpoint["Host"], endpoint.get("SkipTLSVerify", False)
        if not isinstance(host, str) or not isinstance(lax, bool):
            raise TypeError
    except (FileNotFoundError, NotADirectoryError):
        raise EngineError(
            f"There is no Docker context {visible(name)}.", "Choose one of `docker context ls`."
        ) from None
    except OSError as error:
        raise EngineError(
            f"The Docker context {visible(name)} cannot be read ({error.strerror}).", _HINT
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise EngineError(f"The Docker context {visible(name)} is damaged.", _HINT) from None
    if not host:
        return None
    files = {kind: folder / "tls" / identifier / "docker" / f"{kind}.pem" for kind in _KINDS}
    ca, certificate, key = (path if path.is_file() else None for path in files.values())
    pair = (certificate, key) if certificate is not None and key is not None else None
    return DockerContext(name, host, ca, pair, not lax)


_KINDS = ("ca", "cert", "key")


def _chosen() -> str:
    try:
        document: Any = json.loads((docker_folder() / "config.json").read_bytes())
    except (OSError, ValueError):
        # Whoever needs more of it says what is wrong with it.
        return ""
    name = document.get("currentContext") if isinstance(document, dict) else None
    return name if isinstance(name, str) else ""
