"""What breaks here breaks on purpose, thousands of times: its log lines would bury a failure."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """No log below an error that nobody expects."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
