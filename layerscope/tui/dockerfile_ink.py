"""The colours of a Dockerfile, in every theme."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.style import Style

from layerscope.content.highlight import Category
from layerscope.dockerfile.problems import Severity
from layerscope.tui.syntax import syntax_styles
from layerscope.tui.theme import palette

if TYPE_CHECKING:
    from textual.app import App

#: By the names that the colours of a Dockerfile have.
CATEGORIES: Mapping[str, Category | None] = {
    "comment": Category.COMMENT,
    "constant": Category.BUILTIN,
    "keyword": Category.KEYWORD,
    "label": Category.TAG,
    "number": Category.NUMBER,
    "operator": None,
    "property": Category.NAME,
    "punctuation.special": Category.BUILTIN,
    "spell": None,
    "string": Category.STRING,
    "string.escape": Category.BUILTIN,
    "variable": Category.BUILTIN,
}


def dockerfile_styles(app: App[object]) -> Mapping[str, Style]:
    """Styles by the names of colours; what is not in it is plain."""
    styles = syntax_styles(app)
    found = {name: styles[kind] for name, kind in CATEGORIES.items() if kind is not None}
    if palette(app).flat:
        # With few colours or none, the instructions stand out by weight.
        found["keyword"] += Style(bold=True)
    return found


def severity_style(app: App[object], severity: Severity) -> Style:
    """The style of a problem's letter and line."""
    ink = palette(app)
    return {
        Severity.ERROR: ink.removed,
        Severity.WARNING: ink.warning,
        Severity.INFO: ink.accent,
    }[severity]
