"""Sign thinking blocks, so that a client which alters or invents one is found out.

The law: a signature holds for exactly the thinking that it came with. The key is no secret and the
same in every mock, so that a stored chat still works after a restart.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

_KEY = b"openbolt-mock-thinking"


def sign(thinking: str) -> str:
    """The signature of a thinking block's text, in base64."""
    return base64.b64encode(hmac.digest(_KEY, thinking.encode(), hashlib.sha384)).decode()


def is_signed(thinking: str, signature: str) -> bool:
    """Whether `signature` was made for `thinking`, or for thinking that was left out (empty)."""
    return hmac.compare_digest(sign(thinking).encode(), signature.encode())
