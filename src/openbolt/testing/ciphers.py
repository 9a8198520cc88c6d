"""What every `Cipher` owes, as suites to subclass.

Law: only the very bytes that were made, in the very context, come back; anything else is refused,
never guessed at. Give the fixture ``cipher``, and to `EnvelopeCipherSuite` the fixture
``make_cipher``, which gives a cipher for some master keys.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbolt.errors import InvalidRequestError
from openbolt.protocols import Cipher
from openbolt.testing.kv import modest

__all__ = ["CipherSuite", "EnvelopeCipherSuite", "MakeCipher"]

CONTEXT = b"secrets/user-1/github"
PLAINTEXT = b"a token that is worth something"


MakeCipher = Callable[[Sequence[str]], Cipher]

KEY = b64encode(bytes(range(32))).decode()
OTHER_KEY = b64encode(bytes(range(32, 64))).decode()

# Made by Node's own crypto module from the format that `openbolt.envelope` writes down, with nonces
# and data keys that count up: master key, context, plaintext, ciphertext.
VECTORS = (
    (
        KEY,
        b"context",
        b"text",
        "0144f30f85390bab72606162636465666768696a6baa9ad916ff05c528345fb3603ec08f0c7624dbdad031648e"
        "fbf8da3720afa9577fe7654f1d3881b1ced8a30b98e3c9fe707172737475767778797a7ba780c36cd76edb7ed9"
        "50bedd5a1d7ae94af2b81c",
    ),
    (
        OTHER_KEY,
        b"context",
        b"text",
        "01a744ca81e46744b3808182838485868788898a8bcde04b94d6ef020a9394c70811c39323c32a18ed85e5f5d3"
        "5062cd021e03eb921a8c41b4589e8026a981e21c8c2261e6707172737475767778797a7ba780c36cd76edb7ed9"
        "50bedd5a1d7ae94af2b81c",
    ),
    (
        KEY,
        b"",
        b"",
        "0144f30f85390bab72c0c1c2c3c4c5c6c7c8c9cacba0e985c4d3dd30f9307057099e0146f9fcc2518c8857a90d"
        "927af1b18bc0c109b5a104dde684a14819feac2cdc92c876d0d1d2d3d4d5d6d7d8d9dadb19339a9cbd361bd99b"
        "33f0ebc04d2077",
    ),
    (
        OTHER_KEY,
        b"\x00\xff",
        "grüße €".encode(),
        "01a744ca81e46744b30a0b0c0d0e0f10111213141563f37d3bf28acb97afa615382810d77fa38ad7562cb8dda3"
        "498fe34663b3a6dd700fb43af53ce3df9725f5189c71ff5a1e1f202122232425262728296763d6ef08d342d682"
        "7f5c91712e7a81aa5b44ff40e86a27429219",
    ),
)
_HEADER_BYTES = 9
_WRAPPING_BYTES = 60


class CipherSuite:
    """The laws of a `Cipher`."""

    @pytest.fixture
    def cipher(self) -> Cipher:
        """A cipher; override it."""
        raise NotImplementedError

    @modest
    @given(plaintext=st.binary(max_size=300), context=st.binary(max_size=50))
    async def test_what_was_encrypted_comes_back(
        self, cipher: Cipher, plaintext: bytes, context: bytes
    ) -> None:
        ciphertext = await cipher.encrypt(plaintext, context=context)
        assert await cipher.decrypt(ciphertext, context=context) == plaintext

    async def test_the_plaintext_does_not_show(self, cipher: Cipher) -> None:
        ciphertext = await cipher.encrypt(PLAINTEXT, context=CONTEXT)
        assert PLAINTEXT not in ciphertext
        assert CONTEXT not in ciphertext

    async def test_equal_plaintexts_do_not_look_equal(self, cipher: Cipher) -> None:
        made = {await cipher.encrypt(PLAINTEXT, context=CONTEXT) for _ in range(20)}
        assert len(made) == 20

    @pytest.mark.parametrize("context", [b"", b"secrets/user-2/github", CONTEXT + b"\0"])
    async def test_another_context_is_refused(self, cipher: Cipher, context: bytes) -> None:
        ciphertext = await cipher.encrypt(PLAINTEXT, context=CONTEXT)
        await _refused(cipher, ciphertext, context)

    async def test_a_change_of_any_byte_is_refused(self, cipher: Cipher) -> None:
        ciphertext = await cipher.encrypt(PLAINTEXT, context=CONTEXT)
        for at in range(len(ciphertext)):
            changed = bytearray(ciphertext)
            changed[at] ^= 1
            await _refused(cipher, bytes(changed), CONTEXT)

    async def test_a_ciphertext_that_was_cut_or_added_to_is_refused(self, cipher: Cipher) -> None:
        ciphertext = await cipher.encrypt(PLAINTEXT, context=CONTEXT)
        for length in range(len(ciphertext)):
            await _refused(cipher, ciphertext[:length], CONTEXT)
        await _refused(cipher, ciphertext + b"\0", CONTEXT)

    @modest
    @given(garbage=st.binary(max_size=100))
    async def test_what_was_never_encrypted_is_refused(
        self, cipher: Cipher, garbage: bytes
    ) -> None:
        await _refused(cipher, garbage, CONTEXT)

    async def test_what_is_under_the_right_key_already_is_left_alone(self, cipher: Cipher) -> None:
        ciphertext = await cipher.encrypt(PLAINTEXT, context=CONTEXT)
        assert await cipher.rewrap(ciphertext, context=CONTEXT) == ciphertext

    async def test_what_was_never_encrypted_is_not_wrapped_anew(self, cipher: Cipher) -> None:
        ciphertext = await cipher.encrypt(PLAINTEXT, context=CONTEXT)
        for given_, context in ((b"", CONTEXT), (ciphertext[:20], CONTEXT), (ciphertext, b"other")):
            with pytest.raises(InvalidRequestError):
                await cipher.rewrap(given_, context=context)


class EnvelopeCipherSuite(CipherSuite):
    """The laws of a cipher in the format of `openbolt.envelope`, and of changing its keys."""

    @pytest.fixture
    def make_cipher(self) -> MakeCipher:
        """Makes a cipher for master keys, the first of which encrypts; override it."""
        raise NotImplementedError

    @pytest.fixture
    def cipher(self, make_cipher: MakeCipher) -> Cipher:
        """With two keys."""
        return make_cipher([KEY, OTHER_KEY])

    @pytest.mark.parametrize(("key", "context", "plaintext", "made"), VECTORS)
    async def test_the_format_is_the_one_that_is_written_down(
        self, make_cipher: MakeCipher, key: str, context: bytes, plaintext: bytes, made: str
    ) -> None:
        ciphertext = bytes.fromhex(made)
        for keys in ([key], [KEY, OTHER_KEY]):
            cipher = make_cipher(keys)
            assert await cipher.decrypt(ciphertext, context=context) == plaintext
        own = await make_cipher([key]).encrypt(plaintext, context=context)
        assert (own[:_HEADER_BYTES], len(own)) == (ciphertext[:_HEADER_BYTES], len(ciphertext))

    async def test_the_first_key_encrypts_and_all_decrypt(self, make_cipher: MakeCipher) -> None:
        before = await make_cipher([OTHER_KEY]).encrypt(PLAINTEXT, context=CONTEXT)
        both = make_cipher([KEY, OTHER_KEY])
        after = await both.encrypt(PLAINTEXT, context=CONTEXT)
        assert await both.decrypt(before, context=CONTEXT) == PLAINTEXT
        assert await make_cipher([KEY]).decrypt(after, context=CONTEXT) == PLAINTEXT

    async def test_without_its_key_nothing_is_read_or_wrapped_anew(
        self, make_cipher: MakeCipher
    ) -> None:
        ciphertext = await make_cipher([OTHER_KEY]).encrypt(PLAINTEXT, context=CONTEXT)
        cipher = make_cipher([KEY])
        await _refused(cipher, ciphertext, CONTEXT)
        with pytest.raises(InvalidRequestError):
            await cipher.rewrap(ciphertext, context=CONTEXT)

    async def test_wrapped_anew_the_value_is_the_same_to_the_byte(
        self, make_cipher: MakeCipher
    ) -> None:
        before = await make_cipher([OTHER_KEY]).encrypt(PLAINTEXT, context=CONTEXT)
        after = await make_cipher([KEY, OTHER_KEY]).rewrap(before, context=CONTEXT)
        value_at = _HEADER_BYTES + _WRAPPING_BYTES
        assert after[value_at:] == before[value_at:]
        assert after[:_HEADER_BYTES] != before[:_HEADER_BYTES]
        assert await make_cipher([KEY]).decrypt(after, context=CONTEXT) == PLAINTEXT
        await _refused(make_cipher([OTHER_KEY]), after, CONTEXT)

    async def test_two_ciphertexts_cannot_be_mixed(self, cipher: Cipher) -> None:
        one, two = [await cipher.encrypt(PLAINTEXT, context=CONTEXT) for _ in range(2)]
        value_at = _HEADER_BYTES + _WRAPPING_BYTES
        await _refused(cipher, one[:value_at] + two[value_at:], CONTEXT)

    async def test_a_wrapping_that_was_changed_is_not_wrapped_anew(
        self, make_cipher: MakeCipher
    ) -> None:
        before = await make_cipher([OTHER_KEY]).encrypt(PLAINTEXT, context=CONTEXT)
        for at in range(_HEADER_BYTES + _WRAPPING_BYTES):
            changed = bytearray(before)
            changed[at] ^= 1
            with pytest.raises(InvalidRequestError):
                await make_cipher([KEY, OTHER_KEY]).rewrap(bytes(changed), context=CONTEXT)
        with pytest.raises(InvalidRequestError):
            await make_cipher([KEY, OTHER_KEY]).rewrap(before, context=CONTEXT + b"\0")


async def _refused(cipher: Cipher, ciphertext: bytes, context: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        await cipher.decrypt(ciphertext, context=context)
