"""The git proxy: four requests go through it, to listed hosts, and nothing that isn't git's."""

from __future__ import annotations

import asyncio
import base64
import tracemalloc
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from openbolt import Settings
from openbolt.auth.tokens import API_KEY_PREFIX
from openbolt.errors import (
    ConfigurationError,
    InvalidRequestError,
    NotFoundError,
    OpenBoltError,
    PayloadTooLargeError,
    UpstreamError,
)
from openbolt.http import EMPTY_BODY, Headers, Principal, Request, RequestContext, StreamBody
from openbolt.lifetime import Work
from openbolt.proxy.git import GitProxy
from openbolt.proxy.git_shapes import GitHosts, GitRequest, git_authorization
from openbolt.proxy.guard import GuardedSender
from openbolt.proxy.refusals import TargetRefusedError
from openbolt.senders.aiohttp import AiohttpSender
from openbolt.senders.httpx import HttpxSender
from openbolt.testing.scripted import Exchange, ScriptedServer, scripted_server
from tests.handlers.building import Answer, once
from tests.security.ssrf_network import StandInResolver

REFS = "owner/repo.git/info/refs"
FETCH = "owner/repo.git/git-upload-pack"
PUSH = "owner/repo.git/git-receive-pack"
ASKS = "service=git-upload-pack"
ADVERTISED = "application/x-git-upload-pack-advertisement"
BASIC = "Basic " + base64.b64encode(b"x-access-token:ghp_example").decode()
SOON = 5.0

Body = bytes | AsyncIterator[bytes]


def request_of(
    path: str = REFS,
    query: str = "",
    *,
    method: str | None = None,
    headers: Mapping[str, str] | None = None,
    body: Body = b"",
    host: str = "github.com",
    gone: Any = None,
) -> Request:
    """A request as the router hands it over; what is natural for the path is filled in."""
    service = path.rpartition("/")[2]
    is_exchange = service in {"git-upload-pack", "git-receive-pack"}
    if path.endswith("/info/refs") and not query:
        query = ASKS
    fields = {"content-type": f"application/x-{service}-request"} if is_exchange else {}
    if isinstance(body, bytes) and body:
        fields["content-length"] = str(len(body))
        body = once(body)
    return Request(
        method or ("POST" if is_exchange else "GET"),
        f"/api/git/{host}/{path}",
        Headers.of({**fields, **(headers or {})}),
        EMPTY_BODY if isinstance(body, bytes) else StreamBody(body),
        RequestContext(spawn=Work().spawn, principal=Principal("ann"), gone=gone),
        query=query,
        path_params={"host": host, "path": path},
    )


@frozen
class House:
    """The proxy before a scripted git host."""

    server: ScriptedServer
    sender: AiohttpSender | HttpxSender

    def proxy(self, *, more: tuple[str, ...] = (), **choices: Any) -> GitProxy:
        settings = Settings(git_hosts=(self.server.url(), *more), **choices)
        resolver = StandInResolver(default=["127.0.0.1"])
        return GitProxy.of(settings, self.sender, resolver, basic_is_gits=True)

    async def __call__(self, path: str = REFS, query: str = "", **options: Any) -> Answer:
        """Ask, and read the answer to its end."""
        proxy = options.pop("proxy", None) or self.proxy()
        request = request_of(path, query, host=f"127.0.0.1:{self.server.port}", **options)
        return await Answer.of(await proxy(request))


@pytest_asyncio.fixture(params=[AiohttpSender, HttpxSender])
async def house(request: pytest.FixtureRequest) -> AsyncIterator[House]:
    async with scripted_server() as server:
        sender = request.param()
        server.script = answering()
        yield House(server, sender)
        await sender.aclose()


def answering(
    status: int = 200, headers: Mapping[str, str] | None = None, body: bytes = b"0000"
) -> Any:
    async def script(exchange: Exchange) -> None:
        await exchange.answer(status, {"content-type": ADVERTISED, **(headers or {})}, body)

    return script


# Which requests


HOSTS = GitHosts.parse(["github.com", "git.example:3000", "http://git.internal:8080"])


def url_of(request: Request) -> str:
    return GitRequest.of(request, HOSTS, None).url


