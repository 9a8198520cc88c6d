"""Which addresses are open to everybody: the one place that says where a user's URL may lead.

Law: an address is fetched from only if it is globally reachable by IANA's special-purpose
registries. The table is here, because `ipaddress` says something else in each Python version (and
calls multicast global). Where the registries leave a doubt (tunnels, relays, anycast services of
the local network), the answer is no.

Sources: IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890, RFC 8190; the IPv6 one as
updated on 2025-10-09), IANA's multicast registries (RFC 5771, RFC 4291).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

__all__ = ["Address", "Network", "forbidden_as", "inner_address", "parse_ipv4"]

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_IPV4 = tuple(
    (IPv4Network(block), name)
    for block, name in (
        # Services that trust whoever asks. Azure's has a public address that no registry marks.
        ("168.63.129.16/32", "metadata service"),
        ("100.100.100.200/32", "metadata service"),
        ("0.0.0.0/8", "this network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "protocol assignments"),  # two anycast services in it are the network's
        ("192.0.2.0/24", "documentation"),
        ("192.88.99.0/24", "6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("255.255.255.255/32", "broadcast"),
        ("240.0.0.0/4", "reserved"),
    )
)

_NAT64 = IPv6Network("64:ff9b::/96")
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_IPV6 = tuple(
    (IPv6Network(block), name)
    for block, name in (
        ("fd00:ec2::/32", "metadata service"),
        ("fd20:ce::/64", "metadata service"),
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("::ffff:0:0/96", "IPv4-mapped"),
        ("::ffff:0:0:0/96", "IPv4-translated"),
        ("::/96", "IPv4-compatible"),
        ("64:ff9b:1::/48", "local NAT64"),
        ("100::/64", "discard"),
        ("100:0:0:1::/64", "dummy"),
        ("2001::/32", "Teredo"),
        ("2001:2::/48", "benchmarking"),
        ("2001::/23", "protocol assignments"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4"),
        ("3ffe::/16", "6bone"),
        ("3fff::/20", "documentation"),
        ("5f00::/16", "segment routing"),
        ("fc00::/7", "unique local"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
)
_ISATAP = 0x0000_5EFE
_ISATAP_FLAGS = 0x0300_0000  # the universal and group bits of an interface identifier


def forbidden_as(address: Address, /) -> str | None:
    """What an address is, if it isn't globally reachable; None if it is.

    An address of the well-known NAT64 prefix (64:ff9b::/96), which a resolver makes up where there
    is IPv6 only, is what the IPv4 address in it is.
    """
    if isinstance(address, IPv4Address):
        return next((name for block, name in _IPV4 if address in block), None)
    inner = inner_address(address)
    if inner is not None:
        return forbidden_as(inner)
    known = next((name for block, name in _IPV6 if address in block), None)
    if known is not None:
        return known
    if address not in _GLOBAL_UNICAST or address.scope_id is not None:
        return "not global unicast"
    if (int(address) >> 32 & 0xFFFF_FFFF) & ~_ISATAP_FLAGS == _ISATAP:
        return "ISATAP"
    return None


def inner_address(address: Address, /) -> IPv4Address | None:
    """The IPv4 address that a well-known NAT64 address leads to."""
    if isinstance(address, IPv6Address) and address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return None


def parse_ipv4(text: str, /) -> IPv4Address | None:
    """Read a host as IPv4 the way a browser does (WHATWG URL, "IPv4 parser").

    One to four numbers, decimal, octal (``0...``) or hexadecimal (``0x...``), the last of which
    fills all bytes that are left: ``127.1``, ``0x7f000001``, ``017700000001``.

    Returns:
        None: The host is a name: its last label is no number.

    Raises:
        ValueError: It ends in a number and is no IPv4 address; then it is nothing else either.
    """
    parts = text.split(".")
    if not _is_number(parts[-1]):
        return None
    if len(parts) > 4:
        raise ValueError("more than four numbers")
    numbers = [_number(part) for part in parts]
    *first, last = numbers
    if any(number > 255 for number in first) or last >= 256 ** (5 - len(numbers)):
        raise ValueError("a number out of range")
    value = last
    for index, number in enumerate(first):
        value += number << 8 * (3 - index)
    return IPv4Address(value)


def _is_number(part: str) -> bool:
    if part.isascii() and part.isdigit():
        return True
    try:
        _number(part)
    except ValueError:
        return False
    return True


def _number(part: str) -> int:
    digits, base = part.lower(), 10
    if digits.startswith("0x"):
        digits, base = digits[2:] or "0", 16
    elif digits.startswith("0") and len(digits) > 1:
        digits, base = digits[1:], 8
    if not digits.isascii() or not digits.isalnum():  # int() takes signs, spaces and underscores
        raise ValueError("not a number")
    return int(digits, base)
