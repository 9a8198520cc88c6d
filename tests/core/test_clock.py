"""The real clock and tokens, and those that a test tells."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time

import pytest

import openbolt.testing
from openbolt.clock import SystemClock, SystemTokens
from openbolt.errors import InvalidRequestError
from openbolt.protocols import TokenSource
from openbolt.testing import ManualClock, PlainCipher, SequenceTokens


async def test_the_system_clock_tells_the_systems_time() -> None:
    clock = SystemClock()
    before = time.time(), time.monotonic()
    told = clock.now(), clock.monotonic()
    await clock.sleep(0.001)
    after = clock.now(), clock.monotonic()
    assert before[0] <= told[0] < after[0]
    assert before[1] <= told[1] < after[1]


@pytest.mark.parametrize("tokens", [SystemTokens(), SequenceTokens()])
@pytest.mark.parametrize(("size", "length"), [(5, 8), (16, 26), (32, 52)])
def test_tokens_are_base32_of_their_size(tokens: TokenSource, size: int, length: int) -> None:
    made = {tokens.token(size) for _ in range(50)}
    assert len(made) == 50
    assert all(re.fullmatch(rf"[a-z2-7]{{{length}}}", token) for token in made)


def test_a_sequence_is_the_same_every_time() -> None:
    one, other = SequenceTokens(), SequenceTokens()
    assert [one.token() for _ in range(3)] == [other.token() for _ in range(3)]


async def test_time_stands_until_it_is_advanced() -> None:
    clock = ManualClock(start=1000.0)
    clock.advance(2.5)
    assert (clock.now(), clock.monotonic()) == (1002.5, 2.5)
    await clock.sleep(0)
    assert clock.now() == 1002.5
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)


async def test_sleepers_wake_in_the_order_of_their_time() -> None:
    clock = ManualClock()
    woken: list[float] = []

    async def sleep(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(seconds)

    tasks = [asyncio.create_task(sleep(seconds)) for seconds in (3, 1, 2)]
    await asyncio.sleep(0)
    assert clock.sleepers == 3
    await clock.advance(0.9)
    assert woken == []
    await clock.advance(1.1)
    assert woken == [1, 2]
    assert clock.sleepers == 1
    clock.advance(1)
    await asyncio.gather(*tasks)
    assert woken == [1, 2, 3]


async def test_a_sleeper_that_was_cancelled_is_forgotten() -> None:
    clock = ManualClock()
    sleeping = asyncio.create_task(clock.sleep(1))
    await asyncio.sleep(0)
    sleeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeping
    assert clock.sleepers == 0
    await clock.advance(1)


async def test_the_plain_cipher_hides_nothing_and_minds_its_context() -> None:
    cipher = PlainCipher()
    made = await cipher.encrypt(b"text", context=b"one")
    assert made.endswith(b"text")
    assert await cipher.decrypt(made, context=b"one") == b"text"
    for ciphertext, context in ((made, b"two"), (made + b"x", b"one"), (b"", b"one")):
        with pytest.raises(InvalidRequestError):
            await cipher.decrypt(ciphertext, context=context)


def test_every_name_of_the_testing_package_is_there() -> None:
    for name in openbolt.testing.__all__:
        assert getattr(openbolt.testing, name).__name__ == name
    assert dir(openbolt.testing) == sorted(openbolt.testing.__all__)
    with pytest.raises(AttributeError, match="NoSuite"):
        openbolt.testing.NoSuite  # noqa: B018


def test_the_manual_clock_needs_no_pytest() -> None:
    code = "import sys; sys.modules['pytest'] = None; from openbolt.testing import ManualClock"
    subprocess.run([sys.executable, "-c", code], check=True)
