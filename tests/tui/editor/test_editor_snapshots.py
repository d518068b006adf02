"""Pictures of the editor, compared with those that were found to be good."""

from __future__ import annotations

from pathlib import Path

import pytest

from layerscope.tui.app import LayerscopeApp
from layerscope.tui.editor.screen import EditorScreen
from layerscope.tui.terminal.glyphs import Level
from tests.tui import fakes
from tests.tui.conftest import Driven
from tests.tui.editor.test_editor import here
from tests.tui.pictures import Before, Look, Picture, Size, looks, sizes

__all__ = ["here"]

TEXT = """\
# syntax=docker/dockerfile:1
ARG VERSION=3.12
FROM python:${VERSION}-slim AS build
WORKDIR src
ENV LANG=C.UTF-8 \\
    PIP_NO_CACHE_DIR=1
COPY app.py ./
run apt-get update && apt-get install -y python3
RUN --mount=type=cache,target=/root/.cache <<EOF
pip install "flask>=3"
EOF

FROM python
# Only what is needed.
COPY --from=build /app /app
RUN apt-get update && apt-get install -y python3
HEALTHCHECK --interval=30s CMD ["true", "\t\x1b[31m"]
ENTRYPOINT python -m app
"""

#: The keys that lead there, and whether an image is open.
CASES: dict[str, tuple[tuple[str, ...], bool]] = {
    "problems": (("f8", "f8"), False),
    "layers": (("ctrl+end", "up"), True),
    "completion": (("ctrl+end", *"CO"), False),
    "flags": (("ctrl+end", *"COPY --"), False),
    "selected": (("down", "down", "shift+down", "shift+end"), False),
    "help": (("down", "down", "down", "f1"), False),
    "leave": (("x", "escape"), False),
    "find": (("ctrl+f", *"python", "enter"), False),
}


def app(theme: str, image: bool, glyphs: Level = Level.UNICODE) -> LayerscopeApp:
    Path("Dockerfile").write_text(TEXT)
    return LayerscopeApp(
        "hello:latest" if image else None, **fakes.parts(), theme=theme, glyphs=glyphs
    )


def then(keys: tuple[str, ...]) -> Before:
    """Opens the editor, waits for the problems, presses keys, and waits again."""

    async def before(ui: Driven) -> None:
        await ui.started()
        await ui.press("e")
        await ui.until(lambda: isinstance(ui.app.screen, EditorScreen))
        screen = ui.app.screen
        assert isinstance(screen, EditorScreen)

        def checked() -> bool:
            return screen.draft.rested and not any(
                map(screen.work.busy, ("lint", "images", "build"))
            )

        await ui.until(checked)
        await ui.walk(*keys)
        await ui.until(checked)

    return before


@sizes((120, 40), (80, 24))
@pytest.mark.parametrize("case", CASES)
def test_editor(picture: Picture, case: str, size: Size) -> None:
    keys, image = CASES[case]
    picture(app("layerscope-dark", image), size, then(keys))


@looks("light", "16", "none", "ascii")
@pytest.mark.parametrize("case", ["layers", "completion"])
def test_look(picture: Picture, look: Look, case: str) -> None:
    keys, image = CASES[case]
    picture(app(look.theme, image, look.glyphs), look.size, then(keys))
