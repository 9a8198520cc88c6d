"""The Worker's cipher in a real workerd, held to the same suite as the server's, and the two of
them to each other.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Iterator, Sequence

import httpx
import pytest
import pytest_asyncio
from attrs import frozen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openbolt import errors
from openbolt.errors import ConfigurationError
from openbolt.testing import EnvelopeCipherSuite
from openbolt.testing.ciphers import KEY, OTHER_KEY, MakeCipher
from openbolt_local.crypto import AesGcmCipher
from tests.worker.conftest import open_client
from tests.worker.running import HERE, Worker, running

CONTEXT = b"secrets/user-1/anthropic"


@frozen
class CipherInWorker:
    """Hands each call to a worker, which makes it with a `WebCryptoCipher` of its own."""

    worker: httpx.AsyncClient
    keys: Sequence[str]

    async def _call(self, method: str, data: bytes, context: bytes) -> bytes:
        call = {
            "keys": list(self.keys),
            "method": method,
            "data": b64encode(data).decode(),
            "context": b64encode(context).decode(),
        }
        answer = (await self.worker.post("/", json=call)).raise_for_status().json()
        if "error" in answer:
            raise getattr(errors, answer["error"])(answer["message"])
        return b64decode(answer["made"])

    async def encrypt(self, plaintext: bytes, /, *, context: bytes) -> bytes:
        return await self._call("encrypt", plaintext, context)

    async def decrypt(self, ciphertext: bytes, /, *, context: bytes) -> bytes:
        return await self._call("decrypt", ciphertext, context)

    async def rewrap(self, ciphertext: bytes, /, *, context: bytes) -> bytes:
        return await self._call("rewrap", ciphertext, context)


@pytest.fixture(scope="module")
def crypto_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    with running(tmp_path_factory.mktemp("crypto"), HERE / "entries/crypto.py") as worker:
        yield worker


@pytest_asyncio.fixture
async def worker(crypto_worker: Worker) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(crypto_worker) as client:
        yield client


@pytest.fixture
def make_cipher(worker: httpx.AsyncClient) -> MakeCipher:
    return lambda keys: CipherInWorker(worker, keys)


class TestWebCryptoCipher(EnvelopeCipherSuite):
    @pytest.fixture
    def make_cipher(self, make_cipher: MakeCipher) -> MakeCipher:
        return make_cipher


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plaintext=st.binary(max_size=500), context=st.binary(max_size=80))
async def test_a_server_reads_what_a_worker_wrote_and_the_other_way_round(
    make_cipher: MakeCipher, plaintext: bytes, context: bytes
) -> None:
    here, there = AesGcmCipher([KEY]), make_cipher([KEY])
    made = await there.encrypt(plaintext, context=context)
    assert await here.decrypt(made, context=context) == plaintext
    made = await here.encrypt(plaintext, context=context)
    assert await there.decrypt(made, context=context) == plaintext


async def test_keys_are_changed_on_one_side_and_read_on_the_other(make_cipher: MakeCipher) -> None:
    written = await make_cipher([OTHER_KEY]).encrypt(b"text", context=CONTEXT)
    moved = await AesGcmCipher([KEY, OTHER_KEY]).rewrap(written, context=CONTEXT)
    assert await make_cipher([KEY]).decrypt(moved, context=CONTEXT) == b"text"
    back = await make_cipher([OTHER_KEY, KEY]).rewrap(moved, context=CONTEXT)
    assert await AesGcmCipher([OTHER_KEY]).decrypt(back, context=CONTEXT) == b"text"


async def test_a_value_of_a_megabyte_passes(make_cipher: MakeCipher) -> None:
    plaintext = bytes(range(256)) * 4096
    made = await make_cipher([KEY]).encrypt(plaintext, context=CONTEXT)
    assert await AesGcmCipher([KEY]).decrypt(made, context=CONTEXT) == plaintext


async def test_a_key_that_is_none_is_refused(make_cipher: MakeCipher) -> None:
    with pytest.raises(ConfigurationError, match="OPENBOLT_SECRET_KEYS"):
        await make_cipher(["too short"]).encrypt(b"", context=b"")
