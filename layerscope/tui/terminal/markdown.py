"""Markdown for a terminal without the TUI: `layerscope help`."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.markdown import Markdown
from rich.theme import Theme

#: Longer lines are hard to read.
_WIDEST = 100
#: Readable on dark and on light terminals.
_STYLES = {"markdown.code": "bold cyan", "markdown.h1": "bold", "markdown.h2": "bold underline"}


def rendered(text: str) -> str:
    """Renders Markdown for the width, colours and characters of the terminal at stdout."""
    console = Console(file=sys.stdout, highlight=False, theme=Theme(_STYLES))
    markdown = Markdown(text, code_theme="ansi_dark", hyperlinks=False)
    with console.capture() as capture:
        console.print(markdown, width=min(console.width, _WIDEST))
    return capture.get()
