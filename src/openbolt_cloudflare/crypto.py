"""AES-256-GCM by WebCrypto, for what is stored encrypted by a Worker.

Law: what a ciphertext looks like, and how keys are changed, is said in `openbolt.envelope`, so that
a server reads what a Worker wrote. Keys are imported as not extractable, for one use at a time.

Only inside a Worker: imports the runtime.
"""

from __future__ import annotations

from collections.abc import Sequence

from openbolt.envelope import EnvelopeCipher
from openbolt_cloudflare._js import JsException, JsObject, js, to_js

__all__ = ["WebCryptoCipher"]


class WebCryptoCipher(EnvelopeCipher):
    """A `Cipher` for Workers; see `openbolt.envelope.EnvelopeCipher`.

    Its constructor calls nothing of the runtime, so it may stand in a Worker's global scope.

    Args:
        keys: Master keys as text, 32 bytes in base64 each. The first encrypts, all decrypt.

    Raises:
        ConfigurationError: There is no key, or one isn't 32 bytes.
    """

    def __init__(self, keys: Sequence[str], /) -> None:
        super().__init__(keys, _WebCryptoAes())


class _WebCryptoAes:
    async def seal(self, key: bytes, nonce: bytes, plaintext: bytes, data: bytes, /) -> bytes:
        imported = await _imported(key, "encrypt")
        how = _parameters(nonce, data)
        sealed = await js.crypto.subtle.encrypt(how, imported, to_js(plaintext))
        return bytes(sealed.to_bytes())

    async def open(self, key: bytes, nonce: bytes, sealed: bytes, data: bytes, /) -> bytes | None:
        imported = await _imported(key, "decrypt")
        how = _parameters(nonce, data)
        try:
            opened = await js.crypto.subtle.decrypt(how, imported, to_js(sealed))
        except JsException as exc:
            if exc.name != "OperationError":
                raise
            return None
        return bytes(opened.to_bytes())


async def _imported(key: bytes, use: str) -> JsObject:
    return await js.crypto.subtle.importKey("raw", to_js(key), "AES-GCM", False, to_js([use]))


def _parameters(nonce: bytes, data: bytes) -> JsObject:
    fields = {"name": "AES-GCM", "iv": nonce, "additionalData": data, "tagLength": 128}
    return to_js(fields, dict_converter=js.Object.fromEntries)