def test_the_four_requests_of_git_go_to_their_host() -> None:
    assert [
        url_of(request_of(REFS)),
        url_of(request_of(REFS, "service=git-receive-pack", host="GitHub.com")),
        url_of(request_of(FETCH, host="git.example:3000")),
        url_of(request_of(PUSH, host="git.internal:8080")),
    ] == [
        "https://github.com/owner/repo.git/info/refs?service=git-upload-pack",
        "https://github.com/owner/repo.git/info/refs?service=git-receive-pack",
        "https://git.example:3000/owner/repo.git/git-upload-pack",
        "http://git.internal:8080/owner/repo.git/git-receive-pack",
    ]


def test_a_name_with_other_letters_is_written_so_that_it_can_be_sent() -> None:
    request = request_of("My Project/_git/größe #1?/info/refs")
    assert url_of(request) == (
        "https://github.com/My%20Project/_git/gr%C3%B6%C3%9Fe%20%231%3F/info/refs?" + ASKS
    )


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("owner/repo.git", ""),
        ("owner/repo.git/config", ""),
        ("owner/repo/.git/config", ""),
        ("owner/repo.git/HEAD", ""),
        ("owner/repo.git/objects/info/packs", ""),
        ("owner/repo.git/objects/pack/pack-1.pack", ""),
        (REFS, "service="),
        (REFS, "service=git-upload-archive"),
        (REFS, "service=git-upload-pack&x=1"),
        (REFS, "x=1&service=git-upload-pack"),
        (REFS, "service=git%2Dupload-pack"),
        (REFS, "SERVICE=git-upload-pack"),
        (FETCH, "x=1"),
        ("owner/repo.git/git-upload-archive", ""),
        ("owner/repo.git/info/refs/x", ASKS),
        ("owner/repo.git/info/lfs/objects/batch", ""),
        ("info/refs", ASKS),
        ("git-upload-pack", ""),
        ("/info/refs", ASKS),
        ("login/oauth/access_token", ""),
    ],
)
def test_whatever_else_a_host_has_is_not_found(path: str, query: str) -> None:
    for method in ("GET", "POST"):
        request = request_of(path, query or "x=", method=method)
        if not query and not path.endswith("info/refs"):
            request = request_of(path, method=method)
        with pytest.raises(OpenBoltError) as caught:
            url_of(request)
        assert caught.value.status_hint == 404


def test_dumb_http_asks_without_a_service_and_is_not_found() -> None:
    request = request_of("owner/repo.git/info/refs", "service")
    with pytest.raises(OpenBoltError) as caught:
        url_of(request)
    assert caught.value.status_hint == 404


@pytest.mark.parametrize(
    "path",
    [
        "../x/info/refs",
        "owner/../../x/info/refs",
        "owner/./repo/info/refs",
        "owner//repo/info/refs",
        "owner/%2e%2e/x/info/refs",
        "owner/%252e%252e/x/info/refs",
        "owner\\repo/info/refs",
        "owner/repo//info/refs",
        "owner/re\r\npo/info/refs",
        "owner/re\x00po/info/refs",
        "owner/..;x/repo/info/refs",
        "owner/repo%2fx/info/refs",
        "o" * 5000 + "/info/refs",
    ],
    ids=ascii,
)
def test_a_path_that_could_be_read_otherwise_is_refused(path: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        url_of(request_of(path))
    assert caught.value.field == "path"


@given(st.text(max_size=60))
def test_no_path_leads_elsewhere_than_to_a_repository_of_the_host(repository: str) -> None:
    try:
        url = url_of(request_of(f"{repository}/info/refs"))
    except (InvalidRequestError, NotFoundError):
        return
    assert url.startswith("https://github.com/")
    assert url.endswith(f"/info/refs?{ASKS}")
    path = url.removeprefix("https://github.com").removesuffix(f"?{ASKS}")
    assert path.isascii()
    assert not {"", ".", ".."} & set(path.split("/")[1:])
    assert not set("?#\\ ") & set(path)


@pytest.mark.parametrize(
    ("path", "method", "allowed"),
    [
        (REFS, "POST", ("GET", "OPTIONS")),
        (REFS, "HEAD", ("GET", "OPTIONS")),
        (FETCH, "GET", ("POST", "OPTIONS")),
        (PUSH, "PUT", ("POST", "OPTIONS")),
    ],
)
def test_a_method_that_git_does_not_use_is_refused(
    path: str, method: str, allowed: tuple[str, ...]
) -> None:
    with pytest.raises(OpenBoltError) as caught:
        url_of(request_of(path, method=method))
    assert (caught.value.status_hint, getattr(caught.value, "allowed", None)) == (405, allowed)


@pytest.mark.parametrize(
    "fields",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-git-receive-pack-request"},
        {"content-type": ""},
        {"content-encoding": "br"},
    ],
    ids=str,
)
def test_a_body_that_is_not_gits_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(OpenBoltError) as caught:
        url_of(request_of(FETCH, headers=fields))
    assert caught.value.status_hint == 415


