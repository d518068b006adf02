"""Dockerfiles drafted from what a container has changed."""

import pytest

from layerscope.dockerfile.meaning.draft import draft
from layerscope.filesystem.change import Change
from layerscope.filesystem.changeset import EntryType
from layerscope.images.containers.written import Written
from layerscope.images.files.packages import Glance
from tests.archives import row_of, stack

NOTHING = Glance(1, (), (), (), (), ())


@pytest.mark.parametrize("left_out", [b"srv/app/key", b""])
def test_a_folder_is_not_copied_with_what_is_left_out(left_out: bytes) -> None:
    found = stack(["etc/"], ["srv/", "srv/app/", ("srv/app/key", b"1"), ("srv/app/main", b"2")])
    changes = []
    for path in (b"srv", b"srv/app", b"srv/app/key", b"srv/app/main"):
        row = row_of(found, path)
        unwanted = "private key" if path == left_out else ""
        kind = EntryType(int(found.types[row]))
        changes.append(Written(path, kind, Change.ADDED, 0, row, unwanted))
    drafted = draft("base:1", found, changes, NOTHING, (), frozenset())
    assert list(drafted.files) == ([b"srv/app/main"] if left_out else [b"srv"])
    assert [each.path for each in drafted.left_out] == ([left_out] if left_out else [])
    assert not any("key" in step.text for step in drafted.steps)
