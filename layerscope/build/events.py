"""The events of a build, the same for every builder, as they go to its journal and to stdout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

Kind = Literal[
    "plan",
    "context",
    "step_started",
    "step_done",
    "log",
    "step_cached",
    "step_committed",
    "step_failed",
    "warning",
    "finished",
    "failed",
]

_KINDS: tuple[str, ...] = get_args(Kind)

#: What `layerscope build --json-lines` prints; the rest is for whoever shows a build.
PUBLIC = frozenset(
    {
        "step_started",
        "log",
        "step_cached",
        "step_committed",
        "step_failed",
        "warning",
        "finished",
        "failed",
    }
)


@dataclass(frozen=True, slots=True)
class BuildEvent:
    """Something that happened in a build. What does not apply is None, and left out of JSON.

    Attributes:
        event: What it is.
        step: Number of the step, from 1, as the Dockerfile's instructions are counted.
        steps: How many there are.
        trigger: Number of the trigger, from 1, where it is one that the base image has for those
            that build on it (ONBUILD): the step is the FROM that it is run for.
        instruction: The step's instruction, as the builder has it.
        line: Line of the Dockerfile on which it begins, from 1.
        text: A line of the log, a warning, or a sentence that says what went wrong.
        image: Id of the image that is committed, or that is finished.
        diff_id: Digest of the layer that the step added; None if it added none.
        size: Bytes of the layer's regular files, each inode once, as `inspect` counts them; of
            the finished image, of all its layers.
        added: How many of its entries are added.
        modified: How many are modified.
        removed: How many are removed.
        wasted: Bytes of lower layers that it hid; of the finished image, all that can never be
            read.
        copied: Of what a step's layer hid, the bytes that it holds again, unchanged.
        hidden: The largest files that it hid, as pairs of path and bytes.
        seconds: How long the step or the build took.
        exit_code: Exit code of the step's command.
        tags: Names of the finished image.
        files: Of a context: its files.
        ignored: Of a context: how many files and folders `.dockerignore` leaves out.
        largest: Of a context: its largest files, as pairs of path and bytes.
        plan: Of a plan: for each step that there will be, its number, line and instruction.
        chain: Of a plan: numbers of the steps whose layers the image has.
        time: Unix time.
    """

    event: Kind
    step: int | None = None
    steps: int | None = None
    trigger: int | None = None
    instruction: str | None = None
    line: int | None = None
    text: str | None = None
    image: str | None = None
    diff_id: str | None = None
    size: int | None = None
    added: int | None = None
    modified: int | None = None
    removed: int | None = None
    wasted: int | None = None
    copied: int | None = None
    hidden: tuple[tuple[str, int], ...] | None = None
    seconds: float | None = None
    exit_code: int | None = None
    tags: tuple[str, ...] | None = None
    files: int | None = None
    ignored: int | None = None
    largest: tuple[tuple[str, int], ...] | None = None
    plan: tuple[tuple[int, int | None, str], ...] | None = None
    chain: tuple[int, ...] | None = None
    time: float | None = None

    @property
    def changes(self) -> list[str]:
        """How many entries of the layer are added, modified and removed, in words; no zeros."""
        counts = {"added": self.added, "modified": self.modified, "removed": self.removed}
        return [f"{number} {name}" for name, number in counts.items() if number]

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {name: value for name in _NAMES if (value := getattr(self, name)) is not None}


_NAMES = tuple(field.name for field in fields(BuildEvent))

#: What JSON has for a field, by what the field is here; tuples are lists there, checked as made.
_JSON: dict[str, type | tuple[type, ...]] = {"int": int, "str": str, "float": (int, float)}
_TYPES = {
    field.name: _JSON.get(str(field.type).partition(" ")[0], (list, tuple))
    for field in fields(BuildEvent)
}


def build_event(document: Mapping[str, Any]) -> BuildEvent:
    """An event of a journal.

    Raises:
        ValueError: It is none.
    """
    known = {name: document[name] for name in _NAMES if name in document}
    if known.get("event") not in _KINDS:
        raise ValueError("no event of a build")
    for name, value in known.items():
        if name != "event" and not isinstance(value, _TYPES[name]):
            raise ValueError(f"{name} is {value!r}")
    try:
        if "tags" in known:
            known["tags"] = tuple(map(str, known["tags"]))
        for name in ("largest", "hidden"):
            if name in known:
                known[name] = tuple((str(path), int(size)) for path, size in known[name])
        if "chain" in known:
            known["chain"] = tuple(map(int, known["chain"]))
        if "plan" in known:
            known["plan"] = tuple(_planned(*step) for step in known["plan"])
    except TypeError as error:
        raise ValueError(str(error)) from None
    return BuildEvent(**known)


def _planned(number: int, line: int | None, text: str) -> tuple[int, int | None, str]:
    return int(number), None if line is None else int(line), str(text)
