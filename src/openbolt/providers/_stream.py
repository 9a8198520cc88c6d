"""The loop that every provider runs: bytes from its wire through the decoder, batch by batch.

Law: one batch for each read that says anything, handed on before the next read is awaited.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from openbolt.errors import UpstreamError
from openbolt.model import ModelEvent
from openbolt.providers._reply import ReplyDecoder

__all__ = ["batches"]

# Seconds that a whole reply's connection may take to end, so that it can be used again.
_LINGER = 1.0


async def batches(
    reads: AsyncIterator[bytes], decoder: ReplyDecoder, /
) -> AsyncGenerator[Sequence[ModelEvent], None]:
    """The reply's events, one batch for each read.

    Raises:
        UpstreamError: From ``reads``; or the reply is an error, can't be read or ends early.
    """
    async for data in reads:
        events = decoder.feed(data)
        if events:
            yield events
        if decoder.failure is not None:
            raise decoder.failure
        if decoder.stopped:
            await _read_out(reads)
            return
    decoder.finish()


async def _read_out(reads: AsyncIterator[bytes]) -> None:
    try:
        async with asyncio.timeout(_LINGER):
            async for _ in reads:
                pass
    except (TimeoutError, UpstreamError):
        return
