"""`.dockerignore`, the build context and its tar stream."""

from __future__ import annotations

import io
import os
import shutil
import socket
import struct
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerscope.dockerfile.context.context import Context, open_context, read_context, sent_names
from layerscope.dockerfile.context.ignore import IgnorePatternError, clean, parse_ignore
from layerscope.dockerfile.context.packing import pack
from layerscope.errors import BadInputError, LayerscopeError
from tests.folders import let_others_in


@pytest.mark.parametrize(
    ("rules", "ignored", "kept"),
    [
        ("a", ["a", "a/b", "a/b/c"], ["b/a", "ab", "b"]),
        ("a/", ["a", "a/b"], ["b/a"]),
        ("/a", ["a", "a/b"], ["b/a"]),
        ("  a  ", ["a"], [" a"]),
        ("a/b", ["a/b", "a/b/c"], ["a", "b"]),
        ("./a/../b", ["b"], ["a"]),
        ("*", ["a", "a/b", ".a"], []),
        ("*.md", ["x.md", "x.md/y"], ["a/x.md", "md"]),
        ("*/*.md", ["a/x.md"], ["x.md", "a/b/x.md"]),
        ("**/*.md", ["x.md", "a/x.md", "a/b/x.md"], ["a/x.txt"]),
        ("**/a", ["a", "b/a", "b/c/a/d"], ["ba", "b"]),
        ("**", ["a", "a/b"], []),
        ("**b", ["b", "ab", "a/ab", "b/c"], ["ba"]),
        ("**b*", ["b", "a/bc"], ["ab", "a/ab"]),
        ("ab**", ["ab", "abc", "ab/c", "abc/d"], ["a", "xab"]),
        ("a/**", ["a/b", "a/b/c"], ["a", "b"]),
        ("a/**/b", ["a/b", "a/c/b", "a/c/d/b/e"], ["a", "b", "a/c"]),
        ("a?", ["ab", "a."], ["a", "a/", "abc"]),
        ("[a-c]x", ["ax", "cx"], ["dx", "x"]),
        ("[^a]x", ["bx"], ["ax"]),
        ("a\\*", ["a*"], ["ab"]),
        ("a.b", ["a.b"], ["axb"]),
        ("a+(b)", ["a+(b)"], ["aab"]),
        ("*\n!a", ["b", "b/a"], ["a", "a/b"]),
        ("a\n!a/b\na/b/c", ["a", "a/c", "a/b/c"], ["a/b", "a/b/d"]),
        ("*.md\n!README.md\n!x.md", ["y.md"], ["README.md", "x.md"]),
        ("!a\na", ["a"], ["b"]),
        ("!/a\n/b\n!  b", ["z"][:0], ["a", "b"]),
        ("# a\n #b\n\n", ["#b"], ["a", "b"]),
        ("\ufeffa", ["a"], ["b"]),
        (".", [], ["a"]),
        ("a\r\nb\r\n", ["a", "b"], ["c"]),
    ],
)
def test_rules(rules: str, ignored: list[str], kept: list[str]) -> None:
    found = parse_ignore(rules)
    assert [path for path in ignored if not found.ignores(path)] == []
    assert [path for path in kept if found.ignores(path)] == []


@pytest.mark.parametrize("rules", ["[", "a\n[]b]", "[a", "[a-]", "a\\", "!", "[-a]"])
def test_rules_that_end_a_build(rules: str) -> None:
    with pytest.raises(IgnorePatternError) as raised:
        parse_ignore(rules)
    assert raised.value.line == rules.count("\n")


def test_the_deciding_rule() -> None:
    rule = parse_ignore("# c\na\n!a/b\na/b/*.log").ignores("a/b/x.log")
    assert rule is not None
    assert (rule.line, rule.text) == (3, "a/b/*.log")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", "."),
        ("a//b/./c/..", "a/b"),
        ("/../a", "/a"),
        ("../../a", "../../a"),
        ("//", "/"),
        ("a/..", "."),
    ],
)
def test_paths_are_cleaned_as_go_does(path: str, expected: str) -> None:
    assert clean(path) == expected


@given(st.text("ab*?[]^-!/\\.\n#~&", max_size=20), st.text("ab/.[-", max_size=12))
@settings(max_examples=300)
def test_rules_fail_only_as_documented(rules: str, path: str) -> None:
    try:
        parse_ignore(rules).ignores(path)
    except IgnorePatternError:
        pass


