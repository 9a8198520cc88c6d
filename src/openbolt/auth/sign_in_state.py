"""A sign-in on its way: what has to be known again when the browser comes back from the provider.

Law: it lies with the browser that began it and nowhere else, encrypted, for ``sign_in_ttl`` at
most. So a callback is worth nothing in any other browser, for any other provider, or later; it
works where the store has no atomic operation; and where it has, the same callback works once.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

from attrs import asdict, field, frozen

from openbolt.auth.identity import SignInAttempt
from openbolt.auth.tokens import hash_of
from openbolt.errors import InvalidRequestError, StateMismatchError
from openbolt.jsons import json_bytes, parse_json
from openbolt.protocols import AtomicKeyValueStore, Cipher, Clock, TokenSource
from openbolt.settings import Settings

__all__ = ["PendingSignIn", "SignInAttempts"]

_CONTEXT = b"openbolt sign-in"
_SECRET_BYTES = 32


@frozen
class PendingSignIn:
    """An attempt, and where the person was.

    Attributes:
        return_to: A path on our own origin (`openbolt.auth.redirects.safe_return_to`).
        expires_at: Seconds since the epoch.
    """

    attempt: SignInAttempt = field(repr=False)
    return_to: str
    expires_at: float


@frozen
class SignInAttempts:
    """Begins attempts, and takes up those that come back.

    Attributes:
        atomic: None where the store has no atomic operation: then that a callback works once rests
            on the cookie, which is deleted, and on the provider, whose codes work once.
    """

    cipher: Cipher
    clock: Clock
    tokens: TokenSource
    settings: Settings
    atomic: AtomicKeyValueStore | None = None

    async def begin(
        self, provider: str, /, *, redirect_uri: str, return_to: str
    ) -> tuple[SignInAttempt, str]:
        """A new attempt, and the value of the cookie that it lies in."""
        attempt = SignInAttempt(
            provider,
            state=self.tokens.token(_SECRET_BYTES),
            verifier=self.tokens.token(_SECRET_BYTES),
            nonce=self.tokens.token(_SECRET_BYTES),
            redirect_uri=redirect_uri,
        )
        expires_at = self.clock.now() + self.settings.sign_in_ttl
        said = {**asdict(attempt), "return_to": return_to, "expires_at": expires_at}
        sealed = await self.cipher.encrypt(json_bytes(said), context=_CONTEXT)
        return attempt, urlsafe_b64encode(sealed).rstrip(b"=").decode()

    async def resume(self, cookie: str | None, /, *, provider: str, state: str) -> PendingSignIn:
        """The attempt that a callback belongs to; with ``atomic``, this once.

        Args:
            cookie: What this browser brought along.
            provider: Whose callback was called.
            state: What the callback says.

        Raises:
            StateMismatchError: This browser began no such attempt; with the code
                ``sign_in_expired``, it took too long.
        """
        pending = None if cookie is None else await self._opened(cookie)
        if pending is None or pending.attempt.provider != provider:
            raise _mismatch()
        begun = pending.attempt.state.encode()
        if not hmac.compare_digest(begun, state.encode("utf-8", "surrogatepass")):
            raise _mismatch()
        if pending.expires_at <= self.clock.now():
            raise StateMismatchError(
                "This sign-in took too long. Sign in again.", code="sign_in_expired"
            )
        await self._spend(state)
        return pending

    async def _opened(self, cookie: str) -> PendingSignIn | None:
        try:
            sealed = urlsafe_b64decode(cookie + "=" * (-len(cookie) % 4))
            raw = await self.cipher.decrypt(sealed, context=_CONTEXT)
        except (ValueError, InvalidRequestError):
            return None
        said: dict[str, Any] = parse_json(raw)
        return_to, expires_at = said.pop("return_to"), said.pop("expires_at")
        return PendingSignIn(SignInAttempt(**said), return_to, expires_at)

    async def _spend(self, state: str) -> None:
        if self.atomic is None:
            return
        ttl = max(self.settings.sign_in_ttl, self.atomic.limits.min_ttl)
        if not await self.atomic.add(f"sign-in:{hash_of(state)}/spent", b"", ttl=ttl):
            raise _mismatch()


def _mismatch() -> StateMismatchError:
    # One answer for all: it doesn't say what was right about an attempt.
    return StateMismatchError("This sign-in was not begun in this browser. Sign in again.")
