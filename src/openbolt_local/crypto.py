"""Encryption of what is stored, with keys that can be changed while everything runs.

Law: a ciphertext names the key that made it (by an id that tells nothing of the key) and is bound
to its context; anything else than the very bytes that were made here is refused.

A ciphertext is ``0x01 | key id (8) | nonce (12) | AES-256-GCM ciphertext and tag (16)``. The
additional data is ``0x01 | key id | context``; the key id is the first 8 bytes of
``SHA-256("openbolt key id" | key)``.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Sequence
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from openbolt.errors import ConfigurationError, InvalidRequestError

__all__ = ["AesGcmCipher", "generate_key", "parse_key"]

_VERSION = b"\x01"
_ID_BYTES = 8
_NONCE_BYTES = 12
_TAG_BYTES = 16
_KEY_BYTES = 32
_HEADER_BYTES = len(_VERSION) + _ID_BYTES


class AesGcmCipher:
    """A `Cipher` by AES-256-GCM.

    Nonces are random: change the key before it has encrypted 2**32 values (NIST SP 800-38D, 8.3).

    Args:
        keys: As text, 32 bytes in base64 each (`generate_key`). The first encrypts, all decrypt.

    Raises:
        ConfigurationError: There is no key, or one isn't 32 bytes.
    """

    def __init__(self, keys: Sequence[str], /) -> None:
        if not keys:
            raise ConfigurationError(f"A secret key is needed. {_HOW}", setting="secret_keys")
        parsed = [parse_key(key) for key in keys]
        self._ciphers = {_key_id(key): AESGCM(key) for key in reversed(parsed)}
        self._first = _key_id(parsed[0])

    async def encrypt(self, plaintext: bytes, /, *, context: bytes) -> bytes:
        """Encrypt with the first key."""
        header = _VERSION + self._first
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[self._first].encrypt(nonce, plaintext, header + context)
        return header + nonce + sealed

    async def decrypt(self, ciphertext: bytes, /, *, context: bytes) -> bytes:
        """Decrypt with whichever key it names.

        Raises:
            InvalidRequestError: It wasn't made with one of these keys and this context.
        """
        header, rest = ciphertext[:_HEADER_BYTES], ciphertext[_HEADER_BYTES:]
        cipher = self._ciphers.get(header[len(_VERSION) :])
        if cipher is None or header[:1] != _VERSION or len(rest) < _NONCE_BYTES + _TAG_BYTES:
            raise _unreadable()
        try:
            return cipher.decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], header + context)
        except InvalidTag as exc:
            raise _unreadable() from exc

    def uses_first_key(self, ciphertext: bytes, /) -> bool:
        """Whether the first key made it; if not, encrypt it again when keys are changed."""
        return ciphertext.startswith(_VERSION + self._first)


def generate_key() -> str:
    """A new key as text."""
    return base64.urlsafe_b64encode(os.urandom(_KEY_BYTES)).decode("ascii")


def parse_key(text: str, /) -> bytes:
    """A key's 32 bytes from base64 (either alphabet, padded or not).

    Raises:
        ConfigurationError: It is something else.
    """
    plain = text.strip().rstrip("=").replace("-", "+").replace("_", "/")
    try:
        key = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _KEY_BYTES:
        raise ConfigurationError(
            f"A secret key has to be 32 bytes in base64. {_HOW}", setting="secret_keys"
        )
    return key


_HOW = (
    "Set OPENBOLT_SECRET_KEYS to what this prints: "
    'python -c "import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())"'
)


def _key_id(key: bytes) -> bytes:
    return sha256(b"openbolt key id" + key).digest()[:_ID_BYTES]


def _unreadable() -> InvalidRequestError:
    return InvalidRequestError("This can't be decrypted.", code="undecryptable")
