"""Pulls by our own client from a registry that misbehaves."""

from __future__ import annotations

import gzip
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from layerscope.engines.resolve import open_image
from layerscope.errors import LayerscopeError
from layerscope.images.registry import kept_blobs
from layerscope.images.registry.transport import Patience
from layerscope.jobs.worker import Cancellation
from layerscope.oci.reference import parse_reference
from layerscope.transfer import registry_pull
from layerscope.transfer.preview import preview_own_pull
from layerscope.transfer.recorder import Recorder
from layerscope.transfer.registry_pull import pull_by_registry
from layerscope.transfer.request import TransferRequest
from layerscope.transfer.targets import target_of
from tests.unit.images.registry.misbehaving_registry import (
    Behaviour,
    FakeRegistry,
    Handler,
    answer,
    cut_after,
    digest_of,
    fake_registry,
    noise,
    tar_of,
)

SIZE = 300_000
LAYERS = [gzip.compress(tar_of({"f": noise(SIZE, seed)}), mtime=0) for seed in (1, 2, 3)]


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRegistry]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(
        registry_pull, "PATIENCE", Patience(read=2, tries=4, first_wait=0.01, longest_wait=0.02)
    )
    with fake_registry() as registry:
        registry.image(LAYERS, "1")
        yield registry


@dataclass
class Pulled:
    source: str
    events: list[dict[str, Any]]
    name: str = ""

    def states(self, layer: bytes) -> list[str]:
        row = digest_of(layer)[7:19]
        seen = [each["state"] for each in self.events if each.get("id") == row]
        return [state for n, state in enumerate(seen) if not n or seen[n - 1] != state]


@dataclass
class Puller:
    registry: FakeRegistry
    folder: Path
    events: list[dict[str, Any]] = field(default_factory=list)

    def pull(
        self, name: str = "app:1", target: str = "oci:{}/layout", seen: str | None = None
    ) -> Pulled:
        place = target.format(self.folder)
        reference = f"{self.registry.address}/{name}"
        recorder = Recorder(lambda event: self.events.append(dict(event)))
        request = TransferRequest(reference, via="registry", target=place, seen=seen)
        cancellation = Cancellation()
        found, where = pull_by_registry(
            [parse_reference(reference)],
            request,
            target_of(place, None, cancellation),
            recorder,
            cancellation,
        )
        recorder.finished(found, where)
        return Pulled(where, self.events, found)

    def fails(self, name: str = "app:1") -> str:
        with pytest.raises(LayerscopeError) as caught:
            self.pull(name)
        assert not (self.folder / "layout").exists()
        return str(caught.value)

    @property
    def kept(self) -> dict[str, int]:
        folder = self.folder / "cache/layerscope/blobs-1"
        return {path.name: path.stat().st_size for path in folder.iterdir()}

    def blobs(self, layer: bytes) -> list[str | None]:
        """The ranges that were asked for of a layer."""
        return [each.range for each in self.registry.asked if digest_of(layer) in each.path]


@pytest.fixture
def puller(registry: FakeRegistry, tmp_path: Path) -> Puller:
    return Puller(registry, tmp_path)


def check(pulled: Pulled, folder: Path) -> None:
    """The layout has the right bytes, and nothing is kept."""
    reader = open_image(pulled.source)
    assert [layer.digest for layer in reader.image.layers] == [digest_of(x) for x in LAYERS]
    reader.close()
    for layer in LAYERS:
        assert (folder / "layout/blobs/sha256" / digest_of(layer)[7:]).read_bytes() == layer


def test_a_pull(puller: Puller, tmp_path: Path) -> None:
    pulled = puller.pull()
    check(pulled, tmp_path)
    assert puller.kept == {}
    for layer in LAYERS:
        assert pulled.states(layer) == ["waiting", "downloading", "verifying", "done"]
        row = digest_of(layer)[7:19]
        counts = [e for e in pulled.events if e.get("id") == row and e["state"] == "downloading"]
        assert counts[-1]["current"] == counts[-1]["total"] == len(layer)


