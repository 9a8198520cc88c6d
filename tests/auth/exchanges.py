"""Exchanges driven by hand: what they ask is looked at, what they are answered is written down."""

from __future__ import annotations

import json as jsons
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

from openbolt.auth.identity import Answer, Exchange, SignInAttempt
from openbolt.http import Headers
from openbolt.protocols import OutboundRequest

T = TypeVar("T")

NOW = 1_700_000_000.0


def attempt(provider: str = "github", **changes: str) -> SignInAttempt:
    """An attempt whose every value differs."""
    values = {
        "state": "state-1",
        "verifier": "v" * 52,
        "nonce": "nonce-1",
        "redirect_uri": f"https://app.example/api/auth/{provider}/callback",
        **changes,
    }
    return SignInAttempt(provider, **values)


def answer(
    json: object = None,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    *,
    body: bytes | None = None,
) -> Answer:
    """What the other side says."""
    content = jsons.dumps(json).encode() if body is None else body
    return Answer(status, Headers.of(headers or {}), content)


def talk(exchange: Exchange[T], *answers: Answer | Exception) -> tuple[T, list[OutboundRequest]]:
    """Answer each request in turn; what the exchange ends with, and what it asked.

    Every answer has to be asked for, and no request may go without one.
    """
    asked: list[OutboundRequest] = []
    left = list(answers)
    try:
        request = next(exchange)
        while True:
            asked.append(request)
            assert left, f"nothing is written down for {request.method} {request.url}"
            said = left.pop(0)
            failed = isinstance(said, Exception)
            request = exchange.throw(said) if failed else exchange.send(said)
    except StopIteration as end:
        assert not left, f"{len(left)} answers were never asked for"
        return end.value, asked
    finally:
        exchange.close()


def query_of(url: str) -> dict[str, str]:
    """The parameters of a URL, each of which stands there once."""
    pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def form_of(request: OutboundRequest) -> dict[str, str]:
    """The fields of a form that is posted."""
    assert request.method == "POST"
    assert request.headers.get("content-type") == "application/x-www-form-urlencoded"
    assert isinstance(request.body, bytes)
    return dict(parse_qsl(request.body.decode("ascii"), keep_blank_values=True))


def json_of(request: OutboundRequest) -> Any:
    """The JSON that is sent."""
    assert isinstance(request.body, bytes)
    return jsons.loads(request.body)
