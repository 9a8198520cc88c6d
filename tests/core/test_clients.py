"""Whose address counts: spoofed, malformed and honest ways of forwarding one."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbolt.clients import TrustedProxies, address_group, client_address, parse_address
from openbolt.errors import ConfigurationError
from openbolt.http import Headers

PROXY = "10.0.0.1"
PROXIES = TrustedProxies.parse(["10.0.0.0/8", "2001:db8:ffff::/48"])


def seen(peer: str | None, *fields: tuple[str, str], proxies: TrustedProxies = PROXIES) -> str:
    return str(client_address(peer, Headers(fields), proxies))


def xff(value: str) -> tuple[str, str]:
    return "X-Forwarded-For", value


def forwarded(value: str) -> tuple[str, str]:
    return "Forwarded", value


@pytest.mark.parametrize(
    ("peer", "fields", "address"),
    [
        # Nobody is believed who isn't a proxy of ours.
        ("198.51.100.7", [xff("203.0.113.1")], "198.51.100.7"),
        ("198.51.100.7", [forwarded("for=203.0.113.1")], "198.51.100.7"),
        ("198.51.100.7", [xff("10.0.0.2")], "198.51.100.7"),
        # The nearest that isn't one is the client.
        (PROXY, [], PROXY),
        (PROXY, [xff("203.0.113.1")], "203.0.113.1"),
        (PROXY, [xff("1.1.1.1, 203.0.113.1")], "203.0.113.1"),
        (PROXY, [xff("1.1.1.1, 203.0.113.1, 10.2.3.4")], "203.0.113.1"),
        (PROXY, [xff("10.9.9.9, 203.0.113.1, 10.2.3.4")], "203.0.113.1"),
        (PROXY, [xff("1.1.1.1"), xff("203.0.113.1")], "203.0.113.1"),
        (PROXY, [xff("203.0.113.1, 2001:db8:ffff::5")], "203.0.113.1"),
        # All are proxies: the client is one of them.
        (PROXY, [xff("10.3.3.3, 10.2.2.2")], "10.3.3.3"),
        # Ways to write an address.
        (PROXY, [xff(" 203.0.113.1:4711 ")], "203.0.113.1"),
        (PROXY, [xff("[2001:db8::1]:443")], "2001:db8::1"),
        (PROXY, [xff("2001:DB8::1")], "2001:db8::1"),
        (PROXY, [xff("::ffff:203.0.113.1")], "203.0.113.1"),
        (PROXY, [xff("[::ffff:cb00:7101]")], "203.0.113.1"),
        (PROXY, [xff("64:ff9b::203.0.113.1")], "203.0.113.1"),
        ("::ffff:10.0.0.1", [xff("203.0.113.1")], "203.0.113.1"),
        (PROXY, [xff("fe80::1%eth0")], "fe80::1"),
        # A proxy that says it doesn't know: nothing further left counts.
        (PROXY, [xff("1.1.1.1, unknown")], PROXY),
        (PROXY, [xff("1.1.1.1, unknown, 10.2.2.2")], "10.2.2.2"),
        (PROXY, [xff("1.1.1.1, ")], PROXY),
        (PROXY, [xff("1.1.1.1, 203.0.113.1, nonsense")], PROXY),
        (PROXY, [xff("1.1.1.1, 203.0.113.256")], PROXY),
        (PROXY, [xff("1.1.1.1, 0xcb.0.0x71.1")], PROXY),
        (PROXY, [xff("1.1.1.1, 3405803777")], PROXY),
        (PROXY, [xff("1.1.1.1; 203.0.113.1")], PROXY),
        # RFC 7239, section 4 and 6.
        (PROXY, [forwarded("for=203.0.113.1")], "203.0.113.1"),
        (PROXY, [forwarded('For="[2001:db8:cafe::17]:4711"')], "2001:db8:cafe::17"),
        (PROXY, [forwarded("for=203.0.113.1;proto=http;by=203.0.113.43")], "203.0.113.1"),
        (PROXY, [forwarded("for=1.1.1.1, for=203.0.113.1")], "203.0.113.1"),
        (PROXY, [forwarded("by=10.1.1.1;FOR=203.0.113.1 ,\tfor=10.2.2.2")], "203.0.113.1"),
        (PROXY, [forwarded('for="203.0.113.1:_port"')], "203.0.113.1"),
        (PROXY, [forwarded("for=1.1.1.1"), forwarded("for=203.0.113.1")], "203.0.113.1"),
        (PROXY, [forwarded("for=1.1.1.1, for=unknown")], PROXY),
        (PROXY, [forwarded("for=1.1.1.1, for=_gazonk")], PROXY),
        (PROXY, [forwarded("for=1.1.1.1, proto=https")], PROXY),
        # What a client writes before a proxy's own words can't swallow or shadow them.
        (PROXY, [forwarded('for="1.1.1.1, for=203.0.113.1')], PROXY),
        (PROXY, [forwarded('for=1.1.1.1;by=", for="203.0.113.1"')], PROXY),
        (PROXY, [forwarded('for=1.1.1.1;a="\\, for=203.0.113.1')], PROXY),
        (PROXY, [forwarded('for="1.1.1.1, for=203.0.113.1";by=x')], PROXY),
        (PROXY, [forwarded("for=1.1.1.1 for=203.0.113.1")], PROXY),
        (PROXY, [forwarded("for=1.1.1.1, for=2.2.2.2;for=203.0.113.1")], PROXY),
        (PROXY, [forwarded("for = 1.1.1.1, for=203.0.113.1")], PROXY),
        # Two fields: one is the proxy's, the other may be anybody's.
        (PROXY, [forwarded("for=1.1.1.1"), xff("203.0.113.1")], PROXY),
        (PROXY, [forwarded("for=203.0.113.1"), xff("1.1.1.1, 203.0.113.1")], "203.0.113.1"),
        (PROXY, [forwarded('"'), xff("203.0.113.1")], PROXY),
        # A field that is longer than any chain of proxies.
        (PROXY, [xff("1.1.1.1, " * 500 + "203.0.113.1")], PROXY),
    ],
)
def test_the_client_is_the_first_from_the_right_that_is_no_proxy_of_ours(
    peer: str, fields: list[tuple[str, str]], address: str
) -> None:
    assert seen(peer, *fields) == address


def test_without_trusted_proxies_fields_say_nothing() -> None:
    alone = TrustedProxies()
    assert seen("127.0.0.1", xff("203.0.113.1"), proxies=alone) == "127.0.0.1"
    assert seen(None, xff("203.0.113.1"), proxies=alone) == "None"


def test_a_proxy_behind_a_unix_socket_is_trusted_by_name() -> None:
    unix = TrustedProxies.parse(["unix"])
    assert seen(None, xff("1.1.1.1, 203.0.113.1"), proxies=unix) == "203.0.113.1"
    assert seen("127.0.0.1", xff("203.0.113.1"), proxies=unix) == "127.0.0.1"
    assert seen(None, proxies=unix) == "None"


@pytest.mark.parametrize("entry", ["proxy.example", "10.0.0.1/8", "10.0.0.0/33", "", "*"])
def test_what_is_no_network_is_refused_by_name(entry: str) -> None:
    with pytest.raises(ConfigurationError, match="trusted_proxies holds"):
        TrustedProxies.parse(["10.0.0.0/8", entry])


@pytest.mark.parametrize(
    ("address", "group"),
    [
        ("203.0.113.1", "203.0.113.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("::ffff:203.0.113.1", "203.0.113.1"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "unknown"),
        (None, "unknown"),
    ],
)
def test_one_subscriber_is_one_client(address: str | None, group: str) -> None:
    assert address_group(parse_address(address)) == group


addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)
printable = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60)


@given(printable | st.just("") | addresses, addresses)
def test_whatever_a_client_sends_first_the_proxy_has_the_last_word(sent: str, client: str) -> None:
    """A proxy appends; the client gets its own address, or none but the proxy's."""
    real = parse_address(client)
    by_list = client_address(PROXY, Headers([xff(f"{sent}, {client}")]), PROXIES)
    node = f'"[{client}]"' if ":" in client else client
    element = Headers([forwarded(f"{sent}, for={node}")])
    if PROXIES.trust(real):
        return
    assert by_list == real
    assert client_address(PROXY, element, PROXIES) in {real, parse_address(PROXY)}


@given(printable, printable)
def test_nobody_without_a_proxy_chooses_their_address(one: str, other: str) -> None:
    assert seen("203.0.113.9", forwarded(one), xff(other)) == "203.0.113.9"


@pytest.mark.parametrize("piece", ['a="', "a=a", ";", ",", '"', "\\", "for=1.1.1.1,", "a=a;"])
def test_a_field_is_read_in_a_moment(piece: str) -> None:
    text = (piece * 4096)[:4090] + "\x7f"
    began = time.process_time()
    seen(PROXY, forwarded(text), xff(text))
    assert time.process_time() - began < 0.1
