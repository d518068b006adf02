"""The file behind an editor: opening, saving, changes by other programs, unsaved changes."""

from __future__ import annotations

import logging
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from layerscope.dockerfile.editing import shown_text
from layerscope.dockerfile.editing.rescue import Rescued, find_rescued, rescue
from layerscope.dockerfile.editing.text_file import (
    TextFile,
    current_folder,
    data_of,
    is_changed,
    read_text_file,
    stamp_of,
    write_text_file,
)
from layerscope.errors import LayerscopeError, NotFoundError, UsageError
from layerscope.text import visible
from layerscope.tui.editor.dialogs import Dialogs
from layerscope.tui.editor.draft import Draft
from layerscope.tui.rows.format import moment
from layerscope.tui.work import Task, Work

Then = Callable[[], object]


class OpenFile:
    def __init__(
        self, draft: Draft, work: Work, dialogs: Dialogs, on_saved: Callable[[], object]
    ) -> None:
        #: The file as last read or written; None for a text without a file.
        self.known: TextFile | None = None
        self.source = ""  # The origin of such a text; safe to show.
        self._draft = draft
        self._work = work
        self._dialogs = dialogs
        self.on_saved = on_saved  # Called once the text has been saved.
        # The original text if it has no file.
        self._text = ""
        # Versions on disk: the one that the user was asked about, and the one that was unreadable.
        self._asked: object = None
        self._unreadable: object = None
        self._asking = False

    @property
    def saved(self) -> str:
        return self._text if self.known is None else self.known.text

    @property
    def dirty(self) -> bool:
        return self._draft.text != self.saved

    @property
    def path(self) -> Path:
        return current_folder() / "Dockerfile" if self.known is None else self.known.path

    @property
    def name(self) -> str:
        """The name of the file; safe to show."""
        if self.known is None:
            return self.source
        path, folder = self.known.path, current_folder()
        return visible(str(path.relative_to(folder) if path.is_relative_to(folder) else path))

    def open(self, path: Path) -> None:
        """Opens a file, which may be new. Raises LayerscopeError if it cannot be read."""
        try:
            self.known = read_text_file(path)
        except NotFoundError:
            self.known = TextFile(path)
        self._draft.load(self.known.text, self._why_read_only(self.known))

    def open_text(self, text: str, source: str) -> None:
        """Opens a text without a file; `source`, its origin, must be safe to show."""
        self.known, self.source, self._text = None, source, text
        self._draft.load(text, "Save it to a file to edit it: ctrl+s.")

    def _why_read_only(self, file: TextFile) -> str:
        if not file.writable:
            return f"{self.name} is write-protected."
        if not shown_text.representable(file.text):
            return "It has private-use characters, which only an external editor can show."
        return ""

    # Saving.

    def save(self, then: Then | None = None) -> None:
        """Saves the file, asking for a name if it has none; then calls a function."""
        if self.known is None:
            self.save_as(then)
        elif self.dirty or self.known.stamp is None:
            self._write(self.known, then)
        elif then is not None:
            then()
        else:
            self._dialogs.say("There are no changes to save.")

    def save_as(self, then: Then | None = None) -> None:
        name = "Dockerfile" if self.known is None else str(self.known.path)

        def take(text: str) -> None:
            mode = None
            try:
                path = current_folder() / Path(text).expanduser()
                mode = path.stat().st_mode
            except FileNotFoundError:
                pass
            except RuntimeError:
                self._dialogs.say("There is no such home folder.")
                return
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else str(error)
                self._dialogs.say(f"It cannot be written there ({visible(str(reason))}).")
                return
            if mode is None:
                base = self.known or TextFile(path)
                new = replace(base, path=path, stamp=None, writable=True)
                self._write(new, then, new=True)
            elif stat.S_ISDIR(mode):
                self._dialogs.say(f"{visible(text)} is a folder.")
            else:
                self._ask_overwrite(path, then)

        self._dialogs.prompt("Save as", visible(name), "A path; ~ is your home folder", take)

    def _ask_overwrite(self, path: Path, then: Then | None) -> None:
        try:
            known = read_text_file(path)
        except LayerscopeError as error:
            self._dialogs.say(str(error))
            return

        def take(letter: str | None) -> None:
            if letter == "o":
                self._write(known, then)
            else:
                self._dialogs.say("Nothing was written.")

        answers = [("n", "Keep it"), ("o", "Overwrite it")]
        self._dialogs.question(f"{visible(str(path))} already exists", "", answers, take)

    def _write(self, file: TextFile, then: Then | None, *, new: bool = False) -> None:
        """Writes the text; asks first if another program has changed the file."""
        if self._work.busy("save"):
            return
        text = self._draft.text

        def run(_: Task[None]) -> TextFile | None:
            if not new and is_changed(file):
                return None
            return write_text_file(file, text, new=new)

        def done(saved: TextFile | None) -> None:
            if saved is None:
                if self.known is None or self.known.path != file.path:
                    self._ask_overwrite(file.path, then)
                else:
                    self._ask_whose(then)
                return
            renamed = self.known is None or self.known.path != saved.path
            self.known, self._asked = saved, None
            if renamed or self._draft.area.reason:
                self._draft.protect(self._why_read_only(saved))
            self._dialogs.say(f"Saved {self.name}.")
            self.on_saved()
            if then is not None:
                then()

        self._work.start("save", run, done)

    # Changes by other programs.

    def look(self) -> None:
        """Checks in the background whether the file has changed on disk."""
        file = self.known
        if file is None or self._work.busy("save") or self._work.busy("disk"):
            return

        def done(changed: bool) -> None:
            busy = self._work.busy("save") or not self._dialogs.undisturbed()
            if changed and file is self.known and not busy:
                self._changed(file)

        self._work.start("disk", lambda _: is_changed(file), done)

    def _changed(self, file: TextFile) -> None:
        """Reloads the file if that loses no edits; asks otherwise."""
        stamp = _stamp(file)
        if self.dirty:
            if stamp != self._asked:
                self._ask_whose(None)
        elif stamp != self._unreadable:
            self.reload(f"{self.name} changed on disk and was reloaded.")

    def _ask_whose(self, then: Then | None) -> None:
        file = self.known
        if file is None or self._asking:
            return
        self._asking, self._asked = True, _stamp(file)
        asked = stamp_of(file.path)
        gone = not file.path.exists()
        answers = [("l", "Later: continue editing"), ("m", "Keep mine: overwrite the file")]
        if not gone:
            answers[1:1] = [
                ("t", "Take the file's text; undo restores mine"),
                ("d", "Show the differences"),
            ]

        def take(letter: str | None) -> None:
            self._asking = letter == "d"
            if letter == "m":
                self._write(replace(file, stamp=asked), then)
            elif letter == "t":
                self.reload("Reloaded. ctrl+z restores your text.")
            elif letter == "d":
                self._show_difference(file, then)

        title = f"{self.name} {'was removed' if gone else 'has changed on disk'}"
        self._dialogs.question(title, "You have unsaved changes.", answers, take)

    def _show_difference(self, file: TextFile, then: Then | None) -> None:
        def again() -> None:
            self._asking = False
            self._ask_whose(then)

        try:
            theirs = read_text_file(file.path)
        except LayerscopeError as error:
            self._asking = False
            self._dialogs.say(str(error))
            return
        old, new = data_of(theirs, theirs.text), data_of(file, self._draft.text)
        self._dialogs.difference("- on disk, + yours", old, new, again)

    def reload(self, sentence: str) -> None:
        """Loads the file from disk and shows a sentence; undo restores the text."""
        if self.known is None:
            return
        try:
            self.known = read_text_file(self.known.path)
        except NotFoundError:
            # The file is gone, so this is the only copy.
            self.known = replace(self.known, text="", stamp=None)
            sentence = f"{self.name} was removed; ctrl+s writes it again."
        except LayerscopeError as error:
            self._unreadable = _stamp(self.known)
            sentence = str(error)
        else:
            self._draft.replace(self.known.text)
            reason = self._why_read_only(self.known)
            self._draft.protect(reason)
            sentence = reason or sentence
        self._dialogs.say(sentence)

    def reload_if_changed(self, sentence: str) -> None:
        """Like `reload`, if the file has changed."""
        if self.known is not None and is_changed(self.known):
            self.reload(sentence)


