"""The panes of the editor, what it says in them, and what its keys ask for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Container
from textual.screen import Screen

from layerscope.dockerfile import shown_text
from layerscope.tui.glyphs import SEPARATOR
from layerscope.tui.leads import LayerGoal
from layerscope.tui.screens.editor_keys import HINTS
from layerscope.tui.widgets.completion_list import CompletionList
from layerscope.tui.widgets.dockerfile_area import DockerfileArea
from layerscope.tui.widgets.help_pane import HelpPane
from layerscope.tui.widgets.key_bar import KeyBar
from layerscope.tui.widgets.problem_list import ProblemList, WholeProblem
from layerscope.tui.widgets.prompt import Prompt
from layerscope.tui.widgets.title_bar import TitleBar

if TYPE_CHECKING:
    from layerscope.tui.screens.editor_complete import Completer
    from layerscope.tui.screens.editor_file import FileKeeper
    from layerscope.tui.screens.editor_find import Finder
    from layerscope.tui.screens.editor_going import Going
    from layerscope.tui.screens.editor_layers import Layers
    from layerscope.tui.screens.editor_problems import Problems


class EditorPanes(Screen[LayerGoal | None], inherit_bindings=False):
    """Text, help and problems, with a bar above and below.

    Each of the parts that follow has a file of its own; a key is handed on to one of them.
    """

    completer: Completer
    finder: Finder
    going: Going
    keeper: FileKeeper
    made: Layers
    problems: Problems

    CSS_PATH = "editor.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-tiny"), (30, "-tall")]  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.AUTO_FOCUS = "#text"  # type: ignore[misc]
        self.title_bar = TitleBar()
        self.area = DockerfileArea()
        self.help_pane = HelpPane()
        self.problem_list = ProblemList()
        self.whole_problem = WholeProblem()
        self.popup = CompletionList(self._take_candidate, self._close_candidates)
        self.keys = KeyBar(HINTS)
        self.prompt = Prompt(self._end_prompt)

    def _take_candidate(self) -> None:
        self.completer.take()

    def _close_candidates(self) -> None:
        self.completer.close()

    def compose(self) -> ComposeResult:
        """The panes and bars."""
        size = self.app.size
        for points, at in (
            (self.HORIZONTAL_BREAKPOINTS, size.width),
            (self.VERTICAL_BREAKPOINTS, size.height),
        ):
            self.add_class([name for least, name in points if at >= least][-1])
        yield self.title_bar
        with Container(id="editor-body"):
            yield self.area
            yield self.help_pane
            yield self.problem_list
        yield self.whole_problem
        yield self.popup
        with Container(id="bottom"):
            yield self.keys
            yield self.prompt

    # What it says.

    def tell(self) -> None:
        """Says in the title what is edited, and where the cursor is."""
        if not self.is_mounted:
            return
        keeper, area = self.keeper, self.area
        facts = []
        if keeper.file is None:
            facts.append("read-only until it is saved under a name")
        elif area.reason:
            facts.append("read-only")
        elif keeper.file.stamp is None:
            facts.append("a new file")
        if keeper.dirty:
            facts.append("not saved yet")
        if keeper.file is not None and keeper.file.crlf:
            facts.append("CRLF line ends")
        self.title_bar.set_image(keeper.name, ", ".join(facts))
        row, column = area.selection.end
        parts = [f"{row + 1}:{column + 1}"]
        made = self.made.here
        if made is not None:
            number = "" if made.layer is None else f"layer {made.layer} "
            parts.insert(0, f"{number}{made.label}")
        line = area.document.get_line(row)
        if column < len(line) and shown_text.stands(line[column]):
            parts.insert(0, shown_text.name(line[column]))
        self.title_bar.set_right(SEPARATOR.join(parts))

    def say(self, text: str) -> None:
        """Says a sentence at the bottom, until the next key."""
        self.keys.say(text)

    def show_help(self) -> None:
        """Shows help on what is under the cursor."""

    def ask(self, label: str, text: str, hint: str, answer: Callable[[str], None]) -> None:
        """Asks at the bottom; see `Prompt.ask`."""
        self.completer.close()
        self.keys.display = False
        self.prompt.ask(label, text, hint, answer)

    def _end_prompt(self) -> None:
        self.keys.display = True
        self.set_focus(self.area, scroll_visible=False)

    # Keys.

    def action_save(self) -> None:
        """Saves."""
        self.keeper.save()

    def action_save_as(self) -> None:
        """Saves under another name."""
        self.keeper.save_as()

    def action_complete(self) -> None:
        """Shows what could stand here."""
        self.completer.offer(asked=True)

    def action_find(self) -> None:
        """Asks what to find."""
        self.finder.ask()

    def action_go(self) -> None:
        """Asks for a line."""
        self.finder.ask_line()

    def action_next_match(self, step: int) -> None:
        """Goes to another match."""
        self.finder.go(step)

    def action_problem(self, step: int) -> None:
        """Goes to another problem."""
        self.problems.go(step)

    def action_problems(self) -> None:
        """Goes to the list of problems, or back."""
        here = self.focused is self.area
        self.set_focus(self.problem_list if here else self.area, scroll_visible=False)
        self.problems.show_whole()

    def action_help(self) -> None:
        """Shows the help, or the problems in its place."""
        self.toggle_class("-helping")
        self.call_after_refresh(self.show_help)

    def action_format(self) -> None:
        """Formats, as one edit."""
        self.going.format()

    def action_editor(self) -> None:
        """Edits in the user's own editor."""
        self.keeper.edit_outside()

    def action_build(self) -> None:
        """Saves, and asks what to build."""
        self.going.build(ask=True)

    def action_build_again(self) -> None:
        """Saves, and builds as before."""
        self.going.build(ask=False)

    def action_layer(self) -> None:
        """Goes to the layer of the instruction."""
        self.going.to_layer()

    def action_reverse(self) -> None:
        """Shows what the history of the open image says."""
        self.going.reverse()
