"""COPY and ADD of the embedded builder, where other builders do not show what is right."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import socket
import tarfile
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from layerscope.engines.embedded.store import Store
from layerscope.images.progress import Progress
from tests.unit.build.embedded.building import Workshop


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop.at(tmp_path)


def archive(*members: tuple[str, bytes, bytes | str]) -> bytes:
    """A tar archive: names, types, and contents or targets."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as file:
        for name, kind, content in members:
            header = tarfile.TarInfo(name)
            header.type = kind
            if isinstance(content, str):
                header.linkname = content
                file.addfile(header)
            else:
                header.size = len(content)
                file.addfile(header, io.BytesIO(content))
    return data.getvalue()


def test_owners_and_modes_are_set_on_everything_copied(shop: Workshop) -> None:
    shop.write({"d/run": "x", "d/sub/data": "y", "etc/passwd": "app:x:7:8::/:\n"})
    (shop.context / "d/run").chmod(0o755)
    (shop.context / "d/link").symlink_to("run")
    shop.write({"etc/group": "app:x:9:\n"})
    built = shop.built(
        "FROM scratch\nCOPY etc /etc\n"
        "COPY --chown=app --chmod=u=rwX,go=rX d /symbols/\n"
        "COPY --chown=5 --chmod=0640 d/run /octal/run\n"
        "COPY --chmod=g+w,o-rwx,u+s d/run /changed\n"
    )
    files = shop.files(built.image)
    assert files["/symbols/run"] == ("file", "0o755", 7, 9, b"x")
    assert files["/symbols/sub"][:4] == ("dir", "0o755", 7, 9)
    assert files["/symbols/sub/data"] == ("file", "0o644", 7, 9, b"y")
    assert files["/symbols/link"][2:] == (7, 9, "run")
    assert files["/octal"][:4] == ("dir", "0o640", 5, 5)
    assert files["/octal/run"] == ("file", "0o640", 5, 5, b"x")
    assert files["/changed"][1] == "0o4770"


def test_parents_are_kept_below_a_pivot(shop: Workshop) -> None:
    shop.write({"a/b/c/1.txt": "1", "a/b/2.txt": "2", "a/b/3.md": "3"})
    (shop.context / "a/b").chmod(0o711)
    built = shop.built(
        "FROM scratch\nCOPY --parents a/b/c a/b/2.txt /whole/\nCOPY --parents a/./b/*.txt /cut/\n"
        "COPY --parents **/*.txt /deep/\n"
    )
    files = shop.files(built.image)
    paths = set(files)
    assert {"/whole/a/b/c/1.txt", "/whole/a/b/2.txt", "/cut/b/2.txt"} <= paths
    assert {"/deep/a/b/c/1.txt", "/deep/a/b/2.txt"} <= paths
    assert not {"/cut/a", "/whole/1.txt", "/deep/a/b/3.md"} & paths
    assert files["/whole/a/b"][1] == "0o711"


def test_excluded_files_are_left_out_and_folders_of_others_made(shop: Workshop) -> None:
    shop.write({"d/a.md": "", "d/b.txt": "", "d/sub/c.md": "", "d/sub/keep.md": "", "e.md": ""})
    built = shop.built(
        "FROM scratch\nCOPY --exclude=**/*.md --exclude=!sub/keep.md d /d\n"
        "COPY --exclude=*.md e.md d/b.txt /files/\n"
    )
    paths = set(shop.files(built.image))
    assert paths == {"/d", "/d/b.txt", "/d/sub", "/d/sub/keep.md", "/files", "/files/b.txt"}


def test_a_link_layer_follows_no_symlink_and_needs_nothing_below(shop: Workshop) -> None:
    shop.write({"f": "x", "l.tar": archive(("to", tarfile.SYMTYPE, "/elsewhere"))})
    text = "FROM scratch\nADD l.tar /\nCOPY {}f /to/f\n"
    plain = shop.built(text.format(""))
    assert "/elsewhere/f" in shop.files(plain.image)
    linked = shop.built(text.format("--link "))
    assert "/to/f" in shop.files(linked.image)
    # What is below is another image, and the layer is the same.
    other = shop.built("FROM scratch\nENV A=b\nCOPY --link f /to/f\n")
    assert other.cached == [3]


def test_a_layer_has_the_folders_above_as_they_are(shop: Workshop) -> None:
    """Engines make folders that a layer lacks anew: root's, with mode 0755."""
    shop.write({"f": "x", "base/d/sub/old": ""})
    (shop.context / "base/d").chmod(0o711)
    base = "FROM scratch\nCOPY --chown=3:4 base /\n"
    built = shop.built(f"{base}COPY f /d/sub/f\nWORKDIR /d/made\n")
    copied, made = shop.config(built.image)["rootfs"]["diff_ids"][1:]
    for layer, paths in ((copied, ["d", "d/sub", "d/sub/f"]), (made, ["d", "d/made"])):
        with tarfile.open(shop.store.blob(layer)) as file:
            assert file.getnames() == paths
            above = file.getmember("d")
            assert (above.mode, above.uid, above.gid) == (0o711, 3, 4)
    done = [each for each in built.events if each["event"] == "step_committed"]
    counts = [tuple(each.get(key) for key in ("added", "modified", "removed")) for each in done]
    assert counts[-2:] == [(1, 0, 0), (1, 0, 0)]


