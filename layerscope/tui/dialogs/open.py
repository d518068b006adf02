"""Asks for the name of an image or an archive."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.widgets import Input

from layerscope.tui.dialogs.dialog import Dialog
from layerscope.tui.dialogs.path_completion import SourceSuggester
from layerscope.tui.dialogs.text_entry import TextEntry
from layerscope.tui.keys.key import Key
from layerscope.tui.rows.format import left

#: The forms of a source, and what each opens.
SOURCES = (
    ("./image.tar", "an archive of `docker save`"),
    ("debian:12", "an engine's image, by name or id"),
    ("container:NAME", "a container and what it wrote"),
    ("docker://debian:12", "a registry, without a pull"),
    ("oci:FOLDER", "an OCI image layout"),
    ("docker-root:FOLDER", "a Docker daemon's data folder"),
    ("containerd-root:FOLDER", "a Kubernetes node's data folder"),
    ("containers-storage:NAME", "a storage of Podman, CRI-O, Buildah"),
)

_WITHOUT_ENGINE = ("./image.tar", "docker://debian:12", "oci:FOLDER", "docker-root:FOLDER")


def source_lines(without_engine: bool = False) -> list[str]:
    """Returns the forms of a source, one a line; optionally only those that need no engine."""
    if without_engine:
        return [f"{left(name, 19)} {what}" for name, what in SOURCES if name in _WITHOUT_ENGINE]
    return [f"{left(name, 23)} {what}" for name, what in SOURCES]


class OpenScreen(Dialog[str | None], screen="open", heading="Opening an image"):
    ANSWERS = "enter opens, tab completes, esc goes back"
    KEYS = (
        Key("open.back", "escape", "dismiss(None)", "Back"),
        Key("open.complete", "tab", "complete", "Complete the name", priority=True),
    )

    def __init__(self, names: Sequence[str] = ()) -> None:
        """Asks; completes `names`, the sources of images and containers."""
        super().__init__("Open an image", hint="\n".join(source_lines()))
        self._names = names

    def body(self) -> ComposeResult:
        yield TextEntry(
            id="open-source",
            placeholder="debian:bookworm or ./image.tar",
            suggester=SourceSuggester(self._names),
        )

    def on_mount(self) -> None:
        self.set_focus(self.query_one(Input))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.dismiss(event.value.strip() or None)
