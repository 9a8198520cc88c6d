"""People and their things in a real workerd: nothing of them ties itself to a server.

The worker is the one of `docs/how-to/cloudflare.md`, over stores in its memory: once with atomic
operations, once without, as Cloudflare's are. People come from the strict stand-in for GitHub.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from attrs import frozen

from openbolt_local.crypto import generate_key
from openbolt_local.mocks import (
    AnthropicMock,
    GitHubAccount,
    GitHubApp,
    GitHubEmail,
    GitHubMock,
    Reply,
)
from tests.worker.conftest import open_client
from tests.worker.running import HERE, SOURCE, Worker, running
from tests.worker.test_worker import IN_MEMORY, PATIENCE, frames, say, visible

PAGE = SOURCE.parent / "docs/how-to/cloudflare.md"
LOGIN = "/api/auth/github/login"
OWN_KEY = "sk-ant-of-ann-0123456789"
APP = GitHubApp("id-1", "secret-1", ["http://127.0.0.1/api/auth/github/callback"])
ANN = GitHubAccount(
    1, "ann", name="Ann Example", emails=(GitHubEmail("ann@corp.example", primary=True),)
)
EVE = GitHubAccount(2, "eve")


@frozen
class House:
    """A worker, what lies outside of it, and where its stores are atomic."""

    worker: Worker
    github: GitHubMock
    model: AnthropicMock


def entry_of(page: Path) -> str:
    """The worker that a page shows."""
    found = re.search(r"^```python\n(.*?class Default.*?)^```", page.read_text(), re.M | re.S)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module", params=["stores", "plain_stores"])
def house(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("people")
    entry = folder / "from_the_page.py"
    entry.write_text(entry_of(PAGE))
    with (
        AnthropicMock.in_thread() as model,
        GitHubMock.in_thread([APP], [ANN, EVE], verified_email_needed=False) as github,
        running(
            folder,
            entry,
            more=IN_MEMORY,
            beside={"stores": HERE / f"entries/{request.param}.py"},
            variables={
                "ANTHROPIC_API_KEY": "the-operators-key",
                "ANTHROPIC_BASE_URL": model.url,
                "GITHUB_CLIENT_ID": APP.client_id,
                "GITHUB_CLIENT_SECRET": APP.client_secret,
                "OPENBOLT_GITHUB_URL": github.url,
                "OPENBOLT_SECRET_KEYS": generate_key(),
                "OPENBOLT_KEEPALIVE": "0.1",
            },
        ) as worker,
    ):
        yield House(worker, github, model)


@pytest_asyncio.fixture
async def browser(house: House) -> AsyncIterator[httpx.AsyncClient]:
    """Keeps cookies, follows nothing."""
    async with open_client(house.worker) as client:
        yield client


async def sign_in(
    browser: httpx.AsyncClient, house: House, *, login: str = "ann", return_to: str = "/"
) -> httpx.Response:
    begun = await browser.get(LOGIN, params={"return_to": return_to})
    assert begun.status_code == 302
    assert list(browser.cookies) == ["openbolt-sign-in"]
    back = await house.github.authorize(begun.headers["location"], login=login)
    return await browser.get(back)


async def who(browser: httpx.AsyncClient) -> Any:
    answer = await browser.get("/api/auth/session")
    assert answer.status_code == 200
    return answer.json()


async def rows(browser: httpx.AsyncClient, path: str, name: str) -> Any:
    answer = await browser.get(path)
    assert answer.status_code == 200
    return answer.json()[name]


async def until_revoked(house: House, login: str) -> None:
    """Tokens are revoked after the answer, by what the worker does beside it."""
    deadline = time.monotonic() + PATIENCE
    while house.github.tokens(login):
        assert time.monotonic() < deadline, "the token still works"
        await asyncio.sleep(0.05)


def test_the_pages_worker_loads_no_library_that_only_some_need() -> None:
    code = """
