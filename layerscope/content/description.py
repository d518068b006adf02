"""What is said of a file: its kind, and facts."""

from __future__ import annotations

from dataclasses import dataclass

FactValue = str | int | bool | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that is known of a file. Texts are as the file has them, not yet safe to show.

    Attributes:
        key: What it is called in JSON.
        title: What it is called on screen.
        value: What it is.
    """

    key: str
    title: str
    value: FactValue


@dataclass(frozen=True, slots=True)
class Description:
    """What a file is.

    Attributes:
        kind: A word for programs: `text`, `elf`, `png`, `zip`.
        summary: A few words for people, without control characters.
        encoding: That of text, as Python calls it; None for what is no text.
        facts: What else is known.
    """

    kind: str
    summary: str
    encoding: str | None = None
    facts: tuple[Fact, ...] = ()


class NotThatKind(ValueError):
    """The bytes only look like it, or are damaged."""
