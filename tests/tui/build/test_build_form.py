"""The build form: what it offers, what it reports, and the build that it returns."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.keys import _character_to_key

from layerscope.build import instances, preview
from layerscope.build.instances import BuilderInstance
from layerscope.build.request import BuildRequest
from layerscope.tui.app import LayerscopeApp
from layerscope.tui.build.form import BuildForm
from layerscope.tui.keys.keymap import all_bound
from layerscope.tui.rooms import ROOMS
from tests.builders import DOCKER, MISSING, NO_SECRETS
from tests.tui import fakes
from tests.tui.conftest import Driven
from tests.tui.pictures import Before, Look, Picture, Size, looks, sizes

TEXT = """\
ARG BASE=debian
FROM ${BASE}:12 AS build
ARG VERSION=1.2
ARG TOKEN
RUN --mount=type=secret,id=npm,required make
FROM scratch AS web
COPY --from=build /x /
"""
INSTANCES = [
    BuilderInstance("far", "remote", ("tcp://far:1234",), "running"),
    BuilderInstance("broken\x1b[31m", "kubernetes", (), "error", "no\nsuch pod"),
]
SIZES = sizes((80, 24), (120, 40))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A context in the current folder, and an engine with BuildKit."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("TOKEN", "hush-hush")
    monkeypatch.setattr(preview, "engine_builders", lambda *_: (DOCKER, ""))
    monkeypatch.setattr(instances, "known_instances", lambda: INSTANCES[:1])
    monkeypatch.setattr(instances, "instance_states", lambda: INSTANCES)
    folder = tmp_path / "context"
    (folder / "node_modules").mkdir(parents=True)
    (folder / "src").mkdir()
    monkeypatch.chdir(folder)
    (folder / "Dockerfile").write_text(TEXT)
    (folder / "dev.dockerfile").write_text("FROM scratch AS dev\n")
    (folder / ".dockerignore").write_text("node_modules\n*.log\n")
    for number in range(12):
        (folder / "src" / f"file{number:02}.js").write_bytes(bytes(1000 * (number + 1)))
    for name in ("a.log", "b.log"):
        (folder / name).write_text(name)
    return folder


class Form(Driven):
    """A form on the screen, and what came of it."""

    result: BuildRequest | str | None = "open"

    @property
    def form(self) -> BuildForm:
        screen = self.app.screen
        assert isinstance(screen, BuildForm)
        return screen

    def note(self, label: str) -> str:
        """What the line of a field shows."""
        (line,) = [line for line in self.lines[:13] if line.startswith(f" {label}")]
        return line.removeprefix(f" {label}").strip()

    @property
    def offers(self) -> list[str]:
        return [line for line in self.pane("offers") if line]

    async def type(self, text: str) -> None:
        await self.press(*text)


@asynccontextmanager
async def form(
    known: BuildRequest | None = None, size: tuple[int, int] = (80, 24)
) -> AsyncIterator[Form]:
    app = LayerscopeApp(None, fakes.opener(fakes.FakeReader()), fakes.connector())
    async with app.run_test(size=size) as pilot:
        ui = Form(app, pilot)

        def chosen(request: BuildRequest | None) -> None:
            ui.result = request

        await app.push_screen(BuildForm(known), chosen)
        await ui.until(lambda: ui.form.known.context and ui.form.known.offer)
        await ui.until(lambda: ui.form.known.builders)
        yield ui


def requested(ui: Form) -> BuildRequest:
    assert isinstance(ui.result, BuildRequest), ui.result
    return ui.result


def last_build(here: Path, **more: Any) -> None:
    """Keeps a build of the Dockerfile among the jobs."""
    folder = here.parent / "state" / "layerscope" / "jobs" / "1"
    folder.mkdir(parents=True)
    request = BuildRequest(str(here), str(here / "Dockerfile"), **more)
    document = {"kind": "build", "title": "x", "started": fakes.NOW, "directory": "/"}
    (folder / "job.json").write_text(json.dumps(document | {"spec": request.document()}))


@SIZES
async def test_the_whole_form_is_on_the_screen(size: tuple[int, int]) -> None:
    async with form(size=size) as ui:
        labels = [line[1:13].strip() for line in ui.lines[1:12]]
        assert labels == [
            *("Context", "Dockerfile", "Tags", "Target", "Arguments", "Secrets"),
            *("Platform", "Network", "Builder", "Labels", "Options"),
        ]
        assert "[ ] ignore the cache   [ ] pull newer bases" in ui.text
        assert "enter Build" in ui.lines[-1]
        assert "Docker 28" in ui.lines[0]


async def test_the_context_is_shown_before_it_is_sent() -> None:
    async with form() as ui:
        assert ui.note("Context").endswith("78.2kB in 15 files")
        assert "Sent to the builder: 78.2kB in 15 files; .dockerignore leaves out 3" in ui.text
        # The ten largest are visible in the smallest terminal, too.
        names = [f"src/file{number:02}.js" for number in range(11, 1, -1)]
        assert [line.split()[1] for line in ui.offers] == names
        await ui.press("ctrl+n", "G")
        assert ui.focus == "offers"
        assert [line.split("  ", 1)[1].strip(" ▐") for line in ui.offers[-2:]] == [
            "1  line 1: node_modules, such as node_modules/".strip(),
            "2  line 2: *.log, such as a.log",
        ]
        await ui.press("escape")
        assert ui.focus == "field-context"


async def test_a_stage_of_the_dockerfile_is_chosen() -> None:
    async with form() as ui:
        assert ui.note("Target").endswith("web")
        await ui.press("tab", "tab", "tab", "ctrl+n")
        assert ui.offers == [
            " the last stage",
            " build  FROM debian:12, 4 steps",
            " web    FROM scratch, 2 steps",
        ]
        await ui.press("j", "enter")
        assert ui.focus == "field-target"
        assert ui.note("Target") == "build"
        await ui.press("enter")
        assert requested(ui).target == "build"


async def test_a_wrong_field_is_reported_at_once_and_nothing_is_built() -> None:
    async with form() as ui:
        await ui.press("tab", "tab", "tab")
        await ui.type("wbe")
        assert ui.note("Target").endswith("There is no stage wbe.")
        assert ui.offers[:2] == [" There is no stage wbe.", " Did you mean web?"]
        await ui.press("tab", "tab", "tab")
        await ui.type("arm64")
        assert ui.note("Platform").endswith("arm64 is not a platform.")
        await ui.press("enter")
        assert ui.result == "open"
        assert ui.focus == "field-target"
        assert "There is no stage wbe. Did you mean web?" in ui.message
        await ui.press("backspace", "backspace", "backspace")
        assert "no stage" not in ui.note("Target")


async def test_arguments_are_those_of_the_dockerfile_and_of_the_last_build(here: Path) -> None:
    last_build(here, build_args={"VERSION": "1.1", "OLD": "x y"})
    async with form() as ui:
        await ui.press(*["tab"] * 4)
        assert ui.offers[:4] == [
            " BASE     debian by default",
            " VERSION  1.2 by default, 1.1 last time",
            " TOKEN    no default",
            " OLD      x y last time; no longer declared",
        ]
        await ui.press("ctrl+n", "j", "enter")
        assert ui.note("Arguments") == "VERSION=1.1"
        await ui.press("backspace", "3", "ctrl+n", "j", "j", "enter")
        await ui.type("x")
        assert ui.note("Arguments") == "VERSION=1.3 TOKEN=x"
        await ui.type(" TPYO=1")
        assert ui.note("Arguments").endswith("Not declared: TPYO")
        await ui.press("enter")
        assert requested(ui).build_args == {"VERSION": "1.3", "TOKEN": "x", "TPYO": "1"}


async def test_secrets_are_named_and_their_values_never_shown(here: Path) -> None:
    (here.parent / "npmrc").write_text("psst-psst")
    async with form() as ui:
        assert ui.note("Secrets").endswith("Missing: npm")
        await ui.press(*["tab"] * 5, "ctrl+n", "enter")
        assert ui.note("Secrets").startswith("id=npm,src=")
        await ui.type("../npmrc id=token,env=TOKEN")
        assert ui.note("Secrets") == "id=npm,src=../npmrc id=token,env=TOKEN"
        await ui.type("S")
        assert ui.note("Secrets").endswith("The variable TOKENS is not set.")
        await ui.press("backspace", "enter")
        request = requested(ui)
        assert request.secrets == (f"id=npm,src={here.parent}/npmrc", "id=token,env=TOKEN")
        kept = json.dumps(request.document())
        assert "hush-hush" not in kept
        assert "psst-psst" not in kept


async def test_secrets_of_stages_that_are_not_built_are_not_required(here: Path) -> None:
    (here / "bare.dockerfile").write_text(TEXT + "FROM scratch AS bare\nADD a /\n")
    async with form() as ui:
        assert ui.note("Secrets").endswith("Missing: npm")
        await ui.press("tab", *"bare.dockerfile")
        await ui.until(lambda: "bare" in ui.note("Target"))
        assert "Missing" not in ui.note("Secrets")
        await ui.press("tab", "tab", *"web")
        assert ui.note("Secrets").endswith("Missing: npm")


async def test_escape_sequences_in_a_dockerfile_never_reach_the_terminal(here: Path) -> None:
    (here / "evil.dockerfile").write_text("FROM scratch\nARG A=\x1b[2J\x07\n")
    async with form() as ui:
        await ui.press("tab", *"evil.dockerfile")
        await ui.until(lambda: ui.form.known.offer and not ui.form.known.offer.secrets)
        await ui.press("tab", "tab", "tab")
        assert ui.offers[0] == " A  \\e[2J\\x07 by default"
        await ui.press("ctrl+n", "enter")
        assert "cannot be typed" in ui.message
        assert "\x1b" not in ui.text


async def test_a_builder_without_secrets_says_so_in_their_place() -> None:
    async with form() as ui:
        await ui.press(*["tab"] * 5)
        await ui.type("id=token,env=TOKEN")
        await ui.press("tab", "tab", "tab", "ctrl+n")
        assert [line.split(maxsplit=1) for line in ui.offers][:5] == [
            ["auto", "BuildKit: docker has buildx."],
            ["classic", "the classic builder"],
            ["buildkit", "BuildKit"],
            ["podman", "Docker 28 does not have Podman's builder."],
            ["embedded", "the embedded builder"],
        ]
        await ui.press("j", "enter")
        assert ui.note("Secrets") == NO_SECRETS["classic"]
        # The field is skipped.
        await ui.press("up", "up", "up")
        assert ui.focus == "field-build_args"
        await ui.press("enter")
        assert (requested(ui).builder, requested(ui).secrets) == ("classic", ())


async def test_a_missing_builder_is_reported() -> None:
    async with form() as ui:
        assert ui.note("Builder").endswith("BuildKit: docker has buildx.")
        await ui.press(*["tab"] * 8)
        await ui.type("podman")
        assert ui.note("Builder").endswith(MISSING["podman"])
        await ui.press("enter")
        assert ui.result == "open"


async def test_a_builder_of_buildx_is_chosen() -> None:
    async with form() as ui:
        await ui.press("up", "up", "up", "up")
        await ui.until(lambda: any("buildkit:broken" in line for line in ui.offers))
        (far,) = (line for line in ui.offers if "buildkit:far" in line)
        assert "remote, running, tcp://far:1234" in far
        (broken,) = (line for line in ui.offers if "buildkit:broken" in line)
        assert "broken\\e[31m" in broken
        assert "no such pod" in broken
        await ui.type("buildkit:far")
        await ui.press("enter")
        assert (requested(ui).builder, requested(ui).instance) == ("buildkit", "far")


async def test_an_engine_that_does_not_answer_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "No engine listens at unix:///nowhere. Start Docker."
    monkeypatch.setattr(preview, "engine_builders", lambda *_: (None, said))
    app = LayerscopeApp(None, fakes.opener(fakes.FakeReader()), fakes.connector())
    async with app.run_test(size=(80, 24)) as pilot:
        ui = Form(app, pilot)
        await app.push_screen(BuildForm())
        await ui.until(lambda: "No engine listens" in ui.note("Builder"))


async def test_other_dockerfiles_are_offered_and_read(here: Path) -> None:
    async with form() as ui:
        await ui.press("tab", "ctrl+n")
        assert ui.offers == [" Dockerfile", " dev.dockerfile"]
        await ui.press("j", "enter")
        await ui.until(lambda: ui.note("Target").endswith("dev"))
        assert ui.note("Dockerfile").startswith("dev.dockerfile")
        assert ui.note("Secrets") == "id=NAME,src=FILE or id=NAME,env=VARIABLE"
        await ui.press("enter")
        assert requested(ui).dockerfile == str(here / "dev.dockerfile")


async def test_the_fields_of_the_last_build_are_filled_in(here: Path) -> None:
    known = BuildRequest(
        str(here),
        str(here / "Dockerfile"),
        tags=("shop:1", "shop:latest"),
        target="build",
        build_args={"VERSION": "a b", "TOKEN": None},
        labels={"l": "1"},
        secrets=("id=npm,env=TOKEN",),
        platform="linux/arm64",
        network="host",
        builder="buildkit",
        no_cache=True,
    )
    async with form(known) as ui:
        assert ui.note("Tags") == "shop:1 shop:latest"
        assert ui.note("Arguments") == "'VERSION=a b' TOKEN"
        assert ui.note("Secrets") == "id=npm,env=TOKEN"
        assert "hush-hush" not in ui.text
        assert "[ ] ignore the cache" in ui.text
        await ui.press("shift+tab", "space", "enter")
        request = requested(ui)
        assert request.pull
        assert not request.no_cache
        assert request.document() == known.document() | {"no_cache": False, "pull": True}


async def test_a_context_that_is_not_a_folder_is_not_read(here: Path) -> None:
    async with form() as ui:
        await ui.press("backspace")
        await ui.type("none")
        assert ui.note("Context").endswith("none is not a folder.")
        assert ui.offers[0] == " none is not a folder."
        await ui.press(*["backspace"] * 4)
        await ui.type("src")
        await ui.until(lambda: ui.note("Context").endswith("78kB in 12 files"))
        assert "There is no file" in ui.note("Dockerfile")
        await ui.press("escape")
        assert ui.result is None


async def test_no_key_that_is_typed_fast_is_lost() -> None:
    async with form() as ui:
        keys = ["tab", "tab", *"shop:1", "tab", *"buildx", "backspace", "tab", *"=1"]
        keys += ["left", "left", "A", "tab", *"id=x", *["backspace"] * 4, "tab", *"linux/s390x"]
        for key in [*keys, "enter", "enter"]:
            single = len(key) == 1
            name = _character_to_key(key) if single else key
            ui.app.post_message(events.Key(name, key if single else None))
        await ui.until(lambda: ui.result != "open")
        request = requested(ui)
        assert request.tags == ("shop:1",)
        assert request.target == "build"
        assert request.build_args == {"A": "1"}
        assert (request.secrets, request.platform) == ((), "linux/s390x")


async def test_the_list_is_in_the_help() -> None:
    bound = all_bound(ROOMS)
    for name in ("build_form.choose", "build_form.toggle", "build_offers.take"):
        assert bound[name].owner.HEADING == "What to build"


def pressing(*keys: str) -> Before:
    """Opens the form, and presses keys."""

    async def before(ui: Driven) -> None:
        screen = BuildForm()
        await ui.app.push_screen(screen)
        known = screen.known
        await ui.until(lambda: known.context and known.offer and known.builders)
        await ui.walk(*keys)

    return before


PICTURES = {
    "context": (),
    "stages": (*["tab"] * 2, *"shop:1", "tab", *"wbe"),
    "arguments": (*["tab"] * 4, "ctrl+n", "j", "enter", "ctrl+n"),
    "classic": (*["tab"] * 8, *"classic"),
}


@SIZES
@pytest.mark.parametrize("state", PICTURES)
def test_pictures(picture: Picture, state: str, size: Size) -> None:
    app = LayerscopeApp(None, fakes.opener(fakes.FakeReader()), fakes.connector())
    picture(app, size, pressing(*PICTURES[state]))


@looks("16")
def test_look(picture: Picture, look: Look) -> None:
    opener = fakes.opener(fakes.FakeReader())
    app = LayerscopeApp(None, opener, fakes.connector(), theme=look.theme)
    picture(app, look.size, pressing(*PICTURES["stages"]))


async def test_in_a_low_terminal_the_fields_scroll() -> None:
    async with form(size=(60, 12)) as ui:
        assert "Options" not in ui.text
        await ui.press("shift+tab")
        await ui.until(lambda: "[ ] pull newer bases" in ui.text)
        assert "esc Back" in ui.lines[-1]
        await ui.press("tab")
        await ui.until(lambda: " Context" in ui.text)
