"""Stores with what stands on them, and a browser that signs in."""

from __future__ import annotations

import pytest

from openbolt import Settings
from openbolt.testing import ManualClock
from tests.auth.asking import House
from tests.auth.browsing import browser, sender

__all__ = ["browser", "house", "sender"]


@pytest.fixture
def house(clock: ManualClock, settings: Settings) -> House:
    return House.of(clock, settings)
