"""The help topics: a Markdown file each, in this folder.

A file begins with a heading, the title, and a paragraph of one line, the summary.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from layerscope.errors import UsageError
from layerscope.text import visible

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Topic:
    name: str
    summary: str


def topics() -> list[Topic]:
    return [_topic(path) for path in sorted(_FOLDER.glob("*.md"))]


def _topic(path: Path) -> Topic:
    _, _, rest = path.read_text("utf-8").partition("\n")
    return Topic(path.stem, rest.strip().partition("\n")[0])


def read(name: str, others: Iterable[str] = ()) -> str:
    """A topic's Markdown.

    Raises:
        UsageError: There is no such topic; the nearest one is suggested, or of `others`.
    """
    known = [topic.name for topic in topics()]
    if name not in known:
        near = difflib.get_close_matches(name.lower(), [*known, *others], n=1)
        hint = f"Did you mean {near[0]}? " if near else ""
        raise UsageError(
            f"There is no help on {visible(name)}.", f"{hint}`layerscope help` lists the topics."
        )
    return (_FOLDER / f"{name}.md").read_text("utf-8")
