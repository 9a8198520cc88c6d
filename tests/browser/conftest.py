"""The real server and a real Chromium, so that the page's promises are checked where they are kept.

The law: nothing is simulated but the model, and that only at the wire (the server's own mock).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from openbolt_local.mocks import GitHubAccount, GitHubApp, GitHubEmail, GitHubMock
from tests.example_server import ExampleServer

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
    with opening_pages(chromium, f"{server.url}/") as open_one:
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
    with opening_pages(chromium, f"{site.url}/") as open_one:
        yield open_one
