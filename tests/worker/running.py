"""A real workerd: the bundle that it runs, and the process.

Law: nothing is downloaded and nothing outside the given folder is written. The bundle is made of
the source in this checkout and of the pure packages that are installed beside the tests.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from importlib.metadata import distribution
from pathlib import Path

import coverage
import httpx
from attrs import frozen

from tests.needs import lacking

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "src"
WRANGLER = HERE / "node_modules/wrangler/bin/wrangler.js"
SOURCES = ("openbolt", "openbolt_cloudflare")
PACKAGES = ("attrs", "cattrs", "typing_extensions", "workers-runtime-sdk")

_READY = re.compile(r"Ready on (http://[0-9.:]+)")


@frozen
class Worker:
    """A worker that answers at ``url``; ``log`` is what it has printed so far."""

    url: str
    log: Path
    bundle_bytes: int
    start_seconds: float


def build_bundle(
    folder: Path, entry: Path, sources: Iterable[str], beside: Mapping[str, Path] | None = None
) -> int:
    """Lay out a worker as a deployment would: the entry and all packages side by side.

    Args:
        folder: Created; holds the worker afterwards.
        entry: The entry module; it becomes ``entry.py``.
        sources: Packages and modules under ``src``.
        beside: Further modules, by the names that the entry knows them by.

    Returns:
        The size of all Python source, in bytes.
    """
    folder.mkdir(parents=True)
    shutil.copy(HERE / "wrangler.toml", folder)
    shutil.copy(HERE / "launcher.py", folder / "main.py")
    for name, module in {"entry": entry, **(beside or {})}.items():
        shutil.copy(module, folder / f"{name}.py")
    for name in sources:
        for path in [SOURCE / name] if name.endswith(".py") else (SOURCE / name).rglob("*.py"):
            _copy(path, folder / path.relative_to(SOURCE))
    for name in PACKAGES:
        installed = distribution(name)
        for file in installed.files or ():
            if file.suffix == ".py":
                _copy(Path(str(file.locate())), folder / file)
    return sum(path.stat().st_size for path in folder.rglob("*.py"))


def _copy(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, target)


@contextmanager
def running(
    folder: Path,
    entry: Path,
    *,
    more: Iterable[str] = (),
    variables: Mapping[str, str] | None = None,
    beside: Mapping[str, Path] | None = None,
) -> Generator[Worker]:
    """Run a worker with the core and its backend until the context is left.

    Args:
        folder: An empty folder for everything that is written.
        entry: The entry module.
        more: Further packages and modules under ``src`` to take along.
        variables: The worker's ``env``.
        beside: Further modules, by the names that the entry knows them by.
    """
    if not WRANGLER.exists():
        lacking(f"npm packages: cd {HERE} && npm ci")
    bundle = folder / "bundle"
    size = build_bundle(bundle, entry, (*SOURCES, *more), beside)
    log = folder / "log"
    measured = coverage.Coverage.current()
    chosen = [f"--var={name}:{value}" for name, value in (variables or {}).items()]
    if measured is not None:
        shutil.copy(HERE / "tracing.py", bundle)
    began = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                "node",
                str(WRANGLER),
                "dev",
                "--local",
                "--ip=127.0.0.1",
                "--port=0",
                "--inspector-port=0",
                "--show-interactive-dev-session=false",
                *chosen,
            ],
            cwd=bundle,
            env=_environment(folder / "home"),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that workerd ends with it
        )
    try:
        url = _wait(process, log)
        yield Worker(url, log, size, time.monotonic() - began)
        if measured is not None:
            _save_arcs(url, measured)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _environment(home: Path) -> dict[str, str]:
    home.mkdir()
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home),
        "XDG_CACHE_HOME": str(home),
        "WRANGLER_REGISTRY_PATH": str(home / "registry"),
        "WRANGLER_SEND_METRICS": "false",
        "NO_COLOR": "1",
        "CI": "1",
    }


def _save_arcs(url: str, measured: coverage.Coverage) -> None:
    """Write down what ran inside workerd as coverage.py does for every process of its own."""
    ran: dict[str, list[tuple[int, int]]] = httpx.get(f"{url}/__arcs__", timeout=30).json()
    below = Path("src") if measured.get_option("run:relative_files") else SOURCE
    base = str(measured.get_option("run:data_file"))
    data = coverage.CoverageData(base, suffix=f"workerd.{time.time_ns()}")
    data.add_arcs({str(below / name): map(tuple, arcs) for name, arcs in ran.items()})
    data.write()


def _wait(process: subprocess.Popen[bytes], log: Path, seconds: float = 60.0) -> str:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        said = log.read_text(errors="replace")
        found = _READY.search(said)
        if found is not None:
            return found[1]
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise RuntimeError(f"workerd did not start:\n{log.read_text(errors='replace')}")
