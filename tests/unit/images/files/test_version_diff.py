"""What differs between two versions of a path, content included."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from layerscope.engines.resolve import open_image
from layerscope.errors import Cancelled
from layerscope.filesystem.capabilities import capability_text
from layerscope.filesystem.change import Aspect, Change
from layerscope.filesystem.stack import Stack
from layerscope.images.files import version_diff
from layerscope.images.files.contents import Contents
from layerscope.images.files.version_diff import (
    Body,
    Side,
    VersionDiff,
    compare_versions,
    encoding_note,
    settle_versions,
)
from layerscope.images.loading import load
from layerscope.images.progress import Progress
from tests.archives import Item, folder, hard_link, layer_tar, symlink, text, write_archive

Make = Callable[..., tuple[Stack, Contents]]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    opened: list[Contents] = []

    def made(*layers: list[Item]) -> tuple[Stack, Contents]:
        where = tmp_path / str(len(opened))
        where.mkdir()
        path = write_archive(where, [layer_tar(layer) for layer in layers])
        reader = open_image(str(path), Progress())
        contents = Contents(reader)
        opened.append(contents)
        return load(reader, Progress()).stack, contents

    yield made
    for contents in opened:
        contents.close()


def versions(stack: Stack, path: bytes) -> list[int]:
    node = stack.tree.find(path)
    assert node is not None
    return stack.versions(node)


def compared(made: tuple[Stack, Contents], path: bytes) -> VersionDiff:
    stack, contents = made
    old, new = versions(stack, path)
    return compare_versions(Side(stack, old, contents), Side(stack, new, contents))


def facts(diff: VersionDiff) -> dict[str, tuple[str | None, str | None]]:
    return {fact.name: (fact.old, fact.new) for fact in diff.facts}


def raw(name: str, content: bytes, **fields: object) -> Item:
    return Item(name, content=content, **fields)  # type: ignore[arg-type]


def test_lines_of_a_text(make: Make) -> None:
    diff = compared(make([text("f", "a\nb\n")], [text("f", "a\nc\n")]), b"f")
    assert diff.body is Body.TEXT
    assert diff.lines is not None
    assert (diff.lines.added, diff.lines.removed) == (1, 1)
    assert diff.facts == ()
    assert diff.changed


def test_only_owner_and_mode(make: Make) -> None:
    big = "x" * 100_000
    diff = compared(make([text("f", big)], [text("f", big, mode=0o664, uid=33, gid=33)]), b"f")
    assert diff.body is Body.SAME
    assert facts(diff) == {"mode": ("0644", "0664"), "owner": ("0:0", "33:33")}


def test_nothing_at_all(make: Make) -> None:
    diff = compared(make([text("f", "x")], [text("f", "x")]), b"f")
    assert (diff.body, diff.changed) == (Body.SAME, False)


@pytest.mark.parametrize(
    ("old", "new", "offset"),
    [
        (b"\0" * 10 + b"a", b"\0" * 10 + b"b", 10),
        (b"\0" * 10, b"\0" * 12, 10),
        (b"\0" * 3_000_000 + b"a", b"\0" * 3_000_000 + b"b", 3_000_000),
        (b"text\n", b"\0\1\2", 0),
        (b"", b"\0\1\2", 0),
    ],
)
def test_the_first_byte_that_differs(make: Make, old: bytes, new: bytes, offset: int) -> None:
    diff = compared(make([raw("f", old)], [raw("f", new)]), b"f")
    assert (diff.body, diff.first_difference, diff.lines) == (Body.BINARY, offset, None)


def test_binaries_with_the_same_bytes(make: Make) -> None:
    data = bytes(range(256)) * 9000
    diff = compared(make([raw("f", data)], [raw("f", data, mtime=1)]), b"f")
    assert diff.body is Body.SAME
    assert facts(diff) == {"mtime": ("2017-07-14 02:40:00", "1970-01-01 00:00:01")}


def test_what_is_too_large_is_compared_by_bytes(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(version_diff, "LARGEST_TEXT", 100)
    diff = compared(make([text("f", "a\n" * 60)], [text("f", "a\n" * 55 + "b\n" * 5)]), b"f")
    assert (diff.body, diff.first_difference) == (Body.LARGE, 110)


def test_a_version_alone(make: Make) -> None:
    stack, contents = make([text("f", "a\nb\n", mode=0o600)])
    side = Side(stack, versions(stack, b"f")[0], contents)
    added, removed = compare_versions(None, side), compare_versions(side, None)
    assert added.lines is not None
    assert removed.lines is not None
    assert (added.lines.added, removed.lines.removed) == (2, 2)
    assert facts(added)["mode"] == (None, "0600")
    assert facts(removed)["mode"] == ("0600", None)
    with pytest.raises(ValueError, match="two missing"):
        compare_versions(None, None)


def test_links_folders_and_devices(make: Make) -> None:
    made = make(
        [symlink("l", "one"), folder("d"), Item("c", "char", device=(1, 3)), symlink("t", "x")],
        [
            symlink("l", "two\x1b[2J"),
            folder("d", uid=5),
            Item("c", "char", device=(1, 5)),
            text("t", "now a file\n"),
        ],
    )
    link = compared(made, b"l")
    assert (link.body, facts(link)) == (Body.NONE, {"target": ("one", "two\\e[2J")})
    assert facts(compared(made, b"d")) == {"owner": ("0:0", "5:0")}
    assert facts(compared(made, b"c")) == {"device": ("1,3", "1,5")}
    changed = compared(made, b"t")
    assert facts(changed)["type"] == ("symlink", "file")
    assert changed.lines is not None
    assert (changed.lines.added, changed.lines.removed) == (1, 0)


def test_hard_links_have_the_content_of_their_inode(make: Make) -> None:
    diff = compared(
        make([text("a", "one\n"), hard_link("f", "a")], [text("a", "two\n"), hard_link("f", "a")]),
        b"f",
    )
    assert diff.lines is not None
    assert diff.lines.new == [b"two\n"]


def test_attributes_are_named(make: Make) -> None:
    ping = struct.pack("<5I", 0x0200_0001, 1 << 13, 0, 0, 0).decode("latin-1")
    old = {"SCHILY.xattr.user.note": "a", "SCHILY.xattr.user.gone": "b" * 200}
    new = {"SCHILY.xattr.user.note": "\x1bc", "SCHILY.xattr.security.capability": ping}
    found = facts(compared(make([text("f", pax=old)], [text("f", pax=new)]), b"f"))
    assert found["xattr user.note"] == ("a", "1b63")
    assert found["capabilities"] == (None, "cap_net_raw=ep")
    gone = found["xattr user.gone"]
    assert gone[1] is None
    assert "200 bytes" in str(gone[0])


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (
            struct.pack("<5I", 0x0200_0001, 1 << 10 | 1 << 13, 0, 0, 0),
            "cap_net_bind_service,cap_net_raw=ep",
        ),
        (struct.pack("<5I", 0x0200_0000, 1, 2, 0, 1 << 8), "cap_chown=p cap_dac_override,cap_40=i"),
        (struct.pack("<6I", 0x0300_0001, 1, 1, 0, 0, 1000), "cap_chown=eip [rootid=1000]"),
        (struct.pack("<3I", 0x0100_0000, 1, 0), "cap_chown=p"),
        (struct.pack("<5I", 0x0200_0000, 0, 0, 0, 0), "none"),
        (b"", None),
        (b"\1\0\0\2", None),
        (struct.pack("<5I", 0x0400_0000, 1, 0, 0, 0), None),
    ],
)
def test_capabilities_as_getcap_prints_them(value: bytes, shown: str | None) -> None:
    if shown is not None:
        shown = shown.replace("cap_40", "cap_checkpoint_restore")
    assert capability_text(value) == shown


def test_encodings(make: Make) -> None:
    diff = compared(
        make([raw("f", "é\na\n".encode("latin-1"))], [raw("f", "é\na\n".encode("utf-16"))]), b"f"
    )
    assert diff.body is Body.TEXT
    assert encoding_note(diff) == "Latin-1 → UTF-16 LE"
    assert diff.lines is not None
    assert diff.lines.new[1:] == [b"a\n"]


def test_content_that_cannot_be_read_is_told(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from layerscope.errors import BadInputError

    stack, contents = make([text("f", "a")], [text("f", "b")])
    old, new = (Side(stack, row, contents) for row in versions(stack, b"f"))

    def fail(*_: object) -> None:
        raise BadInputError("x.tar", 12, "it is damaged")

    monkeypatch.setattr(Contents, "open", fail)
    diff = compare_versions(old, new)
    assert (diff.body, diff.problem) == (Body.UNREADABLE, "x.tar, byte 12: it is damaged.")
    contents.close()
    monkeypatch.undo()
    with pytest.raises(Cancelled):
        compare_versions(old, new)


def test_versions_that_nobody_compared_are_settled(make: Make) -> None:
    stack, contents = make(
        [text("same", "x"), text("other", "x")],
        [text("same", "x", uid=1), text("other", "y", uid=1)],
    )
    rows = [versions(stack, path)[1] for path in (b"same", b"other")]
    assert stack.unread[rows].all()
    settle_versions(stack, contents, [*rows, versions(stack, b"same")[0]])
    assert not stack.unread[rows].any()
    assert [bool(stack.aspects[row] & Aspect.CONTENT) for row in rows] == [False, True]
    assert stack.changes[rows].tolist() == [Change.MODIFIED, Change.MODIFIED]
