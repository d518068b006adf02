import os
from pathlib import Path

import pytest

from layerscope.sandbox import process, worker
from layerscope.sandbox.process import Ids, Mapping, SandboxError, perform, subordinate_ids
from layerscope.sandbox.task import Task, Way


def test_ids_reach_as_far_as_there_is_no_gap() -> None:
    users = (Ids(0, 1000, 1), Ids(1, 100_000, 65_536))
    assert Mapping(users, users).count == 65_537
    assert Mapping(users, (Ids(0, 1000, 1),)).count == 1
    assert Mapping((Ids(0, 1000, 1), Ids(2, 5, 9)), users).count == 1


def test_subordinate_ids_are_found_by_name_and_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"/etc/subuid": tmp_path / "subuid", "/etc/subgid": tmp_path / "subgid"}
    monkeypatch.setattr(process, "Path", lambda name: files.get(name, Path(name)))
    monkeypatch.setattr("getpass.getuser", lambda: "alice")
    assert subordinate_ids() is None
    own = os.geteuid()
    files["/etc/subuid"].write_text(f"bob:1:5\nalice:100000:65536\n{own}:300000:10\nalice:x:1\n")
    files["/etc/subgid"].write_text("bob:1:5\n")
    assert subordinate_ids() is None
    files["/etc/subgid"].write_text("alice:100000:65536\n")
    found = subordinate_ids()
    assert found is not None
    assert found.uids == (Ids(0, own, 1), Ids(1, 100_000, 65_536), Ids(65_537, 300_000, 10))
    assert found.gids == (Ids(0, os.getegid(), 1), Ids(1, 100_000, 65_536))
    assert (found.helper, found.count) == (True, 65_537)


def test_what_the_worker_cannot_do_is_one_sentence(tmp_path: Path) -> None:
    nowhere = Task(Way.PROOT, str(tmp_path / "none"), command=("true",), save=-1)
    with pytest.raises(SandboxError) as caught:
        perform(nowhere, None)
    assert "\n" not in str(caught.value)
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize("name", [None, "/etc/\x1b"])
def test_why_there_is_no_sandbox_is_a_sentence(name: str | None) -> None:
    result = worker._not_made(NotADirectoryError(20, "Not a directory", name))
    where = "" if name is None else "/etc/\\e: "
    assert result.error == f"The sandbox cannot be made: {where}Not a directory."
