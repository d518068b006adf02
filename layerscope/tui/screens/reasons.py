"""Why a key of the main screen means nothing at the moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerscope.tui.leads import LEADS
from layerscope.tui.widgets.key_bar import key_of

if TYPE_CHECKING:
    from layerscope.tui.screens.main import MainScreen

_NO_IMAGE = "No image is open"
_ONE_PANE = "There is one pane only until an image is open"
#: What is wrong with an action while no image is open.
_WITHOUT_IMAGE = {
    "next_match": _NO_IMAGE,
    "next_pane": _ONE_PANE,
    "platform": _NO_IMAGE,
    "show_kind": _NO_IMAGE,
    "toggle_union": _NO_IMAGE,
    "zoom": _ONE_PANE,
}
#: The same in the list of images.
_ABOUT_FILES = {
    "next_match": "Matches are those of files",
    "show_kind": "Kinds of changes are those of files",
    "toggle_union": "The union is one of layers",
}


def why_not_now(main: MainScreen, action: str, parameters: tuple[object, ...]) -> str:
    """Why an action of the main screen makes no sense now, in a sentence; empty if it does.

    Args:
        main: The screen.
        action: Name of the action.
        parameters: Its parameters.
    """
    if action == "lead" and parameters:
        lead = LEADS.get(str(parameters[0]))
        return "" if lead is None else lead.why_not(main.place)
    images = main.pane is main.images
    if not main.exploring:
        reason = _WITHOUT_IMAGE.get(action, "")
        if action == "pane" and parameters != ("images",):
            reason = _NO_IMAGE
        if reason:
            if main.images.image:
                how = f"{key_of(main, 'images.open')} opens the one under the cursor"
            else:
                how = f"{key_of(main, 'main.open')} opens one"
            return f"{reason}: {how}."
    elif images and action in _ABOUT_FILES:
        return f"{_ABOUT_FILES[action]}: go to the layers or files first."
    if action == "zoom" and images and not main.has_class("-wide"):
        return "The images have the screen to themselves already."
    if images and not main.images.total and action in ("filter", "sort", "reverse"):
        return f"There are no images to {'filter' if action == 'filter' else 'sort'}."
    if action == "platform" and not (main.session and main.session.platforms):
        return "This image is there for one platform only."
    if action == "next_match" and main.files.pattern is None:
        return "No filter is set, so that nothing matches."
    reading = main.session is not None and not main.session.ended
    if action == "cancel" and not (reading or main.files.busy):
        return "Nothing is being read."
    if action == "back" and not (main.exploring or main.images.needle or main.images.marked):
        return "There is nothing to go back to."
    return ""
