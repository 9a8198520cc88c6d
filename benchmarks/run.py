"""All measurements of a streamed chat in one run, beside other ways to relay the same stream.

Run ``python -m benchmarks.run`` (or ``nox -s bench``); ``--quick`` takes two minutes. The servers
run alone, one after another, on the same machine, before the same upstream, in three rounds whose
medians count; so what a busy machine adds it adds to all, and the byte pump's figures say how much
that was. Linux only.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib import metadata
from itertools import product
from pathlib import Path
from statistics import median
from urllib.request import urlopen

from attrs import asdict, evolve, fields, frozen

from benchmarks.load import Figures, Load, drive
from benchmarks.loops import run
from benchmarks.upstream import Script

ROOT = Path(__file__).resolve().parent.parent
_MEASURED = tuple(each.name for each in fields(Figures) if each.name not in {"deltas", "errors"})
_PACKAGES = ("aiohttp", "anthropic", "fastapi", "httptools", "orjson", "uvicorn", "uvloop")


@frozen
class Rival:
    """A server to measure.

    Attributes:
        command: Of a module that takes ``--port`` and ``--upstream``.
        ours: It parses and saves what it streams.
    """

    name: str
    command: tuple[str, ...]
    ours: bool = False


RIVALS = (
    Rival("byte pump", ("benchmarks.peers.pump",)),
    Rival("bare SDK relay", ("benchmarks.peers.sdk_relay",)),
    Rival("FastAPI + SDK stream", ("benchmarks.peers.fastapi_stream",)),
    *(
        Rival(
            f"openbolt {provider}, {stores}",
            ("benchmarks.serve", "--provider", provider, "--stores", stores),
            ours=True,
        )
        for stores in ("memory", "embedded")
        for provider in ("http", "sdk")
    ),
)


@frozen
class Plan:
    """The loads of a run."""

    timed: Load
    fast: Load
    crowd: Load
    rounds: int = 1  # of all servers: one differs from the next by a third

    @classmethod
    def of(cls, size: str) -> Plan:
        if size == "tiny":
            few = Load(Script(4, 40, True), 4, 4)
            return cls(few, Load(Script(4, 0, True), 4, 4), few)
        n, chats, crowd, rounds = (120, 150, 60, 1) if size == "quick" else (200, 400, 160, 3)
        return cls(
            Load(Script(n, 40, True), 50, 50),
            Load(Script(200, 0, True), chats, 50),
            # People don't come in the same millisecond: 500 starts at once would be measured.
            Load(Script(crowd, 20, True), 500, 500, ramp=4.0),
            rounds,
        )


@frozen
class Result:
    """One server's figures: of each the median of its rounds.

    Attributes:
        crowd: None where it wasn't asked for.
    """

    name: str
    ours: bool
    timed: Figures
    fast: Figures
    crowd: Figures | None

    @property
    def peak_mb(self) -> float:
        """With 50 chats at once."""
        return self.fast.peak_mb

    @property
    def crowd_peak_mb(self) -> float:
        """With 500 chats at once."""
        return self.crowd.peak_mb if self.crowd else math.nan

    @property
    def errors(self) -> list[str]:
        loads = (self.timed, self.fast, self.crowd)
        return [error for figures in loads if figures is not None for error in figures.errors]


@contextmanager
def serving(module: str, *options: str) -> Iterator[tuple[int, int]]:
    """A module of ours as a server: its port and its process id, until the block is left."""
    port = free_port()
    command = [sys.executable, "-m", module, *options, "--port", str(port)]
    with running(command) as process:
        wait_for(process, lambda: socket.create_connection(("127.0.0.1", port), 1).close())
        yield port, process.pid


@contextmanager
def running(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    env = {name: value for name, value in os.environ.items() if not name.startswith("ANTHROPIC_")}
    process = subprocess.Popen(
        command, cwd=ROOT, env={**env, "PYTHONPATH": path}, stdout=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(
    process: subprocess.Popen[bytes], look: Callable[[], object], *, limit: float = 30.0
) -> None:
    """Look again and again until it raises no `OSError`."""
    end = time.monotonic() + limit
    while True:
        try:
            look()
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{process.args!r} doesn't answer") from None
            time.sleep(0.02)
        else:
            return


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def on_one_core(pid: int) -> None:
    """Keep a server's threads on the first core."""
    cores = sorted(os.sched_getaffinity(0))
    for task in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(task), {cores[0]})


def measured(rival: Rival, plan: Plan, upstream: str, *, crowd: bool) -> Result:
    """One round of a server, the crowd before a process of its own.

    Stores in memory and the logs of turns keep what was said: the loads before would count as the
    crowd's memory.
    """
    with _warm(rival, upstream) as (_, figures):
        timed, fast = figures(plan.timed), figures(plan.fast)
    if not crowd:
        return Result(rival.name, rival.ours, timed, fast, None)
    with _warm(rival, upstream) as (pid, figures):
        on_one_core(pid)
        return Result(rival.name, rival.ours, timed, fast, figures(plan.crowd))


