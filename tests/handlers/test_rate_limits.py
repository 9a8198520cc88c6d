"""The guard around a handler: whom it counts, what it answers, what it does without its store."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from decimal import Decimal

import pytest
from attrs import evolve, frozen

from openbolt import Dependencies, OpenBolt, Settings
from openbolt.access import SharedPassword
from openbolt.attempts import LimitedAttempts
from openbolt.auth.github import GitHub
from openbolt.errors import (
    BackendError,
    ConfigurationError,
    NotFoundError,
    RateLimitedError,
    UnauthenticatedError,
)
from openbolt.guards import with_request_id
from openbolt.http import (
    EMPTY_BODY,
    Headers,
    Principal,
    Request,
    RequestContext,
    Response,
)
from openbolt.limiting import RateLimits, limit_routes, rate_limited
from openbolt.protocols import Decision, RatePolicy
from openbolt.proxy.gateway import ModelEndpoint
from openbolt.rate_policies import ROUTE_POLICIES
from openbolt.routing import Route
from openbolt.senders.aiohttp import AiohttpSender
from openbolt.testing import ManualClock, PlainCipher, SequenceTokens
from openbolt_local.memory import MemoryRateLimiter
from tests.handlers.building import Caller

CHAT = RatePolicy("chat", 3, 60.0, fails="closed")
READS = RatePolicy("reads", 5, 10.0)


def ask(
    *,
    user: str | None = "ann",
    key: str | None = None,
    client: str | None = "203.0.113.1",
    **headers: str,
) -> Request:
    principal = Principal(user, api_key=key) if user else None
    context = RequestContext(spawn=lambda coro: None, principal=principal, client=client)
    return Request("GET", "/", Headers.of(**headers), EMPTY_BODY, context)


async def hello(request: Request, /) -> Response:
    return Response(200, Headers.of(x_own="kept"), b"hello")


@frozen
class YesOrNo:
    """A limiter that only says yes or no, as Cloudflare's binding does."""

    inner: MemoryRateLimiter

    async def acquire(self, subject: str, policy: RatePolicy, cost: int = 1, /) -> Decision:
        return Decision((await self.inner.acquire(subject, policy, cost)).allowed)


class Down(MemoryRateLimiter):
    """A limiter whose store can be taken away."""

    is_down = True

    async def acquire(self, subject: str, policy: RatePolicy, cost: int = 1, /) -> Decision:
        if self.is_down:
            raise BackendError("The store is unavailable.", detail="no route to it")
        return await super().acquire(subject, policy, cost)

    async def charge(self, subject: str, policy: RatePolicy, cost: int, /) -> None:
        if self.is_down:
            raise BackendError("The store is unavailable.")
        await super().charge(subject, policy, cost)


class Stuck(MemoryRateLimiter):
    async def acquire(self, subject: str, policy: RatePolicy, cost: int = 1, /) -> Decision:
        await asyncio.sleep(60)
        raise AssertionError("nobody waits so long")


@pytest.fixture
def limiter(clock: ManualClock) -> MemoryRateLimiter:
    return MemoryRateLimiter(clock)


def limits_of(
    limiter: MemoryRateLimiter, clock: ManualClock, *policies: RatePolicy, **more: object
) -> RateLimits:
    named = {policy.name: policy for policy in policies}
    return RateLimits(limiter, clock, named, accounts=limiter, **more)  # type: ignore[arg-type]


def error_of(response: Response) -> tuple[int, str]:
    assert isinstance(response.body, bytes)
    return response.status, json.loads(response.body)["error"]["code"]


def fields_of(response: Response) -> tuple[str | None, str | None, str | None]:
    get = response.headers.get
    return get("ratelimit-policy"), get("ratelimit"), get("retry-after")


async def test_every_response_says_how_it_stands_and_a_refusal_how_long(
    limiter: MemoryRateLimiter, clock: ManualClock
) -> None:
    handler = rate_limited(hello, limits_of(limiter, clock, CHAT), ["chat"])
    responses = [await handler(ask()) for _ in range(4)]
    assert [fields_of(response) for response in responses] == [
        ('"chat";q=3;w=60', '"chat";r=2;t=40', None),
        ('"chat";q=3;w=60', '"chat";r=1;t=40', None),
        ('"chat";q=3;w=60', '"chat";r=0;t=60', None),
        ('"chat";q=3;w=60', '"chat";r=0;t=20', "20"),
    ]
    assert [response.headers.get("x-own") for response in responses[:3]] == ["kept"] * 3
    assert error_of(responses[3]) == (429, "rate_limited")