def _stamp(file: TextFile) -> object:
    try:
        return file.path.stat().st_mtime_ns
    except OSError:
        return "gone"


_log = logging.getLogger(__name__)


class UnsavedChanges:
    """Keeps unsaved changes, and offers them when the file is opened again."""

    def __init__(self, draft: Draft, file: OpenFile, dialogs: Dialogs) -> None:
        self._draft = draft
        self._file = file
        self._dialogs = dialogs
        self._restored: Rescued | None = None

    def keep(self) -> None:
        """Keeps unsaved changes, outside the build context if possible."""
        if not self._file.dirty:
            return
        path, text = self._file.path, self._draft.text
        try:
            rescue(path, text)
        except OSError as error:
            _log.warning("unsaved changes cannot be kept in the state folder: %s", error)
            if not _keep_nearby(self._file.known or TextFile(path), text):
                return
        self.forget()

    def forget(self) -> None:
        """Removes restored changes after they were saved or discarded."""
        if self._restored is not None:
            self._restored.forget()
            self._restored = None

    def offer(self) -> None:
        """Offers kept changes if they are newer than the file."""
        file = self._file.known
        if file is None or self._draft.area.reason:
            return
        found = find_rescued(file)
        if found is not None and shown_text.representable(found.text):
            self._ask(file, found)

    def _ask(self, file: TextFile, found: Rescued) -> None:
        def take(letter: str | None) -> None:
            if letter == "t":
                self._restored = found
                self._draft.replace(found.text)
                self._dialogs.say("Restored. ctrl+z goes back to the saved text.")
            elif letter == "d":
                old, new = data_of(file, file.text), data_of(file, found.text)
                title = "- saved, + unsaved"
                self._dialogs.difference(title, old, new, lambda: self._ask(file, found))
            elif letter == "x":
                found.forget()
                self._dialogs.say("Discarded.")

        answers = [
            ("t", "Restore them; undo goes back to the saved text"),
            ("d", "Show the differences"),
            ("x", "Discard them"),
            ("l", "Later: ask again next time"),
        ]
        title = f"{self._file.name} has unsaved changes"
        when = moment(found.when // 10**9)
        self._dialogs.question(title, f"The editor ended at {when} UTC.", answers, take)


def _keep_nearby(file: TextFile, text: str) -> bool:
    """Keeps a text next to its file, as other editors do; returns whether that worked."""
    for number in range(100):
        ending = f".save.{number}" if number else ".save"
        try:
            write_text_file(
                replace(file, path=file.path.with_name(file.path.name + ending)), text, new=True
            )
        except UsageError:
            continue
        except LayerscopeError as error:
            _log.warning("unsaved changes cannot be kept: %s", error)
            return False
        return True
    return False
