"""What the sandbox's worker process does, as the JSON object that it gets."""

from __future__ import annotations

from enum import StrEnum

import msgspec

NO_NETWORK = "The sandbox of this host cannot run a command without the network."
ENGINES_HINT = "`layerscope engines` says what it needs."


class Way(StrEnum):
    """How a command is kept apart from the host."""

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
    size: int = 0  # Bytes that a tmpfs holds at most, where it is one; 0 for the kernel's default.


class Stub(msgspec.Struct, frozen=True):
    """A file, folder or symlink that mounts need and the image lacks, or a folder above one."""

    path: str
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    folder: bool = True
    link: str = ""  # The target of a symlink.
    exists: bool = False  # Whether the image has it.


class Left(msgspec.Struct, frozen=True):
    """What could not be given to an unpacked file from outside the namespace."""

    path: str
    uid: int
    gid: int
    mode: int
    capability: str = ""  # `security.capability`, in hexadecimal.


class Task(msgspec.Struct, frozen=True):
    way: Way
    folder: str  # The folder of this run, on the file system of the layers.
    user_namespace: bool = False
    one_id: bool = False  # Whether the namespace has one id, so that ownership is emulated.
    #: Unpacked layers, the top one first; empty for a working tree, which is FOLDER/merged.
    lower: tuple[str, ...] = ()
    root: Stub = Stub("")  # The image's root folder.
    stubs: tuple[Stub, ...] = ()
    #: Owners of paths of the image that could not be given to the unpacked files.
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
    groups: tuple[str, ...] = ()  # Control groups that limit what is above, if they could be made.

    save: int = -1  # Descriptor of the file that the changes are written to; -1 for none.
    keep: bool = False  # Whether the folder with the changes stays.
    #: Descriptor of the lock of a folder that stays, which may have changes already; -1 for none.
    lock: int = -1
    look: bool = False  # Whether to read what has been changed instead of running anything.
    live: bool = False  # Whether a command may be changing it meanwhile.
    remove: tuple[str, ...] = ()  # Folders to remove instead of running anything.
    #: A folder in which to set owners and capabilities instead, and the file that lists them.
    repair: str = ""
    repairs: str = ""


class Result(msgspec.Struct, frozen=True):
    """What the worker says: how far it is, or how the command ended."""

    wants_ids: bool = False  # Whether it waits for its user namespace to get its ids.
    terminal: bool = False  # Whether a descriptor of a terminal comes with this.
    code: int | None = None  # The command's exit code, as a shell has it.
    diff_id: str = ""  # Of the layer that was written.
    size: int = 0  # Its bytes.
    error: str = ""  # Why nothing was run, or nothing saved; a sentence.
    no_command: bool = False  # Whether the image lacks the command, or cannot run it.
