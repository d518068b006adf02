"""The process around a sandbox: enters namespaces, mounts the layers, runs the command in a child.

It receives a `Task` over a socket and answers with `Result`s. When the other end closes, for
example because the parent was killed, it ends the command and removes its files. It also reads the
changes, which no process outside the user namespace can read completely.
"""

from __future__ import annotations

import hashlib
import os
import select
import signal
import socket
import stat
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from layerscope.sandbox import kernel
from layerscope.sandbox.inside import (
    STAGED,
    Failed,
    lent_paths,
    moved_paths,
    run_in_chroot,
    run_in_namespaces,
    run_in_proot,
    staged_targets,
)
from layerscope.sandbox.removing import make_readable, remove_tree
from layerscope.sandbox.task import Left, MountKind, Result, Stub, Task, Way
from layerscope.text import visible

if TYPE_CHECKING:
    from layerscope.filesystem.changeset import Changeset
    from layerscope.sandbox.tree import Before

_RUNS = {
    Way.NAMESPACES: run_in_namespaces,
    Way.CHROOT: run_in_chroot,
    Way.PROOT: run_in_proot,
}
_CAPABILITY = b"security.capability"
_BEFORE = "before.npz"  # The content of a persistent tree before the first run.
_TRIES = 5  # Attempts to read files that change meanwhile.
_REVISION, _REVISION_2, _SIZE_2 = 0xFF000000, 0x02000000, 20


def _not_made(error: OSError) -> Result:
    name = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
    reason = visible(name + (error.strerror or str(error)))
    return Result(error=f"The sandbox cannot be made: {reason}.")


def main() -> None:
    channel = socket.socket(fileno=int(sys.argv[1]))
    os.umask(0o022)
    with channel.makefile("rb") as lines:
        try:
            task = msgspec.json.decode(lines.readline(), type=Task)
            result = _Worker(task, channel, lines).result()
        except Failed as error:
            result = Result(error=str(error), no_command=error.no_command)
        except OSError as error:
            result = _not_made(error)
        except Exception as error:
            # A traceback would look like the command's.
            text = visible(str(error)).rstrip(".")
            result = Result(error=f"The sandbox failed, {type(error).__name__}: {text}.")
        with suppress(OSError):
            channel.sendall(msgspec.json.encode(result) + b"\n")


