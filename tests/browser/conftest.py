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
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from attrs import define, field

from openbolt_local.mocks import GitHubAccount, GitHubApp, GitHubEmail, GitHubMock

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
    settings: Mapping[str, str] = field(factory=dict)
    port: int = field(factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("ANTHROPIC_", "OPENBOLT_", "GITHUB_"))
        }
        environment.update(self.settings)
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
def caching_chromium(chromium: Any) -> Iterator[Any]:
    """A browser that keeps pages whole for the back button, which the driver turns off."""
    browser = chromium.browser_type.launch(
        executable_path=CHROMIUM,
        args=list(FLAGS),
        ignore_default_args=["--disable-back-forward-cache"],
    )
    yield browser
    browser.close()


@contextmanager
def opening_pages(chromium: Any, url: str) -> Iterator[Callable[..., Any]]:
    """Open the page in fresh profiles; an uncaught error or a refused load fails the test."""
    contexts: list[Any] = []
    errors: list[str] = []

    def note_error(error: object) -> None:
        errors.append(str(error))

    def note_violation(message: Any) -> None:
        if "Content Security Policy" in message.text:
            errors.append(message.text)

    def open_one(path: str = "", **options: Any) -> Any:
        context = chromium.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
        context.set_default_timeout(20_000)
        contexts.append(context)
        context.on("weberror", note_error)
        context.on("console", note_violation)
        page = context.new_page()
        page.goto(f"{url}{path}")
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture
def open_page(chromium: Any, server: ExampleServer) -> Iterator[Callable[..., Any]]:
    """A page of a server that asks nobody who they are."""
    with opening_pages(chromium, server.url) as open_one:
        yield open_one


@pytest.fixture
def github() -> Iterator[GitHubMock]:
    """GitHub at the wire, with two people and one application."""
    app = GitHubApp("client", "secret", ["http://127.0.0.1/api/auth/github/callback"])
    people = [
        GitHubAccount(
            number,
            login,
            name=name,
            emails=[GitHubEmail(f"{login}@example.com", primary=True)],
        )
        for number, (login, name) in enumerate(
            [("octo", "Octo Example"), ("hubot", "Hubot Example")], 1
        )
    ]
    with GitHubMock.in_thread([app], people) as mock:
        yield mock


@pytest.fixture
def site(tmp_path: Path, github: GitHubMock) -> Iterator[ExampleServer]:
    """A server that people sign in to with GitHub."""
    settings = {
        "GITHUB_CLIENT_ID": "client",
        "GITHUB_CLIENT_SECRET": "secret",
        "OPENBOLT_GITHUB_URL": github.url,
    }
    server = ExampleServer(tmp_path, settings)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def visit(chromium: Any, site: ExampleServer) -> Iterator[Callable[..., Any]]:
    """A page of that server, in a fresh profile, signed out."""
    with opening_pages(chromium, site.url) as open_one:
        yield open_one
