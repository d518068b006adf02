"""Every binding of the app: where it holds, its id, and the keys that the settings give it.

A screen or widget with keys of its own has its line in `SCOPES`. From there the help, the palette,
`config show` and the check of the settings file know of it; nothing is imported before one of these
is wanted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module

from textual.binding import Binding
from textual.keys import KEY_NAME_REPLACEMENTS, Keys, key_to_character

from layerscope.config import Settings
from layerscope.text import visible

_LISTED = "`layerscope config` lists all that there are"


@dataclass(frozen=True, slots=True)
class Scope:
    """A class with bindings, and where these hold.

    Attributes:
        heading: What the help calls it.
        owner: The class, as `module:name`, the module below `layerscope.tui`.
        screen: Which screen it is part of; empty if it is part of many.
        alone: Whether it has the focus, so that no other of its screen that is alone has it.
    """

    heading: str
    owner: str
    screen: str = ""
    alone: bool = False

    def load(self) -> type:
        """The class."""
        module, _, name = self.owner.partition(":")
        found: type = getattr(import_module(f"layerscope.tui.{module}"), name)
        return found

    def bindings(self) -> list[Binding]:
        """Its own bindings, one for each key, without those of its base classes."""
        return list(Binding.make_bindings(self.load().__dict__.get("BINDINGS", ())))

    def meets(self, other: Scope) -> bool:
        """Whether keys of both can be waiting for the user at the same time."""
        if self == other:
            return True
        if self.alone and other.alone:
            return False
        return not self.screen or not other.screen or self.screen == other.screen


#: In the order of the help.
SCOPES: tuple[Scope, ...] = (
    Scope("Around an image", "screens.main:MainScreen", "main"),
    Scope("Everywhere", "app:LayerscopeApp"),
    Scope("In lists", "widgets.row_view:RowView"),
    Scope("1 Images", "widgets.image_list:ImageList", "main", alone=True),
    Scope("2 Layers", "widgets.layer_list:LayerList", "main", alone=True),
    Scope("3 Files", "widgets.file_tree:FileTree", "main", alone=True),
    Scope("While a filter is typed", "widgets.filter_bar:FilterBar", "main", alone=True),
    Scope("Versions and differences", "screens.diff:DiffScreen", "diff"),
    Scope("Versions and differences", "screens.versions:VersionsScreen", "diff"),
    Scope("Versions and differences", "widgets.version_list:VersionList", "diff", alone=True),
    Scope("Versions and differences", "widgets.diff_view:DiffView", "diff", alone=True),
    Scope("A file", "screens.content:ContentScreen", "content"),
    Scope("A file", "widgets.content_view:ContentView", "content", alone=True),
    Scope("Versions and differences", "screens.pair_diff:PairDiffScreen", "diff"),
    Scope("Two images", "screens.compare:CompareScreen", "compare"),
    Scope("Two images", "widgets.pair_lists:ConfigList", "compare", alone=True),
    Scope("While something is typed", "widgets.prompt:PromptEntry", alone=True),
    Scope("Packages", "screens.packages:PackagesScreen", "packages"),
    Scope("Packages", "screens.packages:PackageList", "packages", alone=True),
    Scope("Finding a file", "screens.find:FindScreen", "find"),
    Scope("Finding a file", "screens.find:FindEntry", "find", alone=True),
    Scope("Finding a file", "screens.find:Found", "find", alone=True),
    Scope("Removing images", "screens.remove:RemoveScreen", "remove"),
    Scope("Waste", "screens.waste:WasteScreen", "waste"),
    Scope("Waste", "widgets.waste_list:WasteList", "waste", alone=True),
    Scope("A build", "screens.build:BuildScreen", "build"),
    Scope("1 Steps", "widgets.step_list:StepList", "build", alone=True),
    Scope("2 Log", "widgets.build_log:BuildLog", "build", alone=True),
    Scope("A Dockerfile", "screens.editor:EditorScreen", "editor"),
    Scope("A Dockerfile", "widgets.problem_list:ProblemList", "editor", alone=True),
    Scope(
        "While a Dockerfile is typed",
        "widgets.dockerfile_area:DockerfileArea",
        "editor",
        alone=True,
    ),
    Scope("In what it offers", "widgets.completion_list:CompletionList", "completion"),
    Scope("What to build", "screens.build_form:BuildForm", "build_form"),
    Scope("What to build", "widgets.toggle:Toggle", "build_form", alone=True),
    Scope("What to build", "widgets.offer_list:OfferList", "build_form", alone=True),
    Scope("Jobs", "screens.jobs:JobsScreen", "jobs"),
    Scope("Jobs", "widgets.job_rows:JobRows", "jobs", alone=True),
    Scope("Opening an image", "screens.open:OpenScreen", "open"),
    Scope("In jump mode", "screens.jump:JumpScreen", "jump"),
    Scope("Copying", "screens.copy:CopyScreen", "copy"),
    Scope("Saving", "screens.save:SaveScreen", "save"),
    Scope("In the palette", "screens.palette:PaletteScreen", "palette"),
    Scope("A choice", "screens.choice:ChoiceScreen", "choice"),
    Scope("A question", "screens.question:QuestionScreen", "question"),
    Scope("Two texts", "screens.text_diff:TextDiffScreen", "text_diff"),
    Scope("A message", "screens.message:MessageScreen", "message"),
    Scope("This page", "screens.help:HelpScreen", "help"),
)


@dataclass(frozen=True, slots=True)
class Bound:
    """An action and its keys.

    Attributes:
        id: The id, as the settings file names it.
        keys: Its keys, as Textual names them.
        what: What it does.
        scope: Where it holds.
    """

    id: str
    keys: tuple[str, ...]
    what: str
    scope: Scope


def all_bound() -> dict[str, Bound]:
    """Every action with a key, by its id, with its default keys."""
    found: dict[str, Bound] = {}
    for scope in SCOPES:
        for binding in scope.bindings():
            known = found.get(binding.id or "")
            keys = (*known.keys, binding.key) if known else (binding.key,)
            what = binding.tooltip or binding.description
            found[binding.id or ""] = Bound(binding.id or "", keys, what, scope)
    return found


def checked_keymap(settings: Settings) -> dict[str, str]:
    """The keys of the settings, as `App.set_keymap` takes them.

    What cannot be is taken out of the settings, with a warning: ids and keys that there are not,
    and keys that mean something else at the same place.
    """
    if not settings.keys:
        return {}
    bound = all_bound()
    for name in list(settings.keys):
        if name not in bound:
            settings.drop_key(name, f"there is no binding {visible(name)!r}; {_LISTED}")
            continue
        keys = tuple(_normal(key) for key in settings.keys[name])
        unknown = [key for key in keys if not _exists(key)]
        if unknown:
            settings.drop_key(name, f"{name}: there is no key {visible(unknown[0])!r}")
        else:
            settings.keys[name] = keys
    while clash := next(_clashes(settings.keys, bound), None):
        name, key, other = clash
        what = f"{other.id} ({other.what})" if other.what else other.id
        settings.drop_key(name, f"{name}: the key {visible(key)} is taken by {what}")
    return {name: ",".join(keys) for name, keys in settings.keys.items()}


def _clashes(
    wanted: Mapping[str, tuple[str, ...]], bound: Mapping[str, Bound]
) -> Iterator[tuple[str, str, Bound]]:
    """Ids whose keys mean something else too; the later of two in the file goes first."""
    for name in reversed(list(wanted)):
        for key in wanted[name]:
            # Where two actions share a key by default, the nearer one is meant to go first.
            if key in bound[name].keys:
                continue
            for other in bound.values():
                if other.id == name or not other.scope.meets(bound[name].scope):
                    continue
                if key in wanted.get(other.id, other.keys):
                    yield name, key, other


_NAMED = frozenset(key.value for key in Keys) | frozenset(KEY_NAME_REPLACEMENTS.values())
_MODIFIERS = re.compile(r"^(?:(?:ctrl|shift|alt|super|meta|hyper)\+)*")


def _normal(key: str) -> str:
    """A key by the name that Textual has for it."""
    if len(key) == 1:
        binding = next(iter(Binding.make_bindings([(key, "x", "x")])))
        return binding.key
    return key


def _exists(key: str) -> bool:
    if key in _NAMED:
        return True
    name = _MODIFIERS.sub("", key)
    return bool(name) and (len(name) == 1 or name in _NAMED or key_to_character(name) is not None)
