"""What is kept of answers, for whom and for how long: RFC 9111 against a real upstream.

The library reads the system's clock, so time is told by the dates that the upstream sends.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from email.utils import formatdate
from typing import Any

import pytest

from openbolt.http import Headers
from openbolt.proxy.caching import CachedAnswer, MemoryCache
from openbolt.proxy.handler import Proxy
from openbolt.senders.aiohttp import AiohttpSender
from openbolt.testing.scripted import Exchange, ScriptedServer
from tests.handlers.building import Answer, Caller
from tests.proxy.serving import guarded, settings_with

KEY = "sk-operators-own-0123456789"


def dated(ago: float) -> str:
    return formatdate(time.time() - ago, usegmt=True)


class Origin:
    """An upstream that answers with fields of the test's, and numbers its answers."""

    def __init__(self, server: ScriptedServer) -> None:
        self.server = server
        self.fields: dict[str, str] = {"cache-control": "max-age=60", "date": dated(0)}
        self.status = 200
        self.tag = '"1"'
        server.script = self.script

    async def script(self, exchange: Exchange) -> None:
        await exchange.read_all()
        fields = {"etag": self.tag, **self.fields}
        if exchange.headers.get("if-none-match") == self.tag:
            await exchange.start(304, fields)
            return
        number = str(len(self.server.exchanges)).encode()
        await exchange.answer(self.status, {"content-type": "text/plain", **fields}, number)

    @property
    def asked(self) -> int:
        return len(self.server.exchanges)


@pytest.fixture
def origin(upstream: ScriptedServer) -> Origin:
    return Origin(upstream)


@pytest.fixture
def config() -> dict[str, Any]:
    return {"cache": {}}


@pytest.fixture
async def call(
    upstream: ScriptedServer, sender: AiohttpSender, config: dict[str, Any]
) -> AsyncIterator[Caller]:
    fields = {"url": upstream.url(), "methods": ["GET", "HEAD", "PUT"], "retries": 0, **config}
    caller = Caller(guarded(Proxy.of(settings_with({"up": fields}, {"k": KEY}), sender)))
    yield caller
    await caller.settle()


async def got(call: Caller, path: str = "a", user: str = "ann", **headers: str) -> Answer:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return await call("GET", f"/api/proxy/up/{path}", user=user, headers=fields)


async def test_what_is_fresh_is_used_again_and_tells_its_age(call: Caller, origin: Origin) -> None:
    origin.fields["date"] = dated(10)
    first, second = await got(call), await got(call)
    assert (first.body, second.body, origin.asked) == (b"1", b"1", 1)
    assert 10 <= int(second.headers.get("age") or "0") <= 15
    assert second.headers.get("cache-control") == "private, max-age=60"
    assert second.headers.get("content-length") == "1"


@pytest.mark.parametrize(
    "fields",
    [
        {"cache-control": "no-store"},
        {"cache-control": "max-age=0"},
        {"cache-control": "no-cache, max-age=60"},
        {"cache-control": "max-age=60", "date": dated(61)},
        {"cache-control": "max-age=60", "age": "61"},
        {"cache-control": "max-age=60", "vary": "*"},
        {"cache-control": "", "expires": dated(1)},
        {"cache-control": "", "expires": "0"},
        {"cache-control": ""},
    ],
)
async def test_what_is_not_fresh_is_asked_for_again(
    call: Caller, origin: Origin, fields: dict[str, str]
) -> None:
    origin.fields |= fields
    origin.tag = '"other"'
    await got(call)
    origin.tag = '"changed"'
    assert (await got(call)).body == b"2"


async def test_an_answer_without_a_date_does_not_stay_young(call: Caller, origin: Origin) -> None:
    del origin.fields["date"]
    origin.fields["age"] = "61"
    await got(call)
    await got(call)
    assert origin.asked == 2


async def test_a_date_in_the_future_keeps_nothing_young(call: Caller, origin: Origin) -> None:
    origin.fields |= {"date": dated(-1000), "age": "61"}
    await got(call)
    await got(call)
    assert origin.asked == 2


async def test_what_has_not_changed_is_not_sent_again(call: Caller, origin: Origin) -> None:
    origin.fields["cache-control"] = "no-cache"
    first = await got(call)
    second = await got(call)
    assert (first.body, second.body, origin.asked) == (b"1", b"1", 2)
    assert origin.server.exchanges[1].headers.get("if-none-match") == '"1"'
    assert second.status == 200


