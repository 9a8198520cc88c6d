"""Every attack that is defended against, by what, and which test shows it: one table.

It is kept true from three sides: `test_attacks` sees to it that the tests are there and that the
page is this table; ``python -m tests.security.mutations`` takes each defence out and sees its test
fail.
"""

from __future__ import annotations

from tests.security.attacks_input import FETCHES, INPUT, NOT_DEFENDED
from tests.security.attacks_keys import KEYS, THINGS
from tests.security.attacks_links import LINKS
from tests.security.attacks_origins import ORIGINS
from tests.security.attacks_proxy import FORWARDED
from tests.security.attacks_rows import Attack, Edit, Layer, Open
from tests.security.attacks_sessions import SESSIONS
from tests.security.attacks_sign_in import SIGNING_IN
from tests.security.attacks_stored import LIMITS, STORED

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
    FORWARDED,
)
ATTACKS: tuple[Attack, ...] = tuple(attack for layer in LAYERS for attack in layer.attacks)
