"""Every attack that is defended against, by what, and which test shows it: one table.

It is kept true from three sides: `test_attacks` sees to it that the tests are there and that the
page is this table; ``python -m tests.security.mutations`` takes each defence out and sees its test
fail.
"""

from __future__ import annotations

from tests.security.attacks_on_data import FETCHES, INPUT, LIMITS, NOT_DEFENDED, STORED
from tests.security.attacks_on_people import SESSIONS, SIGNING_IN
from tests.security.attacks_on_requests import KEYS, LINKS, ORIGINS, THINGS
from tests.security.attacks_rows import Attack, Edit, Layer, Open

__all__ = ["ATTACKS", "LAYERS", "NOT_DEFENDED", "Attack", "Edit", "Layer", "Open"]

LAYERS: tuple[Layer, ...] = (
    SIGNING_IN,
    SESSIONS,
    ORIGINS,
    KEYS,
    THINGS,
    LINKS,
    STORED,
    LIMITS,
    INPUT,
    FETCHES,
)
ATTACKS: tuple[Attack, ...] = tuple(attack for layer in LAYERS for attack in layer.attacks)
