"""A hurdle for whoever isn't signed in: a guard for routes that anybody may ask.

Laws: nothing is let through that wasn't verified, also when the verifier is down. A response counts
once where something can remember that, and for a short time everywhere.

A page proves itself in the header field ``X-Challenge-Response``, which no other site's page can
set without being asked first.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
import re
from collections.abc import Iterable
from typing import Any, Protocol, cast

from attrs import field, frozen

from openbolt.auth.identity import Exchange, perform
from openbolt.bodies import iso_time, json_response
from openbolt.errors import ConfigurationError, ForbiddenError, UpstreamError
from openbolt.hidden import Hidden
from openbolt.http import Handler, Headers, Request, Response
from openbolt.jsons import json_bytes, json_text, parse_json
from openbolt.protocols import (
    AtomicKeyValueStore,
    Clock,
    HttpSender,
    OutboundRequest,
    Timeouts,
    TokenSource,
)

__all__ = [
    "CHALLENGE_RESPONSE",
    "Challenge",
    "ChallengeRequiredError",
    "IssuePuzzle",
    "ProofOfWork",
    "Turnstile",
    "challenged",
    "siteverify",
]

CHALLENGE_RESPONSE = "x-challenge-response"
SITEVERIFY = "https://challenges.cloudflare.com/turnstile/v0/siteverify"

_TURNSTILE_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{1,2048}")  # Cloudflare gives 2,048 at most
_TIMEOUTS = Timeouts(connect=5.0, first_byte=10.0, idle=10.0)
_PURPOSE = re.compile(r"[a-z0-9-]{1,32}")
_SOLUTION = re.compile(
    r"(?P<puzzle>(?P<body>1\.(?P<expires>[0-9]{1,12})\.(?P<bits>[0-9]{1,2})\.[a-z2-7]{26})"
    r"\.(?P<mac>[a-z2-7]{52}))\.(?P<counter>[0-9]{1,20})"
)


class ChallengeRequiredError(ForbiddenError):
    """The request brought no response to the challenge, or not a good one: get a new one."""

    code = "challenge_required"


class Challenge(Protocol):
    """Tells people and patient programs from floods."""

    async def verify(self, request: Request, /) -> bool:
        """Whether the request brought a good response; a response that counts once is spent.

        Raises:
            UpstreamError: Whoever verifies can't be asked.
        """
        ...


def challenged(handler: Handler, challenge: Challenge, /) -> Handler:
    """Let in who is known, and others who meet the challenge.

    Behind `openbolt.access.with_optional_principal`, as an application's ``public_routes`` are; and
    behind a rate limit, since verifying costs.

    Raises:
        ChallengeRequiredError: When called: they don't.
    """

    async def guarded(request: Request, /) -> Response:
        if request.context.principal is None and not await challenge.verify(request):
            raise ChallengeRequiredError("Meet the challenge first, and send its response along.")
        return await handler(request)

    return guarded


def _response_of(request: Request) -> str | None:
    given = request.headers.get_all(CHALLENGE_RESPONSE)
    return given[0] if len(given) == 1 else None


def _names(names: Iterable[str]) -> frozenset[str]:
    return frozenset(names)


@frozen
class Turnstile:
    """Cloudflare Turnstile. A token counts once, for five minutes; Cloudflare sees to both.

    Args:
        secret: The widget's secret key.
        hostnames: Where the widget may have been solved; a token from elsewhere is refused.
        action: The widget's action, where it has one: a token for another is refused.
        url: Cloudflare's siteverify, or a stand-in's.

    Raises:
        ConfigurationError: No secret, or no host names.
    """

    sender: HttpSender = field(repr=False)
    secret: Hidden = field(converter=Hidden)
    hostnames: frozenset[str] = field(converter=_names)
    action: str | None = None
    url: str = SITEVERIFY

    def __attrs_post_init__(self) -> None:
        if not self.secret or not self.hostnames:
            raise ConfigurationError("Turnstile needs its secret key and the page's host names.")

    async def verify(self, request: Request, /) -> bool:
        """See `Challenge.verify`."""
        token = _response_of(request)
        if token is None or not _TURNSTILE_TOKEN.fullmatch(token):
            return False
        said = await perform(siteverify(self.url, self.secret, token), self.sender)
        return (
            said["success"] is True
            and str(said.get("hostname")) in self.hostnames
            and (self.action is None or said.get("action") == self.action)
        )


def siteverify(url: str, secret: Hidden, token: str, /) -> Exchange[dict[str, Any]]:
    """Ask Turnstile about a token; what it says.

    Raises:
        UpstreamError: It doesn't answer the question.
        ConfigurationError: It doesn't know the secret.
    """
    body = json_bytes({"secret": secret.reveal(), "response": token})
    headers = Headers.of({"content-type": "application/json", "accept": "application/json"})
    answer = yield OutboundRequest("POST", url, headers, body, _TIMEOUTS)
    said = _object(answer.body)
    if not isinstance(said.get("success"), bool):
        raise UpstreamError("Turnstile doesn't answer.", detail=f"status {answer.status}")
    codes = json_text(said.get("error-codes"))
    if "-input-secret" in codes:
        raise ConfigurationError("Turnstile doesn't know the secret key that it was given.")
    if "internal-error" in codes:
        raise UpstreamError("Turnstile doesn't answer.", detail="internal-error")
    return said


def _object(body: bytes) -> dict[str, Any]:
    try:
        said: Any = parse_json(body)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", said) if isinstance(said, dict) else {}


@frozen
class ProofOfWork:
    """A puzzle that costs a page some seconds and a flood its profit; nothing is asked elsewhere.

    A puzzle is ``1.EXPIRES.BITS.NONCE.MAC``, signed, so that none is kept. Its response is
    ``PUZZLE.COUNTER`` with the SHA-256 of those characters starting with so many zero bits.

    Args:
        key: Signs puzzles; 16 characters or more, the same in all processes.
        atomic: Remembers responses, so that each counts once; None: it counts until the puzzle
            expires.
        bits: 18 take a browser about a second, each one more twice as long.
        ttl: Seconds to solve it in.
        purpose: Puzzles for one purpose are worth nothing for another.

    Raises:
        ConfigurationError: One of these is out of bounds.
    """

    key: Hidden = field(converter=Hidden)
    clock: Clock = field(repr=False)
    tokens: TokenSource = field(repr=False)
    atomic: AtomicKeyValueStore | None = field(default=None, repr=False)
    bits: int = 18
    ttl: float = 300.0
    purpose: str = "visit"

    def __attrs_post_init__(self) -> None:
        if len(self.key.reveal()) < 16:
            raise ConfigurationError("A proof of work needs a key of 16 characters or more.")
        if not 0 < self.bits < 64 or not 1 <= self.ttl <= 86_400:
            raise ConfigurationError("A proof of work takes 1 to 63 bits, and a day at most.")
        if not _PURPOSE.fullmatch(self.purpose):
            raise ConfigurationError("A purpose is 1 to 32 of a-z, 0-9 and -.")

    def puzzle(self) -> str:
        """A new puzzle."""
        expires = math.ceil(self.clock.now() + self.ttl)
        body = f"1.{expires}.{self.bits}.{self.tokens.token(16)}"
        return f"{body}.{self._mac(body)}"

    async def verify(self, request: Request, /) -> bool:
        """See `Challenge.verify`."""
        response = _response_of(request)
        found = _SOLUTION.fullmatch(response or "")
        if response is None or found is None:
            return False
        now, expires = self.clock.now(), int(found["expires"])
        if not hmac.compare_digest(found["mac"], self._mac(found["body"])):
            return False
        if now >= expires or int(found["bits"]) < self.bits:
            return False
        return _zero_bits(response) >= self.bits and await self._spend(found["puzzle"], expires)

    async def _spend(self, puzzle: str, expires: int) -> bool:
        if self.atomic is None:
            return True
        # By the puzzle: it has many solutions, and the second is as cheap as the first was dear.
        name = f"challenge:{hashlib.sha256(puzzle.encode()).hexdigest()}/spent"
        ttl = max(expires - self.clock.now() + 1, self.atomic.limits.min_ttl)
        return await self.atomic.add(name, b"", ttl=ttl)

    def _mac(self, body: str) -> str:
        signed = f"openbolt puzzle\0{self.purpose}\0{body}".encode()
        digest = hmac.new(self.key.reveal().encode(), signed, hashlib.sha256).digest()
        return base64.b32encode(digest).decode().rstrip("=").lower()


def _zero_bits(text: str) -> int:
    digest = hashlib.sha256(text.encode()).digest()
    return 256 - int.from_bytes(digest, "big").bit_length()


@frozen
class IssuePuzzle:
    """``GET``: ``{"puzzle", "bits", "algorithm": "sha-256", "expiresAt"}``, for anybody."""

    challenge: ProofOfWork

    async def __call__(self, request: Request, /) -> Response:  # noqa: ARG002
        """Give a puzzle."""
        puzzle = self.challenge.puzzle()
        return json_response(
            {
                "puzzle": puzzle,
                "bits": self.challenge.bits,
                "algorithm": "sha-256",
                "expiresAt": iso_time(float(puzzle.split(".")[1])),
            }
        )
