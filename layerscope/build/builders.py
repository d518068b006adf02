"""Which builders an engine has, which one is meant where none is named, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from layerscope.build.buildkit import has_buildx
from layerscope.build.request import BUILDERS
from layerscope.engines.docker import Engine
from layerscope.engines.podman_builds import takes_secrets
from layerscope.errors import UsageError

#: What builders are called in sentences.
TITLES = {"classic": "the classic builder", "buildkit": "BuildKit", "podman": "Podman's builder"}


@dataclass(frozen=True, slots=True)
class Builders:
    """The builders of an engine.

    Attributes:
        engine: The engine, with its version.
        platform: The platform that it builds for by itself, such as `linux/amd64`.
        auto: The builder that is meant where none is named.
        why: Why that one, in a sentence.
        missing: Builders that it does not have, each with a sentence that says why.
        no_secrets: Builders that take no secrets, each with a sentence that says why.
    """

    engine: str
    platform: str
    auto: str
    why: str
    missing: Mapping[str, str]
    no_secrets: Mapping[str, str]

    def chosen(self, name: str) -> str:
        """The builder that is meant by a name: `classic`, `buildkit` or `podman`.

        Raises:
            UsageError: The engine does not have it.
        """
        builder = self.auto if name == "auto" else name
        if builder in self.missing:
            raise UsageError(self.missing[builder], f"Choose {self._fitting}.")
        return builder

    @property
    def _fitting(self) -> str:
        return " or ".join(name for name in BUILDERS[1:] if name not in self.missing)

    def without_secrets(self, name: str) -> str:
        """Why the builder that is meant by a name takes no secrets; empty if it does."""
        return self.no_secrets.get(self.auto if name == "auto" else name, "")


def builders_of(engine: Engine, wanted: str = "auto") -> Builders:
    """The builders of an engine.

    Args:
        engine: The engine.
        wanted: The builder that it is about. `docker buildx` is not asked whether it is there
            where the classic one is wanted anyway; it counts as there then.
    """
    if engine.is_podman:
        lacks = {
            name: f"{engine.name} does not have {TITLES[name]}." for name in ("classic", "buildkit")
        }
        old = f"{engine.name} takes no secrets by its API; 4.0 is the first that does."
        no_secrets = {} if takes_secrets(engine) else {"podman": old}
        why = f"{engine.name} has no other."
        return Builders(engine.name, engine.platform, "podman", why, lacks, no_secrets)
    missing = {"podman": f"{engine.name} does not have {TITLES['podman']}."}
    buildx = wanted == "classic" or has_buildx()
    if not buildx:
        missing["buildkit"] = "BuildKit needs a docker command with buildx, and there is none here."
    why = "docker has buildx here." if buildx else "There is no docker with buildx here."
    no_secrets = {"classic": "The classic builder has no secrets; BuildKit does."}
    auto = "buildkit" if buildx else "classic"
    return Builders(engine.name, engine.platform, auto, why, missing, no_secrets)


def check_secrets(builders: Builders, name: str, secrets: tuple[str, ...]) -> None:
    """Sees to it that a builder takes secrets, where there are any.

    Raises:
        UsageError: It does not.
    """
    why = builders.without_secrets(name) if secrets else ""
    if why:
        refused = {*builders.missing, *builders.no_secrets}
        other = next((each for each in BUILDERS[1:] if each not in refused), "")
        raise UsageError(why, f"Choose {other}." if other else "")
