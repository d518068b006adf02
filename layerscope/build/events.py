"""The events of a build, the same for every builder, in its journal and on stdout."""

from __future__ import annotations

from typing import Literal, get_args

from layerscope.records import Count, Number, Record, Seconds, UnixTime

#: Events that `layerscope build --json-lines` prints; the others are for the build screen.
Public = Literal[
    "step_started",
    "log",
    "step_cached",
    "step_committed",
    "step_failed",
    "warning",
    "finished",
    "failed",
]
Kind = Literal[Public, "plan", "context", "step_done"]
PUBLIC = frozenset(get_args(Public))


class BuildEvent(Record, frozen=True, omit_defaults=True):
    """Something that happened in a build; fields with their default are left out of JSON."""

    event: Kind  # What happened.
    #: Number of the step, from 1, counting the Dockerfile's instructions.
    step: Count | None = None
    steps: Count | None = None  # Number of steps.
    #: For an ONBUILD trigger of a base image, its number, from 1, with its FROM as `step`; else 0.
    trigger: Count = 0
    instruction: str | None = None  # The step's instruction, as reported by the builder.
    line: Count | None = None  # Line of the Dockerfile on which it begins, from 1.
    #: A line of the log, a warning, or an error sentence.
    text: str | None = None
    image: str | None = None  # Id of the image that is committed or finished.
    diff_id: str | None = None  # Digest of the layer that the step added; None if it added none.
    #: Bytes of the layer's regular files, each inode once, as `inspect` counts them; for the
    #: finished image, of all its layers.
    size: Count | None = None
    added: Count | None = None  # Number of entries that the layer adds.
    modified: Count | None = None  # Number of entries that it modifies.
    removed: Count | None = None  # Number of entries that it removes.
    #: Bytes of lower layers that it hides; for the finished image, all wasted bytes.
    wasted: Count | None = None
    copied: Count | None = None  # Bytes of hidden files that the layer contains again, unchanged.
    #: The largest files that it hides: path and bytes.
    hidden: tuple[tuple[str, Count], ...] | None = None
    seconds: Seconds | None = None  # Duration of the step or the build.
    exit_code: Number | None = None  # Exit code of the step's command.
    tags: tuple[str, ...] | None = None  # Names of the finished image.
    files: Count | None = None  # For a context: its number of files.
    #: For a context: the number of files and folders excluded by the ignore file named in `text`.
    ignored: Count | None = None
    #: For a context: its largest files, path and bytes.
    largest: tuple[tuple[str, Count], ...] | None = None
    #: For a plan: number, line and instruction of each step.
    plan: tuple[tuple[Count, Count | None, str], ...] | None = None
    #: For a plan: numbers of the steps whose layers the image has.
    chain: tuple[Count, ...] | None = None
    time: UnixTime | None = None  # Unix time.

    @property
    def key(self) -> tuple[int, int]:
        return self.step or 0, self.trigger

    @property
    def changes(self) -> list[str]:
        """Returns the numbers of added, modified and removed entries in words, without zeros."""
        counts = {"added": self.added, "modified": self.modified, "removed": self.removed}
        return [f"{number} {name}" for name, number in counts.items() if number]


class LayerFacts(Record, frozen=True, omit_defaults=True):
    """A layer; for the fields, see `BuildEvent`."""

    diff_id: str
    size: int
    added: int
    modified: int
    removed: int
    wasted: int
    copied: int = 0
    hidden: tuple[tuple[str, int], ...] = ()


#: The facts by layer; the bytes of all layers, and the wasted ones.
Measured = tuple[dict[int, LayerFacts], tuple[int, int]]
