"""Runs programs, one against another in turns, and says how long they took and what they held."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

ROOT = Path(__file__).parents[2]

Command = Sequence[str | Path]


class Stopped(Exception):
    """A program did not end in the time that it had."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """How long one took against another."""

    value: float  # The one's least time by the other's, since noise only ever adds.
    spread: tuple[float, float]  # The least and the most that a pair of runs gave.
    low: float  # The lower quartile of what the pairs gave.
    middle: float  # Their median.
    own: float  # The one's least time, in seconds.
    floor: float  # The other's.

    @property
    def note(self) -> str:
        """Both in seconds, and what the pairs gave."""
        pairs = f"lower quartile {self.low:.2f}×, median {self.middle:.2f}×"
        return f"{_seconds(self.own)} by {_seconds(self.floor)}, {pairs}"


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 1 else f"{1000 * value:.0f} ms"


def layerscope(*arguments: str | Path) -> list[str]:
    """The command line of this layerscope."""
    return [sys.executable, "-m", "layerscope", *map(str, arguments)]


def environment(**changes: str) -> dict[str, str]:
    """The environment of programs: no engine answers, and modules are ours.

    They are compiled once, as those of an installed program are, whatever is wanted here.
    """
    ours = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")
    return {
        **{name: value for name, value in os.environ.items() if name not in ours},
        "PYTHONPATH": str(ROOT),
        "DOCKER_HOST": "unix:///nonexistent/docker.sock",
        **changes,
    }


def run(
    command: Command,
    env: Mapping[str, str] | None = None,
    *,
    limit: float | None = None,
    codes: Sequence[int] = (0,),
) -> float:
    """Runs a program whose output nobody reads, and returns the seconds that it took.

    Raises Stopped if it took too long.
    """
    start = time.perf_counter()
    try:
        done = subprocess.run(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment() if env is None else dict(env),
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Stopped from None
    seconds = time.perf_counter() - start
    assert done.returncode in codes, done.stderr.decode(errors="replace")
    return seconds


@dataclass(frozen=True, slots=True)
class Spent:
    """What a program needed, and its child processes."""

    seconds: float
    processor: float  # Seconds of processors, in the program and in the kernel for it.


def spent(command: Command, env: Mapping[str, str] | None = None) -> Spent:
    """Runs a program as `run` does."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = run(command, env)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Spent(seconds, processor)


def output(command: Command, env: Mapping[str, str] | None = None) -> str:
    """Runs a program, and returns what it wrote."""
    return subprocess.run(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=environment() if env is None else dict(env),
        check=True,
    ).stdout.decode()


def tar_listing(layers: Sequence[Path]) -> float:
    """Lists layers with tar, a process for each, and returns the seconds that it took."""
    return sum(run(["tar", "tvf", layer]) for layer in layers)


def compare(
    own: Callable[[], float], floor: Callable[[], float], *, rounds: int = 7, warm: bool = True
) -> Ratio:
    """Measures one thing against another, in turns, so that both meet the same noise.

    Args:
        own: Does the one, and returns its seconds.
        floor: Does the other.
        rounds: How often.
        warm: Do both once before, for the page cache and compiled modules.
    """
    if warm:
        own()
        floor()
    return _ratio([(own(), floor()) for _ in range(rounds)])


def compare_spent(
    own: Callable[[], Spent], floor: Callable[[], Spent], *, rounds: int, warm: bool = True
) -> tuple[Ratio, Ratio]:
    """As `compare`, for the time and for the time of processors."""
    if warm:
        own()
        floor()
    pairs = [(own(), floor()) for _ in range(rounds)]
    return (
        _ratio([(one.seconds, other.seconds) for one, other in pairs]),
        _ratio([(one.processor, other.processor) for one, other in pairs]),
    )


def _ratio(pairs: Sequence[tuple[float, float]]) -> Ratio:
    ratios = [one / other for one, other in pairs]
    one, other = (min(times) for times in zip(*pairs, strict=True))
    several = ratios if len(ratios) > 1 else ratios * 2  # Which quartiles need.
    low, middle, _ = quantiles(several, n=4, method="inclusive")
    return Ratio(one / other, (min(ratios), max(ratios)), low, middle, one, other)


def peak_memory(arguments: Sequence[str | Path], env: Mapping[str, str] | None = None) -> float:
    """Megabytes that a command of layerscope and its child had at their peaks, added up.

    What both share is counted twice, so this is more than the two ever took.
    """
    probe = [sys.executable, "-m", "tests.benchmarks.memory_probe"]
    reader, writer = os.pipe()
    try:
        subprocess.run(
            [*probe, str(writer), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=environment() if env is None else dict(env),
            pass_fds=[writer],
            check=True,
        )
        os.close(writer)
        writer = -1
        return sum(map(int, os.read(reader, 100).split())) / 1e6
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)
