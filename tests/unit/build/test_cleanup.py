"""What a build has in an engine is recorded, and found by later builds."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from layerscope.build.cleanup import Leftovers, abandoned, clean_after, forget, note, noted
from layerscope.errors import LayerscopeError
from layerscope.jobs.job import LEFT
from layerscope.records import replace
from tests.tui.build.build_fakes import FakeBuild

CONTAINER = Leftovers("unix:///s", container="ab" * 32)
WORKING = Leftovers(
    "unix:///s",
    working=frozenset({"x", "y"}),
    windows={"sha256:1": (1.5, 2.5), "z": (3.0, None)},
)


def test_recorded_leftovers_are_found(tmp_path: Path) -> None:
    note(tmp_path, CONTAINER)
    assert noted(tmp_path) == CONTAINER
    note(tmp_path, WORKING)
    os.utime(tmp_path / LEFT, (7, 7))
    # A window that was open when it was recorded ends at that time.
    assert noted(tmp_path) == replace(WORKING, windows={"sha256:1": (1.5, 2.5), "z": (3.0, 7.0)})
    forget(tmp_path)
    assert noted(tmp_path) is None
    forget(tmp_path)


@pytest.mark.parametrize(
    "nothing", [Leftovers("x"), Leftovers("x", windows={}, working=frozenset("y"))]
)
def test_nothing_left_is_not_recorded(tmp_path: Path, nothing: Leftovers) -> None:
    note(tmp_path, CONTAINER)
    note(tmp_path, nothing)
    assert not (tmp_path / LEFT).exists()


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"engine":1,"container":null,"working":[],"windows":{"a":[null,1]}}'],
)
def test_a_damaged_record_is_ignored(tmp_path: Path, text: str) -> None:
    (tmp_path / LEFT).write_text(text)
    assert noted(tmp_path) is None


def test_a_folder_that_cannot_be_written_is_not_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    note(tmp_path / "file", CONTAINER)


def test_only_jobs_that_have_ended_on_that_engine_are_abandoned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    runs, died, ended, elsewhere = (FakeBuild(tmp_path, number) for number in (1, 2, 3, 4))
    for build in (runs, died):
        note(build.folder, CONTAINER)
    note(elsewhere.folder, replace(CONTAINER, engine="unix:///other"))
    died.end(None)
    ended.end(0)
    elsewhere.end(None)
    assert [(job.id, left) for job, left in abandoned("unix:///s")] == [("2", CONTAINER)]
    assert "`layerscope jobs cancel 2`" in died.job.reason
    assert runs.job.reason == ended.job.reason == ""
    # Podman's working containers have no owner: while another build runs, they stay.
    note(elsewhere.folder, replace(WORKING, engine="unix:///other"))
    spec = json.loads((runs.folder / "job.json").read_text())
    spec["spec"]["engine"] = "unix:///other"
    (runs.folder / "job.json").write_text(json.dumps(spec))
    with pytest.raises(LayerscopeError, match="Another build runs on that engine"):
        clean_after(elsewhere.job)
    runs.end(0)
    with pytest.raises(LayerscopeError, match="No engine listens at unix:///other"):
        clean_after(elsewhere.job)
    assert elsewhere.job.left
