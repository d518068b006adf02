"""How each builder finds the Dockerfile of a context and the file with its rules."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from layerscope.dockerfile.context.ignore import Reading


@dataclass(frozen=True, slots=True)
class Conventions:
    """The files that a builder looks for; of several names, the first that exists wins."""

    dockerfiles: tuple[str, ...]  # Names of the Dockerfile in the context.
    beside: tuple[str, ...]  # Suffixes of a file with rules next to the Dockerfile.
    inside: tuple[str, ...]  # Names of a file with rules in the context, tried after those.
    reading: Reading  # How it reads the rules.

    def ignore_file(self, context: Path, dockerfile: Path | None = None) -> Path | None:
        candidates = [] if dockerfile is None else _beside(dockerfile, self.beside)
        candidates += [context / name for name in self.inside]
        return next((path for path in candidates if _is_file(path)), None)


_DOCKERFILES = ("Dockerfile", "Containerfile")  # Docker itself only knows the first one.
DOCKERIGNORE, _CONTAINERIGNORE = ".dockerignore", ".containerignore"

#: Docker's client, for its classic builder.
CLASSIC = Conventions(_DOCKERFILES, (), (DOCKERIGNORE,), Reading(deep=False))
BUILDKIT = Conventions(_DOCKERFILES, (DOCKERIGNORE,), (DOCKERIGNORE,), Reading())
#: Podman and Buildah (`parse.ContainerIgnoreFile`).
PODMAN = Conventions(
    _DOCKERFILES[::-1],
    (DOCKERIGNORE, _CONTAINERIGNORE),
    (_CONTAINERIGNORE, DOCKERIGNORE),
    Reading(deep=False, buildah=True),
)
_OF = {"classic": CLASSIC, "buildkit": BUILDKIT, "podman": PODMAN}


def conventions(builder: str, context: Path, dockerfile: Path | None = None) -> Conventions:
    """The conventions of a builder, by name.

    For other names, the builder is unknown: Podman is assumed if there is a `.containerignore`,
    which no other builder reads, and BuildKit otherwise.
    """
    known = _OF.get(builder)
    return known or (PODMAN if has_containerignore(context, dockerfile) else BUILDKIT)


def find_dockerfile(folder: Path, builder: str = "") -> Path | None:
    paths = (folder / name for name in conventions(builder, folder).dockerfiles)
    return next((path for path in paths if _is_file(path)), None)


def has_containerignore(context: Path, dockerfile: Path | None = None) -> bool:
    """Whether the rules differ if the builder is Podman."""
    beside = [] if dockerfile is None else _beside(dockerfile, (_CONTAINERIGNORE,))
    return any(map(_is_file, [*beside, context / _CONTAINERIGNORE]))


def has_both(context: Path) -> bool:
    """Whether the Dockerfile depends on which name a builder tries first."""
    return all(_is_file(context / name) for name in _DOCKERFILES)


def _beside(dockerfile: Path, endings: tuple[str, ...]) -> list[Path]:
    return [dockerfile.with_name(dockerfile.name + ending) for ending in endings]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