async def test_waiting_for_retry_after_is_enough(
    limiter: MemoryRateLimiter, clock: ManualClock
) -> None:
    handler = rate_limited(hello, limits_of(limiter, clock, CHAT), ["chat"])
    clock.advance(0.123456789)
    while (response := await handler(ask())).status == 200:
        clock.advance(0.7654321)
    clock.advance(float(response.headers.get("retry-after") or 0))
    assert (await handler(ask())).status == 200


async def test_a_person_reads_what_to_do(limiter: MemoryRateLimiter, clock: ManualClock) -> None:
    handler = rate_limited(hello, limits_of(limiter, clock, RatePolicy("p", 1, 1.0)), ["p"])
    await handler(ask())
    response = await with_request_id(handler, SequenceTokens())(ask())
    assert isinstance(response.body, bytes)
    error = json.loads(response.body)["error"]
    assert error["message"] == (
        "Too many requests: the limit p is 1 requests in 1 seconds. Try again in 1 second."
    )
    assert error["requestId"] == response.headers.get("x-request-id")


async def test_a_refused_request_never_reaches_the_handler(
    limiter: MemoryRateLimiter, clock: ManualClock
) -> None:
    calls: list[Request] = []

    async def noting(request: Request, /) -> Response:
        calls.append(request)
        return Response()

    handler = rate_limited(noting, limits_of(limiter, clock, CHAT), ["chat"])
    for _ in range(10):
        await handler(ask())
    assert len(calls) == 3


async def test_errors_of_the_handler_say_how_it_stands_too(
    limiter: MemoryRateLimiter, clock: ManualClock
) -> None:
    async def missing(request: Request, /) -> Response:
        raise NotFoundError("There is no such thing.")

    response = await rate_limited(missing, limits_of(limiter, clock, CHAT), ["chat"])(ask())
    assert error_of(response) == (404, "not_found")
    assert fields_of(response)[1] == '"chat";r=2;t=40'


async def test_a_redirect_says_nothing_that_would_hold_a_client_up(
    limiter: MemoryRateLimiter, clock: ManualClock
) -> None:
    async def away(request: Request, /) -> Response:
        return Response(302, Headers.of(location="/"))

    response = await rate_limited(away, limits_of(limiter, clock, CHAT), ["chat"])(ask())
    assert fields_of(response) == (None, None, None)


async def test_several_policies_are_told_the_most_restrictive_first(
    limiter: MemoryRateLimiter, clock: ManualClock
) -> None:
    handler = rate_limited(hello, limits_of(limiter, clock, CHAT, READS), ["reads", "chat"])
    responses = [await handler(ask()) for _ in range(4)]
    assert fields_of(responses[0])[1] == '"chat";r=2;t=40, "reads";r=4;t=8'
    assert fields_of(responses[3])[0] == '"chat";q=3;w=60, "reads";q=5;w=10'


async def test_who_is_refused_by_one_policy_uses_nothing_of_the_others(
    limiter: MemoryRateLimiter, clock: ManualClock
) -> None:
    limits = limits_of(limiter, clock, CHAT, READS)
    both = rate_limited(hello, limits, ["reads", "chat"])
    reads = rate_limited(hello, limits, ["reads"])
    assert [(await both(ask())).status for _ in range(10)] == [200] * 3 + [429] * 7
    assert [(await reads(ask())).status for _ in range(3)] == [200, 200, 429]


async def test_the_wait_is_for_the_slowest_of_those_that_refuse(
    limiter: MemoryRateLimiter, clock: ManualClock
) -> None:
    quick, slow = RatePolicy("quick", 1, 2.0), RatePolicy("slow", 1, 300.0)
    handler = rate_limited(hello, limits_of(limiter, clock, quick, slow), ["quick", "slow"])
    await handler(ask())
    refused = await handler(ask())
    assert fields_of(refused)[1:] == ('"slow";r=0;t=300, "quick";r=0;t=2', "300")