def test_heredocs_become_files_with_variables_replaced(shop: Workshop) -> None:
    built = shop.built(
        "FROM scratch\nENV WHO=world\nCOPY <<one <<'two' /d/\nhi \"$WHO\"\none\nhi $WHO\ntwo\n"
        "COPY <<-EOF /named\n\tno tab\n\tEOF\n"
    )
    files = shop.files(built.image)
    assert files["/d/one"] == ("file", "0o644", 0, 0, b'hi "world"\n')
    assert files["/d/two"][4] == b"hi $WHO\n"
    assert files["/named"][4] == b"no tab\n"


def test_a_stage_or_an_image_is_copied_from_with_its_owners_and_hard_links(shop: Workshop) -> None:
    shop.write({"d/one": "data"})
    os.link(shop.context / "d/one", shop.context / "d/two")
    base = shop.built("FROM scratch\nCOPY --chown=3:4 d /d\n", tags=("base:1",))
    built = shop.built(
        "FROM base:1 AS first\nFROM scratch AS unused\nCOPY not-there /\n"
        "FROM scratch\nCOPY --from=first /d/o* /from-stage/\nCOPY --from=base:1 / /from-image\n"
        "COPY --from=0 --chown=1 d/two /two\n"
    )
    files = shop.files(built.image)
    assert (
        files["/from-stage/one"] == files["/from-image/d/two"] == ("file", "0o644", 3, 4, b"data")
    )
    assert files["/two"][2:4] == (1, 1)
    layers = shop.config(built.image)["rootfs"]["diff_ids"]
    # One of the two names is a hard link: its content is stored once.
    data = shop.store.blob(layers[1]).read_bytes()
    assert data.count(b"data") == 1
    assert base.image != built.image


class _Files(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/missing":
            self.send_error(404)
            return
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/closed")
            self.end_headers()
            return
        login = b64encode(b"me:pass/word").decode()
        if self.path == "/closed" and self.headers["Authorization"] != f"Basic {login}":
            self.send_error(401)
            return
        self.send_response(200)
        self.send_header("Last-Modified", "Thu, 01 Jan 1970 00:20:34 GMT")
        self.end_headers()
        self.wfile.write(archive(("in", tarfile.REGTYPE, b"side")))

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Files)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_downloads_are_files_and_archives_if_asked(shop: Workshop, url: str) -> None:
    data = archive(("in", tarfile.REGTYPE, b"side"))
    digest = hashlib.sha256(data).hexdigest()
    text = (
        f"FROM scratch\nADD {url}/x.tar /as-file/\nADD --unpack=true {url}/x.tar /as-folder/\n"
        f"ADD --checksum=sha256:{digest} --chmod=644 {url}/x.tar /checked\n"
    )
    files = shop.files(shop.built(text).image)
    assert files["/as-file/x.tar"] == ("file", "0o600", 0, 0, data)
    assert files["/as-folder/in"][4] == b"side"
    assert files["/checked"][1] == "0o644"
    assert shop.built(text).cached == [2, 3, 4]
    wrong = shop.build(f"FROM scratch\nADD --checksum=sha256:{'0' * 64} {url}/x.tar /x\n")
    assert "is not what --checksum says" in wrong.problem
    assert "HTTP 404" in shop.build(f"FROM scratch\nADD {url}/missing /x\n").problem


def test_a_login_in_an_address_is_used_and_not_shown(shop: Workshop, url: str) -> None:
    url = url.replace("//", "//me:pass%2Fword@")
    built = shop.built(f"FROM scratch\nADD {url}/closed /x\nADD --link {url}/a?b=c /y\n")
    (first, second) = shop.config(built.image)["history"]
    host = url.partition("@")[2]
    assert first["created_by"] == f"ADD http://***@{host}/closed /x # buildkit"
    assert second["created_by"] == f"ADD http://***@{host}/a?b=c /y # buildkit"
    shown = [each["instruction"] for each in built.events if each["event"] == "step_started"]
    assert shown[1] == f"ADD http://***@{host}/closed /x"
    failures = [
        shop.build(f"FROM scratch\nADD {url}/{name} /x\n")
        for name in ("missing", "moved", "x.git", "x.git#-bad")
    ]
    assert [each.failed for each in failures] == [2, 2, 2, None]
    assert "HTTP 401" in failures[1].problem  # A redirect may lead to another host.
    texts = [json.dumps(each.events) + each.problem for each in (built, *failures)]
    texts += [
        path.read_text(errors="replace") for path in shop.store.folder.rglob("*") if path.is_file()
    ]
    assert not [text for text in texts if "word" in text]


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ([("../out", tarfile.REGTYPE, b"x")], "leads out of its folder: ../out"),
        ([("a", tarfile.LNKTYPE, "../../etc/passwd")], "leads out of its folder"),
        ([("a", tarfile.LNKTYPE, "missing")], "a hard link to missing, which it does not hold"),
        ([(".wh.a", tarfile.REGTYPE, b"")], "names that begin with .wh."),
    ],
)
def test_hostile_archives_are_refused(
    shop: Workshop, members: list[tuple[str, bytes, bytes | str]], problem: str
) -> None:
    shop.write({"x.tar": archive(*members)})
    built = shop.build("FROM scratch\nADD x.tar /d/\n")
    assert built.failed == 2
    assert problem in built.problem


