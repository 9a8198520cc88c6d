"""The cipher against the suite, and keys that are changed."""

from __future__ import annotations

import base64
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from openbolt.errors import ConfigurationError, InvalidRequestError
from openbolt.testing import CipherSuite
from openbolt_local.crypto import AesGcmCipher, generate_key, parse_key


class TestAesGcmCipher(CipherSuite):
    @pytest.fixture
    def cipher(self) -> AesGcmCipher:
        return AesGcmCipher([generate_key(), generate_key()])


async def test_the_first_key_encrypts_and_all_decrypt() -> None:
    old, new = generate_key(), generate_key()
    before = await AesGcmCipher([old]).encrypt(b"text", context=b"c")
    cipher = AesGcmCipher([new, old])
    after = await cipher.encrypt(b"text", context=b"c")
    assert await cipher.decrypt(before, context=b"c") == b"text"
    assert await AesGcmCipher([new]).decrypt(after, context=b"c") == b"text"
    assert (cipher.uses_first_key(before), cipher.uses_first_key(after)) == (False, True)


async def test_a_key_that_was_taken_away_decrypts_nothing() -> None:
    ciphertext = await AesGcmCipher([generate_key()]).encrypt(b"text", context=b"c")
    with pytest.raises(InvalidRequestError):
        await AesGcmCipher([generate_key()]).decrypt(ciphertext, context=b"c")


async def test_the_format_is_the_one_that_is_written_down() -> None:
    key, nonce = bytes(range(32)), bytes(range(12))
    header = b"\x01" + sha256(b"openbolt key id" + key).digest()[:8]
    made = header + nonce + AESGCM(key).encrypt(nonce, b"text", header + b"context")
    cipher = AesGcmCipher([base64.b64encode(key).decode()])
    assert await cipher.decrypt(made, context=b"context") == b"text"


@pytest.mark.parametrize("strip", ["", "="])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_key_may_be_written_in_either_alphabet_padded_or_not(encode: object, strip: str) -> None:
    key = bytes(range(224, 256))
    assert callable(encode)
    text = encode(key).decode().rstrip(strip or None)
    assert parse_key(f" {text}\n") == key


@pytest.mark.parametrize(
    "text", ["", "secret", "=", "caf\u00e9" * 11, "A" * 42, "A" * 44, "A" * 86]
)
def test_what_is_no_key_is_refused_with_how_to_make_one(text: str) -> None:
    with pytest.raises(ConfigurationError, match="OPENBOLT_SECRET_KEYS") as caught:
        AesGcmCipher([text])
    assert caught.value.setting == "secret_keys"


def test_without_a_key_there_is_no_cipher() -> None:
    with pytest.raises(ConfigurationError, match="OPENBOLT_SECRET_KEYS"):
        AesGcmCipher([])