@pytest.mark.parametrize(
    "host",
    ["evil.example", "github.com.evil.example", "github.com:22", "github.com@evil.example",
     "127.0.0.1", "git.example", "git.internal", "github.com.", "gıthub.com", "", "github.com#"],
    ids=ascii,
)  # fmt: skip
def test_a_host_that_is_not_listed_is_refused(host: str) -> None:
    with pytest.raises(TargetRefusedError) as caught:
        url_of(request_of(host=host))
    assert (caught.value.status_hint, caught.value.field) == (403, "host")


@pytest.mark.parametrize(
    "entry", ["github.com/owner", "ssh://github.com", "a b", "", "u@x.example"]
)
def test_an_entry_that_is_no_host_is_told_at_the_start(entry: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        GitHosts.parse(["github.com", entry])
    assert caught.value.setting == "git_hosts"


# Whose credential


@pytest.mark.parametrize(
    ("fields", "gits", "ours"),
    [
        ({}, None, None),
        ({"authorization": BASIC}, BASIC, None),
        ({"authorization": "Bearer obk_x"}, None, None),
        ({"authorization": "Bearer ghp_x"}, None, None),
        ({"x-git-authorization": BASIC}, BASIC, BASIC),
        ({"x-git-authorization": "Bearer ghp_x"}, "Bearer ghp_x", "Bearer ghp_x"),
        ({"x-git-authorization": BASIC, "authorization": "Basic b3Vycw=="}, BASIC, BASIC),
        ({"x-git-authorization": "", "authorization": BASIC}, None, None),
    ],
)
def test_a_credential_goes_along_where_it_is_surely_gits(
    fields: dict[str, str], gits: str | None, ours: str | None
) -> None:
    headers = Headers.of(fields)
    assert git_authorization(headers, basic_is_gits=True) == gits
    assert git_authorization(headers, basic_is_gits=False) == ours


@pytest.mark.parametrize(
    "value",
    [
        "ghp_x",
        "Digest username=x",
        "Basic a b",
        "Basic a\r\nx-evil: 1",
        "Bearer " + "x" * 5000,
        "Bearer obk_aaaa",
        "Basic " + base64.b64encode(b"x:obk_aaaa").decode(),
    ],
    ids=ascii,
)
def test_what_is_no_credential_for_a_git_host_is_refused_and_not_repeated(value: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        git_authorization(Headers.of({"x-git-authorization": value}), basic_is_gits=True)
    assert caught.value.field == "x-git-authorization"
    assert value not in str(caught.value)
    assert API_KEY_PREFIX not in str(caught.value)


def test_two_credentials_are_refused() -> None:
    headers = Headers([("authorization", BASIC), ("authorization", BASIC)])
    with pytest.raises(InvalidRequestError):
        git_authorization(headers, basic_is_gits=True)


async def test_nobody_unknown_is_served(house: House) -> None:
    request = request_of(host=f"127.0.0.1:{house.server.port}").with_context(principal=None)
    with pytest.raises(OpenBoltError) as caught:
        await house.proxy()(request)
    assert (caught.value.status_hint, house.server.exchanges) == (401, [])


# What goes out and what comes back


async def test_nothing_goes_along_but_what_git_needs(house: House) -> None:
    house.server.script = answering(
        headers={"content-type": "application/x-git-upload-pack-result"}
    )
    sent = {
        "authorization": BASIC,
        "cookie": "__Host-openbolt-session=secret",
        "origin": "https://app.example",
        "referer": "https://app.example/chat",
        "x-forwarded-for": "192.0.2.1",
        "x-api-key": "secret",
        "user-agent": "Mozilla/5.0",
        "accept": "text/html",
        "accept-encoding": "br",
        "git-protocol": "version=2",
        "connection": "keep-alive, authorization",
    }
    await house(FETCH, headers=sent, body=b"0032want")
    (exchange,) = house.server.exchanges
    own = {"host", "connection", "content-length"}
    assert {pair for pair in exchange.headers.items if pair[0] not in own} == {
        ("accept", "application/x-git-upload-pack-result"),
        ("accept-encoding", "identity"),
        ("authorization", BASIC),
        ("content-type", "application/x-git-upload-pack-request"),
        ("git-protocol", "version=2"),
        ("user-agent", "git/openbolt"),
    }
    assert exchange.headers.get_all("content-length") == ("8",)


async def test_nothing_comes_back_that_acts_as_our_origin(house: House) -> None:
    house.server.script = answering(
        headers={
            "set-cookie": "a=1",
            "www-authenticate": "Basic",
            "access-control-allow-origin": "*",
            "content-security-policy": "default-src *",
            "location": "https://evil.example/",
            "refresh": "0; url=https://evil.example/",
            "cache-control": "public, max-age=1000",
            "x-frame-options": "ALLOWALL",
            "server": "nginx",
        }
    )
    answer = await house()
    assert (answer.status, answer.body) == (200, b"0000")
    assert dict(answer.headers.items) == {
        "content-type": ADVERTISED,
        "content-length": "4",
        "cache-control": "no-store",
        "content-disposition": "attachment",
        "content-security-policy": (
            "sandbox; default-src 'none'; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'"
        ),
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"content-type": "text/html"},
        {"content-type": "text/plain; charset=utf-8"},  # the older protocol
        {"content-type": "application/x-git-receive-pack-advertisement"},
        {"content-type": f"{ADVERTISED}, text/html"},
        {"content-encoding": "gzip"},
    ],
    ids=str,
)
async def test_an_answer_that_is_not_smart_http_is_refused(
    house: House, fields: dict[str, str]
) -> None:
    house.server.script = answering(headers=fields)
    with pytest.raises(UpstreamError) as caught:
        await house()
    assert (caught.value.status_hint, caught.value.code) == (502, "not_git")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413, 422, 429, 500, 502, 503, 504])
