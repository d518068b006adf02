"""The transfers in the dialog: pull, push, save, load, and push to an engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from layerscope.config import STORE
from layerscope.jobs.job import Job
from layerscope.records import replace
from layerscope.text import docker_size, visible
from layerscope.transfer.request import (
    KINDS,
    LOAD,
    SAVE,
    LoadRequest,
    SaveRequest,
    TransferRequest,
    reference_of,
    start_push_to,
    start_transfer,
)
from layerscope.tui.session import Connector
from layerscope.tui.work import Task

if TYPE_CHECKING:
    from layerscope.transfer.loading import PlannedImage

_IMAGE = "debian:bookworm"
_DOES = {"pull": "pulls", "push": "pushes", "load": "loads"}
_NAME_HINT = "NAME[:TAG] of Docker Hub, or HOST/NAME[:TAG]"


@dataclass(frozen=True, slots=True)
class Field:
    label: str
    name: str
    value: str = ""
    placeholder: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """The preview of a transfer."""

    lines: Sequence[str]
    start: Callable[[], Job]
    answer: str  # What `enter` then does.


@dataclass(frozen=True, slots=True)
class Asked:
    """A requested transfer: its preview, for a thread, and how to start it without one."""

    look: Callable[[Task[None]], Look]
    blind: Look | None = None


class Verb:
    title: ClassVar[str]
    hint: ClassVar[str] = ""
    ways: Sequence[str] = ("",)  # The possible ways, as sentences.
    waiting: ClassVar[str] = "Asking the registry…"
    fields: Sequence[Field]

    def ask(self, typed: Mapping[str, str], way: int) -> Asked | None:
        """Returns what the fields request, None if incomplete. Raises LayerscopeError."""
        raise NotImplementedError

    def forced_way(self, typed: Mapping[str, str], way: int) -> int:
        """Returns the way to use, where the typed text leaves no choice."""
        return way


class _Registry(Verb):
    hint = _NAME_HINT
    ways: Sequence[str] = (
        "The engine does it.",
        "layerscope's own client does it, and resumes interrupted layers in the next attempt, too.",
    )
    kind: ClassVar[str]

    def __init__(
        self, name: str, connector: Connector, insecure: bool, *, own_store: bool = False
    ) -> None:
        self.fields = [Field("Image", "name", name, _IMAGE)]
        self._connector = connector
        self._insecure = insecure
        self._own_store = own_store
        if own_store:
            self.ways = self.ways[1:]

    def ask(self, typed: Mapping[str, str], way: int) -> Asked | None:
        target = typed.get("to", "")
        if not typed["name"]:
            return None
        if target:
            # Not at the top: the dialog is there before the client of registries is.
            from layerscope.transfer.places import check_place, parse_place

            place = parse_place(target)
            check_place(place)
            target = str(place)
        request = TransferRequest(
            str(reference_of(typed["name"])),
            insecure=self._insecure,
            via="registry" if way or self._own_store else "engine",
            target=target,
        )
        answer = f"{_DOES[self.kind]} it"
        start = lambda: start_transfer(KINDS[self.kind], request)  # noqa: E731
        # The engine may have access to the registry that this program lacks.
        blind = None if request.via == "registry" else Look((), start, f"{answer} all the same")
        return Asked(lambda task: self._look(request, task, answer), blind)

    def _look(self, request: TransferRequest, task: Task[None], answer: str) -> Look:
        lines, seen = self._lines(request, task)
        # Ensures that the transfer replaces or gets what was shown.
        asked = replace(request, seen=seen)
        return Look(lines, lambda: start_transfer(KINDS[self.kind], asked), answer)

    def _lines(self, asked: TransferRequest, task: Task[None]) -> tuple[list[str], str | None]:
        """Returns the preview, and the digest of the name in its registry; see `seen`."""
        # Not at the top: the dialog is there before the client of registries is.
        from layerscope.reports.transfer_report import pull_text, push_text
        from layerscope.transfer.preview import preview_own_pull, preview_pull, preview_push

        reference = reference_of(asked.reference)
        insecure = asked.insecure
        with ExitStack() as stack:
            engine = None if asked.target else stack.enter_context(closing(self._connector()))
            if engine is None or (self.kind == "pull" and asked.via == "registry"):
                found = preview_own_pull(
                    engine, reference, target=asked.target, insecure=insecure, check=task.check
                )
                return list(pull_text(found)), found.there
            if self.kind == "pull":
                pull = preview_pull(engine, reference, insecure=insecure, check=task.check)
                return list(pull_text(pull)), pull.there
            push = preview_push(engine, reference, insecure=insecure, check=task.check)
            return list(push_text(push)), push.there


class Pull(_Registry):
    title = "Pull an image"
    kind = "pull"

    def __init__(
        self, name: str, connector: Connector, insecure: bool, *, own_store: bool = False
    ) -> None:
        super().__init__(name, connector, insecure, own_store=own_store)
        usual = f"the {STORE}" if own_store else "the engine"
        self.fields = [
            *self.fields,
            Field("To", "to", "", f"{usual}, or oci:DIR, docker-archive:FILE"),
        ]

    def forced_way(self, typed: Mapping[str, str], way: int) -> int:
        # Engines do not pull into files.
        return len(self.ways) - 1 if typed.get("to") else way


class Push(_Registry):
    title = "Push an image"
    kind = "push"


class Save(Verb):
    title = "Save an image to a file"
    hint = "FILE or docker-archive:FILE, oci-archive:FILE, oci:FOLDER"
    ways = (
        "Layers stay as they are stored.",
        "Layers are compressed with gzip.",
        "Layers are compressed with zstd.",
    )
    waiting = "Reading the image…"

    def __init__(self, name: str, insecure: bool) -> None:
        self.fields = [
            Field("Image", "name", name, _IMAGE),
            Field("To", "to", "", "./image.tar"),
        ]
        self._insecure = insecure

    def ask(self, typed: Mapping[str, str], way: int) -> Asked | None:
        # Not at the top: the dialog opens before the formats are imported.
        from layerscope.engines.sources import FILES
        from layerscope.transfer.saving import check_request
        from layerscope.writing import existing

        source, target = typed["name"], typed["to"]
        if not (source and target):
            return None
        form, colon, rest = target.partition(":")
        form, target = (form, rest) if colon and form in FILES and rest else (FILES[0], target)
        path = Path(target).expanduser().absolute()
        there = existing(path) if form != "oci" and path.is_file() else None
        request = SaveRequest(
            source,
            form,
            str(path),
            ("", "gzip", "zstd")[way],
            insecure=self._insecure,
            replaces=there,
        )
        check_request(request)

        def look(task: Task[None]) -> Look:
            lines = _image_lines(source, self._insecure, task)
            answer = f"saves it to {visible(target)}"
            if there is not None:
                lines.append(f"{visible(str(path))} is there, with {docker_size(there.size)}.")
                answer = "replaces that file"
            return Look(lines, lambda: SAVE.start(f"{source} to {target}", request), answer)

        return Asked(look)


def _image_lines(source: str, insecure: bool, task: Task[None]) -> list[str]:
    from layerscope.engines.resolve import open_image
    from layerscope.images.image import missing_text
    from layerscope.text import plural, short_id

    with closing(open_image(source, task.progress, insecure=insecure)) as reader:
        image = reader.image
    count = plural(len(image.layers), "layer")
    lines = [f"{visible(image.reference)}, image {short_id(image.id)}: {count}."]
    return lines + ([missing_text(image)] if image.missing else [])


class Load(Verb):
    title = "Load images into the engine"
    hint = "An archive or an OCI layout, compressed or not"
    waiting = "Reading the archive…"

    def __init__(self, connector: Connector) -> None:
        self.fields = [Field("From", "name", "", "./image.tar or a folder")]
        self._connector = connector

    def ask(self, typed: Mapping[str, str], way: int) -> Asked | None:
        source = typed["name"]
        if not source:
            return None
        if source.startswith("~"):
            source = str(Path(source).expanduser())

        def look(task: Task[None]) -> Look:
            from layerscope.transfer.loading import plan_load

            with closing(self._connector()) as engine:
                name, plans = engine.name, plan_load(engine, source, task.progress)
            return _load_look(
                name, plans, lambda moves: LOAD.start(source, LoadRequest(source, moves)), "load"
            )

        return Asked(look)


class PushToEngine(Verb):
    title = "Push an image to another engine"
    hint = "A name from the list of engines"
    waiting = "Asking the engines…"

    def __init__(self, name: str, holder: str, engine: str) -> None:
        self.fields = [Field("Image", "name", name, _IMAGE), Field("To", "to", engine, "an engine")]
        self._holder = holder

    def ask(self, typed: Mapping[str, str], way: int) -> Asked | None:
        source, other = typed["name"], typed["to"]
        if not (source and other):
            return None

        def look(task: Task[None]) -> Look:
            from layerscope.engines.address import engine_address
            from layerscope.engines.docker import connect_any
            from layerscope.transfer.loading import plan_send

            with closing(connect_any(engine_address(other))) as engine:
                plan = plan_send(engine, source, task.progress, self._holder)
                name = engine.name
            return _load_look(
                name,
                [plan],
                lambda moves: start_push_to(source, other, moves, self._holder),
                "push",
            )

        return Asked(look)


def _load_look(
    engine: str,
    plans: Sequence[PlannedImage],
    start: Callable[[dict[str, str]], Job],
    verb: str,
) -> Look:
    from layerscope.reports.load_report import load_text
    from layerscope.transfer.loading import moves_of

    moves = moves_of(plans)
    it = "them" if len(plans) > 1 else "it"
    answer = f"moves the name and {_DOES[verb]} {it}" if moves else f"{_DOES[verb]} {it}"
    return Look(list(load_text(engine, plans)), lambda: start(moves), answer)
