"""What a user takes out of an image: files, texts, and a shell in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from layerscope.engines.embedded.engine import EmbeddedEngine
from layerscope.tui.app import LayerscopeApp
from layerscope.tui.explore.extract import ExtractScreen
from tests.archives import folder, symlink, text, whiteout
from tests.tui import fakes, real_images
from tests.tui.conftest import Drive, Driven

LAYERS = [
    [
        folder("app"),
        text("app/a", "first"),
        text("app/b", "gone"),
        symlink("app/link", "/etc/passwd"),
    ],
    [text("app/a", "second"), whiteout("app/b")],
]


async def extract(ui: Driven, path: str, target: str) -> None:
    await ui.rest()
    ui.main.explorer._files.go_to(path.encode())
    await ui.press("ctrl+s")
    assert f"Extract /{path}" in ui.text
    await ui.press("ctrl+u", *target, "enter")
    await ui.until(lambda: not isinstance(ui.app.screen, ExtractScreen) or "already" in ui.text)


async def test_a_file_and_a_folder_are_extracted(
    drive: Drive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with drive(reader=real_images.opened(tmp_path / "image", LAYERS)) as ui:
        await ui.walk("3", "t")
        await extract(ui, "app/a", "out")
        assert "Wrote 1 file, 1 folder, 6B, under" in ui.message
        assert (tmp_path / "out" / "app" / "a").read_text() == "second"
        await extract(ui, "app", "all")
        written = tmp_path / "all" / "app"
        assert sorted(each.name for each in written.iterdir()) == ["a", "link"]
        assert str((written / "link").readlink()) == "/etc/passwd"
        # The layer removed it: it is taken from the layers below.
        await extract(ui, "app/b", "below")
        assert (tmp_path / "below" / "app" / "b").read_text() == "gone"
        # Nothing is overwritten, and the question stays.
        await extract(ui, "app/a", "out")
        assert "app/a already exists, and nothing is overwritten." in " ".join(ui.text.split())
        await ui.press("escape")
        assert ui.app.screen is ui.main


async def test_what_cannot_be_extracted_says_so(drive: Drive) -> None:
    async with drive(None) as ui:
        await ui.press("ctrl+s")
        assert "No image is open" in ui.message


async def test_texts_are_copied_from_other_screens_too(
    drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[str] = []
    monkeypatch.setattr(LayerscopeApp, "copy", lambda self, text, what: copied.append(text))
    async with drive() as ui:
        for keys, wanted in (
            (("t", "3", "slash", *"passwd", "enter", "v"), "/etc/passwd"),
            (("d",), "/etc/passwd"),
            (("escape", "w"), "/var/lib/apt/lists"),
        ):
            await ui.walk(*keys)
            await ui.walk("y", "p")
            assert copied[-1:] == [wanted], (keys, ui.text)
            await ui.walk("escape")
        await ui.walk("P", "t", "G", "y", "y")
        assert copied[-1].split()[0] == "S"


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What was run in place of the UI, with a docker that does nothing."""
    found: list[list[str]] = []
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\nexit 0\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    @contextmanager
    def suspend(self: LayerscopeApp) -> Iterator[None]:
        yield

    def run(command: list[str], environment: object) -> int:
        found.append(command)
        return 0

    monkeypatch.setattr(LayerscopeApp, "suspend", suspend)
    monkeypatch.setattr("layerscope.tui.terminal.shell.run_program", run)
    return found


async def test_a_shell_in_the_image_under_the_cursor_and_the_open_one(
    drive: Drive, commands: list[list[str]]
) -> None:
    async with drive(None) as ui:
        await ui.walk("x")
        command = commands.pop()
        assert command[1] == "run"
        assert "hello:latest" in command


async def test_another_shell_as_root(drive: Drive, commands: list[list[str]]) -> None:
    async with drive(None) as ui:
        await ui.walk("ctrl+x")
        assert "bash as root" in ui.text
        await ui.walk("j", "j", "j", "enter")
        command = commands.pop()
        at = command.index("hello:latest")
        assert command[at - 4 : at] == ["--user", "0", "--entrypoint", "sh"]


async def test_only_shells_that_the_image_has_are_offered(
    drive: Drive, commands: list[list[str]], tmp_path: Path
) -> None:
    layer = [
        folder("bin"),
        text("bin/sh", ""),
        folder("usr"),
        folder("usr/bin"),
        text("usr/bin/zsh", ""),
    ]
    reader = real_images.opened(tmp_path / "image", [layer])
    reader.image = replace(reader.image, source="docker-daemon:hello:latest")
    async with drive(reader=reader) as ui:
        await ui.until(ui.over)
        await ui.walk("ctrl+x")
        assert "zsh as root" in ui.text
        assert "bash" not in ui.text
        await ui.walk("enter")
        command = commands.pop()
        assert command[-5:] == ["--entrypoint", "sh", "hello:latest", "-c", "sh; exit 0"]


async def test_a_shell_in_a_container_that_runs(drive: Drive, commands: list[list[str]]) -> None:
    from layerscope.engines.engine import ContainerSummary

    class Running(fakes.FakeEngine):
        def containers(self, *, sizes: bool = False) -> list[ContainerSummary]:
            return [ContainerSummary("1", "web", fakes.IMAGES[0].id, "running")]

    async with drive(None, engine=Running(fakes.IMAGES)) as ui:
        await ui.walk("5", "x")
        command = commands.pop()
        assert command[1:5] == ["exec", "--interactive", "--tty", "web"]


async def test_a_shell_in_the_store_leads_to_what_it_changed(
    drive: Drive, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Store(fakes.FakeEngine):
        name, own_store = "The embedded store", True

    async with drive(None, engine=Store(fakes.IMAGES)) as ui:
        await ui.walk("x")
        run, option, name, source = commands.pop()[-4:]
        assert (run, option, source) == ("run", "--name", "embedded:hello:latest")
        assert name.startswith("hello-")
        assert ui.message == "The shell changed nothing."
        monkeypatch.setattr(EmbeddedEngine, "inspect_container", lambda self, name: None)
        await ui.walk("x")
        name = commands.pop()[-2]
        await ui.until(ui.over)
        assert ui.main.session is not None
        assert ui.main.session.source == f"container:{name}"
        await ui.rest()
        assert f"{name} keeps the changes:" in ui.message, ui.text


async def test_a_shell_in_a_layer_of_the_store(drive: Drive, commands: list[list[str]]) -> None:
    reader = fakes.FakeReader()
    reader.way = "embedded store"
    reader.image = replace(reader.image, source="embedded:hello:latest")
    async with drive(reader=reader, engine=fakes.NO_ENGINE) as ui:
        await ui.until(ui.over)
        await ui.walk("G", "x")
        assert commands.pop()[-3:] == ["--layer", "0", "embedded:hello:latest"]


async def test_without_an_engine_a_shell_says_why_not(
    drive: Drive, commands: list[list[str]], tmp_path: Path
) -> None:
    async with drive(engine=fakes.NO_ENGINE) as ui:
        await ui.press("x")
        assert "A shell needs an engine. No engine answers." in ui.message
    reader = real_images.opened(tmp_path / "image", LAYERS)
    async with drive(reader=reader) as ui:
        await ui.press("x")
        assert "A shell needs the image in the engine: load or pull this one first" in ui.message
    assert not commands
