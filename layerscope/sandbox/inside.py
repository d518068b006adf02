"""The inside of the sandbox: sets up its root folder, then executes the command.

This runs in a forked child, which cannot import anything after changing its root folder.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import resource
import shutil
import signal
import socket
import stat
import struct
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import msgspec

from layerscope.sandbox import kernel
from layerscope.sandbox.ownership import ownership_filter
from layerscope.sandbox.task import MountKind, Result, Task, Way
from layerscope.sandbox.users import NoSuchUser, User, find_user
from layerscope.text import visible

#: The network files that a container gets from its host; they are in the folder of the run.
NETWORK_FILES = ("resolv.conf", "hosts", "hostname")
#: A folder in a working tree, with copies of files that cannot be mounted.
STAGED = ".layerscope-mounts"

_DEVICES = {
    "null": (1, 3),
    "zero": (1, 5),
    "full": (1, 7),
    "random": (1, 8),
    "urandom": (1, 9),
    "tty": (5, 0),
}
_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}
#: Kernel paths that root in a container must not write, or not read, as in Docker.
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
_MASKED = (
    *("/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys"),
    *("/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list"),
    *("/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware"),
)
#: apt would try to drop its privileges, which fails with a single id.
_APT, _APT_FILE = b'APT::Sandbox::User "root";\n', "/dev/apt.conf"

_SHM = "/dev/shm"  # noqa: S108 - of the sandbox
_O_PATH = os.O_PATH | os.O_CLOEXEC
_SAFE = kernel.MS_NOSUID | kernel.MS_NODEV
# statvfs(3) and mount(2) share the values of ro, nosuid, nodev, noexec, noatime and nodiratime, but
# not of relatime.
_SAME_FLAGS, _ST_RELATIME, _MS_RELATIME = 0xC0F, 4096, 1 << 21
_TIOCSPTLCK, _TIOCGPTN = 0x40045431, 0x80045430
_MOST_USERS = 16 << 20  # The most bytes of /etc/passwd to read.
_PERIOD = 0.02  # Seconds between checks of PRoot.
_STARTUP = 5  # Seconds after which it has certainly started the command.

Terminal = tuple[int, int]  # layerscope's end, and the command's.


class Failed(Exception):
    """Nothing can be run; the text is a sentence."""

    def __init__(self, text: str, *, no_command: bool = False) -> None:
        super().__init__(text)
        self.no_command = no_command


def run_in_namespaces(task: Task, channel: socket.socket) -> int:
    """The first process of the sandbox: sets up the root folder and runs the command.

    It never executes a program of the image, so it always ends with its parent.
    """
    kernel.unshare(kernel.CLONE_NEWNS)
    kernel.hide_memory()
    if task.hostname:
        with suppress(PermissionError):  # Podman forbids it even there.
            socket.sethostname(task.hostname)
    if not task.network:
        kernel.loopback_up()
    terminal = _make_root(task)
    kernel.limit_capabilities()
    return _run(task, channel, terminal)


def run_in_chroot(task: Task, channel: socket.socket) -> int:
    """Like `run_in_namespaces`, without namespaces, for root in a restricted container.

    Mounted files are copies in the tree instead, put in place while the command runs.
    """
    terminal = os.openpty() if task.terminal else None
    os.chroot(f"{task.folder}/merged")
    os.chdir("/")
    with ExitStack() as undo:
        undo.enter_context(_nodes())
        for number, target in enumerate(staged_targets(task)):
            undo.enter_context(_in_place(f"/{STAGED}/{number}", target))
        return _run(task, channel, terminal)


@contextmanager
def _in_place(staged: str, target: str) -> Iterator[None]:
    """Replaces a file or folder with another during the block."""
    place, new, aside = Path(target), Path(staged), Path(f"{staged}.aside")
    with _unchanged_time(place.parent):
        place.rename(aside)
        new.rename(place)
        try:
            yield
        finally:
            with suppress(FileNotFoundError):
                place.rename(new)
            aside.rename(place)


@contextmanager
def _nodes() -> Iterator[None]:
    """Creates the standard devices during the block."""
    made = []
    with _unchanged_time(Path("/dev")):
        for name, numbers in _DEVICES.items():
            path = Path("/dev", name)
            with suppress(OSError):
                os.mknod(path, stat.S_IFCHR, os.makedev(*numbers))
                made.append(path)
                path.chmod(0o666)
        try:
            yield
        finally:
            for path in made:
                path.unlink(missing_ok=True)


@contextmanager
def _unchanged_time(folder: Path) -> Iterator[None]:
    """Keeps the mtime of a folder, unless the block permanently changes its entries."""
    before, names = folder.stat(), set(folder.iterdir())
    yield
    after = folder.stat()
    if after.st_ino == before.st_ino and set(folder.iterdir()) == names:
        os.utime(folder, ns=(after.st_atime_ns, before.st_mtime_ns))


def staged_targets(task: Task) -> list[str]:
    """Returns the targets of host files in the sandbox: network files, then mounts."""
    return [*(f"/etc/{name}" for name in NETWORK_FILES), *(each.target for each in task.mounts)]


def moved_paths(task: Task) -> frozenset[bytes]:
    """Returns the paths that a run without mounts moves away and back, and their folders."""
    moved = {os.fsencode(target.strip("/")) for target in staged_targets(task)} | {b"dev"}
    return frozenset(moved | {path.rpartition(b"/")[0] for path in moved})


def lent_paths(task: Task) -> re.Pattern[bytes]:
    """Matches paths that are in the tree only during such a run."""
    lent = [STAGED, *(target.strip("/") for target in staged_targets(task))]
    lent += [f"dev/{name}" for name in _DEVICES]
    return re.compile(b"(?:%s)(?:/.*)?" % b"|".join(re.escape(os.fsencode(p)) for p in lent), re.S)


def run_in_proot(task: Task, channel: socket.socket) -> int:
    """Like `run_in_namespaces`, with PRoot, which traces each system call of the command."""
    root = f"{task.folder}/merged"
    user = _user(task, root)
    options = ["-r", root, "-w", task.workdir]
    options += ["-i", f"{user.uid}:{user.gid}"] if user.uid else ["-0"]
    for path in ("/dev", "/proc", "/sys"):
        options += ["-b", path]
    for name in NETWORK_FILES:
        options += ["-b", f"{task.folder}/{name}:/etc/{name}"]
    for number, mount in enumerate(task.mounts):
        source = mount.source
        if not source:
            source = f"{task.folder}/empty-{number}"
            Path(source).mkdir()
        options += ["-b", f"{source}:{mount.target}"]
    # PRoot's seccomp acceleration has bugs on newer kernels.
    env = {"HOME": user.home, **task.env, "PROOT_NO_SECCOMP": "1"}
    terminal = os.openpty() if task.terminal else None
    # Not looked up in the sandbox's PATH.
    program = shutil.which("proot") or "proot"

    def become(parent: int) -> None:
        _limit(task)
        kernel.die_with_parent(parent)
        os.execve(program, ["proot", *options, *task.command], env)  # noqa: S606

    return _start(task, channel, terminal, become)


# The root folder.


def _make_root(task: Task) -> Terminal | None:
    """Sets up a root folder with all mounts, and enters it; returns a terminal, if requested.

    Until the end, the current folder is the old root, for the sources of mounts. Targets are
    resolved in the new root, which no symlink of the image can escape.
    """
    given = [(f"/etc/{name}", f"{task.folder}/{name}") for name in NETWORK_FILES]
    given += [(mount.target, mount.source) for mount in task.mounts if mount.source]
    sources = {target: os.open(source, _O_PATH) for target, source in given}
    old = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    kernel.pivot_root(f"{task.folder}/merged")
    os.fchdir(old)
    _mount_proc()
    _mount_sys(task)
    terminal = _mount_dev(task)
    for name in NETWORK_FILES:
        with suppress(OSError):  # An image may have a folder there.
            _bind(f"proc/self/fd/{sources[f'/etc/{name}']}", f"/etc/{name}")
    for mount in task.mounts:
        try:
            if mount.kind is MountKind.TMPFS:
                size = f",size={mount.size}" if mount.size else ""
                kernel.mount("tmpfs", mount.target, "tmpfs", _SAFE, f"mode=1777{size}")
            else:
                source = f"proc/self/fd/{sources[mount.target]}"
                _bind(source, mount.target, read_only=mount.kind is not MountKind.CACHE)
        except OSError as error:
            raise Failed(f"{visible(mount.target)} cannot be mounted: {error.strerror}.") from None
    if not task.user_namespace:
        _hide_kernel()
    os.fchdir(old)
    kernel.detach(".")
    os.chdir("/")
    os.close(old)
    for fd in sources.values():
        os.close(fd)
    return terminal


def _mount_proc() -> None:
    try:
        kernel.mount("proc", "/proc", "proc", _SAFE | kernel.MS_NOEXEC)
    except PermissionError:
        # In a container that hides parts of its own /proc.
        kernel.mount("proc", "/proc", "", kernel.MS_BIND | kernel.MS_REC)


def _mount_sys(task: Task) -> None:
    try:
        kernel.mount("sysfs", "/sys", "sysfs", _SAFE | kernel.MS_NOEXEC | kernel.MS_RDONLY)
    except PermissionError:
        # Without its own network, root in a user namespace may not mount sysfs.
        if task.user_namespace:
            with suppress(OSError):
                kernel.mount("sys", "/sys", "", kernel.MS_BIND | kernel.MS_REC)


def _hide_kernel() -> None:
    for path in _READ_ONLY:
        with suppress(FileNotFoundError):
            _bind(path, path, read_only=True)
    for masked in _MASKED:
        if Path(masked).is_dir():
            kernel.mount("tmpfs", masked, "tmpfs", _SAFE | kernel.MS_RDONLY)
        elif Path(masked).exists():
            kernel.mount("/dev/null", masked, "", kernel.MS_BIND)


def _mount_dev(task: Task) -> Terminal | None:
    kernel.mount("tmpfs", "/dev", "tmpfs", _SAFE, "mode=755,size=64m")
    for name in _DEVICES:
        _write(f"/dev/{name}", b"")
        with suppress(FileNotFoundError):
            kernel.mount(f"dev/{name}", f"/dev/{name}", "", kernel.MS_BIND)
    for name, target in _LINKS.items():
        Path("/dev", name).symlink_to(target)
    Path(_SHM).mkdir()
    kernel.mount("tmpfs", _SHM, "tmpfs", _SAFE, "mode=1777,size=64m")
    if task.one_id:
        _write(_APT_FILE, _APT)
    Path("/dev/pts").mkdir()
    options = "newinstance,ptmxmode=0666,mode=0620"
    # The group of terminals has no id in a namespace with one id.
    for more in (",gid=5", ""):
        try:
            flags = kernel.MS_NOSUID | kernel.MS_NOEXEC
            kernel.mount("devpts", "/dev/pts", "devpts", flags, options + more)
        except OSError:
            continue
        return _own_terminal() if task.terminal else None
    return os.openpty() if task.terminal else None


def _write(path: str, data: bytes) -> None:
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o644)
    os.write(fd, data)
    os.close(fd)


def _own_terminal() -> Terminal:
    master = os.open("/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY)
    fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
    (number,) = struct.unpack("I", fcntl.ioctl(master, _TIOCGPTN, bytes(4)))
    name = f"/dev/pts/{number}"
    slave = os.open(name, os.O_RDWR | os.O_NOCTTY)
    _write("/dev/console", b"")
    kernel.mount(name, "/dev/console", "", kernel.MS_BIND)
    return master, slave


def _bind(source: str, target: str, *, read_only: bool = False) -> None:
    try:
        kernel.mount(source, target, "", kernel.MS_BIND)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        # A user namespace may not uncover paths that other mounts hide.
        kernel.mount(source, target, "", kernel.MS_BIND | kernel.MS_REC)
    found = os.statvfs(target).f_flag
    flags = found & _SAME_FLAGS | (_MS_RELATIME if found & _ST_RELATIME else 0)
    flags |= _SAFE | (kernel.MS_RDONLY if read_only else 0)
    kernel.mount("none", target, "", kernel.MS_BIND | kernel.MS_REMOUNT | flags)


# The command.


def _run(task: Task, channel: socket.socket, terminal: Terminal | None) -> int:
    user = _user(task, "")
    try:
        _make_folder(task.workdir)
        os.chdir(task.workdir)
    except OSError as error:
        where = visible(task.workdir)
        raise Failed(f"{where} cannot be the working directory: {error.strerror}.") from None
    env = {"HOME": user.home, **task.env}
    if task.one_id and "APT_CONFIG" not in env:
        env["APT_CONFIG"] = _APT_FILE

    def become(parent: int) -> None:
        _limit(task)
        if task.one_id:
            kernel.filter_calls(ownership_filter())
        else:
            os.setgroups(user.groups)
            os.setresgid(user.gid, user.gid, user.gid)
            os.setresuid(user.uid, user.uid, user.uid)
        # Not earlier: a change of ids resets it.
        kernel.die_with_parent(parent)
        os.execvpe(task.command[0], task.command, env)  # noqa: S606

    return _start(task, channel, terminal, become)


def _user(task: Task, root: str) -> User:
    def text(path: str) -> str:
        # Without a new root folder, a symlink could lead out of the image.
        follow = os.O_NOFOLLOW if root else 0
        if root and Path(f"{root}/etc").is_symlink():
            return ""
        try:
            fd = os.open(root + path, os.O_RDONLY | os.O_NONBLOCK | follow)
        except OSError:
            return ""
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            return ""
        with open(fd, "rb", buffering=0) as file:  # noqa: PTH123
            return (file.read(_MOST_USERS) or b"").decode("utf-8", "surrogateescape")

    try:
        return find_user(task.user, text("/etc/passwd"), text("/etc/group"))
    except NoSuchUser as error:
        raise Failed(str(error)) from None


def _make_folder(path: str) -> None:
    made = ""
    # A link may be dangling.
    for part in os.path.realpath(path).split("/"):
        made += f"{part}/"
        with suppress(FileExistsError):
            Path(made).mkdir(0o755)


def _limit(task: Task) -> None:
    if task.groups:
        return
    for what, most in ((resource.RLIMIT_AS, task.memory), (resource.RLIMIT_NPROC, task.processes)):
        if most:
            resource.setrlimit(what, (most, most))


def _start(
    task: Task, channel: socket.socket, terminal: Terminal | None, become: Callable[[int], None]
) -> int:
    """Runs the command in a child until it ends; returns its exit code as a shell does."""
    reading, writing = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if not child:
        _become(writing, terminal, parent, become)
    os.close(writing)
    if terminal is not None:
        note = msgspec.json.encode(Result(terminal=True)) + b"\n"
        socket.send_fds(channel, [note], terminal[:1])
        for end in terminal:
            os.close(end)
    failed = os.read(reading, 16)
    status = _wait_for_proot(child) if task.way is Way.PROOT else _wait_for(child)
    if failed:
        raise _not_executed(task.command[0], int(failed))
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


def _wait_for(child: int) -> int:
    while True:
        pid, status = os.wait()
        if pid == child:
            return status


def _wait_for_proot(proot: int) -> int:
    """Waits until the command ends, then sends SIGQUIT, so that PRoot ends other processes."""
    started = False
    until = time.monotonic() + _STARTUP
    while True:
        pid, status = os.waitpid(proot, os.WNOHANG)
        if pid:
            return status
        # Its only child is the command; the worker adopts orphans.
        with suppress(OSError):
            child = Path(f"/proc/{proot}/task/{proot}/children").read_text("ascii").strip()
            if not child and (started or time.monotonic() > until):
                os.kill(proot, signal.SIGQUIT)
            started = started or bool(child)
        time.sleep(_PERIOD)


def _become(
    writing: int, terminal: Terminal | None, parent: int, become: Callable[[int], None]
) -> NoReturn:
    try:
        os.setsid()
        if terminal is not None:
            fcntl.ioctl(terminal[1], termios.TIOCSCTTY, 0)
            for number in range(3):
                os.dup2(terminal[1], number)
        for each in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
            signal.signal(each, signal.SIG_DFL)
        os.umask(0o022)
        if writing != 3:
            os.dup2(writing, 3, inheritable=False)
        os.closerange(4, 1 << 20)
        become(parent)
    except OSError as error:
        os.write(3, str(error.errno).encode())
    finally:
        os._exit(127)


def _not_executed(command: str, number: int) -> Failed:
    name = visible(command)
    if number in (errno.ENOENT, errno.ENOTDIR):
        return Failed(
            f"The image has no command {name}, or lacks its interpreter.", no_command=True
        )
    if number == errno.ENOEXEC:
        return Failed(f"{name} is not a program that this machine can run.", no_command=True)
    return Failed(f"{name} cannot be run: {os.strerror(number)}.", no_command=True)
