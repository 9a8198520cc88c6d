"""Signing in with a GitHub stand-in that isn't ours: PyPI's `oauth-mocks`.

It refuses next to nothing (any secret, any verifier), so it proves the shape of what is sent and
read, and no defence. It needs Python 3.12 and runs in an environment of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest

from openbolt import Settings
from openbolt.auth.github import GitHub
from openbolt.auth.identity import Grant, SignInRefusedError, perform
from openbolt.senders.httpx import HttpxSender
from openbolt.testing import ManualClock
from openbolt_local.memory import MemoryKeyValueStore
from tests.auth.browsing import SESSION, Browser, SignInHouse, location
from tests.auth.exchanges import query_of
from tests.needs import lacking
from tests.serving import free_port

pytestmark = pytest.mark.servers

PACKAGE = "oauth-mocks==0.1.0"


def _python() -> str:
    """An interpreter that is new enough."""
    if sys.version_info >= (3, 12):
        return sys.executable
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    known = sorted(map(str, root.glob("versions/3.1[2-9].*/bin/python")))
    named = [shutil.which(f"python3.{minor}") or "" for minor in range(12, 20)]
    return next(filter(_runs, [*known, *named]), None) or lacking("Python 3.12 or newer")


def _runs(python: str) -> bool:
    # pyenv puts programs on the path that only say which version isn't chosen.
    return bool(python) and not subprocess.run([python, "-c", ""], check=False).returncode


@pytest.fixture(scope="module")
def peer() -> Iterator[str]:
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    if not Path(uv).exists():
        lacking("uv: pip install uv")
    command = [uv, "run", "--quiet", "--no-project", "--python", _python(), "--with", PACKAGE]
    made = subprocess.run(
        [*command, "oauth-mocks", "--version"], check=False, capture_output=True, text=True
    )
    if made.returncode:
        lacking(f"{PACKAGE}: {made.stderr[-1000:]}")
    port = free_port()
    arguments = ["oauth-mocks", "--provider", "github", "--port", str(port)]
    process = subprocess.Popen(
        [*command, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_for(url, process)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        assert process.poll() is None, "the stand-in ended"
        try:
            if httpx.get(f"{url}/api").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    pytest.fail("the stand-in did not start")


@pytest.fixture
def house(
    peer: str,
    kv: MemoryKeyValueStore,
    clock: ManualClock,
    sender: HttpxSender,
    settings: Settings,
) -> SignInHouse:
    return SignInHouse(kv, kv, clock, sender, [GitHub("id-1", "secret-1", peer)], settings)


async def go(browser: Browser, email: str) -> str:
    """Fill in the stand-in's form; where it sends the person back to."""
    url = location(await browser.get("/api/auth/github/login?return_to=/chat"))
    async with httpx.AsyncClient() as person:
        shown = await person.get(url)
        assert shown.status_code == 200
        sent = await person.post(url.partition("?")[0], data={**query_of(url), "email": email})
    assert sent.status_code == 302
    return str(sent.headers["location"])


async def test_a_person_signs_in_and_out(browser: Browser) -> None:
    assert location(await browser.get(await go(browser, "ann@corp.example"))) == "/chat"
    user = (await browser.send("GET", "/api/auth/session")).json["user"]
    assert (user["login"], user["name"], user["email"]) == ("ann", "Ann", "ann@corp.example")
    assert (await browser.send("POST", "/api/auth/logout")).status == 204
    assert (await browser.send("GET", "/api/auth/session")).json["user"] is None


@pytest.mark.parametrize("settings", [Settings(allowed_email_domains=("corp.example",))])
async def test_an_address_that_isn_t_verified_opens_nothing(browser: Browser) -> None:
    answer = await browser.get(await go(browser, "unverified@corp.example"))
    assert location(answer) == "/?sign_in_error=sign_in_not_allowed"
    assert SESSION not in browser.cookies
    assert location(await browser.get(await go(browser, "ann@corp.example"))) == "/chat"


async def test_a_code_that_it_doesn_t_know_is_refused(browser: Browser) -> None:
    back = await go(browser, "ann@corp.example")
    forged = f"/api/auth/github/callback?{urlencode({**query_of(back), 'code': 'forged'})}"
    assert location(await browser.get(forged)) == "/?sign_in_error=sign_in_refused"


async def test_a_refresh_that_is_refused_with_a_status_of_200_is_refused(
    house: SignInHouse,
) -> None:
    (provider,) = house.providers
    exchange = provider.refresh(Grant("any", 0.0, "fail-refresh-token"), now=0.0)
    with pytest.raises(SignInRefusedError):
        await perform(exchange, house.sender)
