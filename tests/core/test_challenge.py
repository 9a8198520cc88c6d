"""Challenges: what isn't verified isn't let in, and what was counts once."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbolt.challenge import (
    Challenge,
    ChallengeRequiredError,
    IssuePuzzle,
    ProofOfWork,
    Turnstile,
    challenged,
)
from openbolt.errors import ConfigurationError, UpstreamError
from openbolt.http import EMPTY_BODY, Headers, Principal, Request, RequestContext, Response
from openbolt.lifetime import Work
from openbolt.senders.aiohttp import AiohttpSender
from openbolt.testing import ManualClock, SequenceTokens
from openbolt.testing.scripted import Exchange, ScriptedServer
from openbolt_local.memory import MemoryKeyValueStore

NOW = 1_700_000_000.0
KEY = "a key that only servers know"


def request_with(*responses: str, principal: Principal | None = None) -> Request:
    return Request(
        "POST",
        "/api/try",
        Headers([("x-challenge-response", response) for response in responses]),
        EMPTY_BODY,
        RequestContext(spawn=Work().spawn, principal=principal),
    )


def solved(puzzle: str, bits: int, *, start: int = 0) -> str:
    """As a page solves it."""
    counter = start
    while True:
        response = f"{puzzle}.{counter}"
        digest = hashlib.sha256(response.encode()).digest()
        if int.from_bytes(digest, "big") >> (256 - bits) == 0:
            return response
        counter += 1


def unsolved(puzzle: str, bits: int) -> str:
    counter = 0
    while solved(f"{puzzle}", bits, start=counter) == f"{puzzle}.{counter}":
        counter += 1
    return f"{puzzle}.{counter}"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


def work(clock: ManualClock, *, remembers: bool = True, **choices: Any) -> ProofOfWork:
    atomic = MemoryKeyValueStore(clock) if remembers else None
    choices = {"bits": 8, **choices}
    return ProofOfWork(choices.pop("key", KEY), clock, SequenceTokens(), atomic, **choices)


# The guard


class Says:
    def __init__(self, verdict: bool | Exception) -> None:
        self.verdict = verdict
        self.asked = 0

    async def verify(self, request: Request, /) -> bool:
        self.asked += 1
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict


def guarded(challenge: Challenge) -> Any:
    async def handler(request: Request, /) -> Response:
        return Response(204)

    return challenged(handler, challenge)


async def test_who_meets_the_challenge_is_let_in() -> None:
    assert (await guarded(Says(True))(request_with())).status == 204


async def test_who_does_not_is_told_so() -> None:
    with pytest.raises(ChallengeRequiredError) as caught:
        await guarded(Says(False))(request_with())
    assert (caught.value.status_hint, caught.value.code) == (403, "challenge_required")


async def test_a_verifier_that_is_down_lets_nobody_in() -> None:
    with pytest.raises(UpstreamError):
        await guarded(Says(UpstreamError("down")))(request_with())


async def test_who_is_known_is_not_asked() -> None:
    challenge = Says(False)
    response = await guarded(challenge)(request_with(principal=Principal("ann")))
    assert (response.status, challenge.asked) == (204, 0)


# Proof of work


async def test_a_solved_puzzle_counts_once(clock: ManualClock) -> None:
    challenge = work(clock)
    response = solved(challenge.puzzle(), 8)
    assert [await challenge.verify(request_with(response)) for _ in range(2)] == [True, False]


async def test_a_second_solution_of_a_spent_puzzle_is_worth_nothing(clock: ManualClock) -> None:
    challenge = work(clock)
    puzzle = challenge.puzzle()
    first = solved(puzzle, 8)
    second = solved(puzzle, 8, start=int(first.rpartition(".")[2]) + 1)
    assert await challenge.verify(request_with(first))
    assert not await challenge.verify(request_with(second))


async def test_of_many_at_once_one_is_let_in(clock: ManualClock) -> None:
    challenge = work(clock)
    response = solved(challenge.puzzle(), 8)
    said = await asyncio.gather(*[challenge.verify(request_with(response)) for _ in range(20)])
    assert sum(said) == 1


async def test_where_nothing_remembers_it_counts_until_it_expires(clock: ManualClock) -> None:
    challenge = work(clock, remembers=False, ttl=60)
    response = solved(challenge.puzzle(), 8)
    assert await challenge.verify(request_with(response))
    clock.advance(59)
    assert await challenge.verify(request_with(response))
    clock.advance(1)
    assert not await challenge.verify(request_with(response))


async def test_a_spent_puzzle_is_remembered_for_as_long_as_it_counts(clock: ManualClock) -> None:
    challenge = work(clock, ttl=60)
    response = solved(challenge.puzzle(), 8)
    assert await challenge.verify(request_with(response))
    for _ in range(6):
        clock.advance(10.1)
        assert not await challenge.verify(request_with(response))


async def test_a_puzzle_that_is_not_solved_is_worth_nothing_and_not_spent(
    clock: ManualClock,
) -> None:
    challenge = work(clock)
    puzzle = challenge.puzzle()
    assert not await challenge.verify(request_with(unsolved(puzzle, 8)))
    assert not await challenge.verify(request_with(puzzle))
    assert await challenge.verify(request_with(solved(puzzle, 8)))


async def test_a_puzzle_of_others_is_worth_nothing(clock: ManualClock) -> None:
    for other in (
        work(clock, key="another key of theirs"),
        work(clock, purpose="another"),
        work(clock, bits=7),
    ):
        response = solved(other.puzzle(), 8)
        assert not await work(clock).verify(request_with(response))


async def test_a_harder_puzzle_is_taken_after_the_bits_were_lowered(clock: ManualClock) -> None:
    response = solved(work(clock, bits=9).puzzle(), 9)
    assert await work(clock, bits=8).verify(request_with(response))


@given(st.data())
def test_no_part_of_a_puzzle_can_be_changed(data: st.DataObject) -> None:
    clock = ManualClock(NOW)
    challenge = work(clock, remembers=False, bits=1)
    puzzle = challenge.puzzle()
    at = data.draw(st.integers(0, len(puzzle) - 1))
    letter = data.draw(st.characters(codec="ascii", categories=("L", "N", "P")))
    changed = puzzle[:at] + letter + puzzle[at + 1 :]
    is_good = asyncio.run(challenge.verify(request_with(solved(changed, 1))))
    assert is_good == (changed == puzzle)


@given(st.text(max_size=200))
def test_no_text_is_an_error(text: str) -> None:
    challenge = work(ManualClock(NOW))
    assert asyncio.run(challenge.verify(request_with(text))) is False


async def test_none_and_two_responses_are_no_response(clock: ManualClock) -> None:
    challenge = work(clock)
    response = solved(challenge.puzzle(), 8)
    assert not await challenge.verify(request_with())
    assert not await challenge.verify(request_with(response, response))
    assert await challenge.verify(request_with(response))


async def test_a_puzzle_is_given_with_what_solving_it_takes(clock: ManualClock) -> None:
    challenge = work(clock, ttl=60)
    response = await IssuePuzzle(challenge)(request_with())
    assert isinstance(response.body, bytes)
    said = json.loads(response.body)
    assert said.pop("puzzle") == work(clock, ttl=60).puzzle()
    assert said == {"bits": 8, "algorithm": "sha-256", "expiresAt": "2023-11-14T22:14:20.000Z"}
    assert response.headers.get("cache-control") == "no-store"


@pytest.mark.parametrize(
    "choices",
    [{"key": "short"}, {"bits": 0}, {"bits": 64}, {"ttl": 0}, {"ttl": 90_000}, {"purpose": "A b"}],
    ids=str,
)
def test_what_cannot_work_is_told_at_the_start(clock: ManualClock, choices: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        work(clock, **choices)


def test_keys_are_not_shown(clock: ManualClock) -> None:
    turnstile = Turnstile(AiohttpSender(), "a turnstile secret", {"app.example"})
    assert KEY not in repr(work(clock))
    assert "a turnstile secret" not in repr(turnstile)


# Turnstile


@pytest.fixture
def turnstile(upstream: ScriptedServer, sender: AiohttpSender) -> Turnstile:
    url = upstream.url("/turnstile/v0/siteverify")
    return Turnstile(sender, "secret", {"app.example"}, action="try", url=url)


def saying(
    server: ScriptedServer, status: int = 200, body: bytes | None = None, **said: Any
) -> list[Any]:
    asked: list[Any] = []

    async def script(exchange: Exchange) -> None:
        asked.append(json.loads(await exchange.read_all()))
        await exchange.answer(status, {}, json.dumps(said).encode() if body is None else body)

    server.script = script
    return asked


GOOD = {"success": True, "hostname": "app.example", "action": "try", "error-codes": []}


async def test_a_token_that_cloudflare_vouches_for_is_good(
    upstream: ScriptedServer, turnstile: Turnstile
) -> None:
    asked = saying(upstream, **GOOD)
    assert await turnstile.verify(request_with("0.token-1"))
    assert asked == [{"secret": "secret", "response": "0.token-1"}]
    exchange = upstream.exchanges[0]
    assert (exchange.method, exchange.target) == ("POST", "/turnstile/v0/siteverify")
    assert exchange.headers.get("content-type") == "application/json"


@pytest.mark.parametrize(
    "changes",
    [
        {"success": False, "error-codes": ["timeout-or-duplicate"]},
        {"success": False, "error-codes": ["invalid-input-response"]},
        {"hostname": "evil.example"},
        {"hostname": None},
        {"hostname": ["app.example"]},
        {"hostname": "app.example.evil.example"},
        {"action": "other"},
        {"action": ""},
    ],
    ids=str,
)
async def test_a_token_that_it_does_not_vouch_for_here_is_not(
    upstream: ScriptedServer, turnstile: Turnstile, changes: dict[str, Any]
) -> None:
    saying(upstream, **{**GOOD, **changes})
    assert await turnstile.verify(request_with("0.token")) is False


@pytest.mark.parametrize("token", ["", "x" * 2049, "a b", 'a"b', "ä"])
async def test_what_is_no_token_is_not_asked_about(
    upstream: ScriptedServer, turnstile: Turnstile, token: str
) -> None:
    assert not await turnstile.verify(request_with(token))
    assert upstream.exchanges == []


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b"oops"),
        (200, b"[]"),
        (200, b'{"success": "true"}'),
        (200, b'{"success": false, "error-codes": ["internal-error"]}'),
        (200, b"[" * 100_000),
    ],
    ids=["500", "array", "text", "internal", "deep"],
)
async def test_a_cloudflare_that_does_not_answer_is_an_upstream_error(
    upstream: ScriptedServer, turnstile: Turnstile, status: int, body: bytes
) -> None:
    saying(upstream, status, body)
    with pytest.raises(UpstreamError) as caught:
        await turnstile.verify(request_with("0.token"))
    assert "token" not in str(caught.value)


async def test_a_wrong_secret_is_the_operators_to_mend(
    upstream: ScriptedServer, turnstile: Turnstile
) -> None:
    saying(upstream, success=False, **{"error-codes": ["invalid-input-secret"]})
    with pytest.raises(ConfigurationError):
        await turnstile.verify(request_with("0.token"))


@pytest.mark.parametrize(("secret", "hostnames"), [("", {"app.example"}), ("secret", set[str]())])
def test_a_turnstile_that_would_let_everybody_in_is_not_made(
    secret: str, hostnames: set[str]
) -> None:
    with pytest.raises(ConfigurationError):
        Turnstile(AiohttpSender(), secret, hostnames)
