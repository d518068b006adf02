"""packages: what is installed, and what a layer did to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.archives import layer_tar, text, write_archive
from tests.commands.conftest import Run

BASE = "Package: bash\nStatus: install ok installed\nInstalled-Size: 10\nVersion: 5\n"
MORE = (
    BASE.replace("5", "6") + "\nPackage: e\x1b[31mvil\nStatus: install ok installed\nVersion: 1\n"
)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    layers = [
        [text("var/lib/dpkg/status", BASE), text("bin/su", "x", mode=0o4755)],
        [text("var/lib/dpkg/status", MORE)],
    ]
    return write_archive(tmp_path, [layer_tar(layer) for layer in layers], "example.test/p:1")


def test_installed_packages(run: Run, archive: Path) -> None:
    document = run("packages", archive, "--json").document
    assert document["schema"] == "layerscope.packages/1"
    assert document["layer"] is None
    assert document["changes"] is None
    assert document["packages"][0] == {
        "kind": "deb",
        "name": "bash",
        "version": "6",
        "size": 10240,
    }
    assert document["privileged"] == [
        {"path": "/bin/su", "what": "setuid", "uid": 0, "gid": 0, "layer": 0}
    ]
    out = run("packages", archive).out
    assert "Debian     10.2kB  bash 6" in out
    assert "/bin/su  setuid (user 0)" in out
    assert "\x1b" not in out


def test_what_a_layer_did(run: Run, archive: Path) -> None:
    changes = run("packages", archive, "--layer", "1", "--json").document["changes"]
    assert [each["name"] for each in changes["added"]] == ["e\x1b[31mvil"]
    assert [(each["from"], each["version"]) for each in changes["upgraded"]] == [("5", "6")]
    assert changes["removed"] == []
    out = run("packages", archive, "--layer", "1").out
    assert "Packages: 1 added, 1 upgraded" in out
    assert "bash 5 → 6" in out
    assert "su" not in out


def test_a_missing_layer(run: Run, archive: Path) -> None:
    answer = run("packages", archive, "--layer", "2")
    assert answer.code == 2
    assert "layers 0 to 1" in answer.err


def test_an_image_without_packages(run: Run, tmp_path: Path) -> None:
    path = write_archive(tmp_path, [layer_tar([text("a")])], "x:1")
    assert run("packages", path).out == "No packages were found.\n"
    assert "No packages were added" in run("packages", path, "--layer", "0").out