import sys, types
runtime = types.SimpleNamespace(JsException=Exception, create_proxy=None, to_js=None)
sys.modules |= {"js": runtime, "pyodide": runtime, "pyodide.ffi": runtime}
sys.modules["workers"] = types.SimpleNamespace(WorkerEntrypoint=object)
sys.modules["stores"] = types.SimpleNamespace(open_stores=None)
exec(sys.stdin.read())
print(*{name.partition(".")[0] for name in sys.modules})
"""
    # Coverage, where it measures, would load what it needs itself.
    unmeasured = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=unmeasured,
        input=entry_of(PAGE),
        capture_output=True,
        check=True,
        cwd=SOURCE,
        text=True,
    )
    loaded = set(done.stdout.split())
    assert "openbolt_cloudflare" in loaded
    assert loaded & {"aiohttp", "anthropic", "cryptography", "httpx", "jwt", "sqlite3"} == set()


async def test_a_stranger_is_nobody_and_is_told_whom_to_sign_in_with(
    browser: httpx.AsyncClient, house: House
) -> None:
    began = time.monotonic()
    said = await who(browser)
    print(
        f"workerd ready in {house.worker.start_seconds:.1f} s; first answer after another "
        f"{time.monotonic() - began:.1f} s; {house.worker.bundle_bytes:,} bytes of source"
    )
    assert said == {
        "user": None,
        "session": None,
        "providers": [{"id": "github", "name": "GitHub Enterprise", "signInUrl": LOGIN}],
        "method": None,
    }
    assert (await browser.get("/api/chats")).status_code == 401


async def test_a_person_signs_in_and_holds_a_session(
    browser: httpx.AsyncClient, house: House
) -> None:
    answer = await sign_in(browser, house, return_to="/chat/abc?tab=code")
    assert (answer.status_code, answer.headers["location"]) == (302, "/chat/abc?tab=code")
    assert list(browser.cookies) == ["openbolt-session"]
    said = await who(browser)
    assert (said["user"]["login"], said["user"]["email"]) == ("ann", "ann@corp.example")
    assert (said["method"], said["session"]["id"]) == (
        "session",
        next(
            row["id"]
            for row in await rows(browser, "/api/auth/sessions", "sessions")
            if row["current"]
        ),
    )


async def test_a_callback_works_in_no_other_browser(
    browser: httpx.AsyncClient, house: House
) -> None:
    begun = await browser.get(LOGIN)
    back = await house.github.authorize(begun.headers["location"], login="ann")
    async with open_client(house.worker) as other:
        answer = await other.get(back)
        assert answer.headers["location"] == "/?sign_in_error=state_mismatch"
        assert list(other.cookies) == []


async def test_signing_out_ends_the_session_and_revokes_githubs_token(
    browser: httpx.AsyncClient, house: House
) -> None:
    await sign_in(browser, house, login="eve")
    (token,) = house.github.tokens("eve")
    replayed = browser.cookies["openbolt-session"]
    answer = await browser.post("/api/auth/logout")
    assert (answer.status_code, list(browser.cookies)) == (204, [])
    await until_revoked(house, "eve")
    revoked = [r for r in house.github.received if r.method == "DELETE"][-1]
    assert token.access in revoked.body.decode()
    fields = {"cookie": f"openbolt-session={replayed}"}
    assert (await browser.get("/api/chats", headers=fields)).status_code == 401


async def test_a_key_made_in_the_browser_opens_what_its_scopes_say(
    browser: httpx.AsyncClient, house: House
) -> None:
    await sign_in(browser, house)
    made = await browser.post("/api/auth/keys", json={"name": "script", "scopes": ["chat"]})
    assert made.status_code == 201
    async with open_client(house.worker) as program:
        program.headers["authorization"] = f"Bearer {made.json()['key']}"
        assert (await program.get("/api/chats")).status_code == 200
        assert (await program.get("/api/secrets")).json()["error"]["code"] == "scope_missing"
        assert (await browser.delete(f"/api/auth/keys/{made.json()['id']}")).status_code == 204
        assert (await program.get("/api/chats")).status_code == 401


async def test_preferences_are_merged(browser: httpx.AsyncClient, house: House) -> None:
    await sign_in(browser, house)
    await browser.patch("/api/preferences", json={"theme": "dark", "layout": {"tab": "code"}})
    patched = await browser.patch("/api/preferences", json={"layout": {"chatShare": 55}})
    assert patched.status_code == 200
    chosen = await rows(browser, "/api/preferences", "preferences")
    assert chosen["theme"] == "dark"
    assert chosen["layout"] == {"sidebar": "open", "chatShare": 55, "tab": "code"}


async def test_a_turn_streams_on_the_users_own_key_and_is_saved(
    browser: httpx.AsyncClient, house: House
) -> None:
    await sign_in(browser, house)
    put = await browser.put("/api/secrets/anthropic", json={"value": OWN_KEY})
    assert put.status_code == 200
    (secret,) = await rows(browser, "/api/secrets", "secrets")
    assert (secret["name"], secret["lastFour"]) == ("anthropic", OWN_KEY[-4:])
    house.model.enqueue("It is done.")
    answer = await browser.post("/api/chat", json=say("something"))
    assert visible(frames(answer.text)) == "It is done."
    assert house.model.requests[-1].headers["x-api-key"] == OWN_KEY
    chat = await browser.get(f"/api/chats/{answer.headers['x-openbolt-chat']}")
    assert [message["role"] for message in chat.json()["messages"]] == ["user", "assistant"]
    await browser.delete("/api/secrets/anthropic")


async def test_what_is_somebodys_is_nobody_elses(browser: httpx.AsyncClient, house: House) -> None:
    await sign_in(browser, house)
    answer = await browser.post("/api/chat", json=say("[mock:say mine]"))
    path = f"/api/chats/{answer.headers['x-openbolt-chat']}"
    assert (await browser.get(path)).status_code == 200
    async with open_client(house.worker) as other:
        await sign_in(other, house, login="eve")
        assert (await other.get(path)).status_code == 404


async def test_an_account_is_deleted_while_a_turn_of_it_is_being_written(
    browser: httpx.AsyncClient, house: House
) -> None:
    await sign_in(browser, house, login="eve")
    user = (await who(browser))["user"]["id"]
    house.model.enqueue(Reply(chunks=("one ", "two ", "three"), fault="stall after=2"))
    async with browser.stream("POST", "/api/chat", json=say("stall")) as answer:
        lines = answer.aiter_lines()
        async for line in lines:
            if "two" in line:
                break
        deleted = await browser.request("DELETE", "/api/account", json={"confirm": user})
        assert (deleted.status_code, deleted.json()["counts"]["chats"]) == (200, 1)
        async with asyncio.timeout(PATIENCE):
            assert [line async for line in lines if line][-2:] == [
                'data: {"type":"abort"}',
                "data: [DONE]",
            ]
    assert house.model.streams[-1].ended == "client-gone"
    assert (await browser.get("/api/chats")).status_code == 401
    await until_revoked(house, "eve")
