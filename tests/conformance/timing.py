"""The suites' time, told instead of waited for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from openbolt.testing import ManualClock


class OnManualClock:
    """Lets a suite tell the time of backends that go by ``clock``."""

    @pytest.fixture
    def advance(self, clock: ManualClock) -> object:
        return clock.advance

    @pytest.fixture
    def now(self, clock: ManualClock) -> Callable[[], float]:
        return clock.now