class _Worker:
    def __init__(self, task: Task, channel: socket.socket, lines: Any) -> None:
        self._task = task
        self._channel = channel
        self._lines = lines
        self._folder = Path(task.folder)
        self._merged = self._folder / "merged"

    def result(self) -> Result:
        task = self._task
        if task.user_namespace:
            self._enter_user_namespace()
        if task.repair:
            repair(task.repair, Path(task.repairs))
            return Result(code=0)
        if task.remove:
            for folder in task.remove:
                _remove(Path(folder))
            return Result(code=0)
        if task.look:
            return self._looked()
        try:
            return self._run()
        finally:
            if not task.keep:
                for name in ("merged", "upper", "work", "stubs"):
                    _remove(self._folder / name)

    def _enter_user_namespace(self) -> None:
        kernel.unshare(kernel.CLONE_NEWUSER)
        self._channel.sendall(msgspec.json.encode(Result(wants_ids=True)) + b"\n")
        if self._lines.readline() != b"done\n":
            raise Failed("No ids could be mapped into the user namespace.")
        if not self._task.one_id:
            os.setgroups([])
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)

    def _run(self) -> Result:
        task = self._task
        if task.way is Way.NAMESPACES:
            flags = kernel.CLONE_NEWNS | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS
            flags |= kernel.CLONE_NEWPID | (0 if task.network else kernel.CLONE_NEWNET)
            kernel.unshare(flags)
            kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
        else:
            kernel.adopt_orphans()
        if task.lower:
            self._mount_overlay()
            return self._saved(self._wait(), self._overlay_changes)
        if not (self._folder / _BEFORE).exists():
            make_stubs(self._merged, task.stubs)
            _dress(self._merged, task.root)
        if task.way is Way.NAMESPACES:
            kernel.mount(str(self._merged), str(self._merged), "", kernel.MS_BIND)
            flags = kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_NODEV
            with suppress(PermissionError):  # Existing flags may be locked.
                kernel.mount("none", str(self._merged), "", flags)
        return self._run_in_tree()

    def _run_in_tree(self) -> Result:
        from layerscope.sandbox.tree import Before, snapshot

        top = os.open(self._merged, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        closed = self._let_in()
        before = self._before()
        if before is None:
            before = Before(snapshot(top), closed)
        before.closed.update(closed)
        if self._task.lock >= 0:
            before.save(self._folder / _BEFORE)
        if self._task.way is not Way.CHROOT:
            return self._saved(self._wait(), lambda: self._tree_changes(top, before))
        self._stage()
        result = self._wait()
        self._unstage()
        moved = moved_paths(self._task)
        return self._saved(result, lambda: self._tree_changes(top, before, moved))

    def _before(self) -> Before | None:
        from layerscope.sandbox.tree import Before

        try:
            return Before.load(self._folder / _BEFORE)
        except FileNotFoundError:
            return None

    def _let_in(self) -> dict[bytes, int]:
        """Makes the tree readable without a namespace; returns the modes of its folders."""
        return make_readable(self._merged) if self._task.way is Way.PROOT else {}

    def _tree_changes(
        self, top: int, before: Before, moved: frozenset[bytes] = frozenset()
    ) -> tuple[int, Changeset, set[bytes]]:
        from layerscope.sandbox.tree import difference, snapshot

        if again := self._let_in():
            before.closed.update(again)
            if self._task.lock >= 0 or self._task.look:
                before.save(self._folder / _BEFORE)
        after = snapshot(top, live=self._task.live)
        opened = self._task.way is Way.PROOT
        changeset, same = difference(before.found, after, str(self._merged), moved, opened=opened)
        if before.closed:
            for row, path in enumerate(changeset.paths()):
                mode = before.closed.get(path, -1)
                if changeset.modes[row] == mode | 0o700:
                    changeset.modes[row] = mode
        return top, changeset, same

    # A persistent folder.

    def _looked(self) -> Result:
        """Returns the changes so far."""
        for tries_left in reversed(range(_TRIES if self._task.live else 1)):
            try:
                return self._saved(Result(code=0), self._changes_so_far)
            except (ValueError, FileNotFoundError):
                if not tries_left:
                    raise Failed("It changes faster than it can be read.") from None
        raise AssertionError

    def _changes_so_far(self) -> tuple[int, Changeset, set[bytes]]:
        import numpy as np

        from layerscope.filesystem.changeset import Changeset

        task = self._task
        if task.lower:
            upper = self._folder / "upper"
            return self._overlay_changes() if upper.exists() else (-1, Changeset.empty(), set())
        before = self._before()
        if before is None:  # Stopped before anything ran.
            return -1, Changeset.empty(), set()
        top = os.open(self._merged, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        if task.way is not Way.CHROOT:
            return self._tree_changes(top, before)
        _, changeset, same = self._tree_changes(top, before, moved_paths(task))
        if task.live:
            hidden = lent_paths(task)
            paths = changeset.paths()
            rows = [row for row, path in enumerate(paths) if not hidden.fullmatch(path)]
            changeset = changeset.take(np.array(rows, np.int64))
        return top, changeset, same

    # The root folder.

    def _mount_overlay(self) -> None:
        """Mounts the layers, by short relative names, so that all of them fit into a page."""
        task = self._task
        for name in ("work", "stubs"):
            # From an earlier run; a volatile mount cannot be mounted twice.
            _remove(self._folder / name)
        new = not (self._folder / "upper").exists()
        for name in ("merged", "upper", "work", "stubs"):
            (self._folder / name).mkdir(exist_ok=True)
        make_stubs(self._folder / "stubs", task.stubs)
        _dress(self._folder / "stubs", task.root)
        if new:
            _dress(self._folder / "upper", task.root)
        for number, layer in enumerate(task.lower):
            (self._folder / str(number)).unlink(missing_ok=True)
            (self._folder / str(number)).symlink_to(layer)
        lower = ":".join(["stubs", *map(str, range(len(task.lower)))])
        own = "userxattr" if task.user_namespace else "index=off,metacopy=off,redirect_dir=off"
        options = f"lowerdir={lower},upperdir=upper,workdir=work,{own}"
        os.chdir(self._folder)
        try:
            # An unfinished run is discarded anyway.
            kernel.mount("overlay", "merged", "overlay", kernel.MS_NODEV, options + ",volatile")
        except OSError:
            kernel.mount("overlay", "merged", "overlay", kernel.MS_NODEV, options)
        os.chdir("/")

    def _stage(self) -> None:
        """Copies files that cannot be mounted into the tree."""
        staged = self._merged / STAGED
        staged.mkdir(0o700)
        sources = [*(self._folder / Path(each).name for each in staged_targets(self._task)[:3])]
        sources += [Path(mount.source) if mount.source else Path() for mount in self._task.mounts]
        for number, source in enumerate(sources):
            target = staged / str(number)
            if source == Path():
                target.mkdir(0o1777)
            else:
                _copy(source, target)

    def _unstage(self) -> None:
        """Removes the copies, and saves changes to caches."""
        task, staged = self._task, self._merged / STAGED
        targets = staged_targets(task)
        for number, mount in enumerate(task.mounts, len(targets) - len(task.mounts)):
            source, written = Path(mount.source), staged / str(number)
            # The command may have replaced it with a link to the outside.
            if mount.kind is MountKind.CACHE and _is_folder(staged) and _is_folder(written):
                for each in source.iterdir():
                    _remove(each)
                for each in written.iterdir():
                    _copy(each, source / each.name)
        _remove(staged)

    # The command.

    def _wait(self) -> Result:
        """Runs the command, unless the socket is closed before it ends."""
        reading, writing = os.pipe()
        gate, gate_end = os.pipe()
        child = os.fork()
        if not child:
            os.close(gate_end)
            _first_process(self._task, self._channel, gate, writing)
        os.close(writing)
        os.close(gate)
        for group in self._task.groups:
            Path(group, "cgroup.procs").write_text(str(child), "ascii")
        os.write(gate_end, b"\0")
        if self._task.save >= 0:
            # Imports modules for later while the command runs.
            import layerscope.filesystem.disk_changeset
            import layerscope.filesystem.layer_tar  # noqa: F401
        said, stopped = b"", False
        watched: list[int] = [reading, self._channel.fileno()]
        while True:
            ready, _, _ = select.select(watched, [], [])
            if reading in ready:
                piece = os.read(reading, 1 << 16)
                said += piece
                if not piece:
                    break
            elif not self._channel.recv(16):
                stopped = True
                watched.remove(self._channel.fileno())
                os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        _end_orphans()
        if stopped or not said:
            raise Failed("The command was stopped.")
        return msgspec.json.decode(said, type=Result)

    # Its changes.

    def _overlay_changes(self) -> tuple[int, Changeset, set[bytes]]:
        from layerscope.filesystem.disk_changeset import read_folder

        if not self._task.look:
            kernel.detach(str(self._merged))
        upper = self._folder / "upper"
        top = os.open(upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        copied: set[bytes] = set()
        return top, read_folder(top, str(upper), copied=copied, live=self._task.live), copied

    def _saved(
        self, result: Result, changes: Callable[[], tuple[int, Changeset, set[bytes]]]
    ) -> Result:
        if result.code is None or (self._task.save < 0 and not self._task.look):
            return result
        from layerscope.filesystem.disk_walk import open_below
        from layerscope.filesystem.layer_tar import layer_pieces
        from layerscope.images.files.located import Located
        from layerscope.images.pieces import filled, pieces_of

        top, changeset, copied = changes()
        if self._task.save < 0:
            return msgspec.structs.replace(result, size=int(changeset.sizes.sum()))
        self._restore(changeset, copied)
        for own in changeset.xattrs.values():
            if _CAPABILITY in own:
                own[_CAPABILITY] = revision_2(own[_CAPABILITY])

        def content(row: int) -> Iterator[bytes]:
            path = changeset.path(row)
            with _readable(self._merged, path, self._task.way):
                fd = open_below(top, path)
            left = int(changeset.sizes[row])
            with closing(Located.of_file(fd, "")) as located:
                for piece in filled(pieces_of(located)):
                    # The file may be growing.
                    yield piece[:left] if self._task.live else piece
                    left -= min(left, len(piece))

        digest, size = hashlib.sha256(), 0
        with open(self._task.save, "wb", buffering=1 << 20, closefd=False) as file:
            file.seek(0)
            file.truncate()
            for piece in layer_pieces(changeset, content):
                digest.update(piece)
                size += len(piece)
                file.write(piece)
        diff_id = f"sha256:{digest.hexdigest()}"
        return msgspec.structs.replace(result, diff_id=diff_id, size=size)

    def _restore(self, changeset: Changeset, copied: set[bytes]) -> None:
        """Restores attributes of copied files that unpacking could not set."""
        task = self._task
        if task.one_id or task.way is Way.PROOT:
            changeset.uids[:] = changeset.gids[:] = 0
        if not task.owners and not task.capabilities:
            return
        for row, path in enumerate(changeset.paths()):
            capability = task.capabilities.get(os.fsdecode(path))
            if capability and path in copied:
                changeset.xattrs.setdefault(row, {})[_CAPABILITY] = bytes.fromhex(capability)
            owner = task.owners.get(os.fsdecode(path))
            if owner and path in copied and not (changeset.uids[row] or changeset.gids[row]):
                changeset.uids[row], changeset.gids[row] = owner


def _first_process(task: Task, channel: socket.socket, gate: int, writing: int) -> NoReturn:
    try:
        # In a PID namespace, the parent's id is 0.
        kernel.die_with_parent(0 if task.way is Way.NAMESPACES else os.getppid())
        if not os.read(gate, 1):
            os._exit(1)
        os.close(gate)
        try:
            result = Result(code=_RUNS[task.way](task, channel))
        except Failed as error:
            result = Result(error=str(error), no_command=error.no_command)
        except OSError as error:
            result = _not_made(error)
        os.write(writing, msgspec.json.encode(result))
    finally:
        os._exit(0)


def _end_orphans() -> None:
    """Ends processes that the command left running; a PID namespace has already ended them."""
    while True:
        with suppress(OSError):
            children = Path(f"/proc/self/task/{os.getpid()}/children").read_text("ascii")
            for pid in map(int, children.split()):
                os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


@contextmanager
def _readable(root: Path, path: bytes, way: Way) -> Iterator[None]:
    """Makes a file readable to its owner, whose access its mode may deny outside a namespace."""
    if way is not Way.PROOT:
        yield
        return
    file = Path(root, os.fsdecode(path))
    mode = stat.S_IMODE(file.lstat().st_mode)
    if not mode & 0o400:
        file.chmod(mode | 0o400)
    try:
        yield
    finally:
        if not mode & 0o400:
            file.chmod(mode)


def revision_2(capability: bytes) -> bytes:
    """Converts file capabilities to the form without a user namespace (linux/capability.h)."""
    if len(capability) <= _SIZE_2:
        return capability
    (magic,) = struct.unpack_from("<I", capability)
    return struct.pack("<I", magic & ~_REVISION | _REVISION_2) + capability[4:_SIZE_2]


def make_stubs(folder: Path, stubs: tuple[Stub, ...]) -> None:
    """Creates mount points, with parent folders as in the image."""
    made = []
    for stub in stubs:
        path = folder / stub.path
        new = not os.path.lexists(path)
        if new and stub.link:
            path.symlink_to(stub.link)
        elif new and stub.folder:
            path.mkdir()
        elif new:
            path.touch(stub.mode)
        made.append((path, stub, new))
    for path, stub, new in reversed(made):
        if new and not stub.link:
            _dress(path, stub)
        elif stub.exists:
            os.utime(path, (stub.mtime, stub.mtime))


def _dress(path: Path, stub: Stub) -> None:
    """Sets the owner, mode and time of a file or folder."""
    with suppress(OSError):  # The owner's id is not mapped here.
        os.chown(path, stub.uid, stub.gid)
    path.chmod(stub.mode)
    os.utime(path, (stub.mtime, stub.mtime))


def repair(folder: str, listing: Path) -> None:
    """Sets owners and capabilities of unpacked files, which only root in a namespace can."""
    from layerscope.filesystem.disk_walk import open_folder_below
    from layerscope.oci.byte_source import opened

    with opened(os.open(folder, os.O_RDONLY | os.O_DIRECTORY)) as top, listing.open("rb") as lines:
        for line in lines:
            left = msgspec.json.decode(line, type=Left)
            *parents, name = os.fsencode(left.path).split(b"/")
            with opened(open_folder_below(top, parents)) as above:
                os.chown(name, left.uid, left.gid, dir_fd=above, follow_symlinks=False)
                if left.mode >= 0:
                    os.chmod(name, left.mode, dir_fd=above)
                if left.capability:
                    path = b"/proc/self/fd/%d/%s" % (above, name)
                    value = bytes.fromhex(left.capability)
                    os.setxattr(path, _CAPABILITY, value, follow_symlinks=False)


def _copy(source: Path, target: Path) -> None:
    """Copies a file or tree with cp(1), which keeps owners, holes and links."""
    command = ["cp", "-a", "--", str(source), str(target)]
    done = subprocess.run(command, stderr=subprocess.PIPE, check=False)  # noqa: S603
    if done.returncode:
        why = visible(done.stderr.decode(errors="replace").strip())
        raise Failed(f"{visible(str(source))} cannot be copied: {why}.")


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _remove(path: Path) -> None:
    if _is_folder(path):
        remove_tree(path)
    else:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