def test_a_pull_into_our_own_store_unpacks_each_layer_as_it_comes(
    puller: Puller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAYERSCOPE_STORE", str(tmp_path / "store"))
    puller.registry.when(f"blobs/{digest_of(LAYERS[1])}", cut_after(1000), 1)
    pulled = puller.pull(target="embedded:")
    reader = open_image(pulled.source)
    diff_ids = [layer.diff_id for layer in reader.image.layers]
    reader.close()
    for layer, diff_id in zip(LAYERS, diff_ids, strict=True):
        stored = tmp_path / "store/blobs/sha256" / diff_id[7:]
        assert stored.read_bytes() == gzip.decompress(layer)
        ends = ["downloading", "verifying", "extracting", "done"]
        assert pulled.states(layer)[-4:] == ends
    # What is unpacked is kept no longer.
    assert puller.kept == {}
    assert not list((tmp_path / "store/leases").iterdir())


MISBEHAVING: dict[str, tuple[Behaviour, int, str]] = {
    "429": (answer(429, Retry_After="0"), 2, "the registry answered 429"),
    "a date": (answer(429, X_Retry_After=str(int(time.time()) - 5)), 2, "answered 429"),
    "500 once": (answer(500), 1, "the registry answered 500"),
    "truncated": (cut_after(1000), 3, "the connection broke"),
}


@pytest.mark.parametrize("how", list(MISBEHAVING))
def test_what_passes_is_tried_again(how: str, puller: Puller, tmp_path: Path) -> None:
    behaviour, times, why = MISBEHAVING[how]
    puller.registry.when(f"blobs/{digest_of(LAYERS[1])}", behaviour, times)
    pulled = puller.pull()
    check(pulled, tmp_path)
    assert "retrying" in pulled.states(LAYERS[1])
    texts = [each["text"] for each in pulled.events if each.get("state") == "retrying"]
    assert any(why in text and "trying again in" in text for text in texts)
    if how == "truncated":
        assert puller.blobs(LAYERS[1])[1:] == [
            f"bytes={n * 1000}-{len(LAYERS[1]) - 1}" for n in (1, 2, 3)
        ]


def test_a_wait_that_is_too_long_is_said(puller: Puller) -> None:
    puller.registry.when("blobs/", answer(429, Retry_After=formatdate(time.time() + 3600)))
    text = puller.fails()
    assert "received too many requests" in text
    assert re.search(r"Try again in 3[56]\d\d seconds", text)


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_what_does_not_pass_is_a_sentence(status: int, puller: Puller) -> None:
    puller.registry.when(f"blobs/{digest_of(LAYERS[1])}", answer(status))
    assert f"({status}" in puller.fails()


def keep(puller: Puller, layer: bytes, data: bytes) -> None:
    """Leaves what another attempt may have left."""
    folder = puller.folder / "cache/layerscope/blobs-1"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / digest_of(layer).replace(":", "-")).write_bytes(data)


def test_the_next_attempt_fetches_the_rest(puller: Puller, tmp_path: Path) -> None:
    keep(puller, LAYERS[0], LAYERS[0])
    keep(puller, LAYERS[1], LAYERS[1][:100_000])
    preview = preview_own_pull(
        None, parse_reference(f"{puller.registry.address}/app:1"), target=f"oci:{tmp_path}/layout"
    )
    assert preview.kept == len(LAYERS[0]) + 100_000
    assert preview.estimate.missing == sum(map(len, LAYERS)) - preview.kept
    pulled = puller.pull()
    check(pulled, tmp_path)
    assert puller.blobs(LAYERS[0]) == []
    assert pulled.states(LAYERS[0]) == ["waiting", "verifying", "exists"]
    assert puller.blobs(LAYERS[1]) == [f"bytes=100000-{len(LAYERS[1]) - 1}"]
    assert puller.blobs(LAYERS[2]) == [None]


@pytest.mark.parametrize("how", ["ranges are ignored", "416", "another range"])
def test_a_registry_without_ranges(how: str, puller: Puller, tmp_path: Path) -> None:
    keep(puller, LAYERS[1], LAYERS[1][:100_000])

    def wrong(handler: Handler) -> bool:
        if "Range" not in handler.headers:
            return False
        status = 416 if how == "416" else 206
        handler.reply(status, LAYERS[1][:10], {"Content-Range": f"bytes 0-9/{len(LAYERS[1])}"})
        return True

    if how == "ranges are ignored":
        puller.registry.ranges = False
    else:
        puller.registry.when(f"blobs/{digest_of(LAYERS[1])}", wrong)
    check(puller.pull(), tmp_path)


@pytest.mark.parametrize(
    "data", [b"x" * 100_000, b"x" * len(LAYERS[1]), LAYERS[1] + b"x"], ids=["part", "all", "more"]
)
def test_what_was_kept_and_is_damaged_is_fetched_again(
    data: bytes, puller: Puller, tmp_path: Path
) -> None:
    keep(puller, LAYERS[1], data)
    check(puller.pull(), tmp_path)
    assert puller.blobs(LAYERS[1])[-1] is None


