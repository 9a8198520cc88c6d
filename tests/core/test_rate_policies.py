"""What an operator can write, and that nothing is left without an entry."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from attrs import evolve

from openbolt.errors import ConfigurationError
from openbolt.protocols import RatePolicy
from openbolt.rate_policies import (
    ADDED_UP,
    DEFAULT_POLICIES,
    ROUTE_POLICIES,
    policies_from,
    route_policies,
)

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "rate-limits.md"
KNOWN = {policy.name: policy for policy in (*DEFAULT_POLICIES, *ADDED_UP)}


def test_the_defaults_hold_where_nothing_is_written() -> None:
    assert policies_from() == {policy.name: policy for policy in DEFAULT_POLICIES}


@pytest.mark.parametrize(
    ("written", "policy"),
    [
        ("chat=10/60", evolve(KNOWN["chat"], limit=10)),
        ("chat=600/1h/30", evolve(KNOWN["chat"], limit=600, period=3600.0, burst=30)),
        (
            " chat = 600/1h/30/open ",
            evolve(KNOWN["chat"], limit=600, period=3600.0, burst=30, fails="open"),
        ),
        ("git=5/2m/closed", evolve(KNOWN["git"], limit=5, period=120.0, fails="closed")),
        ("reads=3/1.5s", evolve(KNOWN["reads"], limit=3, period=1.5)),
        ("tokens=2000000/1d", evolve(KNOWN["tokens"], limit=2_000_000, period=86_400.0)),
        ("spend=5000000/30d", evolve(KNOWN["spend"], limit=5_000_000, period=30 * 86_400.0)),
    ],
)
def test_what_is_written_replaces_a_default(written: str, policy: RatePolicy) -> None:
    held = policies_from([written])
    assert held.pop(policy.name) == policy
    assert held == {name: kept for name, kept in policies_from().items() if name != policy.name}


def test_a_policy_can_be_switched_off() -> None:
    assert policies_from(["chat=off", "tokens=off"]).keys() == KNOWN.keys() - {
        "chat",
        "tokens",
        "spend",
    }


def test_the_last_of_two_counts() -> None:
    assert policies_from(["chat=off", "chat=1/60"])["chat"].limit == 1


def test_a_factor_widens_defaults_and_nothing_that_is_written() -> None:
    held = policies_from(["git=7/60"], factor=100)
    assert held["chat"] == evolve(KNOWN["chat"], limit=3000)
    assert held["git"] == evolve(KNOWN["git"], limit=7)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "chat",
        "chat=",
        "chat=10",
        "chat=10/",
        "chat=-1/60",
        "chat=0/60",
        "chat=10/0",
        "chat=10/60/",
        "chat=10/60/5/maybe",
        "chat=10/60/5/open/6",
        "chat=1e3/60",
        "chat=10/1w",
        "chat=10/400d",
        "chat=99999999/1",
        "chats=10/60",
        "=10/60",
        "chat=١/60",
    ],
)
def test_what_cannot_be_read_is_refused_and_named(written: str) -> None:
    with pytest.raises(
        ConfigurationError, match=r"rate_limits holds .*OPENBOLT_RATE_LIMITS"
    ) as error:
        policies_from([written])
    assert repr(written) in error.value.public_message
    assert error.value.setting == "rate_limits"


def test_each_policy_of_the_table_exists_and_each_that_exists_is_used_or_asked_for_by_name() -> (
    None
):
    used = {name for names in ROUTE_POLICIES.values() for name in names}
    assert used - KNOWN.keys() == set()
    assert KNOWN.keys() - used == {"sign-in-account", "guesses"}


def test_a_route_that_the_table_does_not_have_is_an_error() -> None:
    assert route_policies("POST", "/api/chat") == ("api-key", "chat", "tokens", "spend")
    assert route_policies("GET", "/healthz") == ()
    with pytest.raises(LookupError, match="GET /api/new has no entry"):
        route_policies("GET", "/api/new")


def test_only_probes_are_unlimited() -> None:
    unlimited = {route for route, names in ROUTE_POLICIES.items() if not names}
    assert unlimited == {"GET /healthz", "GET /readyz", "GET /metrics"}


def test_what_costs_money_or_guards_a_door_fails_closed() -> None:
    closed = {policy.name for policy in KNOWN.values() if policy.fails == "closed"}
    assert closed == {
        *("chat", "enhancer", "model", "proxy", "tokens", "spend"),
        *("sign-in", "sign-in-account", "guesses"),
    }
    assert all(KNOWN[name].shared for name in closed)


def test_the_page_says_what_the_code_says() -> None:
    rows = re.findall(
        r"^\| `([a-z-]+)` \| (\w+) \| ([0-9]+ / [0-9]+ s|off) \| (open|closed) \| (yes|no) \|",
        PAGE.read_text(),
        re.MULTILINE,
    )
    unset = {policy.name for policy in ADDED_UP}
    assert rows == [
        (
            policy.name,
            policy.per,
            "off" if policy.name in unset else f"{policy.limit} / {policy.period:g} s",
            policy.fails,
            "yes" if policy.shared else "no",
        )
        for policy in KNOWN.values()
    ]
