"""What every provider's call has in common: bytes from its wire through the decoder, read by read.

Law: one batch for each read that says anything, handed on before the next read is awaited. What a
call holds open is left exactly once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType

from attrs import define, field

from openbolt.errors import UpstreamError
from openbolt.model import ModelEvent, ModelRequest
from openbolt.providers._reply import ReplyDecoder

__all__ = ["Batches", "ModelCall"]

# Seconds that a whole reply's connection may take to end, so that it can be used again.
_LINGER = 1.0

_Held = AbstractAsyncContextManager[object]


class Batches:
    """A reply's events, one batch for each read.

    An object and not a generator: a wake of the reader walks through one frame less.

    Args:
        reads: The reply's bytes, as they come.
        decoder: New, for this reply.
        meaning: The error that an exception of ``reads`` stands for; None where it isn't theirs.
    """

    def __init__(
        self,
        reads: AsyncIterator[bytes],
        decoder: ReplyDecoder,
        meaning: Callable[[Exception], UpstreamError | None],
    ) -> None:
        self._read = reads.__anext__
        self._close: Callable[[], Awaitable[object]] | None = getattr(reads, "aclose", None)
        self._decoder = decoder
        self._meaning = meaning

    def __aiter__(self) -> Batches:
        return self

    async def __anext__(self) -> Sequence[ModelEvent]:
        """The next batch.

        Raises:
            UpstreamError: The reads broke; or the reply is an error, can't be read or ends early.
        """
        decoder = self._decoder
        if decoder.failure is not None:
            raise decoder.failure
        while not decoder.stopped:
            try:
                data = await self._read()
            except StopAsyncIteration:
                break
            except Exception as error:
                failure = self._meaning(error)
                if failure is None:
                    raise
                raise failure from error
            if events := decoder.feed(data):
                return events
        decoder.finish()
        await self._read_out()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Close the reads, where they can be closed."""
        if self._close is not None:
            await self._close()

    async def _read_out(self) -> None:
        try:
            async with asyncio.timeout(_LINGER):
                while True:
                    await self._read()
        except (StopAsyncIteration, TimeoutError):
            return
        except Exception as error:
            if self._meaning(error) is None:
                raise


@define
class ModelCall:
    """The context of one call, as `ModelProvider.stream` returns it; entered at most once.

    Args:
        open_reply: Calls the model: the reply's events, and the context that has been entered for
            them and is to be left.
    """

    _open_reply: Callable[[ModelRequest], Awaitable[tuple[Batches, _Held]]]
    _request: ModelRequest
    _opened: tuple[Batches, _Held] | None = field(default=None, init=False)

    async def __aenter__(self) -> Batches:
        self._opened = await self._open_reply(self._request)
        return self._opened[0]

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        opened, self._opened = self._opened, None
        if opened is None:
            return None
        batches, held = opened
        try:
            await batches.aclose()
        finally:
            is_handled = await held.__aexit__(kind, error, traceback)
        return is_handled
