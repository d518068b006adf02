"""Git repositories as sources of ADD: fetches one commit with the program `git`.

The repository is not trusted: no hook, filter or helper runs, submodules come only from servers,
and links are followed only inside it. The user's own configuration and logins are not used.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qsl, urljoin

from layerscope.build.embedded.logins import split_login
from layerscope.build.embedded.metadata import StepError
from layerscope.build.embedded.sources import ContextSource, Node, Source, resolve
from layerscope.dockerfile.context.context import Context, read_context
from layerscope.dockerfile.context.ignore import in_context
from layerscope.dockerfile.syntax.grammar import PREDEFINED_ARGS
from layerscope.filesystem.entry_type import EntryType
from layerscope.programs import OutputError, run
from layerscope.redaction import redacted
from layerscope.text import one_line, visible
from layerscope.writing import temporary_folder

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_HEX = re.compile(r"[0-9a-fA-F]{0,64}")
_SECONDS = 3600.0  # The time limit of a command.
_MOST = 16 << 20  # The most bytes of its output, for a repository with many refs.
#: The lookup order of a ref in BuildKit and Git.
_PLACES = ("{}", "refs/{}", "refs/tags/{}^{{}}", "refs/tags/{}", "refs/heads/{}")
_QUERY = {"ref": "{}", "tag": "refs/tags/{}", "branch": "refs/heads/{}"}
_SURROUNDINGS = ("PATH", "LANG", "SSL_CERT_FILE", "GIT_SSL_CAINFO", *PREDEFINED_ARGS)
_SETTINGS = {
    "GIT_ALLOW_PROTOCOL": "http:https:ssh:git",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_SSH_COMMAND": f"ssh -F {os.devnull} -o BatchMode=yes",
}


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository as ADD names it; see `parse_repository`."""

    remote: str
    ref: str = "HEAD"  # A branch, a tag, a commit, or any other name.
    folder: str = "."  # The folder to copy.
    checksum: str = ""  # The expected prefix of the commit's id.
    keep: bool = False  # Whether to copy `.git`, too.
    submodules: bool = True
    login: str = ""  # The value of the `Authorization` header.


def parse_repository(text: str, checksum: str, *, keep: bool) -> Repository:
    """Parses `URL#REF:FOLDER`, and `URL?ref=REF&subdir=FOLDER`. Raises StepError."""
    rest, _, fragment = text.partition("#")
    remote, _, query = rest.partition("?")
    ref, _, folder = fragment.partition(":")
    login = ""
    if remote.startswith(("http://", "https://")):
        remote, login = split_login(remote)
    found = Repository(remote, ref or "HEAD", folder or ".", checksum, keep, login=login)
    for key, value in parse_qsl(query, keep_blank_values=True):
        wanted = value.lower() in ("", "1", "true")
        if key in _QUERY:
            found = replace(found, ref=_QUERY[key].format(value))
        elif key == "subdir":
            found = replace(found, folder=value)
        elif key in ("checksum", "commit"):
            found = replace(found, checksum=value)
        elif key == "keep-git-dir":
            found = replace(found, keep=wanted)
        elif key == "submodules":
            found = replace(found, submodules=wanted)
        else:
            raise StepError(f"{visible(key)} is not a part of a repository's address.")
    if not _HEX.fullmatch(found.checksum):
        raise StepError(f"--checksum={visible(found.checksum)} is not the id of a commit.")
    if found.ref.startswith("-") or remote.startswith("-"):
        raise StepError(f"{visible(text)} is not a Git repository.")
    return found


