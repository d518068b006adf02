"""The description of a file: its kind, and facts."""

from __future__ import annotations

from dataclasses import dataclass

FactValue = str | int | bool | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fact:
    """Something known about a file, with its key in JSON and its title on screen.

    Values are as found in the file, not yet safe to show.
    """

    key: str
    title: str
    value: FactValue


@dataclass(frozen=True, slots=True)
class Description:
    kind: str  # A word for programs: `text`, `elf`, `png`, `zip`.
    summary: str  # A few words for people, without control characters.
    encoding: str | None = None  # The encoding of text, by its Python name, or None.
    facts: tuple[Fact, ...] = ()


class NotThatKind(ValueError):
    """The bytes only look like that kind, or are damaged."""
