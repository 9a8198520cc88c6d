"""Unpacks a body while it comes, and stops where it becomes a bomb.

Law: at most `CHUNK` bytes are unpacked at a time, whatever the input, so memory stays flat; what is
unpacked is counted against the limits before it is handed on. Pure.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Protocol

from openbolt.errors import UpstreamError
from openbolt.proxy.refusals import ResponseTooLargeError

__all__ = ["ACCEPT_ENCODING", "CHUNK", "BodyDecoder"]

ACCEPT_ENCODING = "gzip, deflate"
"""What `BodyDecoder` reads; nothing else is to be asked for."""

CHUNK = 64 * 1024
_SLICE = 16 * 1024  # of the input: what zlib leaves over is copied at every step
_FREE = 1024 * 1024
_MAX_MEMBERS = 4096  # of one gzip body: an empty one costs work and counts for nothing


class _Inflater(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unconsumed_tail(self) -> bytes: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class BodyDecoder:
    """One body: `feed` it what comes, then `finish`.

    Args:
        coding: The response's ``Content-Encoding`` field; empty for none.
        max_encoded: Bytes that may come.
        max_decoded: Bytes that may be unpacked.
        max_ratio: Unpacked bytes for one that came, once a mebibyte was unpacked.

    Raises:
        UpstreamError: The coding is one that wasn't asked for, or more than one.
    """

    def __init__(
        self, coding: str, /, *, max_encoded: int, max_decoded: int, max_ratio: int
    ) -> None:
        name = coding.strip().lower()
        if name not in {"", "identity", "gzip", "x-gzip", "deflate"}:
            raise UpstreamError("The answer is packed in a way that wasn't asked for.")
        self._coding = name.removeprefix("x-")
        self._max_encoded = max_encoded
        self._max_decoded = max_decoded
        self._max_ratio = max_ratio
        self._encoded = 0
        self._decoded = 0
        self._members = 0
        self._start = b""
        self._inflater: _Inflater | None = None

    @property
    def is_packed(self) -> bool:
        """Whether what comes out is something else than what goes in."""
        return self._coding in {"gzip", "deflate"}

    def feed(self, data: bytes, /) -> Iterator[bytes]:
        """What a read of the network unpacks to, in pieces; take them all before the next.

        Raises:
            ResponseTooLargeError: A limit was passed; what went before has been handed on.
            UpstreamError: The data is broken.
        """
        self._encoded += len(data)
        if self._encoded > self._max_encoded:
            raise ResponseTooLargeError(f"The answer is over {self._max_encoded} bytes.")
        if not self.is_packed:
            yield from self._counted(data)
            return
        for first in range(0, len(data), _SLICE):
            yield from self._inflated(data[first : first + _SLICE])

    def finish(self) -> None:
        """Say that nothing more comes; `UpstreamError` if something is missing.

        No data at all is a body that isn't there (an answer to HEAD, a 304).
        """
        if self._start or (self._inflater is not None and not self._inflater.eof):
            raise UpstreamError("The answer ends in the middle of its packing.")

    def _inflated(self, data: bytes) -> Iterator[bytes]:
        while True:
            if self._inflater is None or self._inflater.eof:
                if not data:
                    return
                data = self._begin(data)
            if self._inflater is None:
                return
            try:
                piece = self._inflater.decompress(data, CHUNK)
            except zlib.error as exc:
                raise UpstreamError("The answer's packing is broken.", detail=str(exc)) from exc
            yield from self._counted(piece)
            data = self._inflater.unused_data or self._inflater.unconsumed_tail
            # A full piece may have left some behind inside zlib, with no input to show for it.
            if not data and len(piece) < CHUNK:
                return

    def _begin(self, data: bytes) -> bytes:
        """Start on a body, or on the next member of one; what is to be unpacked first."""
        data = self._start + data
        if self._coding == "deflate":
            if self._members:
                raise UpstreamError("The answer goes on after its packing has ended.")
            if len(data) < 2:
                self._start = data
                return b""
        self._start = b""
        self._members += 1
        if self._members > _MAX_MEMBERS:
            raise ResponseTooLargeError("The answer is packed in too many parts.")
        self._inflater = zlib.decompressobj(self._window(data))
        return data

    def _window(self, data: bytes) -> int:
        """Zlib's name for the format; half of the world's "deflate" comes without its header."""
        if self._coding == "gzip":
            return 16 + zlib.MAX_WBITS
        has_header = data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0
        return zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS

    def _counted(self, piece: bytes) -> Iterator[bytes]:
        self._decoded += len(piece)
        if self._decoded > self._max_decoded:
            raise ResponseTooLargeError(f"The answer unpacks to over {self._max_decoded} bytes.")
        if self._decoded > max(_FREE, self._max_ratio * self._encoded):
            raise ResponseTooLargeError("The answer unpacks to far more than came.")
        if piece:
            yield piece
