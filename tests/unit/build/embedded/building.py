"""Builds in this process, into a store of their own."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerscope.build.embedded.builder import build_embedded
from layerscope.build.embedded.images import StepImages
from layerscope.build.plan import plan_of
from layerscope.build.recorder import Recorder
from layerscope.build.request import BuildRequest
from layerscope.dockerfile.context.context import read_context
from layerscope.dockerfile.syntax.parser import parse
from layerscope.engines.embedded.engine import EmbeddedEngine
from layerscope.engines.embedded.store import Store
from layerscope.errors import BuildFailedError
from layerscope.filesystem.changeset import EntryType
from layerscope.images.loading import load
from layerscope.images.pieces import filled
from layerscope.images.progress import Progress
from layerscope.jobs.worker import Cancellation


@dataclass
class Built:
    image: str  # Its id; empty if the build failed.
    events: list[dict[str, Any]]
    problem: str = ""

    @property
    def cached(self) -> list[int]:
        """The steps that were cache hits."""
        return [each["step"] for each in self.events if each["event"] == "step_cached"]

    @property
    def failed(self) -> int | None:
        """The step that failed."""
        steps = [each["step"] for each in self.events if each["event"] == "step_failed"]
        return steps[0] if steps else None


@dataclass
class Workshop:
    """A build context and a store."""

    context: Path
    store: Store

    @classmethod
    def at(cls, folder: Path) -> Workshop:
        (folder / "context").mkdir(exist_ok=True)
        return cls(folder / "context", Store(folder / "store"))

    @property
    def engine(self) -> EmbeddedEngine:
        return EmbeddedEngine(self.store)

    def write(self, files: Mapping[str, bytes | str]) -> None:
        for name, data in files.items():
            path = self.context / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data if isinstance(data, bytes) else data.encode())

    def build(
        self,
        dockerfile: str | bytes,
        *,
        secrets_: Mapping[str, bytes] | None = None,
        **request: Any,
    ) -> Built:
        data = dockerfile if isinstance(dockerfile, bytes) else dockerfile.encode()
        path = self.context / "Dockerfile"
        path.write_bytes(data)
        wanted = BuildRequest(str(self.context), str(path), "embedded", **request)
        document = parse(data.decode("utf-8", "surrogateescape"))
        arguments = wanted.known_arguments
        plan = plan_of(document, wanted.target, arguments=arguments, builder="embedded")
        events: list[dict[str, Any]] = []
        images = StepImages(self.store)
        recorder = Recorder(lambda event: events.append(dict(event)), images)
        context = read_context(self.context, path, "embedded")
        try:
            image = build_embedded(
                wanted, document, plan, context, images, recorder, Cancellation(), secrets_
            )
        except BuildFailedError as error:
            recorder.drain()
            return Built("", events, str(error))
        recorder.drain()
        return Built(image, events)

    def built(self, dockerfile: str | bytes, **request: Any) -> Built:
        """Builds what must succeed."""
        found = self.build(dockerfile, **request)
        assert not found.problem, found.problem
        return found

    def config(self, image: str) -> dict[str, Any]:
        with closing(self.engine.open(image, "")) as reader:
            found: dict[str, Any] = dict(reader.image.config)
            return found

    def files(self, image: str) -> dict[str, tuple[Any, ...]]:
        """The merged view: for each path, its type, mode, owner, and content or target."""
        with closing(self.engine.open(image, "")) as reader:
            stack = load(reader, Progress()).stack
            found: dict[str, tuple[Any, ...]] = {}
            for row in stack.union(stack.height - 1).tolist() if stack.height else ():
                path = "/" + stack.tree.path(int(stack.nodes[row])).decode("utf-8", "replace")
                kind = EntryType(int(stack.types[row]))
                detail: Any = None
                if kind is EntryType.FILE:
                    inode = int(stack.inodes[row])
                    place = stack.place(inode)
                    assert place is not None
                    detail = b"".join(filled(reader.content(int(stack.layers[inode]), *place)))
                elif kind is EntryType.SYMLINK:
                    detail = (stack.link(int(stack.inodes[row])) or b"").decode()
                owner = int(stack.uids[row]), int(stack.gids[row])
                found[path] = (kind.label, oct(stack.modes[row]), *owner, detail)
            return found
