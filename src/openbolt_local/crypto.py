"""AES-256-GCM by ``cryptography``, for what is stored encrypted on a server.

Law: the only module that imports ``cryptography``. What a ciphertext looks like, and how keys are
changed, is said in `openbolt.envelope`, so that a Worker reads what a server wrote.
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from openbolt.envelope import EnvelopeCipher, generate_key, parse_key

__all__ = ["AesGcmCipher", "generate_key", "parse_key"]


class AesGcmCipher(EnvelopeCipher):
    """A `Cipher` for servers; see `openbolt.envelope.EnvelopeCipher`.

    Args:
        keys: Master keys as text (`generate_key`). The first encrypts, all decrypt.

    Raises:
        ConfigurationError: There is no key, or one isn't 32 bytes.
    """

    def __init__(self, keys: Sequence[str], /) -> None:
        super().__init__(keys, _Aes())


class _Aes:
    async def seal(self, key: bytes, nonce: bytes, plaintext: bytes, data: bytes, /) -> bytes:
        return AESGCM(key).encrypt(nonce, plaintext, data)

    async def open(self, key: bytes, nonce: bytes, sealed: bytes, data: bytes, /) -> bytes | None:
        try:
            return AESGCM(key).decrypt(nonce, sealed, data)
        except InvalidTag:
            return None
