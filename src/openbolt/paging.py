"""Listings a page at a time.

Law: a page ends in a cursor or is the last one; nothing is left out silently. A row that stays
unchanged is listed once, whatever is added, changed or removed between two pages.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

from openbolt.errors import InvalidRequestError

__all__ = ["page_by_time"]

T = TypeVar("T")


def page_by_time(
    rows: Sequence[T],
    key: Callable[[T], tuple[float, str]],
    /,
    *,
    cursor: str | None,
    size: int,
) -> tuple[Sequence[T], str | None]:
    """One page of rows that are sorted by time, the latest first, then by id.

    Args:
        key: A row's time and id.
        cursor: Where the page before ended; None for the first page.
        size: Rows at most.

    Returns:
        The page, and the cursor for the next one or None.

    Raises:
        InvalidRequestError: The cursor isn't one; field ``cursor``.
    """
    left = rows
    if cursor is not None:
        time, last = _parse(cursor)
        left = [row for row in rows if _after(key(row), time, last)]
    page = left[:size]
    if len(left) <= size:
        return page, None
    time, last = key(page[-1])
    return page, f"{time!r},{last}"


def _after(row: tuple[float, str], time: float, last: str) -> bool:
    return (-row[0], row[1]) > (-time, last)


def _parse(cursor: str) -> tuple[float, str]:
    text, comma, last = cursor.partition(",")
    try:
        time = float(text)
    except ValueError:
        time = math.nan
    if not comma or not math.isfinite(time):
        raise InvalidRequestError("cursor: is not one that a listing gave", field="cursor")
    return time, last
