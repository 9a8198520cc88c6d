"""Edits that take out what several attacks are stopped by."""

from __future__ import annotations

from tests.security.attacks_rows import Edit

__all__ = [
    "ANYBODYS",
    "ANY_HOST",
    "NO_TAG",
    "ROUTES_TAKE_ALL_KEYS",
    "STORED_AS_IT_IS",
    "WRITES_FROM_ANYWHERE",
]

TOKENS = "openbolt/auth/tokens.py"
ORIGINS = "openbolt/origins.py"
AES = "openbolt_local/crypto.py"
ACCESS = "openbolt/access.py"

ANY_HOST = Edit(
    ORIGINS,
    "if len(host) > _LONGEST_AUTHORITY or not is_known(host, request.scheme):",
    "if False:",
)
WRITES_FROM_ANYWHERE = Edit(
    ORIGINS,
    "if request.method not in _SAFE_METHODS and not _is_own_write(request, writer):",
    "if False:",
)
# AES-CTR, which is GCM without its tag.
NO_TAG = Edit(
    AES,
    "            return AESGCM(key).decrypt(nonce, sealed, data)\n",
    "            from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes\n"
    '            counter = modes.CTR(nonce + b"\\0\\0\\0\\2")\n'
    "            return Cipher(algorithms.AES(key), counter).decryptor().update(sealed[:-16])\n",
)
STORED_AS_IT_IS = Edit(
    TOKENS, 'return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()', "return secret"
)
ANYBODYS = Edit(
    ACCESS,
    "return principal is not None and principal.user_id == resource.owner",
    "return principal is not None",
)
ROUTES_TAKE_ALL_KEYS = Edit(ACCESS, "if held is not None and self.scope not in held:", "if False:")
