"""What an operator may open and close, and that no list opens more than it says."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbolt.errors import ConfigurationError
from openbolt.proxy.addresses import forbidden_as
from openbolt.proxy.guard import FetchPolicy, TargetRefusedError


def reason(policy: FetchPolicy, url: str, *addresses: str) -> str | None:
    try:
        target = policy.admit(url)
        if addresses:
            policy.admit_addresses(target, [ip_address(text) for text in addresses])
    except TargetRefusedError as error:
        return error.reason
    return None


def test_a_list_of_hosts_closes_all_others() -> None:
    policy = FetchPolicy(only_hosts=("github.com", "GitLab.com.", "git.example:3000"))
    assert reason(policy, "https://github.com/a") is None
    assert reason(policy, "https://gitlab.com./a") is None
    assert reason(policy, "https://git.example:3000/") is None
    for url in (
        "https://git.example/",
        "https://api.github.com/",
        "https://github.com.example/",
        "https://8.8.8.8/",
    ):
        assert reason(policy, url) == "not_listed"
    assert reason(policy, "https://github.com:22/") == "port"


def test_a_listed_host_still_leads_nowhere_inside() -> None:
    policy = FetchPolicy(only_hosts=("github.com", "localhost", "127.0.0.1"))
    assert reason(policy, "https://github.com/", "10.0.0.1") == "address"
    assert reason(policy, "http://localhost/") == "name"
    assert reason(policy, "http://127.0.0.1/") == "address"


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.1.1", "100.64.1.1", "fd12::1", "8.8.8.8"])
def test_an_allowed_host_may_lead_into_the_own_network(address: str) -> None:
    policy = FetchPolicy(allow_hosts=("git.internal",))
    assert reason(policy, "http://git.internal/", address) is None
    assert reason(policy, "http://git.example/", address) in {None, "address"}


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "100.100.100.200",
        "168.63.129.16",
        "fd00:ec2::254",
        "fd20:ce::254",
        "fe80::1",
        "0.0.0.0",
        "224.0.0.1",
        "::ffff:10.0.0.1",
        "2002:a00:1::1",
    ],
)
def test_an_allowed_host_leads_to_no_metadata_service_and_through_no_tunnel(address: str) -> None:
    policy = FetchPolicy(allow_hosts=("git.internal",))
    assert reason(policy, "http://git.internal/", address) == "address"


def test_an_allowed_port_is_the_hosts_alone() -> None:
    policy = FetchPolicy(allow_hosts=("git.internal:3000", "[fd12::1]:3000"))
    assert reason(policy, "http://git.internal:3000/", "10.0.0.1") is None
    assert reason(policy, "http://[fd12::1]:3000/") is None
    assert reason(policy, "http://git.internal/") == "name"
    assert reason(policy, "http://git.internal:22/") == "port"
    assert reason(policy, "http://example.com:3000/") == "port"


def test_an_address_that_is_itself_allowed_is_reached_by_no_other_name() -> None:
    policy = FetchPolicy(allow_hosts=("127.0.0.1:8080", "169.254.1.1"))
    assert reason(policy, "http://127.0.0.1:8080/") is None
    assert reason(policy, "http://2130706433:8080/") is None
    assert reason(policy, "http://169.254.1.1/") is None
    assert reason(policy, "http://evil.example:8080/", "127.0.0.1") == "port"
    assert reason(policy, "http://evil.example/", "169.254.1.1") == "address"


def test_allowed_networks_hold_for_every_name_and_denied_ones_win() -> None:
    policy = FetchPolicy(
        allow_networks=("10.1.0.0/16", "fd12::/16"), deny_networks=("10.1.2.0/24", "8.8.8.0/24")
    )
    assert reason(policy, "http://a.example/", "10.1.1.1", "fd12::1") is None
    assert reason(policy, "http://a.example/", "64:ff9b::10.1.1.1") is None
    for address in ("10.2.0.1", "10.1.2.3", "8.8.8.8", "64:ff9b::808:808"):
        assert reason(policy, "http://a.example/", address) == "address"
    assert reason(policy, "http://8.8.8.8/") == "address"
    assert reason(policy, "http://git.internal/") == "name"


def test_schemes_can_be_closed() -> None:
    policy = FetchPolicy(schemes=frozenset({"https"}))
    assert reason(policy, "https://example.com/") is None
    assert reason(policy, "http://example.com/") == "scheme"


@given(st.lists(st.ip_addresses(), min_size=1, max_size=4))
def test_one_forbidden_address_refuses_all(addresses: list[object]) -> None:
    found = [ip_address(str(address)) for address in addresses]
    allowed = all(forbidden_as(address) is None for address in found)
    verdict = reason(FetchPolicy(), "http://a.example/", *map(str, found))
    assert verdict == (None if allowed else "address")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("only_hosts", ("*.example",)),
        ("only_hosts", ("https://example.com",)),
        ("allow_hosts", ("user@example.com",)),
        ("allow_hosts", ("example.com:0",)),
        ("allow_hosts", ("",)),
        ("allow_networks", ("10.0.0.1/8",)),
        ("deny_networks", ("example.com",)),
        ("schemes", "https"),
        ("schemes", ()),
        ("ports", (0,)),
    ],
)
def test_a_wrong_entry_is_named(setting: str, value: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        FetchPolicy(**{setting: value})  # type: ignore[arg-type]
    assert caught.value.setting == setting
