"""What goes wrong on demand, and how the stand-in is run."""

from __future__ import annotations

import asyncio
import re
import sys
from typing import Any

import httpx
import pytest

from openbolt_local.mocks import GitHubMock
from tests.mocks.github_flow import ACCOUNTS, APPS, EXPIRING_APP, Flow
from tests.mocks.raw import exchange

COMMAND = (sys.executable, "-m", "openbolt_local.mocks.github")


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_an_outage_ends(flow: Flow, status: int) -> None:
    token = await flow.token()
    flow.mock.fail(status, path="/api/v3/user", times=2)
    statuses = [(await flow.api("/user", token)).status_code for _ in range(3)]
    assert statuses == [status, status, 200]


async def test_a_fault_meets_its_path_only(flow: Flow) -> None:
    token = await flow.token("user")
    flow.mock.fail(500, path="/api/v3/user")
    assert (await flow.api("/user/emails", token)).status_code == 200
    flow.mock.fail(503, path="/api/", times=None)
    statuses = [(await flow.api("/user", token)).status_code for _ in range(3)]
    assert statuses == [500, 503, 503]
    assert (await flow.exchange(None)).status_code == 200
    flow.mock.recover()
    assert (await flow.api("/user", token)).status_code == 200


async def test_an_outage_leaves_the_code_alone(flow: Flow) -> None:
    code = await flow.code()
    flow.mock.fail(503, path="/login/oauth/access_token")
    assert (await flow.exchange(code)).status_code == 503
    assert "access_token" in (await flow.exchange(code)).json()


async def test_the_secondary_limit(flow: Flow) -> None:
    """https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit."""
    token = await flow.token()
    flow.mock.fail("secondary-limit")
    refused, after = [await flow.api("/user", token) for _ in range(2)]
    assert (refused.status_code, refused.headers["retry-after"]) == (403, "60")
    assert "You have exceeded a secondary rate limit." in refused.json()["message"]
    assert after.status_code == 200


async def test_an_answer_can_be_lost_after_the_work_is_done(flow: Flow) -> None:
    token = await flow.grant(EXPIRING_APP)
    flow.mock.fail("lost", path="/login/oauth/access_token")
    with pytest.raises(httpx.TransportError):
        await flow.refresh(token["refresh_token"])
    assert (await flow.refresh(token["refresh_token"])).json()["error"] == "bad_refresh_token"


async def test_a_reset_happens_before_anything_is_done(flow: Flow) -> None:
    code = await flow.code()
    flow.mock.fail("reset")
    with pytest.raises(httpx.TransportError):
        await flow.exchange(code)
    assert "access_token" in (await flow.exchange(code)).json()


async def test_answers_that_cannot_be_read(flow: Flow) -> None:
    token = await flow.token()
    flow.mock.fail("malformed")
    flow.mock.fail("html")
    flow.mock.fail("too-large", size=3_000_000)
    malformed, page, large = [await flow.api("/user", token) for _ in range(3)]
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        malformed.json()
    assert [one.status_code for one in (malformed, page, large)] == [200] * 3
    assert page.headers["content-type"].startswith("text/html")
    assert len(large.content) > 3_000_000


async def test_a_slow_answer_comes(flow: Flow) -> None:
    token = await flow.token()
    flow.mock.fail("slow", delay=0.01)
    assert (await flow.api("/user", token)).json()["login"] == "octo"


@pytest.mark.parametrize("kind", ["stall", "slow"])
async def test_an_answer_that_does_not_come(flow: Flow, kind: Any) -> None:
    flow.mock.fail(kind, delay=3600.0)
    with pytest.raises(httpx.ReadTimeout):
        await flow.http.get("/", timeout=0.05)
    assert (await flow.http.get("/")).status_code == 404


@pytest.mark.parametrize("kind", [200, 600, "perhaps"])
def test_a_fault_that_is_not_known(kind: Any) -> None:
    with pytest.raises(ValueError, match="kind: "):
        GitHubMock(APPS, ACCOUNTS).fail(kind)


@pytest.mark.parametrize("request_bytes", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"])
async def test_what_is_no_http(flow: Flow, request_bytes: bytes) -> None:
    assert (await exchange(flow.mock.url, request_bytes)).status == 400


async def test_it_remembers_what_was_asked(flow: Flow) -> None:
    await flow.exchange("x", state="y")
    request = flow.mock.received[-1]
    assert (request.method, request.path) == ("POST", "/login/oauth/access_token")
    assert b"code=x" in request.body


async def test_leaving_it_ends_what_is_open() -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        async with GitHubMock(APPS, ACCOUNTS) as mock:
            mock.fail("stall")
            stalled = asyncio.ensure_future(http.get(mock.url, timeout=60))
            while not mock.received:
                await asyncio.sleep(0.001)
            assert mock.open_connections == 1
        with pytest.raises(httpx.TransportError):
            await stalled
    assert mock.open_connections == 0


def test_it_runs_in_a_thread() -> None:
    with GitHubMock.in_thread(APPS, ACCOUNTS, rate_limit=7) as mock:
        answer = httpx.get(f"{mock.url}/api/v3/user", trust_env=False)
    assert answer.status_code == 401
    with pytest.raises(httpx.ConnectError):
        httpx.get(mock.url, trust_env=False)


async def test_the_command_serves_what_it_prints() -> None:
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "--port", "0", "--login", "ann", "--expiring-tokens",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        await process.stdout.readline()
        line = (await process.stdout.readline()).decode()
        found = re.search(r"GITHUB_URL=(\S+) GITHUB_CLIENT_ID=(\S+) GITHUB_CLIENT_SECRET=", line)
        assert found is not None
        async with httpx.AsyncClient(base_url=found[1], trust_env=False) as http:
            page = await http.get("/login/oauth/authorize", params={"client_id": found[2]})
    finally:
        process.terminate()
        await process.communicate()
    assert 'value="ann"' in page.text
