"""Runs a command on top of an image's layers, and returns its changes as a layer."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from layerscope.errors import LayerscopeError
from layerscope.filesystem.stack import Stack
from layerscope.images.progress import Progress
from layerscope.images.reader import ImageReader
from layerscope.images.stores.overlay2 import chain_ids
from layerscope.sandbox.folders import RunFolder, remove_folders
from layerscope.sandbox.inside import NETWORK_FILES
from layerscope.sandbox.kept import Changed, KeptRun
from layerscope.sandbox.limits import control_groups
from layerscope.sandbox.process import SandboxError, perform
from layerscope.sandbox.rung import Rung, RungName
from layerscope.sandbox.rungs import best_rung
from layerscope.sandbox.stubs import find_stubs, real_path, root_of
from layerscope.sandbox.task import (
    ENGINES_HINT,
    NO_NETWORK,
    Left,
    Mount,
    MountKind,
    Task,
    Way,
)
from layerscope.sandbox.unpack import CAPABILITY, self_contained, unpack_layer, unpack_merged
from layerscope.writing import failure

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_HOSTS = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command, with its environment and limits."""

    arguments: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    user: str = ""  # NAME, UID, NAME:GROUP or UID:GID, as in a Dockerfile's USER; root by default.
    workdir: str = "/"
    mounts: Sequence[Mount] = ()
    network: bool = True  # Whether it has the host's network, or none.
    hostname: str = "sandbox"
    seconds: float | None = None  # Time limit.
    memory: int = 0  # Bytes, for all its processes where control groups allow; 0 for no limit.
    processes: int = 0  # Maximum number; likewise.
    terminal: bool = False  # Whether it gets a terminal, connected to the given streams.


@dataclass(frozen=True, slots=True)
class Base:
    """The layers that a command runs on."""

    stack: Stack
    reader: ImageReader


@dataclass(frozen=True, slots=True)
class Outcome(Changed):
    """How a command ended, and its changes."""

    code: int
    #: Keeps the changes as an unpacked layer for later commands, if the rung uses layers.
    keep: Callable[[], None]


