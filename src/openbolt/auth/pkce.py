"""Proof Key for Code Exchange (RFC 7636): who redeems a code has to be who asked for it.

Law: ``S256`` only. The verifier never leaves the server before the code is redeemed.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from hashlib import sha256

__all__ = ["METHOD", "challenge_of"]

METHOD = "S256"

_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


def challenge_of(verifier: str, /) -> str:
    """The ``code_challenge`` of a verifier: base64url of its SHA-256, 43 characters.

    Raises:
        ValueError: It isn't 43 to 128 unreserved characters (RFC 7636, 4.1).
    """
    if not _VERIFIER.fullmatch(verifier):
        raise ValueError("A code verifier is 43 to 128 of A-Z a-z 0-9 - . _ ~.")
    return urlsafe_b64encode(sha256(verifier.encode("ascii")).digest()).rstrip(b"=").decode()
