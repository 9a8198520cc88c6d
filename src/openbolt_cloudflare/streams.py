"""JavaScript's streams as openbolt's, and the other way round.

Law: a stream is closed exactly once, whichever side ends first. A body goes out through an
``IdentityTransformStream``: its writes fail once the reader has gone, in every version of the
runtime, while ``cancel`` of a scripted ``ReadableStream`` does not run in all of them
(https://github.com/cloudflare/workerd/issues/6832).

Only inside a Worker: imports the runtime.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable

from openbolt_cloudflare._js import JsException, JsObject, js, to_js

__all__ = ["JsByteStream", "byte_channel", "pump"]


class JsByteStream:
    """A `openbolt.http.ByteStream` that reads a JavaScript ``ReadableStream``.

    Args:
        readable: The stream, or null for an empty body.
        broken: Makes the error to raise from the runtime's own when the stream fails.
    """

    def __init__(self, readable: JsObject, /, *, broken: Callable[[Exception], Exception]) -> None:
        self._readable = readable
        self._broken = broken
        self._reader: JsObject = None
        self._finished = not readable

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._finished:
            raise StopAsyncIteration
        if self._reader is None:
            self._reader = self._readable.getReader()
        try:
            result = await self._reader.read()
        except JsException as exc:
            self._finished = True
            raise self._broken(exc) from exc
        if result.done:
            self._finished = True
            raise StopAsyncIteration
        chunk: bytes = result.value.to_bytes()
        return chunk

    async def aclose(self) -> None:
        """Say that no more is wanted; harmless after the end and a second time."""
        if self._finished:
            return
        self._finished = True
        # A stream that refuses had failed already, and whoever read it was told.
        await _accepted((self._reader or self._readable).cancel())


def byte_channel(length: int | None = None, /) -> tuple[JsObject, JsObject]:
    """The two ends of a native byte stream, ``(readable, writable)``.

    With ``length`` in bytes the receiver gets it as ``Content-Length``, and other lengths fail.
    """
    if length is None:
        stream = js.IdentityTransformStream.new()
    else:
        stream = js.FixedLengthStream.new(length)
    return stream.readable, stream.writable


async def pump(source: AsyncIterable[bytes], writable: JsObject, /) -> bool:
    """Write everything into one end of a channel; whether the other end took it all.

    Raises:
        Exception: Whatever the source raised; the reader sees the stream break off.
    """
    writer = writable.getWriter()
    try:
        async for chunk in source:
            if chunk and not await _accepted(writer.write(to_js(chunk))):
                return False
    except Exception:
        await _accepted(writer.abort("the source failed"))
        raise
    return await _accepted(writer.close())


async def _accepted(promise: JsObject) -> bool:
    try:
        await promise
    except JsException:
        return False
    return True