@contextmanager
def _warm(rival: Rival, upstream: str) -> Iterator[tuple[int, Callable[[Load], Figures]]]:
    """A server that has answered some chats: its process id, and what measures a load."""
    module, *options = rival.command
    with serving(module, *options, "--upstream", upstream) as (port, pid):

        def figures(load: Load) -> Figures:
            found = run(drive(f"http://127.0.0.1:{port}/api/chat", pid, load))
            if found is None:
                raise KeyboardInterrupt
            return found

        figures(Load(Script(8, 0, True), 16, 8))
        yield pid, figures


def middle(rounds: Sequence[Result]) -> Result:
    """The median of each of a server's figures, and the errors of all rounds."""
    crowds = [each.crowd for each in rounds if each.crowd is not None]
    return evolve(
        rounds[0],
        timed=_middle([each.timed for each in rounds]),
        fast=_middle([each.fast for each in rounds]),
        crowd=_middle(crowds) if crowds else None,
    )


def _middle(rounds: Sequence[Figures]) -> Figures:
    medians: dict[str, float | None] = {}
    for name in _MEASURED:
        values = [getattr(each, name) for each in rounds]
        medians[name] = None if None in values else median(values)
    errors = [error for each in rounds for error in each.errors]
    return evolve(rounds[0], **medians, errors=tuple(errors))


def import_seconds(times: int) -> float:
    """`import openbolt` in a fresh interpreter, the fastest of several."""
    code = "import time; t = time.perf_counter(); import openbolt; print(time.perf_counter() - t)"
    path = {"PYTHONPATH": str(ROOT / "src")}
    found = [
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            env={**os.environ, **path},
            cwd=ROOT,
        ).stdout
        for _ in range(times)
    ]
    return min(map(float, found))


def ready_seconds(times: int) -> float:
    """From the start of the example server to its first healthy answer, the fastest of several."""
    best = math.inf
    for _ in range(times):
        port = free_port()
        with tempfile.TemporaryDirectory(prefix="openbolt-bench-") as folder:
            command = [sys.executable, "-m", "examples.server", "--port", str(port)]
            began = time.perf_counter()
            with running([*command, "--data", folder]) as process:
                url = f"http://127.0.0.1:{port}/healthz"
                wait_for(process, partial(_get, url))
                best = min(best, time.perf_counter() - began)
    return best


def _get(url: str) -> None:
    with urlopen(url, timeout=5):
        pass


