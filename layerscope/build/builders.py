"""Which builders an engine has, and which one is the default."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from layerscope.build.request import BUILDERS
from layerscope.config import STORE
from layerscope.dockerfile.checks.support import Builder, Unsupported, unsupported
from layerscope.dockerfile.syntax.document import Document
from layerscope.engines.address import chosen_engine
from layerscope.errors import UsageError
from layerscope.oci.platform import host_platform
from layerscope.text import visible

if TYPE_CHECKING:
    from layerscope.engines.docker import DockerEngine

#: The names of builders in sentences.
TITLES = {
    "classic": "the classic builder",
    "buildkit": "BuildKit",
    "podman": "Podman's builder",
    "embedded": "the embedded builder",
}


@dataclass(frozen=True, slots=True)
class Builders:
    engine: str  # The engine, with its version.
    platform: str  # The platform that it builds for by default, such as `linux/amd64`.
    auto: str  # The default builder.
    why: str  # A sentence on why it is the default.
    #: Builders that the engine does not have, each with the reason as a sentence.
    missing: Mapping[str, str]
    #: Builders that do not support secrets, each with the reason as a sentence.
    no_secrets: Mapping[str, str]

    def chosen(self, name: str) -> str:
        """Returns the builder for one of `BUILDERS`, never `auto`.

        Raises UsageError if the engine does not have it.
        """
        builder = self.resolve(name)
        if builder in self.missing:
            others = (other for other in BUILDERS[1:] if other not in self.missing)
            raise UsageError(self.missing[builder], f"Choose {' or '.join(others)}.")
        return builder

    def resolve(self, name: str) -> str:
        return self.auto if name in ("auto", "") else name

    def without_secrets(self, name: str) -> str:
        """Returns why a builder does not support secrets, or ""."""
        return self.no_secrets.get(self.resolve(name), "")


def builders_of(engine: DockerEngine, wanted: str = "auto") -> Builders:
    """Returns the builders of an engine.

    If the classic builder is wanted, assumes that buildx exists, since checking is slow.
    """
    # Not at the top: the embedded builder does not need an engine's client.
    from layerscope.build.buildkit import has_buildx
    from layerscope.engines.podman_builds import takes_secrets

    if engine.is_podman:
        lacks = {
            name: f"{engine.name} does not have {TITLES[name]}." for name in ("classic", "buildkit")
        }
        old = f"The API of {engine.name} does not support secrets; Podman 4.0 does."
        no_secrets = {} if takes_secrets(engine) else {"podman": old}
        why = f"{engine.name} has no other builder."
        return Builders(engine.name, engine.platform, "podman", why, lacks, no_secrets)
    missing = {"podman": f"{engine.name} does not have {TITLES['podman']}."}
    buildx = wanted == "classic" or has_buildx()
    if not buildx:
        missing["buildkit"] = "BuildKit needs a docker command with buildx, which is not installed."
    why = "docker has buildx." if buildx else "docker with buildx is not installed."
    classic = "The classic builder does not support secrets; BuildKit does."
    no_secrets = {"classic": classic}
    auto = "buildkit" if buildx else "classic"
    return Builders(engine.name, engine.platform, auto, why, missing, no_secrets)


def embedded_builders() -> Builders:
    """Returns the builders without an engine."""
    why = "No engine is set up."
    missing = dict.fromkeys(("classic", "buildkit", "podman"), why)
    platform = str(host_platform())
    return Builders(f"The {STORE}", platform, "embedded", why, missing, {})


#: The minor version of BuildKit (0.x) in Docker, by the first version of Docker.
_BUILDKITS = {
    (20, 10): 8,
    (23, 0): 10,
    (24, 0): 11,
    (25, 0): 12,
    (26, 0): 13,
    (27, 0): 14,
    (27, 1): 15,
    (27, 3): 16,
    (27, 4): 17,
    (27, 5): 18,
    (28, 0): 20,
    (28, 1): 21,
    (28, 2): 22,
    (28, 3): 23,
    (28, 4): 24,
    (28, 5): 25,
}


def known_builder(builders: Builders | None, name: str) -> Builder:
    """Returns a builder with the version that determines its features; the newest if unknown."""
    engine = builders.engine if builders is not None and name not in builders.missing else ""
    if name == "embedded":
        return Builder(name, TITLES[name])
    match = re.match(r"(Docker|Podman) (\d+)\.(\d+)", engine)
    if match is None:
        return Builder(name, TITLES.get(name, name))
    version = int(match[2]), int(match[3])
    if name == "podman":
        return Builder(name, match[0], version)
    title = f"{TITLES[name]} of {match[0]}"
    if version[0] > max(_BUILDKITS)[0]:
        return Builder(name, title)
    minors = [minor for first, minor in _BUILDKITS.items() if first <= version]
    return Builder(name, title, _frontend(max(minors, default=0)))


def _frontend(minor: int) -> tuple[int, int]:
    """Returns the version of `docker/dockerfile` in BuildKit 0.x."""
    return 1, max(minor - 6, 0)


def refused(
    builders: Builders | None,
    name: str,
    document: Document,
    target: str = "",
    arguments: Mapping[str, str] | None = None,
    instance: str = "",
) -> list[Unsupported]:
    """Returns what a build needs and a builder does not support; `instance` is from buildx."""
    found = unsupported(document, known_builder(builders, name), target, arguments)
    if not found or name != "buildkit":
        return found
    from layerscope.build.buildkit import buildx_builder

    # Queried last, since it is slow: the builder may not be the engine's own.
    driver, minor = buildx_builder(instance, chosen_engine())
    if minor >= min(_BUILDKITS.values()):
        exact = Builder(name, f"BuildKit 0.{minor}", _frontend(minor))
        return unsupported(document, exact, target, arguments)
    if driver not in ("docker", ""):
        return unsupported(document, Builder(name, "BuildKit"), target, arguments)
    return found


def check_files(name: str, dockerfile: Path, ignore_file: str = "") -> None:
    """Raises UsageError for a file that a builder would preprocess or ignore."""
    if name == "buildkit" and ignore_file:
        raise UsageError(
            "BuildKit has no --ignorefile.",
            f"Call the file {visible(dockerfile.name)}.dockerignore, beside the Dockerfile.",
        )
    if name == "podman" and dockerfile.suffix == ".in":
        shown = visible(dockerfile.name)
        raise UsageError(
            f"Podman passes {shown} through cpp before it builds; layerscope does not.",
            f"Build what cpp -E -traditional -undef {shown} prints: pipe it to -f -.",
        )


def check_secrets(builders: Builders, name: str, secrets: tuple[str, ...]) -> None:
    """Raises UsageError if there are secrets and the builder does not support them."""
    why = builders.without_secrets(name) if secrets else ""
    if why:
        refused = {*builders.missing, *builders.no_secrets}
        other = next((each for each in BUILDERS[1:] if each not in refused), "")
        raise UsageError(why, f"Choose {other}." if other else "")
