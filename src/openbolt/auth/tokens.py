"""Opaque credentials: the ids of sessions, and the keys of programs.

Law: a credential has 256 random bits and is known by its hash alone; what isn't exactly of its form
is refused without being looked up. Nothing here is decoded, so no two texts are one credential.
"""

from __future__ import annotations

import re
from hashlib import sha256
from zlib import crc32

from openbolt.protocols import TokenSource

__all__ = [
    "API_KEY_PREFIX",
    "api_key_hash",
    "hash_of",
    "new_api_key",
    "new_session_token",
    "session_hash",
]

API_KEY_PREFIX = "obk_"

_BYTES = 32
_SESSION = re.compile(r"[a-z2-7]{52}")
_API_KEY = re.compile(r"(obk_[a-z2-7]{52})_([a-z2-7]{6})")
_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
_CHECKSUM_CHARS = 6


def hash_of(secret: str, /) -> str:
    """How a credential is stored: its SHA-256 in hexadecimal.

    Unsalted and fast on purpose: 256 random bits can't be guessed from it.
    """
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def new_session_token(tokens: TokenSource, /) -> str:
    """A session's secret id: 52 characters of base32."""
    return tokens.token(_BYTES)


def session_hash(text: str, /) -> str | None:
    """The hash of a session's secret id; None if the text can't be one."""
    return hash_of(text) if _SESSION.fullmatch(text) else None


def new_api_key(tokens: TokenSource, /) -> str:
    """A key: ``obk_``, 52 characters of base32, ``_`` and a checksum of 6."""
    body = f"{API_KEY_PREFIX}{tokens.token(_BYTES)}"
    return f"{body}_{_checksum(body)}"


def api_key_hash(text: str, /) -> str | None:
    """The hash of a key; None if the text can't be one, by its form or its checksum."""
    found = _API_KEY.fullmatch(text)
    if found is None or _checksum(found[1]) != found[2]:
        return None
    return hash_of(text)


def _checksum(body: str) -> str:
    """The low 30 bits of the CRC-32: they tell every change of one character, and any two that
    changed places. No secret: it finds slips and scanners' false alarms, not forgeries."""
    rest = crc32(body.encode("ascii"))
    return "".join(_BASE32[rest >> 5 * at & 31] for at in reversed(range(_CHECKSUM_CHARS)))
