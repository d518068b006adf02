"""What an editor leads to: a build, a layer, another text, and out of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from layerscope.dockerfile import shown_text
from layerscope.tui.editor_analysis import SMALL, Formatted
from layerscope.tui.screens.question import QuestionScreen

if TYPE_CHECKING:
    from layerscope.build.request import BuildRequest
    from layerscope.tui.screens.editor import EditorScreen
    from layerscope.tui.session import Opener


class Going:
    """The ways out of an editor."""

    def __init__(self, screen: EditorScreen, opener: Opener) -> None:
        self._screen = screen
        self._opener = opener

    def why_not(self, action: str) -> str:
        """Why a key means nothing now; empty if it does."""
        screen = self._screen
        if action == "problem" and not screen.problems.count:
            return "No problems."
        if action == "layer" and screen.made.here is None:
            if not screen.made.known:
                return "No layers are known: open an image that was built from this, or build it."
            return "No layer is known of this instruction: it made none, or was changed since."
        if action == "next_match" and not screen.finder.needle:
            return "Nothing is searched for; ctrl+f begins."
        session = screen.work.around.session
        if action == "reverse" and (session is None or session.image is None):
            return "No image is open that has a history."
        if action in ("format", "complete") and screen.area.read_only:
            return screen.area.reason
        if action == "editor" and screen.keeper.file is None:
            return "Save it under a name first: ctrl+s."
        return ""

    def format(self) -> None:
        """Formats the text, as one edit; the cursor stays where it is."""
        screen = self._screen
        known = screen.analysis if screen.up_to_date else None
        if len(screen.text) > SMALL:
            screen.say("Formatting…")
        screen.work.format(screen.text, known)

    def formatted(self, message: Formatted) -> None:
        """Takes what formatting changes, unless the text has been changed meanwhile."""
        screen = self._screen
        if message.analysis.text != screen.text:
            screen.say("The text was changed meanwhile: nothing was formatted.")
            return
        if not message.edits:
            screen.say("It is formatted already.")
            return
        place = screen.area.place
        shift = sum(len(new) - (s.end - s.start) for s, new in message.edits if s.end <= place)
        screen.area.replace_all(shown_text.held(message.text), place + shift)
        screen.catch_up()
        screen.say("Formatted; ctrl+z undoes it.")

    def leave(self, then: Callable[[], object]) -> None:
        """Leaves, once the user has said what becomes of changes."""
        screen = self._screen
        if not screen.has_unsaved:
            then()
            return

        def answer(letter: str | None) -> None:
            if letter == "s":
                screen.keeper.save(then)
            elif letter == "d":
                # Nothing is kept of what was discarded.
                screen.left = True
                screen.rescuer.forget()
                then()

        answers = [("s", "Save them"), ("d", "Discard them"), ("e", "Go on editing")]
        title = f"{screen.keeper.name} has changes that are not saved"
        screen.app.push_screen(QuestionScreen(title, "", answers), answer)

    def build(self, *, ask: bool) -> None:
        """Saves, and builds.

        Args:
            ask: Whether to ask what to build; if not, it is built as it was last time.
        """
        self._screen.keeper.save(lambda: self._build(ask))

    def _build(self, ask: bool) -> None:
        from layerscope.build.request import BuildRequest, build_request
        from layerscope.tui import building
        from layerscope.tui.screens.build_form import BuildForm

        screen = self._screen
        path = screen.keeper.path
        build = screen.work.around.build
        known = None if build is None else build_request(build[0].spec)

        def chosen(request: BuildRequest | None) -> None:
            if request is not None:
                building.start(screen.app, request, self._opener, self._built, screen.say)

        if known is not None and not ask:
            # Whether the cache is used and bases are pulled is asked anew each time.
            chosen(replace(known, no_cache=False, pull=False))
            return
        screen.app.push_screen(
            BuildForm(known or BuildRequest(str(path.parent), str(path))), chosen
        )

    def _built(self, source: str | None) -> None:
        from layerscope.tui.leads import LayerGoal

        if source is not None:
            goal = LayerGoal(source)
            self.leave(lambda: self._screen.dismiss(goal))

    def to_layer(self) -> None:
        """Goes to the layer of the instruction, in the image that is open or the last build's."""
        from layerscope.tui.leads import LayerGoal

        screen = self._screen
        made, build = screen.made.here, screen.work.around.finished
        if made is None:
            return
        if made.layer is not None:
            goal = LayerGoal(None, made.diff_id)
        else:
            image = build.state.last_image if build is not None else None
            if image is None:
                screen.say("The image of the last build is not known.")
                return
            goal = LayerGoal(f"docker-daemon:{image}", made.diff_id)
        self.leave(lambda: screen.dismiss(goal))

    def reverse(self) -> None:
        """Shows a Dockerfile made from the history of the open image."""
        from layerscope.tui.editing import reversed_text

        screen = self._screen
        session = screen.work.around.session
        if session is None or session.image is None:
            return
        text, source = reversed_text(session.image)

        def show() -> None:
            screen.left = False
            screen.keeper.open_text(text, source)

        self.leave(show)