async def test_a_refusal_keeps_its_status_and_its_words(house: House, status: int) -> None:
    fields = {"content-type": "text/plain", "www-authenticate": 'Basic realm="x"'}
    house.server.script = answering(status, {**fields, "retry-after": "7"}, b"Not found.")
    answer = await house()
    assert (answer.status, answer.body) == (status, b"Not found.")
    assert answer.headers.get("content-type") == "text/plain; charset=utf-8"
    assert answer.headers.get("retry-after") == "7"
    assert "www-authenticate" not in answer.headers
    assert "sandbox" in (answer.headers.get("content-security-policy") or "")


async def test_the_words_of_a_refusal_are_few_and_only_text(house: House) -> None:
    house.server.script = answering(403, {"content-type": "text/plain"}, b"\xffx" * 100_000)
    assert len((await house()).text) == 4096
    house.server.script = answering(403, {"content-type": "text/html"}, b"<script>")
    assert (await house()).text == "127.0.0.1 answers with 403.\n"


async def test_a_sign_in_page_of_azure_devops_is_a_401(house: House) -> None:
    house.server.script = answering(203, {"content-type": "text/html"}, b"<html>")
    assert (await house()).status == 401


@pytest.mark.parametrize("status", [201, 202, 204, 206, 300, 304, 402, 405, 407, 418, 451, 511])
async def test_a_status_that_git_never_says_is_a_502(house: House, status: int) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.start(status, {} if status in {204, 304} else {"content-length": "0"})

    house.server.script = script
    with pytest.raises(UpstreamError):
        await house()


async def test_a_framing_that_servers_read_differently_goes_nowhere(house: House) -> None:
    fields = {"content-length": "4", "transfer-encoding": "chunked"}
    with pytest.raises(InvalidRequestError):
        await house(FETCH, headers=fields, body=once(b"0000"))
    assert house.server.exchanges == []


async def test_options_says_what_git_uses(house: House) -> None:
    answer = await house(method="OPTIONS")
    assert (answer.status, answer.headers.get("allow")) == (204, "GET, POST, OPTIONS")
    assert house.server.exchanges == []


# Redirects


