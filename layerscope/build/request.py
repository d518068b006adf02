"""The request of a build, which is stored with its job, and the kind of job."""

from __future__ import annotations

import os

from layerscope.build.events import BuildEvent
from layerscope.errors import LayerscopeError
from layerscope.jobs.job import Job
from layerscope.jobs.kind import Kind
from layerscope.records import Record, replace

#: The names of builders; `auto` is the engine's default.
BUILDERS = ("auto", "classic", "buildkit", "podman", "embedded")


def split_builder(text: str) -> tuple[str, str]:
    """Splits `BUILDER` or `buildkit:INSTANCE`; an empty text is `auto`."""
    builder, _, instance = text.strip().partition(":")
    return builder.lower() or "auto", instance


class BuildRequest(Record, frozen=True):
    context: str  # Folder of the build context, absolute.
    dockerfile: str  # The Dockerfile, absolute; `-` if its text is given.
    builder: str = "auto"  # One of `BUILDERS`.
    tags: tuple[str, ...] = ()  # Names of the image.
    target: str = ""  # The stage to build; empty for the last.
    platform: str = ""  # Such as `linux/arm64`; empty for the engine's own.
    #: Values of ARGs; None takes the value from the environment.
    build_args: dict[str, str | None] | None = None
    labels: dict[str, str] | None = None  # Labels of the image.
    no_cache: bool = False  # Whether to ignore the builder's cache.
    pull: bool = False  # Whether to pull base images again.
    network: str = ""  # Network of RUN instructions, such as `host`; empty for the engine's choice.
    #: As `docker build --secret` takes them: `id=x,src=FILE`, `id=x,env=NAME`.
    secrets: tuple[str, ...] = ()
    ssh: tuple[str, ...] = ()  # SSH agents, as `docker build --ssh` takes them: `ID[=SOCKET]`.
    #: Text of a Dockerfile that is not a file; bytes that are not UTF-8 are lone surrogates.
    text: str | None = None
    ignore_file: str = ""  # An ignore file, absolute; "" for the context's own.
    #: Whether to read layers from exports even if the engine's data folder is readable.
    export: bool = False
    #: The engine's address, to compare builds on the same engine; set by `start_build`.
    engine: str = ""
    instance: str = ""  # With `buildkit`, the builder of buildx; "" for the current one.

    @property
    def known_arguments(self) -> dict[str, str]:
        """Returns the values of build arguments, including those from the environment."""
        given = {
            name: os.environ.get(name) if value is None else value
            for name, value in (self.build_args or {}).items()
        }
        return {name: value for name, value in given.items() if value is not None}

    def source(self, image: str) -> str:
        """Returns the source of an image that it created."""
        return f"{'embedded' if self.builder == 'embedded' else 'docker-daemon'}:{image}"


#: Builds, as a kind of job.
BUILD = Kind("build", "layerscope.build.worker", BuildRequest, BuildEvent)


def source_of(job: Job, image: str) -> str:
    """Returns the source of an image that a build created."""
    request = BUILD.request_of(job)
    return f"docker-daemon:{image}" if request is None else request.source(image)


def start_build(request: BuildRequest) -> Job:
    """Starts a build with the current engine, or with the embedded builder if none is set up.

    Raises LayerscopeError if the job cannot be stored or started.
    """
    from layerscope.engines.address import has_engine

    if request.builder == "auto" and not has_engine():
        request = replace(request, builder="embedded")
    title = " ".join(request.tags) or request.context
    return BUILD.start(title, replace(request, engine=_engine(request.builder)))


def _engine(builder: str) -> str:
    from layerscope.engines.address import current_address

    if builder == "embedded":
        return builder
    try:
        return current_address().shown
    except LayerscopeError:
        return ""
