"""The name of a new image, which another image may have to give up."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from textual.app import App

from layerscope.tui.dialogs.question import QuestionScreen
from layerscope.tui.work import Work

if TYPE_CHECKING:
    from layerscope.engines.engine import Engine
    from layerscope.engines.naming import Naming


def claim_name(
    app: App[Any],
    work: Work,
    connector: Callable[[], Engine] | None,
    text: str,
    nothing: str,
    make: Callable[[Naming], None],
) -> None:
    """Creates the image if its name is free; else asks first, and names the image that loses it.

    `nothing` is the other answer: what happens if the name does not move.
    """

    def find(_: object) -> Naming:
        from layerscope.engines.naming import plan_new, whole_name

        assert connector is not None  # noqa: S101
        return plan_new(connector(), whole_name(text.strip()))

    def check(naming: Naming) -> None:
        def answered(letter: str | None) -> None:
            if letter == "y":
                make(naming)

        if naming.taken:
            # enter, which has just submitted the name, chooses the first answer.
            answers = (("n", nothing), ("y", "Move the name to the new image"))
            app.push_screen(QuestionScreen(naming.conflict, "", answers), answered)
        else:
            make(naming)

    work.start("name", find, check)
