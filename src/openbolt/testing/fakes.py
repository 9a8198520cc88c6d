"""Time, randomness and secrecy that a test tells.

Law: nothing happens here by itself. Time stands until it is advanced, and the n-th token is always
the same.
"""

from __future__ import annotations

import asyncio
import heapq
from base64 import b32encode
from collections.abc import Generator
from hashlib import sha256

from openbolt.errors import InvalidRequestError

__all__ = ["ManualClock", "PlainCipher", "SequenceTokens"]

_ROUNDS = 20


class ManualClock:
    """A `Clock` that stands still until `advance`.

    Args:
        start: Seconds since the epoch; by default some moment in 2023.
    """

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._start = start
        self._elapsed = 0.0
        self._order = 0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._start + self._elapsed

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        return self._elapsed

    async def sleep(self, seconds: float, /) -> None:
        """Wait until the clock was advanced by so much; for nothing, one turn of the loop."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        waiter = asyncio.get_running_loop().create_future()
        self._order += 1
        heapq.heappush(self._sleepers, (self._elapsed + seconds, self._order, waiter))
        await waiter

    @property
    def sleepers(self) -> int:
        """How many are asleep."""
        return sum(1 for _, _, waiter in self._sleepers if not waiter.done())

    def advance(self, seconds: float, /) -> Settled:
        """Move time on, at once, and wake whoever's time has come, earliest first.

        One leap: who sleeps again after waking does so from the new time. Await the result to let
        the woken run for some turns of the loop; not awaiting it is fine too.
        """
        if seconds < 0:
            raise ValueError("Time doesn't run backwards.")
        self._elapsed += seconds
        while self._sleepers and self._sleepers[0][0] <= self._elapsed:
            waiter = heapq.heappop(self._sleepers)[2]
            if not waiter.done():
                waiter.set_result(None)
        return Settled()


class Settled:
    """Awaitable: lets other tasks run for some turns of the loop."""

    def __await__(self) -> Generator[None, None, None]:
        for _ in range(_ROUNDS):
            yield


class SequenceTokens:
    """A `TokenSource` that counts: distinct, predictable, in the right alphabet and length."""

    def __init__(self, start: int = 1) -> None:
        self._next = start

    def token(self, size: int = 16, /) -> str:
        """The next number in ``size`` bytes (the low ones), in lower-case base32."""
        number = (self._next % 256**size).to_bytes(size, "big")
        self._next += 1
        return b32encode(number).decode("ascii").rstrip("=").lower()


class PlainCipher:
    """A `Cipher` that hides nothing, for tests that look at what is stored.

    It refuses what it didn't make, or made for another context, as a true one does.
    """

    async def encrypt(self, plaintext: bytes, /, *, context: bytes) -> bytes:
        """The plaintext behind a checksum."""
        return _checksum(plaintext, context) + plaintext

    async def decrypt(self, ciphertext: bytes, /, *, context: bytes) -> bytes:
        """Take the checksum off; `InvalidRequestError` if it is wrong."""
        plaintext = ciphertext[8:]
        if ciphertext[:8] != _checksum(plaintext, context):
            raise InvalidRequestError("This can't be decrypted.", code="undecryptable")
        return plaintext

    async def rewrap(self, ciphertext: bytes, /, *, context: bytes) -> bytes:
        """The same bytes, once they are checked: there is one key, and it is none."""
        await self.decrypt(ciphertext, context=context)
        return ciphertext


def _checksum(plaintext: bytes, context: bytes) -> bytes:
    return sha256(len(context).to_bytes(8, "big") + context + plaintext).digest()[:8]
