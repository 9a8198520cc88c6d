"""Envelope encryption: every value under a key of its own, and that key under the master key.

Law: a ciphertext names the master key that wraps its data key (by an id that tells nothing of it)
and is bound to its context; anything else than the very bytes that were made here is refused. A
change of master keys touches the wrapping and leaves what is inside as it was, byte for byte.

A ciphertext is ``0x01 | key id (8) | nonce (12) | wrapped data key (48) | nonce (12) | sealed
value``; both parts end in a tag of 16 bytes. AES-256-GCM all through, so it is 97 bytes longer than
the value. The additional data of the wrapping is ``0x01 | key id | context``, of the value
``0x01 | context``. The key id is the first 8 bytes of ``SHA-256("openbolt key id" | key)``.

AES itself comes from outside (`Aead`): ``cryptography`` on a server, WebCrypto in a Worker.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Protocol

from attrs import frozen

from openbolt.errors import ConfigurationError, InvalidRequestError

__all__ = ["Aead", "EnvelopeCipher", "generate_key", "parse_key"]

_VERSION = b"\x01"
_ID_BYTES = 8
_NONCE_BYTES = 12
_TAG_BYTES = 16
_KEY_BYTES = 32
_WRAPPED_BYTES = _KEY_BYTES + _TAG_BYTES
_ID_AT = len(_VERSION)
_WRAPPING_AT = _ID_AT + _ID_BYTES
_VALUE_AT = _WRAPPING_AT + _NONCE_BYTES + _WRAPPED_BYTES
_SHORTEST = _VALUE_AT + _NONCE_BYTES + _TAG_BYTES


class Aead(Protocol):
    """AES-256-GCM with nonces of 12 bytes and tags of 16, as a platform has it."""

    async def seal(self, key: bytes, nonce: bytes, plaintext: bytes, data: bytes, /) -> bytes:
        """Ciphertext and tag; ``data`` is authenticated with it."""
        ...

    async def open(self, key: bytes, nonce: bytes, sealed: bytes, data: bytes, /) -> bytes | None:
        """The plaintext, or None if the tag is wrong."""
        ...


@frozen
class _Parts:
    """A ciphertext taken apart; each part but the first begins with its nonce."""

    key_id: bytes
    wrapping: bytes
    value: bytes

    @classmethod
    def of(cls, ciphertext: bytes) -> _Parts:
        if len(ciphertext) < _SHORTEST or not ciphertext.startswith(_VERSION):
            raise _unreadable()
        return cls(
            ciphertext[_ID_AT:_WRAPPING_AT],
            ciphertext[_WRAPPING_AT:_VALUE_AT],
            ciphertext[_VALUE_AT:],
        )


class EnvelopeCipher:
    """A `Cipher` over a platform's `Aead`.

    Nonces are random: change the master key before it has wrapped 2**32 data keys (NIST SP 800-38D,
    8.3).

    Args:
        keys: Master keys as text, 32 bytes in base64 each (`generate_key`). The first encrypts, all
            decrypt.
        aead: The platform's AES.
        random: Makes so many random bytes.

    Raises:
        ConfigurationError: There is no key, or one isn't 32 bytes.
    """

    def __init__(
        self, keys: Sequence[str], aead: Aead, /, *, random: Callable[[int], bytes] = os.urandom
    ) -> None:
        if not keys:
            raise ConfigurationError(f"A secret key is needed. {_HOW}", setting="secret_keys")
        parsed = [parse_key(key) for key in keys]
        self._keys = {_key_id(key): key for key in parsed}
        self._first = _key_id(parsed[0])
        self._aead = aead
        self._random = random

    async def encrypt(self, plaintext: bytes, /, *, context: bytes) -> bytes:
        """Encrypt under a new data key, which the first master key wraps."""
        data_key = self._random(_KEY_BYTES)
        value = await self._seal(data_key, plaintext, _VERSION + context)
        return await self._wrapped(data_key, context) + value

    async def decrypt(self, ciphertext: bytes, /, *, context: bytes) -> bytes:
        """Decrypt with whichever master key it names.

        Raises:
            InvalidRequestError: It wasn't made with one of these keys and this context.
        """
        parts = _Parts.of(ciphertext)
        data_key = await self._data_key(parts, context)
        return await self._open(data_key, parts.value, _VERSION + context)

    async def rewrap(self, ciphertext: bytes, /, *, context: bytes) -> bytes:
        """The same value with its data key under the first master key.

        What is there already comes back as it is. The value isn't read: one that was damaged stays
        so, and `decrypt` refuses it.

        Raises:
            InvalidRequestError: Its data key wasn't wrapped with one of these keys and this
                context.
        """
        parts = _Parts.of(ciphertext)
        data_key = await self._data_key(parts, context)
        if parts.key_id == self._first:
            return ciphertext
        return await self._wrapped(data_key, context) + parts.value

    def uses_first_key(self, ciphertext: bytes, /) -> bool:
        """Whether the first master key wraps its data key."""
        return ciphertext.startswith(_VERSION + self._first)

    async def _wrapped(self, data_key: bytes, context: bytes) -> bytes:
        """Everything of a ciphertext that stands before the value."""
        header = _VERSION + self._first
        return header + await self._seal(self._keys[self._first], data_key, header + context)

    async def _data_key(self, parts: _Parts, context: bytes) -> bytes:
        key = self._keys.get(parts.key_id)
        if key is None:
            raise _unreadable()
        return await self._open(key, parts.wrapping, _VERSION + parts.key_id + context)

    async def _seal(self, key: bytes, plaintext: bytes, data: bytes) -> bytes:
        nonce = self._random(_NONCE_BYTES)
        return nonce + await self._aead.seal(key, nonce, plaintext, data)

    async def _open(self, key: bytes, part: bytes, data: bytes) -> bytes:
        opened = await self._aead.open(key, part[:_NONCE_BYTES], part[_NONCE_BYTES:], data)
        if opened is None:
            raise _unreadable()
        return opened


def generate_key(random: Callable[[int], bytes] = os.urandom, /) -> str:
    """A new master key as text: 32 random bytes in URL-safe base64."""
    return base64.urlsafe_b64encode(random(_KEY_BYTES)).decode("ascii")


def parse_key(text: str, /) -> bytes:
    """A master key's 32 bytes from base64 (either alphabet, padded or not).

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


_HOW = "Set OPENBOLT_SECRET_KEYS to what `openbolt generate-key` prints."


def _key_id(key: bytes) -> bytes:
    return sha256(b"openbolt key id" + key).digest()[:_ID_BYTES]


def _unreadable() -> InvalidRequestError:
    return InvalidRequestError("This can't be decrypted.", code="undecryptable")
