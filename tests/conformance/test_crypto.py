"""The server's cipher against its suite; the keys that it takes, and what it shows of them."""

from __future__ import annotations

import base64
import itertools

import pytest

from openbolt.envelope import EnvelopeCipher
from openbolt.errors import ConfigurationError, InvalidRequestError
from openbolt.testing import EnvelopeCipherSuite
from openbolt.testing.ciphers import KEY, VECTORS, MakeCipher
from openbolt_local.crypto import AesGcmCipher, _Aes, generate_key, parse_key


class TestAesGcmCipher(EnvelopeCipherSuite):
    @pytest.fixture
    def make_cipher(self) -> MakeCipher:
        return AesGcmCipher


async def test_the_first_key_is_told_by_its_id() -> None:
    old, new = generate_key(), generate_key()
    before = await AesGcmCipher([old]).encrypt(b"text", context=b"c")
    cipher = AesGcmCipher([new, old])
    after = await cipher.rewrap(before, context=b"c")
    assert (cipher.uses_first_key(before), cipher.uses_first_key(after)) == (False, True)


async def test_with_the_same_randomness_the_same_bytes_are_made() -> None:
    """What the vectors were made from: a data key, the value's nonce, the wrapping's."""
    numbers = [bytes(range(64, 96)), bytes(range(112, 124)), bytes(range(96, 108))]
    rest = iter(numbers)

    def random(size: int) -> bytes:
        made = next(rest)
        assert len(made) == size
        return made

    key, context, plaintext, made = VECTORS[0]
    cipher = EnvelopeCipher([key], _Aes(), random=random)
    assert (await cipher.encrypt(plaintext, context=context)).hex() == made


async def test_no_two_values_share_a_data_key_or_a_nonce() -> None:
    cipher = AesGcmCipher([KEY])
    made = [await cipher.encrypt(b"x" * 40, context=b"c") for _ in range(50)]
    for start, end in ((9, 21), (21, 69), (69, 81), (81, 137)):
        assert len({ciphertext[start:end] for ciphertext in made}) == 50


async def test_the_order_of_old_keys_does_not_matter() -> None:
    keys = [generate_key() for _ in range(3)]
    made = [await AesGcmCipher([key]).encrypt(key.encode(), context=b"c") for key in keys]
    for order in itertools.permutations(keys):
        cipher = AesGcmCipher(order)
        read = [await cipher.decrypt(ciphertext, context=b"c") for ciphertext in made]
        assert read == [key.encode() for key in keys]


def test_a_cipher_shows_no_key() -> None:
    cipher = AesGcmCipher([KEY])
    shown = f"{cipher!r} {cipher}"
    assert KEY not in shown
    assert repr(parse_key(KEY)) not in shown


async def test_a_refusal_says_nothing_about_what_was_refused() -> None:
    ciphertext = await AesGcmCipher([KEY]).encrypt(b"hunter2", context=b"context")
    with pytest.raises(InvalidRequestError) as caught:
        await AesGcmCipher([KEY]).decrypt(ciphertext, context=b"other")
    error = caught.value
    assert (error.code, error.detail, error.__cause__) == ("undecryptable", None, None)
    assert str(error) == "This can't be decrypted."


@pytest.mark.parametrize("strip", ["", "="])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_key_may_be_written_in_either_alphabet_padded_or_not(encode: object, strip: str) -> None:
    key = bytes(range(224, 256))
    assert callable(encode)
    text = encode(key).decode().rstrip(strip or None)
    assert parse_key(f" {text}\n") == key


def test_a_generated_key_is_new_each_time_and_can_be_read() -> None:
    keys = {generate_key() for _ in range(20)}
    assert len(keys) == 20
    assert all(len(parse_key(key)) == 32 for key in keys)


@pytest.mark.parametrize(
    "text", ["", "secret", "=", "caf\u00e9" * 11, "A" * 42, "A" * 44, "A" * 86]
)
def test_what_is_no_key_is_refused_with_how_to_make_one(text: str) -> None:
    with pytest.raises(ConfigurationError, match="OPENBOLT_SECRET_KEYS") as caught:
        AesGcmCipher([text])
    assert caught.value.setting == "secret_keys"


@pytest.mark.parametrize("text", ["hunter2-hunter2", "A" * 42 + "hunter2"])
def test_a_wrong_key_is_not_shown_to_whoever_reads_the_error(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        AesGcmCipher([KEY, text])
    assert "hunter2" not in f"{caught.value} {caught.value!r}"


def test_without_a_key_there_is_no_cipher() -> None:
    with pytest.raises(ConfigurationError, match="OPENBOLT_SECRET_KEYS"):
        AesGcmCipher([])
