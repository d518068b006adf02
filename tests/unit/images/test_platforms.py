"""The choice of a platform: what is there, what is taken, and what is said where it is not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from layerscope.engines.resolve import open_image
from layerscope.errors import PlatformMissingError, UsageError
from layerscope.images.answers import HistoryAnswer, Inspected
from layerscope.images.archives.engine_export import EngineExportReader
from layerscope.images.reader import ImageReader
from layerscope.oci.platform import Platform, host_platform, parse_platform
from layerscope.records import lenient
from tests.archives import layer, saved, write
from tests.command import run
from tests.unit.images.platform_layouts import Layout, layout_for

HOST = str(host_platform())
OTHERS = [name for name in ("linux/amd64", "linux/arm64/v8", "linux/s390x") if name != HOST][:2]
Capsys = pytest.CaptureFixture[str]


def platforms(reader: ImageReader) -> list[str]:
    reader.close()
    return [str(each) for each in reader.image.platforms]


def test_the_host_s_platform_is_opened_and_the_others_are_named(
    tmp_path: Path, capsys: Capsys
) -> None:
    source = write(tmp_path / "a.tar", layout_for(OTHERS[0], HOST, OTHERS[1]).archive())
    for transport in ("", "oci-archive:"):
        outcome = run(capsys, "inspect", transport + source)
        assert f"Platform {HOST} (also: {OTHERS[0]}, {OTHERS[1]}), created" in outcome.out
    document = json.loads(run(capsys, "inspect", "--json", source).out)
    assert document["image"]["platforms"] == [HOST, *OTHERS]
    outcome = run(capsys, "files", "--platform", OTHERS[1], source)
    assert f"only-{OTHERS[1].replace('/', '-')}" in outcome.out
    assert platforms(open_image(source, platform=OTHERS[1])) == [OTHERS[1], OTHERS[0], HOST]


def test_a_platform_that_is_not_there_comes_with_those_that_are(
    tmp_path: Path, capsys: Capsys
) -> None:
    source = write(tmp_path / "a.tar", layout_for(*OTHERS).archive())
    with pytest.raises(PlatformMissingError) as caught:
        open_image(source)
    assert caught.value.platforms == tuple(OTHERS)
    outcome = run(capsys, "inspect", source)
    assert outcome.code == 2
    assert f"has no image for {HOST}. Choose one with --platform: {', '.join(OTHERS)}" in (
        outcome.err
    )


def test_one_platform_alone_is_opened_whatever_the_host(tmp_path: Path) -> None:
    source = write(tmp_path / "a.tar", layout_for("linux/mips64le").archive())
    assert platforms(open_image(source)) == ["linux/mips64le"]


def test_of_an_index_that_was_pulled_in_part_what_is_there_counts(tmp_path: Path) -> None:
    layout = Layout()
    images = [layout.image(name) for name in (HOST, *OTHERS)]
    layout.top(layout.index(images))
    layout.remove(images[0])
    layout.remove(images[1])
    source = write(tmp_path / "a.tar", layout.archive())
    assert platforms(open_image(source)) == [OTHERS[1]]
    with pytest.raises(PlatformMissingError, match="no image for"):
        open_image(source, platform=HOST)


def test_an_index_json_of_one_image_may_hold_its_platforms_itself(tmp_path: Path) -> None:
    layout = Layout()
    images = [layout.image(name) for name in (OTHERS[0], HOST)]
    layout.top(*images)
    source = write(tmp_path / "a.tar", layout.archive())
    assert platforms(open_image(source)) == [HOST, OTHERS[0]]
    # What is named by its digest is meant.
    digest = images[0]["digest"]
    assert platforms(open_image(f"oci-archive:{source}:{digest}")) == [OTHERS[0]]


def test_a_docker_archive_with_an_index_offers_all_of_it(tmp_path: Path, capsys: Capsys) -> None:
    layout = Layout()
    images = [layout.image(name) for name in (HOST, OTHERS[0])]
    layout.top(layout.index(images))
    layout.save_manifest(images[0])
    source = write(tmp_path / "a.tar", layout.archive())
    outcome = run(capsys, "inspect", source)
    assert f"Platform {HOST} (also: {OTHERS[0]})" in outcome.out
    assert outcome.out.startswith("app:1 ")
    outcome = run(capsys, "files", "--platform", OTHERS[0], f"docker-archive:{source}:app:1")
    assert f"only-{OTHERS[0].replace('/', '-')}" in outcome.out


@pytest.mark.parametrize("transport", ["", "docker-archive:"])
def test_an_archive_of_another_platform_is_refused(
    tmp_path: Path, capsys: Capsys, transport: str
) -> None:
    config = {"architecture": "arm64", "variant": "v8"}
    path = write(tmp_path / "a.tar", saved(layer(("a", b"1")), config=config))
    outcome = run(capsys, "inspect", "--platform", "linux/s390x", transport + path)
    assert (outcome.code, outcome.out) == (2, "")
    assert "has no image for linux/s390x. Choose one with --platform: linux/arm64/v8." in (
        outcome.err
    )
    assert run(capsys, "inspect", "--platform", "arm64", transport + path).code == 0


def test_what_is_no_platform_is_said_before_anything_is_asked() -> None:
    with pytest.raises(UsageError, match="a/b/c/d is not a platform"):
        open_image("docker://nowhere.invalid/app", platform="a/b/c/d")


def test_indexes_that_multiply_are_read_once_each(tmp_path: Path, capsys: Capsys) -> None:
    layout = Layout()
    inner = layout.index([layout.image(HOST)])
    for _ in range(5):
        inner = layout.index([inner] * 1000)
    layout.top(*[inner] * 1000)
    source = write(tmp_path / "a.tar", layout.archive())
    for transport in ("oci-archive:", ""):
        assert run(capsys, "inspect", transport + source).code == 0


def test_no_more_platforms_are_named_than_anybody_reads(tmp_path: Path, capsys: Capsys) -> None:
    layout = Layout()
    own = layout.image(HOST)
    many = [{**own, "platform": {"os": "linux", "architecture": f"a{n}"}} for n in range(5000)]
    evil = {**own, "platform": {"os": "linux", "architecture": "x\x1b[31m"}}
    layout.top(layout.index([evil, *many]))
    source = write(tmp_path / "a.tar", layout.archive())
    outcome = run(capsys, "inspect", source)
    assert outcome.code == 2
    assert "linux/a20, linux/a21" in outcome.err
    assert "linux/a40" not in outcome.err
    assert "\x1b" not in outcome.err
    layout.top(layout.index([own, evil, *many]))
    outcome = run(capsys, "inspect", write(tmp_path / "b.tar", layout.archive()))
    assert "…), created" in outcome.out
    assert "linux/a40" not in outcome.out
    assert "\x1b" not in outcome.out


class SeveralPlatforms:
    """An engine that has an image for several platforms, and notes what it is asked."""

    name = "Docker 28"

    def __init__(self, *available: str, absent: Sequence[str] = ()) -> None:
        self._manifests = [
            {
                "Kind": "image",
                "Available": name in available,
                "ImageData": {"Platform": parse_platform(name).document},
            }
            for name in (*available, *absent)
        ]
        self._manifests.append({"Kind": "attestation", "Available": True})
        self.asked: list[tuple[str, Platform | None]] = []

    def inspect(self, name: str, platform: Platform | None = None) -> Inspected:
        self.asked.append(("inspect", platform))
        own = platform or parse_platform("linux/s390x")
        answer = {
            "Id": "sha256:" + "1" * 64,
            "Os": own.os,
            "Architecture": own.architecture,
            "Variant": own.variant,
            "Manifests": self._manifests if platform is None else None,
        }
        return lenient(answer, Inspected)

    def history(self, name: str, platform: Platform | None = None) -> Sequence[HistoryAnswer]:
        self.asked.append(("history", platform))
        return []

    def export(self, name: str, platform: Platform | None = None) -> Any:
        self.asked.append(("export", platform))
        raise UsageError("It is enough that it was asked.")

    def close(self) -> None:
        pass


def test_an_engine_is_asked_for_the_platform_that_is_wanted() -> None:
    engine = SeveralPlatforms(OTHERS[0], HOST, absent=[OTHERS[1]])
    reader = EngineExportReader(engine, "app", "docker-daemon:app")
    assert [str(each) for each in reader.image.platforms] == [HOST, OTHERS[0]]
    wanted = parse_platform(HOST)
    assert engine.asked == [("inspect", None), ("inspect", wanted), ("history", wanted)]
    other = EngineExportReader(engine, "app", "docker-daemon:app", OTHERS[0])
    assert str(other.platform) == OTHERS[0]
    assert str(other.image.platforms[0]) == OTHERS[0]


def test_an_engine_without_the_platform_names_those_that_it_has() -> None:
    with pytest.raises(PlatformMissingError) as caught:
        EngineExportReader(SeveralPlatforms(*OTHERS), "app", "docker-daemon:app")
    assert caught.value.platforms == tuple(OTHERS)


def test_an_engine_with_one_platform_is_not_asked_twice() -> None:
    engine = SeveralPlatforms(OTHERS[0], absent=[HOST])
    reader = EngineExportReader(engine, "app", "docker-daemon:app")
    assert (reader.platform, len(reader.image.platforms)) == (None, 1)
    assert engine.asked == [("inspect", None), ("history", None)]