def test_a_wrong_digest_is_not_kept(puller: Puller, tmp_path: Path) -> None:
    digest = digest_of(LAYERS[1])
    puller.registry.blobs[digest] = bytes(len(LAYERS[1]))
    assert "do not match the digest" in puller.fails()
    assert digest.replace(":", "-") not in puller.kept
    puller.registry.blobs[digest] = LAYERS[1]
    check(puller.pull(), tmp_path)


def test_a_blob_that_is_too_short(puller: Puller) -> None:
    puller.registry.blobs[digest_of(LAYERS[1])] = LAYERS[1][:-1]
    assert "has less of layer" in puller.fails()


def test_a_full_disk(puller: Puller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, data: bytes) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(kept_blobs, "write_all", full)
    assert re.search(
        r"blobs-1 cannot be written: the disk is full\. Make room there", puller.fails()
    )
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    check(puller.pull(), tmp_path)


def test_a_disk_that_is_too_small(
    puller: Puller, small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said before anything is fetched, if that is known; nothing stays of the target."""
    with monkeypatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(small_disk))
        assert re.match(rf"{small_disk}.* has .*B of free space, but ", puller.fails())
        assert puller.registry.blob_requests()[1:] == []  # The configuration only.
        patch.setattr(kept_blobs, "check_space", lambda *_: None)
        assert "blobs-1 cannot be written: the disk is full. Make room" in puller.fails()
    for place in ("docker-archive:{}/a.tar", "oci-archive:{}/b.tar", "oci:{}/c"):
        with pytest.raises(LayerscopeError, match=r"free space, but|the disk is full\. "):
            puller.pull(target=place.format(small_disk))
        assert {path.name for path in small_disk.iterdir()} == {"layerscope"}
    # What was fetched for them is still here.
    puller.registry.asked.clear()
    check(puller.pull(), tmp_path)
    assert not any(puller.blobs(layer) for layer in LAYERS)


def test_only_what_a_layout_lacks_is_fetched(puller: Puller, tmp_path: Path) -> None:
    puller.pull()
    more = gzip.compress(tar_of({"g": b"more"}), mtime=0)
    puller.registry.image([*LAYERS, more], "2")
    puller.events.clear()
    puller.registry.asked.clear()
    pulled = puller.pull("app:2")
    assert pulled.states(more)[-1] == "done"
    assert all(pulled.states(layer) == ["exists"] for layer in LAYERS)
    assert not puller.blobs(LAYERS[0])
    # A blob that is damaged does not count.
    path = tmp_path / "layout/blobs/sha256" / digest_of(LAYERS[0])[7:]
    path.write_bytes(bytes(len(LAYERS[0])))
    puller.pull("app:2")
    check(Pulled(f"oci:{tmp_path}/layout:{puller.registry.address}/app:1", []), tmp_path)


def test_a_tag_that_has_moved_since_it_was_shown(puller: Puller, tmp_path: Path) -> None:
    shown = digest_of(puller.registry.manifests["1"][1])
    assert not [e for e in puller.pull(seen=shown).events if e["event"] == "warning"]
    puller.events.clear()
    pulled = puller.pull(seen="sha256:" + "c0ffee" * 10 + "c0ff")
    (warning,) = [each["text"] for each in pulled.events if each["event"] == "warning"]
    assert "was pushed again after it was shown: it was c0ffeec0ffee, and is" in warning
    check(pulled, tmp_path)


def test_a_tag_that_moves_meanwhile(puller: Puller) -> None:
    def moves(handler: Handler) -> bool:
        puller.registry.image(LAYERS[:1], "1")
        return False

    first = puller.registry.manifests["1"][1]
    puller.registry.when("blobs/", moves, 1)
    pulled = puller.pull()
    (warning,) = [each["text"] for each in pulled.events if each["event"] == "warning"]
    assert "was pushed again meanwhile" in warning
    assert pulled.events[-1]["digest"] == digest_of(first)


def test_all_layers_that_are_equal_are_fetched_once(puller: Puller, tmp_path: Path) -> None:
    puller.registry.image([LAYERS[0], LAYERS[1], LAYERS[0]], "twice")
    puller.pull("app:twice")
    assert puller.blobs(LAYERS[0]) == [None]
