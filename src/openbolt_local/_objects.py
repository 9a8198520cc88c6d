"""What the object stores here have in common: conditions, ranges, and the length of a stream."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from typing import Literal

from openbolt.errors import InvalidRequestError, PayloadTooLargeError, PreconditionFailedError

__all__ = ["check_condition", "check_range", "sized_bytes", "sized_chunks"]


def check_condition(
    etag: str | None, if_match: str | None, if_none_match: Literal["*"] | None, /
) -> None:
    """`PreconditionFailedError` unless the object with this ETag (None: absent) may be written."""
    if if_match is not None and etag != if_match:
        raise PreconditionFailedError("The object isn't the one that was read.")
    if if_none_match is not None and etag is not None:
        raise PreconditionFailedError("The object exists already.")


def check_range(start: int, length: int | None, /) -> None:
    """`InvalidRequestError` for a range that can't be."""
    if start < 0 or (length is not None and length < 0):
        raise InvalidRequestError("A range can't begin or end before 0.", field="start")


def sized_bytes(data: bytes, size: int | None, limit: int, /) -> bytes:
    """What is to be put, if it is there already; raises as `sized_chunks` does."""
    if max(size or 0, len(data)) > limit:
        raise _too_large(limit)
    if size is not None and size != len(data):
        raise _other_size(size)
    return data


async def sized_chunks(
    data: AsyncIterable[bytes], size: int | None, limit: int, /
) -> AsyncIterator[bytes]:
    """What is to be put, as it comes.

    Raises:
        InvalidRequestError: It isn't ``size`` bytes long.
        PayloadTooLargeError: It is over ``limit`` bytes.
    """
    if size is not None and size > limit:
        raise _too_large(limit)
    total = 0
    async for chunk in data:
        total += len(chunk)
        if total > limit:
            raise _too_large(limit)
        if size is not None and total > size:
            break
        if chunk:
            yield bytes(chunk)
    if size is not None and total != size:
        raise _other_size(size)


def _too_large(limit: int) -> PayloadTooLargeError:
    return PayloadTooLargeError(f"An object can't be longer than {limit} bytes.", field="data")


def _other_size(size: int) -> InvalidRequestError:
    return InvalidRequestError(
        f"The data isn't as long as it was said to be ({size} bytes).", field="size"
    )
