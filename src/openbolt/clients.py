"""Which address a request comes from, and how addresses are grouped; pure.

Law: a forwarded address is believed exactly as far as configured proxies vouch for it. The header
fields are read from the right, where the nearest proxy wrote, and the first address that isn't a
trusted proxy's is the client's: whatever stands further left, the client may have written itself.
What can't be read, and two fields that name different clients, are not believed at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from attrs import frozen

from openbolt.errors import ConfigurationError
from openbolt.http import Headers

__all__ = ["ClientAddress", "TrustedProxies", "address_group", "client_address", "parse_address"]

ClientAddress = IPv4Address | IPv6Address

_SITE = 64  # what one subscriber is given at least, and free to choose from (RFC 6177)
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052
_LONGEST = 4096  # characters of a field that is read; no chain of proxies needs so many
_NODE = re.compile(r"(?:\[(?P<v6>[^\]]*)\]|(?P<v4>[0-9.]+))(?::(?:[0-9]{1,5}|_[A-Za-z0-9._-]+))?")

# RFC 7239, section 4. Read strictly, since a lone quote could swallow what a proxy wrote behind it;
# possessively, since it is read before anybody has shown who they are.
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_VALUE = rf'(?:{_TOKEN}|"(?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[\t -~])*+")'
_PAIR = re.compile(rf"({_TOKEN})=({_VALUE})")
_ELEMENT = re.compile(rf"[ \t]*+((?:{_TOKEN}={_VALUE}|;)*+)[ \t]*+(?:,|\Z)")


def parse_address(text: str | None, /) -> ClientAddress | None:
    """An address as a server or a proxy writes it; IPv4 within IPv6 is IPv4, a zone is dropped."""
    try:
        address = ip_address((text or "").partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address
    return address


def address_group(address: ClientAddress | None, /) -> str:
    """What counts as one client: an IPv4 address, an IPv6 /64, or all whose address isn't known."""
    if address is None:
        return "unknown"
    if isinstance(address, IPv4Address):
        return str(address)
    return f"{IPv6Address(int(address) >> _SITE << _SITE)}/{_SITE}"


@frozen
class TrustedProxies:
    """Whose word on a client's address counts.

    Attributes:
        unix: Peers without an address, behind a Unix socket, are trusted too.
    """

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    unix: bool = False

    @classmethod
    def parse(cls, entries: Iterable[str], /) -> TrustedProxies:
        """From addresses, networks (``10.0.0.0/8``) and the word ``unix``.

        Raises:
            ConfigurationError: An entry is none of these.
        """
        texts = tuple(entries)
        networks = tuple(_network(text) for text in texts if text != "unix")
        return cls(networks, unix="unix" in texts)

    def trust(self, address: ClientAddress | None, /) -> bool:
        """Whether this is one of them."""
        if address is None:
            return self.unix
        return any(address in network for network in self.networks)


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError as exc:
        raise ConfigurationError(
            f"trusted_proxies holds {text!r}, which is no address, network (10.0.0.0/8) or "
            f"'unix': {exc}; set OPENBOLT_TRUSTED_PROXIES.",
            setting="trusted_proxies",
        ) from exc


def client_address(
    peer: str | None, headers: Headers, proxies: TrustedProxies, /
) -> ClientAddress | None:
    """The client's address; None where it isn't known.

    Args:
        peer: Who is at the other end of the connection.
    """
    nearest = parse_address(peer)
    if not proxies.trust(nearest):
        return nearest
    claims: set[ClientAddress | None] = set()
    for name, read in (("forwarded", _forwarded), ("x-forwarded-for", _x_forwarded_for)):
        lines = headers.get_all(name)
        if lines:
            hops = read(lines) if sum(map(len, lines)) <= _LONGEST else None
            claims.add(nearest if hops is None else _first_untrusted(nearest, hops, proxies))
    return claims.pop() if len(claims) == 1 else nearest


def _first_untrusted(
    nearest: ClientAddress | None, hops: list[ClientAddress | None], proxies: TrustedProxies
) -> ClientAddress | None:
    for hop in reversed(hops):
        if hop is None:  # "unknown", or a name that a proxy gave: nothing behind it is vouched for
            break
        nearest = hop
        if not proxies.trust(hop):
            break
    return nearest


def _x_forwarded_for(lines: tuple[str, ...]) -> list[ClientAddress | None] | None:
    return [_node(item.strip(" \t")) for line in lines for item in line.split(",")]


def _forwarded(lines: tuple[str, ...]) -> list[ClientAddress | None] | None:
    """The ``for`` of each element of RFC 7239's field; None if it is malformed."""
    hops: list[ClientAddress | None] = []
    for line in lines:
        at = 0
        while at < len(line):
            element = _ELEMENT.match(line, at)
            if element is None:
                return None
            hops.append(_for(element[1]))
            at = element.end()
    return hops


def _for(element: str) -> ClientAddress | None:
    values = [value for name, value in _PAIR.findall(element) if name.lower() == "for"]
    if len(values) != 1:
        return None
    value: str = values[0]
    if value.startswith('"'):
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    return _node(value)


def _node(text: str) -> ClientAddress | None:
    """An address, perhaps with a port: ``192.0.2.1:80``, ``[2001:db8::1]:80``, ``2001:db8::1``."""
    found = _NODE.fullmatch(text)
    return parse_address((found["v6"] or found["v4"]) if found else text)
