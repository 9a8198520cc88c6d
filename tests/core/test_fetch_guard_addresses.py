"""Addresses: an encoding of IPv4 means what its canonical form does, and only global ones pass."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from openbolt.proxy.addresses import forbidden_as, inner_address, parse_ipv4
from openbolt.proxy.guard import FetchPolicy, TargetRefusedError
from openbolt.proxy.targets import Target

BORDERS = {
    "10.0.0.0/8": "private",
    "172.16.0.0/12": "private",
    "192.168.0.0/16": "private",
    "100.64.0.0/10": "shared",
    "127.0.0.0/8": "loopback",
    "169.254.0.0/16": "link-local",
    "0.0.0.0/8": "this network",
    "192.0.0.0/24": "protocol assignments",
    "192.0.2.0/24": "documentation",
    "192.88.99.0/24": "6to4 relay",
    "198.18.0.0/15": "benchmarking",
    "198.51.100.0/24": "documentation",
    "203.0.113.0/24": "documentation",
    "168.63.129.16/32": "metadata service",
    "2001::/32": "Teredo",
    "2001:db8::/32": "documentation",
    "2002::/16": "6to4",
    "3fff::/20": "documentation",
}
SPECIAL = [
    ip_network(block)
    for block in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.0/24",
        "169.254.0.0/16",
        "172.0.0.0/8",
        "192.0.0.0/16",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "224.0.0.0/3",
    )
]


@st.composite
def ipv4(draw: st.DrawFn) -> IPv4Address:
    """Addresses, half of them in or near a special block."""
    block = draw(st.sampled_from([*SPECIAL, ip_network("0.0.0.0/0")]))
    first, last = int(block[0]), int(block[-1])
    return IPv4Address(draw(st.integers(first, last)))


def _written(draw: st.DrawFn, number: int) -> str:
    form = draw(st.sampled_from(["{:d}", "0x{:x}", "0X{:X}", "0{:o}"]))
    text = form.format(number)
    zeros = "0" * draw(st.integers(0, 12))
    if text[:2] in {"0x", "0X"}:
        return text[:2] + zeros + text[2:]
    return zeros + text if text.startswith("0") and number else text


@st.composite
def encodings(draw: st.DrawFn) -> tuple[IPv4Address, str]:
    """An address, and one way in which a browser accepts it."""
    address = draw(ipv4())
    parts = draw(st.integers(1, 4))
    value = int(address)
    leading = [value >> 8 * (3 - index) & 0xFF for index in range(parts - 1)]
    rest = value & (1 << 8 * (5 - parts)) - 1
    text = ".".join(_written(draw, number) for number in [*leading, rest])
    return address, text + draw(st.sampled_from(["", "."]))


def fullwidth(text: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


@given(encodings())
def test_every_encoding_is_read_as_its_address(case: tuple[IPv4Address, str]) -> None:
    address, text = case
    assert parse_ipv4(text.removesuffix(".")) == address
    assert Target.parse(f"http://{text}/").address == address
    assert Target.parse(f"http://{fullwidth(text)}/").address == address


@given(encodings())
def test_every_encoding_gets_the_verdict_of_its_address(case: tuple[IPv4Address, str]) -> None:
    address, text = case
    assert _passes(f"http://{text}/") is _passes(f"http://{address}/")
    assert _passes(f"http://{text}/") is (forbidden_as(address) is None)


@given(ipv4())
def test_no_tunnel_leads_where_its_address_may_not(address: IPv4Address) -> None:
    number = int(address)
    high, low = number >> 16, number & 0xFFFF
    tunnels = [
        f"::{address}",
        f"::ffff:{address}",
        f"::ffff:0:{address}",
        f"64:ff9b:1::{address}",
        f"2002:{high:x}:{low:x}::1",
        f"2001:0:{high:x}:{low:x}::1",
        f"2606:4700::5efe:{high:x}:{low:x}",
        f"2606:4700::200:5efe:{high:x}:{low:x}",
    ]
    assert [tunnel for tunnel in tunnels if _passes(f"http://[{tunnel}]/")] == []
    nat64 = ip_address(f"64:ff9b::{address}")
    assert inner_address(nat64) == address
    assert forbidden_as(nat64) == forbidden_as(address)


def _passes(url: str) -> bool:
    try:
        FetchPolicy().admit(url)
    except TargetRefusedError:
        return False
    return True


@given(st.one_of(ipv4(), st.ip_addresses()))
@example(ip_address("224.0.0.1"))
@example(ip_address("ff0e::1"))
def test_what_passes_is_global_for_the_standard_library_too(
    address: IPv4Address | IPv6Address,
) -> None:
    if forbidden_as(address) is None:
        assert address.is_global
        assert not address.is_multicast


@given(st.ip_addresses(v=4))
def test_what_does_not_pass_is_not_global_or_has_a_reason_of_its_own(address: IPv4Address) -> None:
    ours_alone = [
        ip_network(block)
        for block in ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32", "224.0.0.0/4")
    ]
    if forbidden_as(address) is not None and not any(address in block for block in ours_alone):
        assert not address.is_global


@given(st.ip_addresses(v=6))
def test_no_ipv6_address_outside_global_unicast_passes_but_nat64(address: IPv6Address) -> None:
    if forbidden_as(address) is None:
        assert address in IPv6Network("2000::/3") or address in IPv6Network("64:ff9b::/96")


@pytest.mark.parametrize(("block", "kind"), BORDERS.items())
def test_a_block_ends_where_the_registry_says(block: str, kind: str) -> None:
    network = ip_network(block)
    assert {forbidden_as(network[0]), forbidden_as(network[-1])} == {kind}
    outside = (network[0] - 1 if int(network[0]) else network[0], network[-1] + 1)
    assert kind not in {forbidden_as(a) for a in outside if a not in network}


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "8.8.8.8", "192.31.196.1", "2001:200::1", "2620:4f:8000::1", "2c00::1"]
)
def test_what_is_globally_reachable_passes(address: str) -> None:
    assert forbidden_as(ip_address(address)) is None


def test_a_zone_is_never_global() -> None:
    assert forbidden_as(ip_address("2606:4700::1111%eth0")) == "not global unicast"


@pytest.mark.parametrize(
    "name",
    ["example", "a.b", "1.2.3.a", "0xg", "1e1", "0b1", "1_0", "+1", "-1", " 1", "", "1.", "٣"],
)
def test_a_name_is_no_address(name: str) -> None:
    assert parse_ipv4(name) is None


@pytest.mark.parametrize(
    "text",
    [
        "1.2.3.4.5",
        "256.1",
        "1.256.1",
        "1.2.65536",
        "4294967296",
        "0x100000000",
        "08",
        "1..2",
        "a.1",
    ],
)
def test_what_ends_in_a_number_is_an_address_or_nothing(text: str) -> None:
    with pytest.raises(ValueError, match=r"number|literal"):
        parse_ipv4(text)