async def test_users_keys_and_addresses_are_counted_apart(
    limiter: MemoryRateLimiter, clock: ManualClock
) -> None:
    per_user = RatePolicy("per-user", 1, 60.0)
    per_key = RatePolicy("per-key", 1, 60.0, per="key")
    per_address = RatePolicy("per-address", 1, 60.0, per="address")
    limits = limits_of(limiter, clock, per_user, per_key, per_address)

    async def statuses(name: str, *requests: Request) -> list[int]:
        handler = rate_limited(hello, limits, [name])
        return [(await handler(request)).status for request in requests]

    assert await statuses(
        "per-user", ask(user="ann"), ask(user="bob"), ask(user="ann", key="k", client="192.0.2.1")
    ) == [200, 200, 429]
    # Where nobody is signed in, the address stands for the user.
    assert await statuses("per-user", ask(user=None), ask(user=None)) == [200, 429]
    # A browser's requests have no key, and aren't counted.
    assert await statuses("per-key", ask(), ask(), ask(key="k1"), ask(key="k2"), ask(key="k1")) == [
        200,
        200,
        200,
        200,
        429,
    ]
    assert await statuses("per-key", ask(user="bob", key="k1")) == [200]
    assert await statuses(
        "per-address",
        ask(user="ann", client="2001:db8::1"),
        ask(user="bob", client="2001:db8:0:1::1"),
        ask(user="eve", client="2001:db8::ffff"),
    ) == [200, 200, 429]


async def test_forwarded_addresses_count_only_from_trusted_proxies(
    limiter: MemoryRateLimiter, clock: ManualClock
) -> None:
    settings = Settings(trusted_proxies=("10.0.0.0/8",), rate_limits=("previews=1/60",))
    limits = RateLimits.of(limiter, clock, settings, accounts=limiter)
    handler = rate_limited(hello, limits, ["previews"])
    spoofed = [ask(client="198.51.100.1", x_forwarded_for=f"203.0.113.{n}") for n in range(3)]
    assert [(await handler(request)).status for request in spoofed] == [200, 429, 429]
    behind = [ask(client="10.0.0.1", x_forwarded_for=f"1.1.1.1, 203.0.113.{n}") for n in (1, 2, 1)]
    assert [(await handler(request)).status for request in behind] == [200, 200, 429]


async def test_a_limiter_that_only_says_yes_or_no_is_enough(
    limiter: MemoryRateLimiter, clock: ManualClock
) -> None:
    limits = RateLimits(YesOrNo(limiter), clock, {"chat": CHAT, "reads": READS})
    handler = rate_limited(hello, limits, ["chat", "reads"])
    responses = [await handler(ask()) for _ in range(4)]
    assert [response.status for response in responses] == [200, 200, 200, 429]
    assert [fields_of(response) for response in responses] == [(None, None, None)] * 3 + [
        (None, None, "60")
    ]


async def test_what_cannot_be_given_back_is_not_asked_for(
    limiter: MemoryRateLimiter, clock: ManualClock
) -> None:
    limits = RateLimits(YesOrNo(limiter), clock, {"chat": CHAT, "reads": READS})
    handler = rate_limited(hello, limits, ["chat", "reads"])
    for _ in range(10):
        await handler(ask())
    assert (await limiter.acquire("user:ann", READS, 0)).remaining == 2


def test_what_is_added_up_later_needs_a_limiter_that_can_be_told(
    limiter: MemoryRateLimiter, clock: ManualClock
) -> None:
    settings = Settings(rate_limits=("tokens=1000/1d",))
    with pytest.raises(ConfigurationError, match="OPENBOLT_RATE_LIMITS"):
        RateLimits.of(YesOrNo(limiter), clock, settings)
    RateLimits.of(limiter, clock, settings, accounts=limiter)


async def test_who_has_spent_too_much_waits_until_it_is_paid_off(
    limiter: MemoryRateLimiter, clock: ManualClock
) -> None:
    settings = Settings(rate_limits=("tokens=1000/1000", "spend=500000/1000"))
    limits = RateLimits.of(limiter, clock, settings, accounts=limiter)
    handler = rate_limited(hello, limits, ["tokens", "spend"])
    assert (await handler(ask())).status == 200
    await limits.spend("ann", tokens=1600, usd=Decimal("0.0000001"))
    refused = await handler(ask())
    assert (refused.status, refused.headers.get("retry-after")) == (429, "600")
    assert (await handler(ask(user="bob"))).status == 200
    clock.advance(600)
    assert (await handler(ask())).status == 200
    await limits.spend("ann", tokens=0, usd=Decimal("0.600001"))
    assert fields_of(await handler(ask()))[0:2] == (
        '"spend";q=500000;qu="micro-usd";w=1000, "tokens";q=1000;qu="tokens";w=1000',
        '"spend";r=0;t=201, "tokens";r=0;t=1000',
    )