@dataclass(frozen=True, slots=True)
class Git:
    """Runs `git`. All methods raise StepError for what is not possible."""

    folder: Path  # For clones.
    agent: str | None  # The socket of an SSH agent.
    check: Callable[[], None]  # Raises to stop.

    def commit(self, repository: Repository) -> str:
        """Returns the id of the wanted commit, as the server has it now."""
        ref = repository.ref
        if not _COMMIT.fullmatch(ref):
            names = [place.format(ref) for place in _PLACES]
            wanted = ("--", repository.remote, ref, f"{ref}^{{}}")
            listed = self._run("ls-remote", *wanted, repository=repository)
            lines = (line.partition("\t") for line in listed.splitlines())
            known = {name: commit for commit, _, name in lines if _COMMIT.fullmatch(commit)}
            # An annotated tag has its own id besides the commit's.
            found = (known.get(f"{name}^{{}}") or known.get(name) for name in names)
            ref = next(filter(None, found), "")
        if not ref:
            name = visible(repository.ref)
            raise StepError(
                f"{_shown(repository)} has no {name}.", "Name a branch, a tag or a whole commit."
            )
        if not ref.startswith(repository.checksum.lower()):
            raise StepError(
                f"{_shown(repository)} is not what its checksum says: its commit is {ref}."
            )
        return ref

    def source(self, repository: Repository, commit: str, stack: ExitStack) -> GitSource:
        """Returns the files of a commit, which exist until `stack` is closed."""
        place = stack.enter_context(temporary_folder(self.folder))
        clone, rules = place / "clone", place / "rules"
        clone.mkdir()
        rules.touch()
        self._run("init", "-q", "--template=", folder=clone)
        fetch = ("fetch", "-q", "--no-tags", "--no-recurse-submodules")
        try:
            wanted = ("--depth=1", "--", repository.remote, commit)
            self._run(*fetch, *wanted, folder=clone, repository=repository)
        except StepError:
            # Some servers send only commits with a ref.
            every = "+refs/*:refs/fetched/*"
            self._run(
                *(*fetch, "--", repository.remote, every), folder=clone, repository=repository
            )
        self._run("checkout", "-q", "--detach", commit, folder=clone)
        if repository.submodules and (clone / ".gitmodules").is_file():
            options = ("--init", "--recursive", "--depth=1")
            self._run(*("submodule", "-q", "update", *options), folder=clone, repository=repository)
        time = int(self._run("log", "-1", "--format=%ct", folder=clone))
        found = read_context(clone, rules=rules, stopped=self.check)
        if not repository.keep:
            kept = [each for each in found.entries if ".git" not in each.path.split("/")]
            found = replace(found, entries=kept)
        return GitSource(found, max(0, time))

    def _run(
        self, *arguments: str, folder: Path | None = None, repository: Repository | None = None
    ) -> str:
        """Runs a command, with the repository's login for all requests to its host."""
        self.folder.mkdir(parents=True, exist_ok=True)
        given = {name: os.environ[name] for name in _SURROUNDINGS if name in os.environ}
        if self.agent is not None:
            given["SSH_AUTH_SOCK"] = self.agent
        if repository is not None and repository.login:
            # Not an argument, which all users of this host can see.
            host = urljoin(repository.remote, "/")
            given["GIT_CONFIG_COUNT"] = "1"
            given["GIT_CONFIG_KEY_0"] = f"http.{host}.extraHeader"
            given["GIT_CONFIG_VALUE_0"] = f"Authorization: {repository.login}"
        command = ["git", "-c", f"core.hooksPath={os.devnull}", *arguments]
        try:
            code, out, err = run(
                command,
                seconds=_SECONDS,
                most=_MOST,
                errors=True,
                folder=folder or self.folder,
                group=True,
                environment={**given, **_SETTINGS, "HOME": str(self.folder)},
                check=self.check,
            )
        except FileNotFoundError:
            raise StepError("ADD of a Git repository needs git.", "Install it.") from None
        except (OSError, OutputError) as error:
            raise StepError(f"git {arguments[0]} failed: {visible(str(error))}.") from None
        if code:
            lines = err.decode("utf-8", "replace").strip().splitlines() or ["it gave no reason"]
            said = next((each for each in lines if each.startswith("fatal:")), lines[-1])
            reason = one_line(redacted(said.removeprefix("fatal: "))).rstrip(".")
            raise StepError(f"git {arguments[0]} failed: {reason}.")
        return out.decode("utf-8", "surrogateescape")


class GitSource(ContextSource):
    """The files of a commit, with modes and times that do not depend on this host."""

    def __init__(self, context: Context, time: int) -> None:
        super().__init__(context)
        self._time = time

    def _node(self, place: int) -> Node:
        node = super()._node(place)
        if node.kind == EntryType.SYMLINK:
            return node._replace(mtime=self._time)
        mode = 0o755 if node.is_folder or node.mode & 0o100 else 0o644
        return node._replace(mode=mode, mtime=self._time)


def folder_in(repository: Repository, source: Source) -> tuple[bytes, Node]:
    """Returns the folder of a repository to copy. Raises StepError if it does not exist."""
    path = in_context(repository.folder)
    real, node = resolve(source, b"" if path == "." else path.encode("utf-8", "surrogateescape"))
    if node is None or not node.is_folder:
        raise StepError(f"{visible(repository.folder)} is not a folder of {_shown(repository)}.")
    return real, node


def _shown(repository: Repository) -> str:
    return visible(redacted(repository.remote))
