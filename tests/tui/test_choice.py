"""An archive with several images: the one that is meant is chosen from a list."""

from __future__ import annotations

import json
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from layerscope.tui.app import LayerscopeApp
from layerscope.tui.screens.choice import ChoiceScreen
from tests.truth.archives import docker_archive, layer_tar, text


@pytest.fixture
def two_images(tmp_path: Path) -> Path:
    """An archive of two images, as `docker save one two` writes it."""
    path = tmp_path / "two.tar"
    entries: dict[str, bytes] = {}
    manifest = []
    for number, tag in enumerate(("example.test/one:1", "example.test/two:2")):
        single = docker_archive([layer_tar([text(f"file-of-{number + 1}")])], tag)
        with tarfile.open(fileobj=BytesIO(single)) as tar:
            for member in tar:
                file = tar.extractfile(member)
                assert file is not None
                name = member.name.replace("0/layer.tar", f"{number}/layer.tar")
                entries[name] = file.read()
        saved = json.loads(entries.pop("manifest.json"))
        manifest += json.loads(json.dumps(saved).replace("0/layer.tar", f"{number}/layer.tar"))
    entries["manifest.json"] = json.dumps(manifest).encode()
    with tarfile.open(path, "w") as tar:
        for name, content in entries.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, BytesIO(content))
    return path


async def test_one_of_several_images_is_chosen(two_images: Path) -> None:
    app = LayerscopeApp(str(two_images))
    async with app.run_test(size=(100, 30)) as pilot:
        for _ in range(200):
            await pilot.pause(0.02)
            if isinstance(app.screen, ChoiceScreen):
                break
        assert isinstance(app.screen, ChoiceScreen)
        await pilot.press("j", "enter")
        for _ in range(200):
            await pilot.pause(0.02)
            if "file-of-2" in app.export_screenshot():
                break
        svg = app.export_screenshot()
    assert "file-of-2" in svg
    assert "example.test/two:2" in svg
    assert "file-of-1" not in svg
