"""The real time and real randomness, for whoever puts an application together.

Law: nothing else in the core asks the system for either; it is handed a `Clock` and a
`TokenSource`, so that a test can tell it the time.
"""

from __future__ import annotations

import asyncio
import secrets
import time

__all__ = ["SystemClock", "SystemTokens"]

# Each random byte gives one digit of five bits: one pass in C, where base32 is a loop in Python.
_DIGITS = b"abcdefghijklmnopqrstuvwxyz234567" * 8


class SystemClock:
    """A `Clock` that reads the system's."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never run backwards."""
        return time.monotonic()

    async def sleep(self, seconds: float, /) -> None:
        """Wait; at least for one turn of the event loop."""
        await asyncio.sleep(seconds)


class SystemTokens:
    """A `TokenSource` of cryptographic quality (``secrets``; in a Worker, WebCrypto below it)."""

    def token(self, size: int = 16, /) -> str:
        """``size`` random bytes as lower-case base32 without padding."""
        return secrets.token_bytes((size * 8 + 4) // 5).translate(_DIGITS).decode("ascii")
