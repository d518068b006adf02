"""Tips that the main screen shows a new user once."""

from __future__ import annotations

from textual.widget import Widget

from layerscope.tui.keys.key_bar import key_of


def tips(pane: Widget, exploring: bool, offers_demo: bool) -> str:
    """Returns three lines of tips for the main screen; `pane` is one of its panes."""

    def key(name: str) -> str:
        return key_of(pane, name)

    enter, other = "opens the image under the cursor", "any other"
    if offers_demo:
        enter, other = "builds a small demo image", "opens another one"
    return "\n".join(
        (
            f"Each layer shows the files it changed; {key('main.next_pane')} goes to the next pane."
            if exploring
            else f"{key('images.open')} {enter}, {key('main.open')} {other}.",
            f"{key('main.waste')} shows what wastes space, {key('main.versions')} who wrote a "
            f"file, {key('main.compare')} compares images, {key('main.build')} builds.",
            f"{key('app.help')} lists all keys, {key('app.palette')} finds them by name, "
            f"{key('main.back')} goes back. This is shown once.",
        )
    )
