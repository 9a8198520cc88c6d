"""The real time and real randomness, for whoever puts an application together.

Law: nothing else in the core asks the system for either; it is handed a `Clock` and a
`TokenSource`, so that a test can tell it the time.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from base64 import b32encode

__all__ = ["SystemClock", "SystemTokens"]


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
        return b32encode(secrets.token_bytes(size)).decode("ascii").rstrip("=").lower()
