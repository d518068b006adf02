"""What all images of an engine waste, and its containers: images --wasted, waste --all, ps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from layerscope.engines import docker, local_store
from layerscope.engines.engine import ContainerSummary, Stream
from layerscope.errors import NotFoundError
from layerscope.images.answers import HistoryAnswer, Info, Inspected, RootFs
from layerscope.images.cache.changesets import ChangesetCache
from layerscope.images.cache.sizes import SizesCache
from layerscope.images.sizes import ImageSizes
from layerscope.images.summary import ImageSummary
from layerscope.oci.platform import Platform
from layerscope.text import short_id
from tests.commands.conftest import Run
from tests.tui import fakes
from tests.tui.fakes import Entry, changeset, folder

BASE, BIG, SMALL, UNREAD = (f"sha256:{digit * 64}" for digit in "abcd")
#: The base is that of the others.
LAYERS = {
    BASE: ("sha256:0",),
    BIG: ("sha256:0", "sha256:1", "sha256:2"),
    SMALL: ("sha256:0", "sha256:3"),
    UNREAD: ("sha256:0", "sha256:9"),
}
CONTENT = {
    "sha256:0": [folder("etc"), Entry("etc/passwd", 1_000)],
    "sha256:1": [folder("opt"), Entry("opt/large\x1b", 40_000)],
    "sha256:2": [folder("opt"), Entry("opt/.wh.large\x1b")],
    "sha256:3": [folder("etc"), Entry("etc/passwd", 1_001)],
}


class ExportingEngine(fakes.FakeEngine):
    """An engine whose data folder cannot be read, and that must not be asked for an export."""

    name = "Docker 20.10"

    def __init__(self) -> None:
        names = [("base", BASE), ("big", BIG), ("big2", BIG), ("small", SMALL), ("<none>", UNREAD)]
        super().__init__(
            [
                ImageSummary(name, "<none>" if name == "<none>" else "1", i, 1, 9, None, None)
                for name, i in names
            ]
        )
        self.exported: list[str] = []

    def containers(self, *, sizes: bool = False) -> list[ContainerSummary]:
        size = 12_000 if sizes else None
        return [ContainerSummary("c" * 64, "we\x1bb", BIG, "running", "big:1", 1_717_000_000, size)]

    def inspect(self, name: str, platform: Platform | None = None) -> Inspected:
        if name not in LAYERS:
            raise NotFoundError("It is gone.")
        tags = tuple(x.name for x in self._images if x.id == name and x.name)
        layers = RootFs(LAYERS[name])
        return Inspected(id=name, tags=tags, os="linux", architecture="amd64", root=layers)

    def history(self, name: str, platform: Platform | None = None) -> Sequence[HistoryAnswer]:
        return []

    def info(self) -> Info:
        return Info(driver="other")

    def export(self, name: str, platform: Platform | None = None) -> Stream:
        self.exported.append(name)
        raise NotFoundError("There is no such image.")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ExportingEngine:
    """The layers of three of its images are in the cache, and nothing else."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = ExportingEngine()
    monkeypatch.setattr(docker, "connect_any", lambda: found)
    monkeypatch.setattr(local_store, "connect_any", lambda: found)
    cache = ChangesetCache()
    for diff_id, entries in CONTENT.items():
        cache.put(diff_id, changeset(*entries))
    return found


def test_images_are_sorted_by_what_they_waste(run: Run, engine: ExportingEngine) -> None:
    answer = run("images", "--wasted")
    heading, *lines = answer.out.splitlines()
    assert heading.split()[:5] == ["WASTED", "EFF", "SIZE", "UNIQUE", "IMAGE"]
    found = [line.split()[:2] for line in lines]
    assert found == [["40kB", "2.4%"], ["1kB", "50.0%"], ["0B", "100.0%"], ["-", "-"]]
    assert "big:1, big2:1" in lines[0]
    assert "we\\eb" in lines[0]
    assert "linux/amd64" in lines[0]
    assert "<dangling>" in lines[3]
    assert "1 image has layers that have not been read yet; --index reads them." in answer.err
    assert engine.exported == []


