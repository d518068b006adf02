"""What is to be built, with which builder, as it is kept with the job."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from layerscope.errors import LayerscopeError

#: The builders by name; `auto` takes what the engine itself would.
BUILDERS = ("auto", "classic", "buildkit", "podman")


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """A build.

    Attributes:
        context: Folder of the build context, absolute.
        dockerfile: The Dockerfile, absolute; `-` if its text is given.
        builder: One of `BUILDERS`.
        tags: Names of the image.
        target: The stage to build; empty for the last.
        platform: Such as `linux/arm64`; empty for the engine's own.
        build_args: Values of ARGs; None takes the one of the environment.
        labels: Labels of the image.
        no_cache: Whether nothing of earlier builds is used.
        pull: Whether base images are looked for anew.
        network: Network of RUN instructions, such as `host`; empty for the engine's choice.
        secrets: As `docker build --secret` takes them: `id=x,src=FILE`, `id=x,env=NAME`.
        text: Text of a Dockerfile that is no file; bytes that are not UTF-8 are lone surrogates.
        export: Whether layers are read from the engine's exports even where its data folder can be.
    """

    context: str
    dockerfile: str
    builder: str = "auto"
    tags: tuple[str, ...] = ()
    target: str = ""
    platform: str = ""
    build_args: Mapping[str, str | None] | None = None
    labels: Mapping[str, str] | None = None
    no_cache: bool = False
    pull: bool = False
    network: str = ""
    secrets: tuple[str, ...] = ()
    text: str | None = None
    export: bool = False

    @property
    def known_arguments(self) -> dict[str, str]:
        """Values of build arguments, those taken from the environment included."""
        given = {
            name: os.environ.get(name) if value is None else value
            for name, value in (self.build_args or {}).items()
        }
        return {name: value for name, value in given.items() if value is not None}

    def spec(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self) | {"engine": _engine()}


def build_request(spec: Mapping[str, Any]) -> BuildRequest:
    """A build as it was kept."""
    known = {name: spec[name] for name in _NAMES if name in spec}
    return BuildRequest(**{**known, "tags": tuple(spec["tags"]), "secrets": tuple(spec["secrets"])})


_NAMES = tuple(field.name for field in fields(BuildRequest))


def _engine() -> str:
    """Which engine builds, so that a build is compared with those of the same one."""
    from layerscope.engines.address import current_address

    try:
        return current_address().host
    except LayerscopeError:
        return ""
