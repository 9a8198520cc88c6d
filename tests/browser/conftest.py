"""The real server and a real Chromium, so that the page's promises are checked where they are kept.

The law: nothing is simulated but the model, and that only at the wire (the server's own mock).
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from attrs import define, field

ROOT = Path(__file__).resolve().parents[2]
START_TIME = 30.0
CHROMIUM = (
    os.environ.get("OPENBOLT_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
)
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@define
class ExampleServer:
    """`python -m examples.server` on a port of its own; can be killed and started again."""

    data: Path
    port: int = field(factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("ANTHROPIC_", "OPENBOLT_"))
        }
        command = [sys.executable, "-m", "examples.server"]
        command += ["--port", str(self.port), "--data", str(self.data)]
        with (self.data / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        self._wait_until_ready(self.process)

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_TIME
        while time.monotonic() < deadline:
            if process.poll() is not None:
                break
            try:
                with urlopen(f"{self.url}readyz", timeout=2):
                    return
            except OSError:  # refused, or (as HTTPError) not ready yet
                time.sleep(0.1)
        self.kill()
        pytest.fail(
            "the server did not get ready:\n" + (self.data / "server.log").read_text()[-4000:]
        )

    def kill(self) -> None:
        """End it as a power cut would: no chance to save anything."""
        if self.process is None:
            return
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ExampleServer]:
    server = ExampleServer(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium here; name one in OPENBOLT_CHROMIUM")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Any, server: ExampleServer) -> Iterator[Callable[..., Any]]:
    """Open the page in a fresh profile; an uncaught error in it fails the test."""
    contexts: list[Any] = []
    errors: list[str] = []

    def note_error(error: object) -> None:
        errors.append(str(error))

    def open_one(**options: Any) -> Any:
        context = chromium.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
        context.set_default_timeout(20_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", note_error)
        page.goto(server.url)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert errors == []