async def test_a_revalidated_answer_is_fresh_again(call: Caller, origin: Origin) -> None:
    origin.fields |= {"cache-control": "max-age=60", "date": dated(61)}
    await got(call)
    origin.fields["date"] = dated(0)
    for _ in range(3):
        assert (await got(call)).body == b"1"
    assert origin.asked == 2


async def test_the_clients_own_condition_is_answered_from_what_is_kept(
    call: Caller, origin: Origin
) -> None:
    await got(call)
    same = await got(call, if_none_match='W/"1"')
    other = await got(call, if_none_match='"2"')
    assert (same.status, same.body, other.status, origin.asked) == (304, b"", 200, 1)


async def test_what_a_field_chooses_is_kept_apart(call: Caller, origin: Origin) -> None:
    async def script(exchange: Exchange) -> None:
        language = exchange.headers.get("accept-language") or ""
        fields = {"cache-control": "max-age=60", "vary": "Accept-Language"}
        await exchange.answer(200, fields, language.encode())

    origin.server.script = script
    bodies = [(await got(call, accept_language=each)).body for each in ("de", "fr", "de", "fr")]
    assert (bodies, origin.asked) == ([b"de", b"fr", b"de", b"fr"], 2)


async def test_each_user_has_their_own(call: Caller, origin: Origin) -> None:
    bodies = [(await got(call, user=user)).body for user in ("ann", "bob", "ann", "bob")]
    assert bodies == [b"1", b"2", b"1", b"2"]


@pytest.mark.parametrize("config", [{"cache": {"shared": True}}])
async def test_users_share_what_the_operator_says_is_shared(call: Caller, origin: Origin) -> None:
    bodies = [(await got(call, user=user)).body for user in ("ann", "bob")]
    assert bodies == [b"1", b"1"]
    origin.fields["cache-control"] = "private, max-age=60"
    private = [(await got(call, "b", user=user)).body for user in ("ann", "bob")]
    assert private == [b"2", b"3"]


async def test_a_write_makes_what_is_kept_worthless(call: Caller, origin: Origin) -> None:
    await got(call)
    origin.status = 500
    await call("PUT", "/api/proxy/up/a", content=b"x")
    assert (await got(call)).body == b"1", "a failed write changes nothing"
    origin.status = 200
    await call("PUT", "/api/proxy/up/a", content=b"x")
    assert (await got(call)).body == b"4"


async def test_a_range_goes_past_the_cache(call: Caller, origin: Origin) -> None:
    await got(call)
    await got(call, range="bytes=0-0")
    assert origin.asked == 2


async def test_what_was_not_read_to_its_end_is_not_kept(call: Caller, origin: Origin) -> None:
    response = await call.send("GET", "/api/proxy/up/a")
    assert not isinstance(response.body, bytes)
    await response.body.aclose()
    assert (await got(call)).body == b"2"


@pytest.mark.parametrize("config", [{"cache": {"maxEntryBytes": 1}}])
async def test_what_is_too_large_is_passed_and_not_kept(call: Caller, origin: Origin) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.answer(200, {"cache-control": "max-age=60"}, b"large")

    origin.server.script = script
    assert [(await got(call)).body for _ in range(2)] == [b"large", b"large"]
    assert origin.asked == 2


@pytest.mark.parametrize(
    "config", [{"cache": {}, "secrets": [{"secret": "operator:k", "query": "key"}]}]
)
async def test_what_is_kept_holds_no_secret(call: Caller, origin: Origin) -> None:
    async def script(exchange: Exchange) -> None:
        assert KEY in exchange.target
        fields = {"cache-control": "max-age=60", "etag": f'"{KEY}"', "content-type": KEY}
        await exchange.answer(200, fields, exchange.target.encode())

    origin.server.script = script
    first, second = await got(call), await got(call)
    assert (first.body, origin.asked) == (second.body, 1)
    for answer in (first, second):
        assert KEY not in f"{answer}"
        assert b"*" * len(KEY) in answer.body


def answer_of(size: int, key: str) -> CachedAnswer:
    return CachedAnswer(200, Headers(), bytes(size), key)


def test_the_least_used_goes_when_there_is_too_much() -> None:
    cache = MemoryCache(4000)
    for key in "abc":
        cache.put(answer_of(700, key))
    assert cache.find("a")
    cache.put(answer_of(700, "d"))
    assert [bool(cache.find(key)) for key in "abcd"] == [True, False, True, True]
    cache.put(answer_of(5000, "e"))
    assert [bool(cache.find(key)) for key in "abcde"] == [False] * 5
