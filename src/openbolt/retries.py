"""How long to wait before trying again.

Law: full jitter: a random time up to a bound that doubles with each attempt, so that many clients
of a server that comes back don't come back in step.
(Source: M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.)
"""

from __future__ import annotations

from base64 import b32decode

from openbolt.protocols import TokenSource

__all__ = ["full_jitter"]

_BASE = 0.5
_CAP = 8.0


def full_jitter(tokens: TokenSource, attempt: int, /) -> float:
    """Seconds to wait before attempt ``attempt`` + 1 (attempts count from 1): at most 8."""
    bound = min(_CAP, _BASE * 2.0 ** (attempt - 1))
    drawn = int.from_bytes(b32decode(tokens.token(5).upper()), "big")
    return bound * drawn / 2**40
