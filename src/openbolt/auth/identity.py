"""Who somebody is elsewhere: what a sign-in is made of, and the protocol of whoever vouches for it.

Law: a provider does no I/O. It is a generator that yields the requests it needs and is sent their
answers (`Exchange`); `perform` drives one over any `HttpSender`, on a server or in a Worker.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, Protocol, TypeVar

from attrs import field, frozen

from openbolt.errors import UnauthenticatedError, UpstreamError
from openbolt.http import Headers
from openbolt.jsons import parse_json
from openbolt.protocols import HttpSender, OutboundRequest, OutboundResponse

__all__ = [
    "Answer",
    "Exchange",
    "Grant",
    "Identity",
    "IdentityProvider",
    "SignInAttempt",
    "SignInRefusedError",
    "SignedIn",
    "perform",
]

T = TypeVar("T")

MAX_ANSWER_BYTES = 1024 * 1024
"""An identity provider's answers are a few kilobytes; a key set with many keys stays below this."""


class SignInRefusedError(UnauthenticatedError):
    """The person declined, or the provider takes a code or token for worthless.

    ``code`` says which: ``sign_in_declined``, ``sign_in_refused``, ``email_unverified``.
    """

    code = "sign_in_refused"

    def __init__(
        self, public_message: str, /, *, code: str | None = None, detail: str | None = None
    ) -> None:
        super().__init__(public_message)
        self.detail = detail
        if code is not None:
            self.code = code


@frozen
class Answer:
    """What another server answered, whole. Bodies may hold tokens, so they aren't shown."""

    status: int
    headers: Headers
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            UpstreamError: It isn't.
        """
        try:
            return parse_json(self.body)
        except (ValueError, RecursionError):
            raise UpstreamError(
                "The identity provider answered with something that isn't JSON.",
                status=self.status,
            ) from None


Exchange = Generator[OutboundRequest, Answer, T]
"""Requests out, answers in, a value at the end."""


@frozen
class SignInAttempt:
    """One try at signing in, from the redirect out to the redirect back.

    Attributes:
        state: 128 random bits or more; ties the way back to the way out.
        verifier: Of PKCE (RFC 7636), 43 to 128 characters; the challenge is its S256.
        nonce: Ties an ID token to this attempt (OpenID Connect).
        redirect_uri: Exactly the same on the way out and when the code is redeemed.
    """

    provider: str
    state: str = field(repr=False)
    verifier: str = field(repr=False)
    nonce: str = field(repr=False)
    redirect_uri: str = ""


@frozen
class Identity:
    """What a provider says of somebody.

    Attributes:
        provider: The provider's id, as ``github``.
        subject: Theirs for ever among all whom this provider vouches for, whatever they rename:
            1 to 90 of ``A-Z a-z 0-9 . _ -``. With ``provider`` it makes their user id.
        login: Their name there, if nobody else can have it at the same time; else empty. People
            are let in by it.
        name: For people to read; says nothing of who somebody is.
        email: Only of use where ``email_verified``.
        organizations: Names in lower case; empty unless the provider was asked for them.
    """

    provider: str
    subject: str
    login: str = ""
    name: str = ""
    email: str = ""
    email_verified: bool = False
    avatar_url: str = ""
    organizations: tuple[str, ...] = ()


@frozen
class Grant:
    """A provider's tokens. Times in seconds since the epoch; None: no expiry was told."""

    access_token: str = field(repr=False)
    expires_at: float | None = None
    refresh_token: str | None = field(default=None, repr=False)
    refresh_expires_at: float | None = None
    scopes: tuple[str, ...] = ()


@frozen
class SignedIn:
    """The end of a sign-in at a provider."""

    identity: Identity
    grant: Grant


class IdentityProvider(Protocol):
    """Vouches for people: GitHub, or an OpenID Connect issuer."""

    @property
    def id(self) -> str:
        """In URLs and user ids: 1 to 32 lower-case letters and digits. Never change it."""
        ...

    @property
    def name(self) -> str:
        """For people to read, as in "Sign in with ..."."""
        ...

    def begin(self, attempt: SignInAttempt, /) -> Exchange[str]:
        """The URL to send the browser to."""
        ...

    def finish(
        self, attempt: SignInAttempt, callback: Mapping[str, str], /, *, now: float
    ) -> Exchange[SignedIn]:
        """Redeem what the browser came back with.

        Args:
            callback: The callback's query parameters; ``state`` has been compared already.
            now: Seconds since the epoch.

        Raises:
            UnauthenticatedError: The person declined, or the provider refused the code.
            UpstreamError: The provider failed.
        """
        ...

    def refresh(self, grant: Grant, /, *, now: float) -> Exchange[Grant]:
        """New tokens for old; `UnauthenticatedError` if they can't be had any more."""
        ...

    def revoke(self, grant: Grant, /) -> Exchange[None]:
        """Make the tokens worthless; no error where they already are."""
        ...


async def perform(exchange: Exchange[T], sender: HttpSender, /) -> T:
    """Drive an exchange to its end.

    Raises:
        UpstreamError: A request failed (thrown into the exchange first, which may handle it), or
            an answer is over `MAX_ANSWER_BYTES`.
    """
    try:
        request = next(exchange)
        while True:
            try:
                async with sender.send(request) as response:
                    answer = await _whole(response)
            except UpstreamError as exc:
                request = exchange.throw(exc)
            else:
                request = exchange.send(answer)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    finally:
        exchange.close()


async def _whole(response: OutboundResponse) -> Answer:
    parts: list[bytes] = []
    size = 0
    async for chunk in response.body:
        size += len(chunk)
        if size > MAX_ANSWER_BYTES:
            raise UpstreamError("The identity provider's answer is too large.")
        parts.append(chunk)
    return Answer(response.status, response.headers, b"".join(parts))