def moving(house: House, *places: str, status: int = 301) -> None:
    left = [place.format(port=house.server.port) for place in places]

    async def script(exchange: Exchange) -> None:
        if left:
            await exchange.answer(status, {"location": left.pop(0)})
        else:
            await exchange.answer(200, {"content-type": ADVERTISED}, b"moved")

    house.server.script = script


async def test_references_are_asked_for_where_they_are_now_and_nothing_secret_moves(
    house: House,
) -> None:
    other = f"http://other.example:{house.server.port}"
    moving(house, f"{other}/new/repo.git/info/refs?{ASKS}")
    answer = await house(headers={"authorization": BASIC}, proxy=house.proxy(more=(other,)))
    assert answer.body == b"moved"
    assert [exchange.headers.get("authorization") for exchange in house.server.exchanges] == [
        BASIC,
        None,
    ]


async def test_within_the_host_the_credential_goes_along(house: House) -> None:
    moving(house, f"/new/repo.git/info/refs?{ASKS}", status=302)
    await house(headers={"authorization": BASIC})
    second = house.server.exchanges[1]
    assert second.target == f"/new/repo.git/info/refs?{ASKS}"
    assert second.headers.get("authorization") == BASIC


@pytest.mark.parametrize(
    "place",
    [
        "http://127.0.0.2:{port}/x/info/refs?service=git-upload-pack",
        "http://other.example:{port}/x/info/refs?service=git-upload-pack",
        "http://localhost:{port}/x/info/refs?service=git-upload-pack",
        "http://127.0.0.1:{port}/x/info/refs?service=git-receive-pack",
        "http://127.0.0.1:{port}/login?return_to=/x",
        "http://127.0.0.1:{port}/x/.git/config",
        "https://127.0.0.1:{port}/x/info/refs?service=git-upload-pack",
        "http://127.0.0.1:22/x/info/refs?service=git-upload-pack",
        "javascript:alert(1)",
    ],
)
async def test_a_redirect_to_anything_else_ends_there(house: House, place: str) -> None:
    moving(house, place)
    with pytest.raises(OpenBoltError) as caught:
        await house()
    assert caught.value.status_hint in {403, 502}
    assert len(house.server.exchanges) == 1


async def test_a_listed_host_is_asked_by_its_own_scheme_only(house: House) -> None:
    moving(house, f"http://other.example/x/info/refs?{ASKS}")
    proxy = house.proxy(more=("other.example",))
    with pytest.raises(UpstreamError) as caught:
        await house(proxy=proxy)
    assert caught.value.code == "not_git"
    assert isinstance(proxy.guard, GuardedSender)
    assert isinstance(proxy.guard.resolver, StandInResolver)
    assert proxy.guard.resolver.asked == []


async def test_a_circle_ends(house: House) -> None:
    moving(house, *[f"/{number}/info/refs?{ASKS}" for number in range(9)])
    with pytest.raises(UpstreamError, match="too often"):
        await house()
    assert len(house.server.exchanges) == 4


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_pack_is_not_sent_on_and_the_new_address_is_told(house: House, status: int) -> None:
    moving(house, "/new/repo.git/git-receive-pack", status=status)
    with pytest.raises(UpstreamError) as caught:
        await house(PUSH, body=b"0000")
    assert caught.value.code == "repository_moved"
    assert f"127.0.0.1:{house.server.port}/new/repo.git." in caught.value.public_message
    assert len(house.server.exchanges) == 1


# Sizes, streams, and going away


async def test_an_answer_that_says_it_is_too_large_is_refused_at_once(house: House) -> None:
    house.server.script = lambda exchange: exchange.start(
        200, {"content-type": ADVERTISED, "content-length": "2000"}
    )
    with pytest.raises(UpstreamError) as caught:
        await house(proxy=house.proxy(git_max_fetch_bytes=1999))
    assert caught.value.code == "response_too_large"


async def test_an_answer_that_grows_too_large_breaks_off(house: House) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.start(200, {"content-type": ADVERTISED, "transfer-encoding": "chunked"})
        for _ in range(3):
            await exchange.chunk(b"x" * 1000)
        await exchange.gone()

    house.server.script = script
    with pytest.raises(UpstreamError):
        await house(proxy=house.proxy(git_max_fetch_bytes=2999))


