"""RUN: runs a command in the sandbox, with mounts, and adds its changes as a layer."""

from __future__ import annotations

import fcntl
import hashlib
import os
import posixpath
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from layerscope.build.embedded.metadata import Scope, StepError, clean, command_of, shell_of
from layerscope.build.embedded.mounted import content_digest, copy_tree
from layerscope.build.embedded.sources import FOLDER, ContextSource, Origin, Source, resolve
from layerscope.build.embedded.state import State
from layerscope.dockerfile.context.ignore import in_context
from layerscope.dockerfile.syntax.document import Form, Instruction
from layerscope.dockerfile.syntax.grammar import PREDEFINED_ARGS
from layerscope.dockerfile.syntax.mounts import Mount as WrittenMount
from layerscope.dockerfile.syntax.mounts import mounts_of
from layerscope.engines.embedded.importing import add_tar
from layerscope.engines.embedded.store import Lease
from layerscope.images.progress import Progress
from layerscope.sandbox.task import ENGINES_HINT, NO_NETWORK, Mount, MountKind, Way
from layerscope.text import visible
from layerscope.writing import temporary_folder

if TYPE_CHECKING:
    from layerscope.build.embedded.layers import Check
    from layerscope.sandbox.rung import Rung
    from layerscope.sandbox.running import Base, Outcome

_READ = 1 << 16
_LEAST_WIDTH = 100  # The minimum characters of a command in an error.
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,15})?) ?([kmgtp]?)(?:i?b)?", re.ASCII | re.IGNORECASE)

