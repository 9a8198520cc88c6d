"""What every `Cipher` owes, as a suite to subclass.

Law: only the very bytes that were made, in the very context, come back; anything else is refused,
never guessed at. Give the fixture ``cipher``.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbolt.errors import InvalidRequestError
from openbolt.protocols import Cipher
from openbolt.testing.kv import modest

__all__ = ["CipherSuite"]

CONTEXT = b"secrets/user-1/github"
PLAINTEXT = b"a token that is worth something"


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


async def _refused(cipher: Cipher, ciphertext: bytes, context: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        await cipher.decrypt(ciphertext, context=context)