async def test_a_policy_that_fails_open_lets_requests_in_without_a_store(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    limiter = Down(clock)
    handler = rate_limited(hello, limits_of(limiter, clock, READS), ["reads"])
    with caplog.at_level(logging.WARNING, "openbolt.limits"):
        responses = [await handler(ask()) for _ in range(50)]
    assert [response.status for response in responses] == [200] * 50
    assert fields_of(responses[0]) == (None, None, None)
    assert [record.getMessage() for record in caplog.records] == [
        "The limiter is down: the rate limit reads fails open "
        "(The store is unavailable. (no route to it))"
    ]
    clock.advance(60)
    await handler(ask())
    assert caplog.records[-1].getMessage().endswith("; 49 times more since the last warning")
    limiter.is_down = False
    assert fields_of(await handler(ask()))[1] == '"reads";r=4;t=8'


async def test_a_policy_that_fails_closed_lets_nobody_in_without_a_store(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    limiter = Down(clock)
    limits = limits_of(limiter, clock, READS, CHAT)
    handler = rate_limited(hello, limits, ["reads", "chat"])
    with caplog.at_level(logging.WARNING):
        responses = [await handler(ask()) for _ in range(50)]
    assert {error_of(response) for response in responses} == {(503, "backend_unavailable")}
    assert [record.getMessage().partition(" (")[0] for record in caplog.records] == [
        "The limiter is down: the rate limit reads fails open",
        "The limiter is down: the rate limit chat fails closed",
    ]


async def test_a_limiter_that_does_not_answer_is_down(clock: ManualClock) -> None:
    limits = limits_of(Stuck(clock), clock, READS, CHAT, timeout=0.01)
    assert (await rate_limited(hello, limits, ["reads"])(ask())).status == 200
    assert (await rate_limited(hello, limits, ["chat"])(ask())).status == 503


async def test_what_one_policy_took_is_given_back_where_another_fails_closed(
    clock: ManualClock,
) -> None:
    class ClosedDown(MemoryRateLimiter):
        async def acquire(self, subject: str, policy: RatePolicy, cost: int = 1, /) -> Decision:
            if policy.fails == "closed":
                raise BackendError("The store is unavailable.")
            return await super().acquire(subject, policy, cost)

    limiter = ClosedDown(clock)
    handler = rate_limited(hello, limits_of(limiter, clock, READS, CHAT), ["reads", "chat"])
    for _ in range(20):
        assert (await handler(ask())).status == 503
    assert (await limiter.acquire("user:ann", READS, 0)).remaining == 5


async def test_requests_without_an_address_are_told_of_once(
    limiter: MemoryRateLimiter, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    policy = RatePolicy("p", 1, 60.0, per="address")
    handler = rate_limited(hello, limits_of(limiter, clock, policy), ["p"])
    with caplog.at_level(logging.WARNING, "openbolt.limits"):
        statuses = [(await handler(ask(client=None))).status for _ in range(5)]
        await handler(ask(client="127.0.0.1", x_forwarded_for="203.0.113.1"))
        await handler(ask(client="127.0.0.1", forwarded="for=203.0.113.1"))
        await handler(ask(client="203.0.113.1", x_forwarded_for="1.1.1.1"))
    assert statuses == [200] + [429] * 4
    assert ["trusted_proxies" in record.getMessage() for record in caplog.records] == [True] * 2


def test_a_handler_without_a_policy_that_holds_stays_as_it_is(
    limiter: MemoryRateLimiter, clock: ManualClock
) -> None:
    assert rate_limited(hello, limits_of(limiter, clock), ["chat"]) is hello
    assert rate_limited(hello, limits_of(limiter, clock, CHAT), []) is hello


async def test_something_can_be_counted_by_name(
    limiter: MemoryRateLimiter, clock: ManualClock
) -> None:
    limits = limits_of(limiter, clock, RatePolicy("sign-in-account", 2, 60.0, per="account"))
    for _ in range(2):
        await limits.acquire("sign-in-account", "github.7")
    with pytest.raises(RateLimitedError) as caught:
        await limits.acquire("sign-in-account", "github.7")
    assert caught.value.retry_after == 30
    await limits.acquire("sign-in-account", "github.8")
    await limits.acquire("not set", "github.7")


# -- Attempts ----------------------------------------------------------------------------------


def basic(password: str, **more: str) -> Request:
    token = base64.b64encode(f"x:{password}".encode()).decode()
    return ask(user=None, authorization=f"Basic {token}", **more)


@pytest.fixture
def guarded(limiter: MemoryRateLimiter, clock: ManualClock) -> LimitedAttempts:
    policy = RatePolicy("guesses", 3, 60.0, per="address", fails="closed")
    return LimitedAttempts(SharedPassword("right"), limits_of(limiter, clock, policy))


async def test_after_too_many_wrong_passwords_the_right_one_has_to_wait(
    guarded: LimitedAttempts, clock: ManualClock
) -> None:
    assert await guarded.authenticate(basic("right")) is not None
    for _ in range(4):
        with pytest.raises(UnauthenticatedError):
            await guarded.authenticate(basic("wrong"))
    for password in ("wrong", "right"):
        with pytest.raises(RateLimitedError):
            await guarded.authenticate(basic(password))
    assert await guarded.authenticate(basic("right", client="203.0.113.2")) is not None
    clock.advance(20)
    assert await guarded.authenticate(basic("right")) is not None


async def test_who_knows_the_password_is_never_counted(guarded: LimitedAttempts) -> None:
    for _ in range(50):
        assert await guarded.authenticate(basic("right")) is not None


async def test_who_brings_nothing_has_not_tried(guarded: LimitedAttempts) -> None:
    for _ in range(50):
        with pytest.raises(UnauthenticatedError):
            await guarded.authenticate(ask(user=None))
    assert await guarded.authenticate(basic("right")) is not None


async def test_many_wrong_passwords_at_once_have_to_be_paid_for(
    guarded: LimitedAttempts, clock: ManualClock
) -> None:
    async def guess() -> None:
        with pytest.raises(UnauthenticatedError):
            await guarded.authenticate(basic("wrong"))

    subject, policy = "address:203.0.113.1", guarded.limits.policies["guesses"]
    assert guarded.limits.accounts is not None
    await guarded.limits.accounts.charge(subject, policy, 9)  # as many that came at once leave it
    clock.advance(6 * 20 - 1)
    with pytest.raises(RateLimitedError):
        await guarded.authenticate(basic("right"))
    clock.advance(1)
    await guess()


async def test_guesses_are_counted_without_a_limiter_that_can_be_told_afterwards(
    limiter: MemoryRateLimiter, clock: ManualClock
) -> None:
    policy = RatePolicy("guesses", 2, 60.0, per="address")
    limits = RateLimits(YesOrNo(limiter), clock, {"guesses": policy})
    guarded = LimitedAttempts(SharedPassword("right"), limits)
    for _ in range(2):
        with pytest.raises(UnauthenticatedError):
            await guarded.authenticate(basic("wrong"))
    with pytest.raises(RateLimitedError):
        await guarded.authenticate(basic("wrong"))
    assert await guarded.authenticate(basic("right")) is not None


# -- The table ---------------------------------------------------------------------------------


async def test_routes_are_limited_as_the_table_says(
    limiter: MemoryRateLimiter, clock: ManualClock
) -> None:
    settings = Settings(rate_limits=("chat=1/60",))
    limits = RateLimits.of(limiter, clock, settings, accounts=limiter)
    routes = [Route("POST", "/api/chat", hello), Route("GET", "/healthz", hello)]
    chat, health = (route.handler for route in limit_routes(routes, limits))
    assert [(await chat(ask())).status for _ in range(2)] == [200, 429]
    assert health is hello


@pytest.mark.parametrize("has_limits", [True, False])
def test_a_route_without_an_entry_is_refused_when_the_application_is_made(
    limiter: MemoryRateLimiter, clock: ManualClock, has_limits: bool
) -> None:
    limits = RateLimits(limiter, clock, accounts=limiter) if has_limits else None
    with pytest.raises(LookupError, match="PATCH /api/chat"):
        limit_routes([Route("PATCH", "/api/chat", hello)], limits)


async def test_every_route_of_the_application_has_an_entry(
    dependencies: Dependencies, sender: AiohttpSender
) -> None:
    whole = evolve(
        dependencies,
        cipher=PlainCipher(),
        sender=sender,
        model_endpoint=ModelEndpoint(),
        identity_providers=[GitHub("id", "secret")],
    )
    routes = OpenBolt(whole).routes
    assert len(routes) > 53
    assert {f"{route.method} {route.template}" for route in routes} <= ROUTE_POLICIES.keys()


async def test_the_application_limits_its_routes(dependencies: Dependencies) -> None:
    limiter = MemoryRateLimiter(ManualClock())
    limited = evolve(dependencies, limiter=limiter, accounting=limiter)
    call = Caller(OpenBolt(limited, Settings(rate_limits=("reads=2/60",))))
    answers = [await call("GET", "/api/chats") for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[1].headers.get("ratelimit") == '"reads";r=0;t=60'
    assert (await call("GET", "/api/chats", user="bob")).status == 200
    assert answers[2].error == (429, "rate_limited", None)
    assert answers[2].headers.get("x-content-type-options") == "nosniff"