_V = TypeVar("_V")
Log = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a command can use besides the image below it."""

    context: ContextSource
    #: Returns the stage or image named by `from`, opened on demand, and its key.
    origin: Callable[[str], Origin]
    folder: Path  # For caches and temporary files of the step.
    secrets: Mapping[str, bytes]
    agents: Mapping[str, str]  # Sockets of SSH agents, by id.
    network: str  # As requested; "" for the host's.
    log: Log
    progress: Progress


class RunStep:
    """A RUN step. All methods raise StepError for what is not possible."""

    def __init__(
        self, instruction: Instruction, state: State, scope: Scope, around: Surroundings
    ) -> None:
        self._instruction, self._state, self._around = instruction, state, around
        self._scope = scope
        self.command = _command(instruction, state)
        if not self.command:
            raise StepError("RUN has no command.", "Write RUN COMMAND.")
        declared = scope.arguments.items()
        #: Build arguments in the command's environment.
        self._arguments = {
            name: value
            for name, value in declared
            if value is not None and name not in state.variables
        }
        self._mounts = list(mounts_of(instruction))

    @property
    def text(self) -> str:
        """Returns its entry in the history."""
        given = "".join(f" {name}={value}" for name, value in self._arguments.items())
        arguments = f"|{len(self._arguments)}{given} " if self._arguments else ""
        return clean(f"RUN {arguments}{' '.join(self.command)} # buildkit")

    @property
    def stamps(self) -> Iterator[str]:
        """Yields what else its layer depends on; reads files of the context."""
        network = self._instruction.flag("network")
        yield network.value or "" if network is not None else ""
        for mount in self._mounts:
            yield ",".join(f"{field.key}={field.value}" for field in mount.fields)
            origin = self._origin(mount)
            if origin is not None:
                yield origin[1]
            elif mount.type == "bind":
                yield content_digest(*self._bound(mount))

    def check(self) -> None:
        """Checks what is known before anything runs."""
        self._network()
        for mount in self._mounts:
            if mount.type == "secret":
                self._given(mount, self._around.secrets)
            elif mount.type == "ssh":
                self._given(mount, self._around.agents)
            else:
                self._target(mount)
                self._size(mount)
                if mount.type == "bind" and mount.field("from") is None:
                    self._bound(mount)

    def check_rung(self, rung: Rung) -> None:
        """Checks whether the sandbox of this host can run it."""
        if rung.way is Way.NAMESPACES:
            return
        agents = (mount for mount in self._mounts if mount.type == "ssh")
        if any(self._given(mount, self._around.agents)[1] is not None for mount in agents):
            raise StepError("The sandbox of this host cannot mount an SSH agent.", ENGINES_HINT)
        if not self._network():
            raise StepError(NO_NETWORK, ENGINES_HINT)

    @contextmanager
    def ran(self, base: Base) -> Iterator[Outcome]:
        """Runs the command, and yields its changes. Raises LayerscopeError, as the sandbox."""
        # Not at the top: a cached step does not need the sandbox.
        from layerscope.sandbox.running import Command, Sandbox

        around = self._around
        with ExitStack() as stack:
            environment: dict[str, str] = {}
            mounts = [self._mount(mount, stack, environment) for mount in self._mounts]
            proxies = {
                name: value for name, value in self._scope.given.items() if name in PREDEFINED_ARGS
            }
            command = Command(
                arguments=self.command,
                env={**proxies, **self._arguments, **self._state.variables, **environment},
                user=str(self._state.config.get("User") or ""),
                workdir=self._state.workdir,
                mounts=[mount for mount in mounts if mount is not None],
                network=self._network(),
                hostname="buildkitsandbox",
            )
            sandbox = Sandbox(around.folder)
            streams = stack.enter_context(_logged(around.log))
            outcome = stack.enter_context(
                sandbox.ran(base, command, streams=streams, progress=around.progress)
            )
            if outcome.code:
                shown = " ".join(self.command)
                if len(shown) > _LEAST_WIDTH:
                    shown = shown[:_LEAST_WIDTH] + "…"
                raise StepError(
                    f"The command {visible(shown)} ended with code {outcome.code}.",
                    code=outcome.code,
                )
            yield outcome

    def _network(self) -> bool:
        flag = self._instruction.flag("network")
        wanted = flag.value or "" if flag is not None else self._around.network
        if wanted not in ("", "default", "host", "none"):
            raise StepError(f"The network {visible(wanted)} needs an engine.", "Use host or none.")
        return wanted != "none"

    # Mounts.

    def _mount(
        self, mount: WrittenMount, stack: ExitStack, environment: dict[str, str]
    ) -> Mount | None:
        if mount.type == "secret":
            return self._secret(mount, stack, environment)
        if mount.type == "ssh":
            return self._agent(mount, environment)
        target = self._target(mount)
        if mount.type == "tmpfs":
            return Mount(MountKind.TMPFS, target, size=self._size(mount))
        if mount.type == "cache":
            return Mount(MountKind.CACHE, target, str(self._cache(mount, target, stack)))
        if mount.type == "bind":
            return self._bind(mount, target, stack)
        raise StepError(f"There are no mounts of type {visible(mount.type)}.")

    def _value(self, mount: WrittenMount, key: str) -> str:
        field = mount.field(key)
        return (
            "" if field is None or not field.value else self._scope.text(self._state, field.value)
        )

    def _target(self, mount: WrittenMount) -> str:
        target = self._value(mount, "target")
        if not target:
            raise StepError(f"A mount of type {visible(mount.type)} has no target.")
        target = posixpath.normpath(posixpath.join("/", self._state.workdir, target))
        if not target.strip("/"):
            raise StepError("A mount cannot replace /.")
        return target

    def _size(self, mount: WrittenMount) -> int:
        """Returns the size of a tmpfs in bytes; as in Docker, `m` and `MB` are 2**20."""
        text = self._value(mount, "size") or "0"
        match = _SIZE.fullmatch(text)
        if match is None:
            raise StepError(f"size={visible(text)} is not a size.", "Write it as size=64m.")
        return int(float(match[1]) * 1024 ** "bkmgtp".index(match[2].lower() or "b"))

    def _cache(self, mount: WrittenMount, target: str, stack: ExitStack) -> Path:
        name = self._value(mount, "id") or target
        origin = self._origin(mount)
        if origin is not None:
            # Another initial content means another cache.
            name = "\0".join((name, origin[1], self._value(mount, "source")))
        folder = self._around.folder / "caches" / hashlib.sha256(name.encode()).hexdigest()[:32]
        if self._value(mount, "sharing") == "private":
            folder = stack.enter_context(temporary_folder(self._around.folder)) / "cache"
        if folder.is_symlink():  # With PRoot, a command can replace it.
            folder.unlink()
        if origin is not None and not folder.exists():
            self._fill(folder, mount)
        folder.mkdir(parents=True, exist_ok=True)
        mode = self._value(mount, "mode") or "0755"
        try:
            folder.chmod(int(mode, 8) & 0o7777)
        except ValueError:
            raise StepError(f"mode={visible(mode)} is not a mode.") from None
        if self._value(mount, "sharing") == "locked":
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, fd)
            fcntl.flock(fd, fcntl.LOCK_EX)
        return folder

    def _fill(self, folder: Path, mount: WrittenMount) -> None:
        """Fills a cache from `from`; another build may have created it meanwhile."""
        source, path = self._bound(mount)
        node = source.find(path) if path else FOLDER
        if node is None or not node.is_folder:
            name = visible(self._value(mount, "source"))
            raise StepError(f"{name} is not a folder, and cannot become a cache.")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(self._around.folder) as made:
            copy_tree(source, path, made / "cache")
            try:
                (made / "cache").rename(folder)
            except OSError:
                if not folder.is_dir():
                    raise

    def _origin(self, mount: WrittenMount) -> Origin | None:
        field = mount.field("from")
        if field is None or mount.type not in ("bind", "cache"):
            return None
        return self._around.origin(field.value or "")

    def _bound(self, mount: WrittenMount) -> tuple[Source, bytes]:
        """Returns what to mount: a path in the context, or in the source of `from`."""
        origin = self._origin(mount)
        source = self._around.context if origin is None else origin[0]()
        text = self._value(mount, "source") or "."
        path = in_context(text)
        real, node = resolve(source, b"" if path == "." else os.fsencode(path))
        if node is None:
            field = mount.field("from")
            where = "the build context" if field is None else visible(field.value or "")
            raise StepError(f"{visible(text)} is not in {where}.")
        return source, real

    def _bind(self, mount: WrittenMount, target: str, stack: ExitStack) -> Mount:
        """Mounts a copy: the context may exclude files, and the mount may be writable."""
        copied = stack.enter_context(temporary_folder(self._around.folder)) / "source"
        copy_tree(*self._bound(mount), copied)
        write = mount.field("readwrite")
        writable = write is not None and (write.value or "true") == "true"
        return Mount(MountKind.CACHE if writable else MountKind.BIND, target, str(copied))

    def _given(self, mount: WrittenMount, values: Mapping[str, _V]) -> tuple[str, _V | None]:
        """Returns the id of a secret or an agent, and what the build passes, or None."""
        secret = mount.type == "secret"
        name = posixpath.basename(self._value(mount, "target")) if secret else "default"
        name = self._value(mount, "id") or name
        required = mount.field("required")
        if name not in values and required is not None and (required.value or "true") == "true":
            what = "secret" if secret else "SSH agent"
            raise StepError(
                f"The {what} {visible(name)} is needed.", f"Pass it with --{mount.type}."
            )
        return name, values.get(name)

    def _agent(self, mount: WrittenMount, environment: dict[str, str]) -> Mount | None:
        _, socket = self._given(mount, self._around.agents)
        if socket is None:
            return None
        target = self._value(mount, "target") or f"/run/buildkit/ssh_agent.{len(environment)}"
        environment["SSH_AUTH_SOCK"] = target
        return Mount(MountKind.SECRET, target, socket)

    def _secret(
        self, mount: WrittenMount, stack: ExitStack, environment: dict[str, str]
    ) -> Mount | None:
        name, value = self._given(mount, self._around.secrets)
        if value is None:
            return None
        target = self._value(mount, "target")
        variable = self._value(mount, "env")
        if variable:
            environment[variable] = value.decode("utf-8", "surrogateescape")
            if not target:
                return None
        file = stack.enter_context(temporary_folder(self._around.folder)) / "secret"
        file.touch(0o600)
        file.write_bytes(value)
        file.chmod(0o444 if self._state.config.get("User") else 0o400)
        return Mount(MountKind.SECRET, target or f"/run/secrets/{name}", str(file))


def _command(instruction: Instruction, state: State) -> list[str]:
    heredocs = instruction.heredocs
    if instruction.form is Form.EXEC or not heredocs:
        command = command_of(instruction, state)
        return command if instruction.arguments.strip() else []
    text = instruction.arguments.strip()
    first = heredocs[0]
    if len(heredocs) == 1 and text.startswith("<<") and len(text.split()) == 1:
        return [*shell_of(state), clean(_script(first.content))]
    pieces = [text, *(f"{each.content}{each.name}" for each in heredocs)]
    return [*shell_of(state), clean("\n".join(pieces))]


def _script(content: str) -> str:
    """Returns a script as a shell command; one with a shebang runs in its interpreter."""
    if not content.startswith("#!"):
        return content
    mark = "EOF_" + hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    interpreter = content[2:].partition("\n")[0].strip()
    return f"{interpreter} /dev/fd/3 3<<'{mark}'\n{content}{mark}\n"


def layer_of(
    outcome: Outcome, lease: Lease, latest: int | None, check: Check
) -> tuple[str, int] | None:
    """Adds a command's changes to the store; returns diff_id and size, None without changes."""
    changeset = outcome.changeset()
    if not len(changeset):
        return None
    fd = outcome.file.fileno()
    if latest is not None and (changeset.mtimes > latest).any():
        import numpy as np

        from layerscope.build.embedded.image_source import stored_content
        from layerscope.build.embedded.layers import add_layer
        from layerscope.filesystem.layer_tar import layer_pieces

        clamped = replace(changeset, mtimes=np.minimum(changeset.mtimes, latest))
        pieces = layer_pieces(clamped, lambda row: stored_content(fd, changeset, row))
        return add_layer(lease, pieces, check)
    place = 0

    def read(size: int) -> bytes:
        nonlocal place
        check()
        piece = os.pread(fd, min(size, outcome.size - place), place)
        place += len(piece)
        return piece

    return add_tar(lease, read)


@contextmanager
def _logged(log: Log) -> Iterator[tuple[int, int, int]]:
    """Yields streams for a command, whose output goes to a log."""
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    out, into = os.pipe2(os.O_CLOEXEC)

    def read() -> None:
        import codecs

        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while piece := os.read(out, _READ):
            log(decoder.decode(piece))

    thread = threading.Thread(target=read, name="layerscope-output", daemon=True)
    thread.start()
    try:
        yield null, into, into
    finally:
        os.close(into)
        thread.join()
        os.close(out)
        os.close(null)
