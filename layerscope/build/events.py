"""The events of a build, the same for every builder, in its journal and on stdout."""

from __future__ import annotations

from typing import Literal, get_args

from layerscope.records import Count, Number, Record, Seconds, UnixTime

#: What `layerscope build --json-lines` prints; the screen of a build needs the others too.
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
    #: Number of the step, from 1, as the Dockerfile's instructions are counted.
    step: Count | None = None
    steps: Count | None = None  # How many there are.
    #: For an ONBUILD trigger of a base image, its number, from 1, while `step` is the FROM that it
    #: runs for; else 0.
    trigger: Count = 0
    instruction: str | None = None  # The step's instruction, as the builder has it.
    line: Count | None = None  # Line of the Dockerfile on which it begins, from 1.
    #: A line of the log, a warning, or a sentence that says what went wrong.
    text: str | None = None
    image: str | None = None  # Id of the image that is committed or finished.
    diff_id: str | None = None  # Digest of the layer that the step added; None if it added none.
    #: Bytes of the layer's regular files, each inode once, as `inspect` counts them; for the
    #: finished image, of all its layers.
    size: Count | None = None
    added: Count | None = None  # Number of entries that the layer adds.
    modified: Count | None = None  # Number of entries that it modifies.
    removed: Count | None = None  # Number of entries that it removes.
    #: Bytes of lower layers that it hides; for the finished image, all bytes that can never be
    #: read.
    wasted: Count | None = None
    copied: Count | None = None  # Bytes of those that the layer holds again, unchanged.
    #: The largest files that it hides: path and bytes.
    hidden: tuple[tuple[str, Count], ...] | None = None
    seconds: Seconds | None = None  # Duration of the step or the build.
    exit_code: Number | None = None  # Exit code of the step's command.
    tags: tuple[str, ...] | None = None  # Names of the finished image.
    files: Count | None = None  # For a context: its number of files.
    #: For a context: how many files and folders the rules exclude, whose file's name is `text`.
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
        """How many entries of the layer are added, modified and removed, in words; no zeros."""
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


#: The facts by layer; the bytes of all layers, and how many of them can never be read.
Measured = tuple[dict[int, LayerFacts], tuple[int, int]]
