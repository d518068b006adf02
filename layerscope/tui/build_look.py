"""What the form of a build needs worked out beside the screen; the screen is told by messages."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from textual.message import Message

from layerscope.errors import Cancelled, LayerscopeError
from layerscope.tui.background import run_beside

if TYPE_CHECKING:
    from layerscope.build.asked import Asked
    from layerscope.build.builders import Builders
    from layerscope.build.offer import Offer
    from layerscope.dockerfile.context import Context


class BuildersSeen(Message):
    """The engine has said which builders it has, or why it does not answer."""

    def __init__(self, builders: Builders | None, problem: str) -> None:
        super().__init__()
        self.builders, self.problem = builders, problem


class DockerfileSeen(Message):
    """A Dockerfile has been read, and its last build, if one is kept."""

    def __init__(self, path: Path, offer: Offer | None, last: Asked | None) -> None:
        super().__init__()
        self.path, self.offer, self.last = path, offer, last


class ContextSeen(Message):
    """A context has been looked through, or could not be."""

    def __init__(
        self,
        place: tuple[Path, Path],
        context: Context | None,
        problem: str,
        dockerfiles: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self.place, self.context, self.problem = place, context, problem
        self.dockerfiles = dockerfiles


class BuildLook:
    """Looks at what a build would be made of; what is no longer wanted is stopped."""

    def __init__(self, post: Callable[[Message], object], folder: Path) -> None:
        """Begins with nothing.

        Args:
            post: Takes messages, from any thread.
            folder: The folder that names are relative to.
        """
        self._post = post
        self._folder = folder
        self._wanted = threading.Event()

    def builders(self) -> None:
        """Asks the engine for its builders."""

        def work() -> None:
            from layerscope.build.preview import engine_builders

            self._post(BuildersSeen(*engine_builders()))

        run_beside("builders", work)

    def dockerfile(self, path: Path) -> None:
        """Reads a Dockerfile, and how it was built last."""

        def work() -> None:
            from layerscope.build.asked import asked_of
            from layerscope.build.known_builds import last_build
            from layerscope.build.offer import read_offer
            from layerscope.build.request import build_request

            try:
                offer = read_offer(path)
            except LayerscopeError:
                # The field says what is wrong with it.
                offer = None
            job = last_build(path)
            last = None if job is None else asked_of(build_request(job.spec), self._folder)
            self._post(DockerfileSeen(path, offer, last))

        run_beside("dockerfile", work)

    def context(self, folder: Path, dockerfile: Path) -> None:
        """Looks through a context; what is looked through still is not any more."""
        self.leave()
        wanted = self._wanted = threading.Event()

        def stopped() -> None:
            if wanted.is_set():
                raise Cancelled

        def work() -> None:
            from layerscope.build.fields import dockerfiles_in
            from layerscope.dockerfile.context import read_context

            place = (folder, dockerfile)
            try:
                context = read_context(folder, dockerfile, stopped=stopped)
            except Cancelled:
                return
            except LayerscopeError as error:
                self._post(ContextSeen(place, None, str(error)))
            else:
                files = tuple(_shown(each, self._folder) for each in dockerfiles_in(folder))
                self._post(ContextSeen(place, context, "", files))

        run_beside("context", work)

    def leave(self) -> None:
        """Stops looking."""
        self._wanted.set()


def _shown(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)
