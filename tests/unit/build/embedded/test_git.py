"""ADD of Git repositories, from a server on this host."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from layerscope.build.embedded.git import Repository, parse_repository
from layerscope.build.embedded.metadata import StepError
from layerscope.programs import run
from tests.unit.build.embedded.building import Workshop

Server = tuple[str, dict[str, str]]


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-c", "user.name=x", "-c", "user.email=x@example.com", *arguments],
        cwd=folder,
        env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_COMMITTER_DATE": "@1000000 +0000"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The address of a server with two repositories, and the ids of commits by name."""
    root = tmp_path_factory.mktemp("git")
    app, library = root / "app.git", root / "library.git"
    for each in (app, library):
        each.mkdir()
        git(each, "init", "-q", "-b", "main")
    (library / "inner").write_text("of the library")
    git(library, "add", ".")
    git(library, "commit", "-qm", "1")
    (app / "src").mkdir()
    (app / "src" / "tool").write_text("1")
    (app / "src" / "tool").chmod(0o755)
    (app / "notes").write_text("notes")
    (app / "notes").chmod(0o600)
    for name, target in (("out", "/etc"), ("up", "../../.."), ("src/here", "../notes")):
        (app / name).symlink_to(target)
    (app / ".dockerignore").write_text("*")
    git(app, "add", ".")
    git(app, "commit", "-qm", "1")
    git(app, "tag", "-a", "v1", "-m", "first")
    commits = {"v1": git(app, "rev-parse", "HEAD")}
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    address = f"git://127.0.0.1:{port}"
    (app / "src" / "tool").write_text("2")
    (app / ".gitmodules").write_text(
        f'[submodule "library"]\n\tpath = library\n\turl = {address}/library.git\n'
    )
    commit = git(library, "rev-parse", "HEAD")
    git(app, "update-index", "--add", "--cacheinfo", f"160000,{commit},library")
    git(app, "add", "src", ".gitmodules")
    git(app, "commit", "-qm", "2")
    options = ("--export-all", f"--base-path={root}", "--listen=127.0.0.1", f"--port={port}")
    with subprocess.Popen(["git", "daemon", *options], process_group=0) as daemon:
        try:
            while daemon.poll() is None:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
            yield address, commits
        finally:
            os.killpg(daemon.pid, 15)


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop.at(tmp_path)


def test_the_commit_of_a_branch_with_its_submodules(server: Server, workshop: Workshop) -> None:
    address, commits = server
    dockerfile = f"FROM scratch\nADD {address}/app.git#main /app\n"
    built = workshop.built(dockerfile)
    files = workshop.files(built.image)
    assert files["/app/src/tool"] == ("file", "0o755", 0, 0, b"2")
    assert files["/app/notes"] == ("file", "0o644", 0, 0, b"notes")
    assert files["/app/library/inner"][4] == b"of the library"
    # Links are copied as they are, and nothing that they lead to.
    assert files["/app/out"][4] == "/etc"
    assert not [path for path in files if path.startswith(("/app/out/", "/app/up/"))]
    assert not [path for path in files if ".git" in path.split("/")]
    # The same commit is a cache hit, and fetched anew it gives the same layer.
    assert workshop.built(dockerfile).cached == [2]
    anew = workshop.built(dockerfile, no_cache=True).image
    assert workshop.config(anew)["rootfs"] == workshop.config(built.image)["rootfs"]
    first = workshop.built(f"FROM scratch\nADD {address}/app.git#{commits['v1']} /app\n")
    assert workshop.files(first.image)["/app/src/tool"][4] == b"1"
    assert not list((workshop.store.folder / "sandbox").iterdir())


def test_a_folder_of_a_tag_and_its_git_folder(server: Server, workshop: Workshop) -> None:
    address, commits = server
    text = f"ADD --checksum={commits['v1'][:12]} {address}/app.git?tag=v1&subdir=src /app/\n"
    files = workshop.files(workshop.built(f"FROM scratch\n{text}").image)
    assert set(files) == {"/app", "/app/tool", "/app/here"}
    assert files["/app/tool"][4] == b"1"
    text = f"ADD --keep-git-dir=true {address}/app.git#v1 /\n"
    files = workshop.files(workshop.built(f"FROM scratch\n{text}").image)
    assert files["/.git/HEAD"][4].decode().strip() == commits["v1"]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("/app.git#nowhere", "has no nowhere"),
        ("/app.git#main:src/tool", "src/tool is not a folder of"),
        ("/app.git#main:out", "out is not a folder of"),
        ("/app.git?checksum=0123", "is not what its checksum says"),
        ("/missing.git", "git ls-remote failed"),
    ],
)
def test_what_a_repository_does_not_have(
    source: str, said: str, server: Server, workshop: Workshop
) -> None:
    built = workshop.build(f"FROM scratch\nADD {server[0]}{source} /\n")
    assert built.failed == 2
    assert said in built.problem


class _Closed(SimpleHTTPRequestHandler):
    """Files of a folder, for those who log in."""

    def do_GET(self) -> None:
        login = b64encode(b"me:pass/word").decode()
        if self.headers["Authorization"] == f"Basic {login}":
            super().do_GET()
            return
        self.send_response(401)
        self.send_header("WWW-Authenticate", "Basic")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


def test_a_login_in_an_address_is_used_and_in_no_command(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "app.git"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / "file").write_text("x")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "1")
    git(folder, "update-server-info")
    commands: list[str] = []

    def noted(command: list[str], **options: Any) -> Any:
        commands.append(" ".join(command))
        return run(command, **options)

    monkeypatch.setattr("layerscope.build.embedded.git.run", noted)
    served = partial(_Closed, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), served) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        (folder / "app.git").symlink_to(".git")
        address = f"127.0.0.1:{server.server_port}/app.git"
        text = f"FROM scratch\nADD --keep-git-dir http://me:pass%2Fword@{address} /app\n"
        built = workshop.built(text)
        refused = workshop.build(f"FROM scratch\nADD http://me:wrongword@{address} /app\n")
        server.shutdown()
        thread.join()
    assert workshop.files(built.image)["/app/file"][4] == b"x"
    assert refused.failed == 2
    assert address in " ".join(commands)
    texts = [*commands, json.dumps(built.events), json.dumps(refused.events), refused.problem]
    texts += [
        path.read_text(errors="replace")
        for path in workshop.store.folder.rglob("*")
        if path.is_file()
    ]
    assert not [text for text in texts if "word" in text]


def test_addresses() -> None:
    found = parse_repository("git@example.com:x.git#v1:a/b", "", keep=False)
    assert found == Repository("git@example.com:x.git", "v1", "a/b")
    found = parse_repository("https://e/x.git?branch=b&subdir=d&keep-git-dir", "abc", keep=False)
    assert found == Repository("https://e/x.git", "refs/heads/b", "d", "abc", keep=True)
    for text in ("https://e/x.git#--upload-pack=x", "https://e/x.git?other=1"):
        with pytest.raises(StepError):
            parse_repository(text, "", keep=False)


def test_a_password_in_an_address_is_in_no_error() -> None:
    with pytest.raises(StepError, match=r"^https://\*\*\*@e/x.git#-x is not a Git repository.$"):
        parse_repository("https://me:the-password@e/x.git#-x", "", keep=False)