@pytest.mark.parametrize(
    "rule", ["*a" * 40 + "*b", "**/a*" * 25 + "/b", "[^b]*" * 30 + "[b]", "?*" * 100 + "b"]
)
def test_rules_take_linear_time(rule: str) -> None:
    rules = parse_ignore(rule)
    assert rules.ignores("/".join(["a" * 200] * 20)) is None
    # And it fits what it should.
    assert parse_ignore("*a" * 40 + "*b").ignores("a" * 60 + "b")


def make(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir(exist_ok=True)
        else:
            path.write_bytes(os.fsencode(name))


def paths(context: Context, *, builder: bool = False) -> list[str]:
    return [entry.path for entry in context.entries if builder or not entry.for_builder]


def test_a_context_without_ignored_files(tmp_path: Path) -> None:
    make(tmp_path, "Dockerfile", "a", "b/c.md", "b/d/e.md", "b/d/f", "node/x/y", "B")
    (tmp_path / ".dockerignore").write_text("**/*.md\nnode\nDockerfile\n!b/d/e.md\n")
    context = read_context(tmp_path)
    assert paths(context) == [".dockerignore", "B", "a", "b", "b/d", "b/d/e.md", "b/d/f"]
    assert "Dockerfile" in paths(context, builder=True)
    assert context.ignored == 2
    left = [(each.pattern.text, each.count, each.example) for each in context.left_out]
    assert left == [("**/*.md", 1, "b/c.md"), ("node", 1, "node/")]
    assert context.files == 6
    assert context.size == sum(
        (tmp_path / p).stat().st_size
        for p in paths(context, builder=True)
        if (tmp_path / p).is_file()
    )


def test_parents_of_exceptions_are_sent(tmp_path: Path) -> None:
    make(tmp_path, "a/b/c/d", "a/b/x", "a/y", "e/f")
    (tmp_path / ".dockerignore").write_text("*\n!a/b/c\n")
    assert paths(read_context(tmp_path)) == ["a", "a/b", "a/b/c", "a/b/c/d"]
    (tmp_path / ".dockerignore").write_text("*\n!**/f\n")
    assert paths(read_context(tmp_path)) == ["e", "e/f"]


def test_the_dockerfiles_own_rules_take_precedence(tmp_path: Path) -> None:
    make(tmp_path, "docker/web", "a", "b")
    (tmp_path / ".dockerignore").write_text("a")
    own = tmp_path / "docker/web.dockerignore"
    own.write_text("b\ndocker")
    context = read_context(tmp_path, tmp_path / "docker/web")
    assert paths(context) == [".dockerignore", "a"]
    assert paths(context, builder=True) == [".dockerignore", "a", "docker", "docker/web"]
    assert context.ignore_file == own


def test_the_largest_files(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"{number:02}").write_bytes(bytes(number // 2))
    found = read_context(tmp_path).largest()
    assert [entry.path for entry in found[:4]] == ["10", "11", "08", "09"]
    assert len(found) == 10


def test_names_for_completion(tmp_path: Path) -> None:
    make(tmp_path, "a", "b/c", "d/e.md", "f/g", "Dockerfile")
    (tmp_path / ".dockerignore").write_text("d\nf\n!d/*.md\nDockerfile\n.*\n")
    context = open_context(tmp_path)
    assert sent_names(context) == ["a", "b/", "d/"]
    assert sent_names(context, "b") == ["c"]
    assert sent_names(context, "d") == ["e.md"]
    assert sent_names(context, "none") == []


def test_a_bad_rule_names_its_file_and_line(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_text("a\n[\n")
    with pytest.raises(BadInputError, match="dockerignore: line 2"):
        read_context(tmp_path)
    with pytest.raises(LayerscopeError, match="no folder"):
        read_context(tmp_path / "none")


def members(context: Context, **more: object) -> dict[str, tarfile.TarInfo]:
    data = b"".join(pack(context, **more))  # type: ignore[arg-type]
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {member.name: member for member in archive}


def test_the_stream(tmp_path: Path) -> None:
    make(tmp_path, "a", "d/", "\udcff")
    (tmp_path / "a").chmod(0o4755)
    os.utime(tmp_path / "a", (5.9, 5.9))
    os.link(tmp_path / "a", tmp_path / "b")
    (tmp_path / "l").symlink_to("./nowhere")
    os.mkfifo(tmp_path / "p")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
    (tmp_path / ("n" * 150)).write_bytes(bytes(1500))
    found = members(read_context(tmp_path))
    assert sorted(found) == sorted(["a", "b", "d", "l", "p", "n" * 150, "\udcff"])
    a = found["a"]
    assert (a.uid, a.gid, a.uname, a.mode, a.mtime) == (0, 0, "", 0o4755, 5)
    assert (found["b"].islnk(), found["b"].linkname) == (True, "a")
    assert (found["l"].issym(), found["l"].linkname) == (True, "./nowhere")
    assert found["p"].isfifo()
    assert found["n" * 150].size == 1500


def test_capabilities_are_sent_and_no_other_attributes(tmp_path: Path) -> None:
    make(tmp_path, "a")
    # cap_net_raw, permitted and effective: vfs_cap_data of revision 2, little endian.
    value = struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)
    try:
        os.setxattr(tmp_path / "a", "user.other", b"x")
        os.setxattr(tmp_path / "a", "security.capability", value)
    except OSError as error:
        pytest.skip(f"attributes cannot be set here: {error.strerror}")
    headers = members(read_context(tmp_path))["a"].pax_headers
    sent = {k: v for k, v in headers.items() if k.startswith("SCHILY")}
    assert list(sent) == ["SCHILY.xattr.security.capability"]
    text = sent["SCHILY.xattr.security.capability"]
    assert text.encode("utf-8", "surrogateescape") == value


def test_a_dockerfile_from_elsewhere_can_be_added(tmp_path: Path) -> None:
    make(tmp_path, "Dockerfile", "a")
    found = members(read_context(tmp_path), added={"Dockerfile": b"FROM x"})
    assert found["Dockerfile"].size == 6


def test_a_file_that_shrinks_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(4 << 20))
    pieces = pack(read_context(tmp_path))
    sent = len(next(pieces)) - 512 + len(next(pieces))
    os.truncate(tmp_path / "a", 10)
    with pytest.raises(BadInputError, match=f"a, byte {sent}: the file became shorter"):
        list(pieces)


def test_a_file_is_sent_with_its_current_size(tmp_path: Path) -> None:
    make(tmp_path, "a", "b")
    (tmp_path / "b").write_bytes(bytes(100))
    context = read_context(tmp_path)
    (tmp_path / "a").write_bytes(bytes(5000))
    (tmp_path / "b").write_bytes(bytes(10))
    found = members(context)
    assert (found["a"].size, found["b"].size) == (5000, 10)


def test_removed_and_replaced_files_are_skipped_and_reported(tmp_path: Path) -> None:
    make(tmp_path, "a", "b", "c", "d", "e/f", "kept")
    (tmp_path / "link").symlink_to("a")
    context = read_context(tmp_path)
    for name in ("a", "b", "c", "d", "link"):
        (tmp_path / name).unlink()
    shutil.rmtree(tmp_path / "e")
    # A former file must not lead elsewhere, nor block its reader.
    (tmp_path / "b").symlink_to("/etc/passwd")
    (tmp_path / "c").mkdir()
    os.mkfifo(tmp_path / "d")
    gone: list[str] = []
    assert sorted(members(context, gone=gone.append)) == ["e", "kept"]
    assert gone == ["a", "b", "c", "d", "e/f", "link"]


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        closed_and_named(tmp_path)
        return
    # Root may read everything; another user is asked.
    let_others_in(tmp_path)
    os.chown(tmp_path, 65534, 65534)
    members(read_context(tmp_path))  # The user may not be able to read modules that this imports.
    child = os.fork()
    if not child:
        code = 1
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            closed_and_named(tmp_path)
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0


def closed_and_named(root: Path) -> None:
    make(root, "a", "d/e")
    (root / "d").chmod(0)
    try:
        with pytest.raises(LayerscopeError, match=r"/d cannot be read \(Permission denied\)"):
            read_context(root)
        closed: list[str] = []
        assert paths(read_context(root, closed=closed.append)) == ["a", "d"]
        assert closed == ["d"]
        (root / "d").chmod(0o755)
        (root / "a").chmod(0)
        with pytest.raises(LayerscopeError, match=r"/a cannot be read \(Permission denied\)"):
            members(read_context(root))
        assert [entry.path for entry in read_context(root).unreadable()] == ["a"]
        (root / "a").chmod(0o400)
        assert list(read_context(root).unreadable()) == []
    finally:
        (root / "d").chmod(0o755)