class Sandbox:
    """Runs commands with data in a persistent folder, where each layer is unpacked once."""

    def __init__(self, folder: Path, rung: Rung | None = None) -> None:
        """Raises NotFoundError if no rung works on this host."""
        self._folder = folder
        self.rung = rung or best_rung(folder)

    @contextmanager
    def ran(
        self,
        base: Base,
        command: Command,
        *,
        streams: tuple[int, int, int] | None = None,
        progress: Progress | None = None,
        kept: KeptRun | None = None,
    ) -> Iterator[Outcome]:
        """Runs a command to its end, and yields its changes.

        `streams` are the descriptors of its stdin, stdout and stderr; by default, nothing. Its
        changes stay in `kept`, on top of earlier ones.

        Raises SandboxError if it could not run, and Cancelled; leaves nothing behind then, except
        in `kept`.
        """
        progress = progress or Progress()
        rung = self.rung
        if not command.network and rung.way is not Way.NAMESPACES:
            raise SandboxError(NO_NETWORK, ENGINES_HINT)
        task = self._task(base, command)
        with (
            RunFolder(self._folder, rung) as run,
            nullcontext(-1) if kept is None else kept.taken() as lock,
            control_groups(command.memory, command.processes) as groups,
            tempfile.TemporaryFile(dir=run.path) as file,
        ):
            folder = run.path if kept is None else kept.path
            try:
                lower = self._prepare(base, run, folder, progress)
                _write_network_files(folder, command)
            except OSError as error:
                raise LayerscopeError(failure(error, str(self._folder))) from None
            progress.what, progress.total = "Running", None
            task = msgspec.structs.replace(
                task,
                folder=str(folder),
                lower=lower,
                groups=groups,
                save=file.fileno(),
                lock=lock,
                keep=rung.overlay or kept is not None,
            )
            if kept is not None:
                kept.note(rung, task)
            result = perform(
                task, rung.mapping, streams=streams, seconds=command.seconds, progress=progress
            )

            def keep() -> None:
                if kept is not None or not rung.overlay:
                    return
                with suppress(OSError):  # Another process has it already.
                    (run.path / "upper").rename(run.layer(_key(result.diff_id)))

            yield Outcome(file, result.size, result.diff_id, result.code or 0, keep)

    def _task(self, base: Base, command: Command) -> Task:
        """Returns the worker's task, without the folder."""
        rung, stack = self.rung, base.stack
        mounts = tuple(
            msgspec.structs.replace(mount, target=real_path(stack, mount.target))
            if rung.way is not Way.NAMESPACES
            else mount
            for mount in command.mounts
        )
        targets = {
            mount.target: mount.kind is MountKind.TMPFS or Path(mount.source).is_dir()
            for mount in mounts
        }
        return Task(
            way=rung.way,
            folder="",
            user_namespace=rung.user_namespace,
            one_id=rung.one_id,
            root=root_of(stack),
            stubs=tuple(find_stubs(stack, targets, command.workdir or "/")),
            owners=self._lost_owners(stack),
            capabilities=_capabilities(stack) if rung.way is Way.PROOT else {},
            command=tuple(command.arguments),
            env={"PATH": DEFAULT_PATH, "HOSTNAME": command.hostname, **command.env},
            user=command.user,
            workdir=command.workdir or "/",
            mounts=mounts,
            hostname=command.hostname,
            network=command.network,
            terminal=command.terminal,
            memory=command.memory,
            processes=command.processes,
        )

    def _lost_owners(self, stack: Stack) -> dict[str, tuple[int, int]]:
        """Returns the owners in the merged view that unpacked files lack."""
        rights = self.rung.rights
        if rights.root or not stack.height:
            return {}
        rows = stack.union(stack.height - 1)
        uids, gids = stack.uids[rows], stack.gids[rows]
        lost = (uids >= max(rights.ids, 1)) | (gids >= max(rights.ids, 1))
        return {
            os.fsdecode(stack.tree.path(int(stack.nodes[row]))): (int(uid), int(gid))
            for row, uid, gid in zip(rows[lost], uids[lost], gids[lost], strict=True)
        }

    # The layers.

    def _prepare(
        self, base: Base, run: RunFolder, folder: Path, progress: Progress
    ) -> tuple[str, ...]:
        """Unpacks missing layers; returns all layers, the top one first."""
        stack, reader = base.stack, base.reader
        if not self.rung.overlay:
            merged = folder / "merged"
            if not merged.exists():
                tree = folder / "unpacking"
                remove_folders([tree], self.rung)
                tree.mkdir()
                progress.what = "Unpacking the image"
                left = unpack_merged(stack, reader, tree, self.rung.rights, progress)
                self._repair(run, tree, left)
                tree.rename(merged)
            return ()
        diff_ids = tuple(layer.diff_id for layer in reader.image.layers)
        chain = chain_ids(diff_ids)
        folders = []
        for layer in range(stack.height):
            # Only a verified layer may be shared by diff_id.
            verified = reader.cache_key(layer) == diff_ids[layer]
            known = diff_ids[layer] if self_contained(stack, layer) else chain[layer]
            kept = run.layer(_key(known)) if verified else None
            if kept is None or not run.lock(kept):
                new = run.path / f"layer-{layer}"
                new.mkdir()
                progress.what = f"Unpacking layer {layer}"
                left = unpack_layer(stack, reader, layer, new, self.rung.rights, progress)
                self._repair(run, new, left)
                folders.append(self._kept(run, new, kept))
            else:
                folders.append(kept)
            if kept is not None:
                os.utime(folders[-1])
        # The kernel accepts each folder once; the topmost occurrence of a layer counts.
        return tuple(dict.fromkeys(map(str, reversed(folders))))

    def _kept(self, run: RunFolder, new: Path, kept: Path | None) -> Path:
        """Renames a complete layer into place, unless another process already has."""
        if kept is None:
            return new
        try:
            new.rename(kept)
        except OSError:
            if not run.lock(kept):
                return new
            remove_folders([new], self.rung)
            return kept
        run.lock(kept)
        return kept

    def _repair(self, run: RunFolder, folder: Path, left: Sequence[Left]) -> None:
        if not left:
            return
        listing = run.path / "left"
        listing.write_bytes(b"\n".join(map(msgspec.json.encode, left)))
        rung = self.rung
        if rung.name is RungName.PROOT:
            return
        task = Task(
            rung.way,
            str(run.path),
            user_namespace=rung.user_namespace,
            one_id=rung.one_id,
            repair=str(folder),
            repairs=str(listing),
        )
        perform(task, rung.mapping)


def _capabilities(stack: Stack) -> dict[str, str]:
    """Returns the capabilities of files in the merged view."""
    found = {}
    for base, changeset in zip(stack.bases, stack.changesets, strict=False):
        for inner, own in changeset.xattrs.items():
            node = int(stack.nodes[base + inner])
            if CAPABILITY in own and stack.version(node, stack.height - 1) == base + inner:
                found[os.fsdecode(stack.tree.path(node))] = own[CAPABILITY].hex()
    return found


def _key(digest: str) -> str:
    """The name of a layer's folder."""
    return digest.replace(":", "-")


def _write_network_files(folder: Path, command: Command) -> None:
    """Writes the network files that replace those of the image."""
    host = {"resolv.conf": "", "hosts": _HOSTS}
    if command.network:
        for name in host:
            with suppress(OSError):
                host[name] = Path("/etc", name).read_text("utf-8", "surrogateescape")
    host["hosts"] += f"127.0.1.1\t{command.hostname}\n"
    host["hostname"] = command.hostname + "\n"
    for name in NETWORK_FILES:
        (folder / name).write_text(host[name], "utf-8", "surrogateescape")
