"""Files that containers leave behind and no image should have: caches, keys, histories."""

from __future__ import annotations

import re

from layerscope.filesystem.left_overs import KINDS, find_left_overs
from layerscope.filesystem.tree import PathTree

#: Left-overs that are not caches but that an image does not need either.
_ALSO = ("caches", "temporary files", "logs")

#: The content of single files, and an expression that matches the whole path.
_FILES: tuple[tuple[str, str], ...] = (
    (
        "shell history",
        r"(?:.*/)?\.(?:bash|ash|sh|zsh|fish|python|mysql|psql|node_repl|rediscli|sqlite|lua)_?"
        r"(?:hist|history)|(?:.*/)?\.local/share/fish/fish_history|(?:.*/)?\.lesshst",
    ),
    ("editor state", r"(?:.*/)?\.viminfo|(?:.*/)?\.[^/]+\.sw[op]|(?:.*/)?\.nano/.*"),
    (
        "private key",
        r"(?:.*/)?\.ssh/id_[^/]*(?<!\.pub)|etc/ssh/ssh_host_[^/]*_key|(?:.*/)?\.gnupg/"
        r"(?:private-keys-v1\.d/.*|secring\.gpg)|etc/ssl/private/.*",
    ),
    (
        "login or token",
        r"(?:.*/)?(?:\.netrc|\.git-credentials|\.pypirc|\.npmrc|\.vault-token|\.s3cfg|\.pgpass|"
        r"\.my\.cnf|\.docker/config\.json|\.aws/credentials|\.kube/config|\.azure/.*tokens.*|"
        r"\.config/gcloud/.*|\.config/gh/hosts\.yml|\.config/containers/auth\.json|"
        r"\.cargo/credentials(?:\.toml)?|\.terraform\.d/credentials.*)",
    ),
    ("environment file, often with secrets", r"(?:.*/)?\.env(?:\.(?!example$|sample$)[^/]*)?"),
    (
        "id of one machine",
        r"etc/machine-id|var/lib/dbus/machine-id",
    ),
    ("log", r"(?:.*/)?[^/]+\.log"),
    ("core dump", r"(?:.*/)?core(?:\.[0-9]+)?"),
)
_ANY_FILE = re.compile("|".join(f"({pattern})" for _, pattern in _FILES).encode(), re.DOTALL)

#: The content of files by how they begin, whatever their name.
_CONTENT: tuple[tuple[str, re.Pattern[bytes]], ...] = (
    ("private key", re.compile(rb"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY")),
    (
        "login or token",
        re.compile(
            rb"\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}|\bglpat-[\w-]{20}|"
            rb"\bxox[abprs]-[\w-]{10}"
        ),
    ),
)


def unwanted_nodes(tree: PathTree) -> list[str]:
    """Why each node of a tree should not be in an image, in a few words; empty for most."""
    kinds = find_left_overs(tree).tolist()
    names = [kind.name if kind.cache or kind.name in _ALSO else "" for kind in KINDS]
    return [names[kind] if kind >= 0 else "" for kind in kinds]


def unwanted_file(path: bytes) -> str:
    """The same for a file, by its path."""
    match = _ANY_FILE.fullmatch(path)
    return "" if match is None or match.lastindex is None else _FILES[match.lastindex - 1][0]


def unwanted_content(beginning: bytes) -> str:
    """The same for a file, by its first few thousand bytes."""
    return next((what for what, pattern in _CONTENT if pattern.search(beginning)), "")
