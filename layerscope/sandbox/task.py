"""The task of the sandbox's worker process, as a JSON object."""

from __future__ import annotations

from enum import StrEnum

import msgspec

NO_NETWORK = "The sandbox of this host cannot run a command without the network."
ENGINES_HINT = "`layerscope engines` says what it needs."


class Way(StrEnum):
    """How a command is isolated from the host."""

    NAMESPACES = "namespaces"
    CHROOT = "chroot"
    PROOT = "proot"


class MountKind(StrEnum):
    BIND = "bind"  # A file or folder of the host, read only.
    CACHE = "cache"  # A folder of the host that the command writes to.
    SECRET = "secret"  # A file, read only.  # noqa: S105
    TMPFS = "tmpfs"  # An empty folder in memory.


class Mount(msgspec.Struct, frozen=True):
    kind: MountKind
    target: str  # An absolute path in the sandbox.
    source: str = ""  # An absolute path on the host; empty for tmpfs.
    size: int = 0  # For tmpfs, the limit in bytes; 0 for the kernel's default.


class Stub(msgspec.Struct, frozen=True):
    """A file, folder or symlink for mounts that the image lacks, or a parent folder of one."""

    path: str
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    folder: bool = True
    link: str = ""  # The target of a symlink.
    exists: bool = False  # Whether the image has it.


class Left(msgspec.Struct, frozen=True):
    """Attributes of an unpacked file that could not be set from outside the namespace."""

    path: str
    uid: int
    gid: int
    mode: int
    capability: str = ""  # `security.capability`, in hexadecimal.


class Task(msgspec.Struct, frozen=True):
    way: Way
    folder: str  # The folder of this run, on the file system of the layers.
    user_namespace: bool = False
    one_id: bool = False  # Whether the namespace has only one id, so ownership is emulated.
    #: Unpacked layers, the top one first; empty for a working tree, which is FOLDER/merged.
    lower: tuple[str, ...] = ()
    root: Stub = Stub("")  # The image's root folder.
    stubs: tuple[Stub, ...] = ()
    #: Owners of image paths that could not be set on the unpacked files.
    owners: dict[str, tuple[int, int]] = {}
    #: Likewise, `security.capability` in hexadecimal.
    capabilities: dict[str, str] = {}

    command: tuple[str, ...] = ()
    env: dict[str, str] = {}
    user: str = ""
    workdir: str = "/"
    mounts: tuple[Mount, ...] = ()
    hostname: str = ""
    network: bool = True
    terminal: bool = False
    memory: int = 0  # Bytes; 0 for no limit.
    processes: int = 0
    groups: tuple[str, ...] = ()  # Control groups with these limits, if they could be created.

    save: int = -1  # Descriptor of the file for the changes; -1 for none.
    keep: bool = False  # Whether the folder with the changes stays.
    #: Descriptor of the lock of a persistent folder, which may have earlier changes; -1 for none.
    lock: int = -1
    look: bool = False  # Whether to only read the changes, without running anything.
    live: bool = False  # Whether a command may be changing the folder meanwhile.
    remove: tuple[str, ...] = ()  # Folders to remove, without running anything.
    #: A folder in which to only set owners and capabilities, and the file that lists them.
    repair: str = ""
    repairs: str = ""


class Result(msgspec.Struct, frozen=True):
    """A message of the worker: its progress, or how the command ended."""

    wants_ids: bool = False  # Whether it waits for the ids of its user namespace.
    terminal: bool = False  # Whether a terminal's descriptor comes with this message.
    code: int | None = None  # The command's exit code, as in a shell.
    diff_id: str = ""  # Of the layer that was written.
    size: int = 0  # Its bytes.
    error: str = ""  # A sentence on why nothing was run or saved.
    no_command: bool = False  # Whether the image lacks the command, or cannot run it.