def table(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def number(value: float | None, digits: int = 1) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def report(results: list[Result]) -> str:
    rows = [
        ["", "CPU us/delta", "", "first byte ms", "", "added delay ms", "", "peak", "500 chats",
         "", "sent per"],
        ["", "timed", "fast", "p50", "p99", "p50", "p99", "MB", "delay p99", "peak MB",
         "text byte"],
    ]  # fmt: skip
    for each in results:
        rows.append(
            [
                each.name,
                number(each.timed.cpu_us_per_delta),
                number(each.fast.cpu_us_per_delta),
                number(each.timed.first_p50_ms),
                number(each.timed.first_p99_ms),
                number(each.timed.delay_p50_ms),
                number(each.timed.delay_p99_ms),
                number(each.peak_mb, 0),
                number(each.crowd.delay_p99_ms if each.crowd else None),
                number(each.crowd_peak_mb, 0),
                number(each.fast.sent_per_text_byte),
            ]
        )
    return table(rows)


def ratios(results: list[Result]) -> str:
    """Each server against the byte pump (times) and against the bare SDK relay (difference)."""
    by_name = {each.name: each for each in results}
    pump, relay = by_name.get("byte pump"), by_name.get("bare SDK relay")
    rows = [
        [
            "",
            "timed / pump",
            "fast / pump",
            "timed - SDK",
            "fast - SDK",
            "MB - SDK",
            "500: MB - SDK",
        ]
    ]
    for each in results:
        timed, fast = each.timed.cpu_us_per_delta, each.fast.cpu_us_per_delta
        row = [each.name, *"------"]
        if pump is not None:
            row[1] = number(timed / (pump.timed.cpu_us_per_delta or math.nan), 2)
            row[2] = number(fast / (pump.fast.cpu_us_per_delta or math.nan), 2)
        if relay is not None:
            row[3] = f"{timed - relay.timed.cpu_us_per_delta:+.1f}"
            row[4] = f"{fast - relay.fast.cpu_us_per_delta:+.1f}"
            row[5] = f"{each.peak_mb - relay.peak_mb:+.0f}"
            if each.crowd is not None and relay.crowd is not None:
                row[6] = f"{each.crowd_peak_mb - relay.crowd_peak_mb:+.0f}"
        rows.append(row)
    return table(rows)


@frozen
class Target:
    """A figure, and what it may be at most."""

    name: str
    value: float
    limit: float
    unit: str

    def line(self) -> list[str]:
        # Rounded: 8 us, made of clock ticks in floats, came out as 8.000000000000002.
        met = "yes" if round(self.value, 6) <= self.limit else "NO"
        return [
            self.name,
            f"{self.value:.3g} {self.unit}",
            f"<= {self.limit:.3g} {self.unit}",
            met,
        ]


def targets(results: list[Result], importing: float, ready: float) -> list[Target]:
    by_name = {each.name: each for each in results}
    relay = by_name.get("bare SDK relay")
    found = [
        Target("import openbolt", importing, 0.1, "s"),
        Target("example server ready", ready, 1.5, "s"),
    ]
    for each in results:
        if not each.ours:
            continue
        timed, fast = each.timed.cpu_us_per_delta, each.fast.cpu_us_per_delta
        if " http," in each.name:
            found.append(Target(f"{each.name}: timed", timed, 60, "us"))
            found.append(Target(f"{each.name}: fast", fast, 8, "us"))
        elif relay is not None:
            limit = relay.timed.cpu_us_per_delta + 25
            found.append(Target(f"{each.name}: timed", timed, limit, "us"))
            limit = relay.fast.cpu_us_per_delta + 6
            found.append(Target(f"{each.name}: fast", fast, limit, "us"))
        found.append(Target(f"{each.name}: first byte p50", each.timed.first_p50_ms, 50, "ms"))
        if relay is not None:
            limit = relay.peak_mb + 40
            found.append(Target(f"{each.name}: peak memory", each.peak_mb, limit, "MB"))
            limit = relay.crowd_peak_mb + 40
            name = f"{each.name}: 500 chats, peak memory"
            found.append(Target(name, each.crowd_peak_mb, limit, "MB"))
        if each.crowd is not None and each.crowd.delay_p99_ms is not None:
            found.append(
                Target(f"{each.name}: 500 chats, delay p99", each.crowd.delay_p99_ms, 50, "ms")
            )
    return found


def machine() -> str:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    versions = ", ".join(f"{name} {_version(name)}" for name in _PACKAGES)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    cores = len(os.sched_getaffinity(0))
    return (
        f"{time.strftime('%Y-%m-%d')}, {platform.system()}, {cores} cores ({model}), load {load}\n"
        f"{platform.python_implementation()} {platform.python_version()}, {versions}"
    )


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "none"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.run",
        description="openbolt beside other relays of a streamed chat.",
    )
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--quick", action="store_const", const="quick", dest="size")
    sizes.add_argument("--tiny", action="store_const", const="tiny", dest="size")
    parser.add_argument(
        "--only", action="append", metavar="WORD", help="servers whose name has this word in it"
    )
    parser.add_argument("--no-crowd", action="store_true", help="leave 500 chats at once out")
    parser.add_argument("--no-starts", action="store_true", help="leave import and start out")
    parser.add_argument("--json", metavar="FILE", help="write all figures there, too")
    parser.set_defaults(size="full")
    return parser


def main() -> int:
    options = _parser().parse_args()
    plan = Plan.of(options.size)
    words = options.only or [""]
    rivals = [rival for rival in RIVALS if any(word in rival.name for word in words)]
    importing = ready = math.nan
    if not options.no_starts:
        times = 5 if options.size == "full" else 2
        importing, ready = import_seconds(times), ready_seconds(min(times, 3))
    rounds: dict[str, list[Result]] = {rival.name: [] for rival in rivals}
    print(machine())
    with ExitStack() as stack:
        port, _ = stack.enter_context(serving("benchmarks.upstream"))
        for turn, rival in product(range(plan.rounds), rivals):
            # One that can't keep up for a tenth of the load would only be waited for.
            crowd = not options.no_crowd and "FastAPI" not in rival.name
            said = f"{rival.name}, round {turn + 1} of {plan.rounds}"
            print(f"measuring {said} ...", file=sys.stderr, flush=True)
            found = measured(rival, plan, f"http://127.0.0.1:{port}", crowd=crowd)
            rounds[rival.name].append(found)
    results = [middle(each) for each in rounds.values()]
    print(f"\n{report(results)}\n\n{ratios(results)}\n")
    goals = targets(results, importing, ready)
    known = [goal for goal in goals if not math.isnan(goal.value)]
    print(table([["target", "measured", "", "met"], *(goal.line() for goal in known)]))
    failures = [f"{each.name}: {error}" for each in results for error in each.errors]
    for failure in failures:
        print(f"ERROR {failure}")
    if options.json:
        figures = [asdict(each) for each in results]
        whole = {"machine": machine(), "import": importing, "ready": ready, "results": figures}
        Path(options.json).write_text(json.dumps(whole, indent=1))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