async def test_a_body_that_says_it_is_too_large_is_refused_before_anybody_is_called(
    house: House,
) -> None:
    with pytest.raises(PayloadTooLargeError):
        await house(PUSH, body=b"x" * 1025, proxy=house.proxy(git_max_push_bytes=1024))
    assert house.server.connections == 0


async def test_a_body_that_grows_too_large_is_cut_off_and_a_413(house: House) -> None:
    async def body() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 1024

    read: list[int] = []

    async def script(exchange: Exchange) -> None:
        try:
            read.append(len(await exchange.read_all()))
        except (asyncio.IncompleteReadError, ValueError):
            read.append(-1)
        exchange.hang_up()

    house.server.script = script
    with pytest.raises(PayloadTooLargeError):
        await house(PUSH, body=body(), proxy=house.proxy(git_max_push_bytes=4096))
    while not read:
        await asyncio.sleep(0.01)
    assert read == [-1]


async def test_a_client_that_goes_while_it_sends_ends_the_call(house: House) -> None:
    ended = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"x" * 100
        raise InvalidRequestError("The request's body broke off.", code="incomplete_body")

    async def script(exchange: Exchange) -> None:
        await exchange.gone()
        exchange.hang_up()
        ended.set()

    house.server.script = script
    with pytest.raises(InvalidRequestError) as caught:
        await house(PUSH, body=body())
    assert caught.value.code == "incomplete_body"
    await asyncio.wait_for(ended.wait(), SOON)


@pytest.mark.parametrize("path", [REFS, FETCH])
async def test_a_client_that_goes_before_the_answer_ends_the_call(house: House, path: str) -> None:
    leaving, ended = asyncio.Event(), asyncio.Event()

    async def gone() -> None:
        await leaving.wait()

    async def script(exchange: Exchange) -> None:
        await exchange.read_all()
        leaving.set()
        await exchange.gone()
        ended.set()

    house.server.script = script
    with pytest.raises(InvalidRequestError) as caught:
        await house(path, body=b"0000" if path == FETCH else b"", gone=gone)
    assert caught.value.code == "client_gone"
    await asyncio.wait_for(ended.wait(), SOON)


async def test_a_body_that_is_closed_early_ends_the_call(house: House) -> None:
    ended = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.start(200, {"content-type": ADVERTISED, "transfer-encoding": "chunked"})
        await exchange.chunk(b"first")
        await exchange.gone()
        ended.set()

    house.server.script = script
    response = await house.proxy()(request_of(host=f"127.0.0.1:{house.server.port}"))
    assert not isinstance(response.body, bytes)
    assert await anext(aiter(response.body)) == b"first"
    await response.body.aclose()
    await asyncio.wait_for(ended.wait(), SOON)


async def test_one_request_takes_no_longer_than_it_may(house: House) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.start(200, {"content-type": ADVERTISED, "transfer-encoding": "chunked"})
        while True:
            await exchange.chunk(b"drip")
            await asyncio.sleep(0.05)

    house.server.script = script
    with pytest.raises(UpstreamError) as caught:
        await house(proxy=house.proxy(git_timeout=1.0))
    assert caught.value.status_hint == 504


async def test_packs_go_both_ways_in_flat_memory() -> None:
    size = 48 * 2**20
    chunk = bytes(65_536)
    got = 0

    async def body() -> AsyncIterator[bytes]:
        for _ in range(size // len(chunk)):
            yield chunk

    async def script(exchange: Exchange) -> None:
        nonlocal got
        while data := await exchange.read():
            got += len(data)
        fields = {"content-type": "application/x-git-receive-pack-result"}
        await exchange.start(200, {**fields, "content-length": str(size)})
        for _ in range(size // len(chunk)):
            await exchange.send(chunk)

    async with scripted_server() as server:
        sender = AiohttpSender()
        house = House(server, sender)
        server.script = script
        headers = {"content-length": str(size)}
        request = request_of(PUSH, host=f"127.0.0.1:{server.port}", body=body(), headers=headers)
        tracemalloc.start()
        try:
            response = await house.proxy()(request)
            assert not isinstance(response.body, bytes)
            taken = 0
            async for part in response.body:
                taken += len(part)
            await response.body.aclose()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            await sender.aclose()
    assert (got, taken) == (size, size)
    assert peak < 6 * 2**20