def test_a_platform_chooses_images(run: Run, engine: ExportingEngine) -> None:
    assert (
        run("images", "--wasted", "--platform", "linux/amd64").out == run("images", "--wasted").out
    )
    for arguments in (("images", "--wasted"), ("waste", "--all")):
        other = run(*arguments, "--platform", "linux/s390x")
        assert (other.code, other.out) == (2, "")
        assert "The engine has no image for linux/s390x." in other.err
    assert "--platform needs --wasted." in run("images", "--platform", "linux/amd64").err


def test_the_object_of_wasted_images(run: Run, engine: ExportingEngine) -> None:
    document = run("images", "--wasted", "--json").document
    assert document["schema"] == "layerscope.images-wasted/1"
    big, *_, unread = document["images"]
    assert big == {
        "id": BIG,
        "names": ["big:1", "big2:1"],
        "dangling": False,
        "size": 9,
        "unique_size": 40_000,
        "visible_size": 1_000,
        "wasted_size": 40_000,
        "efficiency": 1_000 / 41_000,
        "containers": ["we\x1bb"],
        "platforms": ["linux/amd64"],
    }
    assert (unread["dangling"], unread["wasted_size"], unread["unique_size"]) == (True, None, None)


def test_what_was_measured_is_kept_without_its_layers(run: Run, engine: ExportingEngine) -> None:
    run("images", "--wasted")
    assert SizesCache().get(LAYERS[SMALL]) == ImageSizes((1_000, 1_001), 1_001)
    SizesCache().put(LAYERS[UNREAD], ImageSizes((1_000, 5), 1_005))
    assert "1 image has layers" not in run("images", "--wasted").err


def test_an_export_has_to_be_asked_for(run: Run, engine: ExportingEngine) -> None:
    assert run("images", "--wasted", "--index").code == 0
    assert engine.exported == [UNREAD]


def test_all_waste_says_where_it_is(run: Run, engine: ExportingEngine) -> None:
    answer = run("waste", "--all")
    lines = answer.out.splitlines()
    assert lines[0].split() == ["40kB", "big:1,", "big2:1", "of", "41kB,", "efficiency", "2.4%"]
    assert lines[1].strip() == "40kB  /opt/large\\e (layer 1, hidden by 2)"
    assert lines[-1].strip() == f"-  {short_id(UNREAD)}  not read yet"
    assert "1 image has layers" in answer.err
    document = run("waste", "--all", "--json").document
    assert document["schema"] == "layerscope.waste-all/1"
    assert [x["image"]["wasted_size"] for x in document["images"]] == [40_000, 1_000, 0]
    assert document["images"][0]["names"] == ["big:1", "big2:1"]
    assert document["images"][0]["wasted"][0]["path"] == "/opt/large\x1b"
    assert document["unread"] == [{"id": UNREAD, "names": []}]
    assert engine.exported == []


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["waste"], "No image is named."),
        (["waste", "--all", "big"], "--all is about all images"),
        (["waste", "big", "--index"], "--index needs --all."),
        (["images", "--index"], "--index needs --wasted."),
        (["images", "--wasted", "docker-root:/x"], "--wasted is for images of the current engine."),
    ],
)
def test_options_that_do_not_fit(run: Run, arguments: list[str], text: str) -> None:
    answer = run(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert text in answer.err


def test_containers_and_what_they_wrote(run: Run, engine: ExportingEngine) -> None:
    heading, line = run("ps").out.splitlines()
    assert heading.split()[:3] == ["NAME", "IMAGE", "STATE"]
    assert line.split()[:3] == ["we\\eb", "big:1", "running"]
    assert "12kB" in line
    document = run("ps", "--json").document
    assert document["schema"] == "layerscope.ps/1"
    assert document["containers"] == [
        {
            "id": "c" * 64,
            "name": "we\x1bb",
            "image": "big:1",
            "image_id": BIG,
            "state": "running",
            "created": "2024-05-29T16:26:40Z",
            "size": 12_000,
        }
    ]