def test_an_archive_that_writes_through_its_links_stays_in_the_image(shop: Workshop) -> None:
    outside = shop.context.parent / "outside"
    outside.mkdir()
    members = (("to", tarfile.SYMTYPE, str(outside)), ("to/file", tarfile.REGTYPE, b"x"))
    shop.write({"x.tar": archive(*members)})
    shop.build("FROM scratch\nADD x.tar /\n")
    assert not list(outside.iterdir())


def test_a_bomb_ends_where_the_disk_is_full(small_disk: Path, tmp_path: Path) -> None:
    shop = Workshop(tmp_path, Store(small_disk))
    bomb = archive(("a", tarfile.REGTYPE, bytes(1 << 20)))
    shop.write({"bomb.tgz": gzip.compress(bomb), "f": "x"})
    built = shop.build("FROM scratch\nADD bomb.tgz /\n")
    assert built.failed == 2
    assert "bomb.tgz cannot be unpacked (No space left on device)." in built.problem
    assert "/f" in shop.files(shop.built("FROM scratch\nCOPY f /f\n").image)


def test_a_damaged_archive_is_refused_and_a_file_like_one_copied(shop: Workshop) -> None:
    good = archive(("a", tarfile.REGTYPE, b"x" * 5000))
    shop.write({"cut.tar": good[:1500], "like.gz": b"\x1f\x8b" + b"x" * 500})
    assert "cut.tar is a damaged archive" in shop.build("FROM scratch\nADD cut.tar /\n").problem
    files = shop.files(shop.built("FROM scratch\nADD like.gz /\n").image)
    assert files["/like.gz"][4] == b"\x1f\x8b" + b"x" * 500


def test_links_out_of_the_context_are_not_followed(shop: Workshop) -> None:
    secret = shop.context.parent / "secret"
    secret.write_text("secret")
    (shop.context / "link").symlink_to(secret)
    (shop.context / "up").symlink_to("../secret")
    for name in ("link", "up", "../secret"):
        built = shop.build(f"FROM scratch\nCOPY {name} /x\n")
        assert f"Line 2: {name} is not in the build context." in built.problem
    shop.write({"d/x": ""})
    (shop.context / "d/link").symlink_to(secret)
    files = shop.files(shop.built("FROM scratch\nCOPY d /d\n").image)
    assert files["/d/link"][0] == "symlink"


def test_names_that_mean_removals_and_sockets_are_not_copied(shop: Workshop) -> None:
    shop.write({"d/a": ""})
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(shop.context / "d/socket"))
        files = shop.files(shop.built("FROM scratch\nCOPY d /d\n").image)
    assert set(files) == {"/d", "/d/a"}
    shop.write({"d/.wh.a": ""})
    assert "its name means a removal" in shop.build("FROM scratch\nCOPY d /d\n").problem


def test_names_that_are_not_utf8_are_copied(shop: Workshop) -> None:
    shop.write({os.fsdecode(b"d\xff/f\xfe"): "x"})
    shop.built(b"FROM scratch\nCOPY d\xff /to\xff\n", tags=("odd:1",))
    with closing(shop.engine.open("odd:1", "")) as reader:
        ((_, changeset),) = reader.changesets(Progress(), ())
    assert changeset.paths() == [b"to\xff", b"to\xff/f\xfe"]


def test_a_file_that_changes_its_size_ends_the_step(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.write({"f": "x"})
    real = os.read
    monkeypatch.setattr(os, "read", lambda fd, size: real(fd, size) + b"more")
    built = shop.build("FROM scratch\nCOPY f /f\n")
    assert "f changed its size while it was read" in built.problem


def test_an_archive_may_be_small(shop: Workshop) -> None:
    shop.write({"a.tgz": gzip.compress(archive(("d", tarfile.DIRTYPE, b"")), mtime=0)})
    assert (shop.context / "a.tgz").stat().st_size < 128
    assert set(shop.files(shop.built("FROM scratch\nADD a.tgz /\n").image)) == {"/d"}
