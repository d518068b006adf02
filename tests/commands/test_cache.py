"""The cache: what was read once is not read again, and nothing breaks it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import layerscope.images.layer_stream
from layerscope.filesystem.changeset import Changeset
from layerscope.filesystem.changeset_file import (
    ChangesetFileError,
    dump_changeset,
    load_changeset,
)
from layerscope.filesystem.tar_changeset import read_changeset
from layerscope.images.cache.changesets import ChangesetCache
from tests.archives import (
    Item,
    hard_link,
    layer_tar,
    streamed,
    symlink,
    text,
    whiteout,
    write_archive,
)
from tests.archives import changeset as unit_changeset
from tests.commands.conftest import Run


def some_changeset() -> Changeset:
    return unit_changeset(("dir/file", b"content"), ("dir/other", b"x"))


def files_of(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def same(one: Changeset, other: Changeset) -> bool:
    columns = ("kinds", "modes", "uids", "gids", "sizes", "mtimes", "header_offsets")
    return (
        one.path_blob == other.path_blob
        and all(np.array_equal(getattr(one, c), getattr(other, c)) for c in columns)
        and all(getattr(one, c).dtype == getattr(other, c).dtype for c in columns)
        and (one.links, one.devices, one.xattrs, one.sparse)
        == (other.links, other.devices, other.xattrs, other.sparse)
    )


def test_a_changeset_comes_back_as_it_was(tmp_path: Path) -> None:
    items = [
        text("plain", "x" * 70000, mtime=-5, uid=3_000_000),
        symlink("link", "t\x01\udcff"),
        hard_link("hard", "plain"),
        Item("device", "char", device=(5, 1)),
        text("xattr", pax={"SCHILY.xattr.user.a": "v"}),
        whiteout("gone"),
    ]
    changeset = read_changeset(streamed(layer_tar(items), digest=True))
    again = load_changeset(dump_changeset(changeset))
    assert same(changeset, again)
    assert changeset.digests is not None
    assert again.digests is not None
    assert np.array_equal(changeset.digests, again.digests)
    assert same(Changeset.empty(), load_changeset(dump_changeset(Changeset.empty())))


def test_damaged_bytes_are_never_a_changeset() -> None:
    data = dump_changeset(some_changeset())
    for place in range(0, len(data), 3):
        with pytest.raises(ChangesetFileError):
            load_changeset(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :])
    for length in range(0, len(data), 7):
        with pytest.raises(ChangesetFileError):
            load_changeset(data[:length])


def test_a_damaged_file_is_replaced(tmp_path: Path) -> None:
    cache = ChangesetCache(tmp_path)
    cache.put("key", some_changeset())
    (path,) = files_of(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    assert cache.get("key") is None
    assert not files_of(tmp_path)
    cache.put("key", some_changeset())
    assert same(cache.get("key") or Changeset.empty(), some_changeset())


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    size = len(dump_changeset(some_changeset()))
    cache = ChangesetCache(tmp_path, limit=3 * size + 1)
    for number in range(3):
        cache.put(f"key {number}", some_changeset())
    now = time.time()
    for path in files_of(tmp_path):
        os.utime(path, (now - 1000, now - 1000))
    assert cache.get("key 0") is not None
    cache.put("key 3", some_changeset())
    assert sum(path.stat().st_size for path in files_of(tmp_path)) <= 3 * size + 1
    assert cache.has("key 0")
    assert cache.has("key 3")
    assert cache.has("key 1") != cache.has("key 2")


def test_a_full_disk_or_a_forbidden_folder_is_not_an_error(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    cache = ChangesetCache(blocked)
    cache.put("key", some_changeset())
    assert cache.get("key") is None
    full = ChangesetCache(tmp_path / "full")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("layerscope.writing.write_all", _no_space)
        full.put("key", some_changeset())
    assert full.get("key") is None
    assert not files_of(tmp_path / "full")


def _no_space(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_the_second_opening_reads_no_layer(
    run: Run, image: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    first = run("files", image, "--json-lines")

    def refuse(*_: object, **__: object) -> Changeset:
        raise AssertionError("a layer was read again")

    monkeypatch.setattr(layerscope.images.layer_stream, "read_layer", refuse)
    assert run("files", image, "--json-lines").out == first.out


def test_an_archive_that_changed_is_read_again(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    image = write_archive(tmp_path, [layer_tar([text("one")])])
    assert '"/one"' in run("files", image, "--json-lines").out
    image = write_archive(tmp_path, [layer_tar([text("two")])])
    os.utime(image, (1, 1))
    assert '"/two"' in run("files", image, "--json-lines").out


def test_an_archive_cannot_plant_a_layer_under_the_name_of_another(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two archives claim the same diff_id; the content of one is not of that digest."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    honest, lying = tmp_path / "honest", tmp_path / "lying"
    honest.mkdir()
    lying.mkdir()
    layer, other = layer_tar([text("good")]), layer_tar([text("evil")])
    first = write_archive(honest, [layer])
    second = lying / "image.tar"
    second.write_bytes(first.read_bytes().replace(layer, other))
    refused = run("files", second, "--json-lines")
    assert (refused.code, refused.out) == (2, "")
    assert '"/good"' in run("files", first, "--json-lines").out


@pytest.mark.parametrize("delay", [0.02, 0.1, 0.3])
def test_a_kill_in_the_middle_of_writing_leaves_no_damage(tmp_path: Path, delay: float) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tests.commands.test_cache import some_changeset\n"
        "from layerscope.images.cache.changesets import ChangesetCache\n"
        "cache = ChangesetCache(Path(sys.argv[1]))\n"
        "print('ready', flush=True)\n"
        "for number in range(1000000): cache.put(str(number % 5000), some_changeset())\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    process.stdout.readline()
    cache = ChangesetCache(tmp_path)
    while not cache.has("0"):
        time.sleep(0.001)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait()
    whole = [number for number in range(5000) if cache.has(str(number))]
    assert whole
    assert all(cache.get(str(number)) is not None for number in whole)
    process.stdout.close()


def test_a_full_disk_only_loses_the_cache(
    run: Run, tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = [text(f"file-{os.urandom(40).hex()}", "x") for _ in range(3000)]
    image = write_archive(tmp_path, [layer_tar(noise)])
    monkeypatch.setenv("XDG_CACHE_HOME", str(small_disk))
    answer = run("files", image, "--json-lines")
    assert (answer.code, answer.err, len(answer.lines)) == (0, "", 3000)
    assert not files_of(small_disk)
    assert run("files", image, "--json-lines").out == answer.out


@pytest.mark.parametrize("delay", [0.15, 0.3, 0.5])
def test_a_kill_in_the_middle_of_reading_does_not_harm_the_next_start(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, delay: float
) -> None:
    layers = [
        layer_tar([text(f"{layer}/{number}", "x" * 100) for number in range(4000)])
        for layer in range(4)
    ]
    image = write_archive(tmp_path, layers)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    command = [sys.executable, "-m", "layerscope", "files", "--json-lines", str(image)]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, cwd=Path(__file__).parents[2], env=os.environ
    )
    time.sleep(delay)
    process.kill()
    process.wait()
    assert len(run("files", image, "--json-lines").lines) == 16004
