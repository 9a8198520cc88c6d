"""A database in a file, opened twice as two processes would."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from openbolt_local.sqlite import SQLiteDatabase


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """In a folder that isn't there yet."""
    return tmp_path / "folder" / "data.sqlite3"


@pytest_asyncio.fixture
async def database(path: Path) -> AsyncIterator[SQLiteDatabase]:
    async with SQLiteDatabase.open(path) as database:
        yield database


@pytest_asyncio.fixture
async def second(path: Path, database: SQLiteDatabase) -> AsyncIterator[SQLiteDatabase]:
    async with SQLiteDatabase.open(path) as second:
        yield second
