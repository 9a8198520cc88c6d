"""What may be fetched for a user: schemes, ports, hosts, addresses, and how much of it.

Law: everything is refused that isn't on the open internet, unless the operator has named it. A name
is checked before it is looked up, and every address that the look-up gave is checked before one of
them is connected to: one forbidden address among them refuses the name, because a name that leads
both outside and inside is how a look-up is turned against its user (DNS rebinding).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_network

from attrs import Factory, field, frozen

from openbolt.errors import ConfigurationError
from openbolt.proxy.addresses import Address, Network, forbidden_as, inner_address
from openbolt.proxy.names import is_local_name
from openbolt.proxy.refusals import TargetRefusedError, refusal
from openbolt.proxy.targets import Target, parse_authority

__all__ = ["FetchPolicy"]

MIB = 1024 * 1024
_OWN_NETWORK = frozenset({"loopback", "private", "shared", "unique local"})
"""Where an allowed host may lead: to no metadata service, and through no tunnel."""

Entry = tuple[str, int | None]


def _texts(values: Iterable[str]) -> frozenset[str]:
    return frozenset(values)


def _numbers(values: Iterable[int]) -> frozenset[int]:
    return frozenset(values)


def _entries(name: str, texts: Iterable[str]) -> frozenset[Entry]:
    made: set[Entry] = set()
    for text in texts:
        try:
            host, port = parse_authority(text)
        except TargetRefusedError as exc:
            raise ConfigurationError(
                f"{name} holds {text!r}, which is not a host or host:port.", setting=name
            ) from exc
        made.add((host.text, port))
    return frozenset(made)


def _networks(name: str, texts: Iterable[str]) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(text) for text in texts)
    except ValueError as exc:
        raise ConfigurationError(
            f"{name} holds what is not a network like 10.1.2.0/24 ({exc}).", setting=name
        ) from exc


@frozen
class _Lists:
    """A policy's hosts and networks, read."""

    only: frozenset[Entry]
    allowed: frozenset[Entry]
    inside: tuple[Network, ...]
    outside: tuple[Network, ...]

    @classmethod
    def of(cls, policy: FetchPolicy) -> _Lists:
        return cls(
            _entries("only_hosts", policy.only_hosts or ()),
            _entries("allow_hosts", policy.allow_hosts),
            _networks("allow_networks", policy.allow_networks),
            _networks("deny_networks", policy.deny_networks),
        )


@frozen(kw_only=True)
class FetchPolicy:
    """Where a user's URL may lead. Sizes in bytes, durations in seconds.

    Hosts are exact: ``git.example`` (any port that is allowed) or ``git.example:3000`` (that port,
    whether ``ports`` has it or not); IPv6 in brackets.

    Attributes:
        schemes: ``https``, ``http`` or both.
        ports: Those of servers that are meant to be found; a mail server is not.
        only_hosts: No other host is fetched from, wherever it leads; None: any public one.
        allow_hosts: Hosts that may have a local name, or lead to private, shared, unique local or
            loopback addresses: an internal Git server. To others only where the address itself is
            listed.
        allow_networks: Addresses that may be connected to though they are private, under any name.
        deny_networks: Public addresses that may not: your own, and a NAT64 prefix of your own.
        max_redirects: Followed by `fetch`; a further one is an error.
        max_response_bytes: Of a body on the wire.
        max_decoded_bytes: Of a body once unpacked.
        max_ratio: Unpacked bytes for one byte on the wire, above 1 MiB; text has up to 20.
        max_header_bytes: Of a response's header fields.
        total: All of a `fetch`: look-ups, redirects and the body.

    Raises:
        ConfigurationError: When made: an entry can't be read; names the field.
    """

    schemes: frozenset[str] = field(default=frozenset({"http", "https"}), converter=_texts)
    ports: frozenset[int] = field(default=frozenset({80, 443}), converter=_numbers)
    only_hosts: tuple[str, ...] | None = None
    allow_hosts: tuple[str, ...] = ()
    allow_networks: tuple[str, ...] = ()
    deny_networks: tuple[str, ...] = ()
    max_redirects: int = 5
    max_response_bytes: int = 32 * MIB
    max_decoded_bytes: int = 64 * MIB
    max_ratio: int = 200
    max_header_bytes: int = 64 * 1024
    total: float = 60.0
    _lists: _Lists = field(
        init=False, repr=False, eq=False, default=Factory(_Lists.of, takes_self=True)
    )

    def __attrs_post_init__(self) -> None:
        if not self.schemes or not self.schemes <= {"http", "https"}:
            raise ConfigurationError("schemes holds http, https or both.", setting="schemes")
        if not all(0 < port < 65536 for port in self.ports):
            raise ConfigurationError("ports holds numbers from 1 to 65535.", setting="ports")

    def admit(self, url: str, /) -> Target:
        """Read a URL and check all that shows in its text; no look-up.

        Raises:
            TargetRefusedError: It may not be fetched.
        """
        target = Target.parse(url)
        if target.scheme not in self.schemes:
            raise refusal("scheme", f"{target.scheme} for {target.authority}")
        if self.only_hosts is not None and not _listed(target, self._lists.only):
            raise refusal("not_listed", target.authority)
        named = (target.host, target.port)
        if target.port not in self.ports and named not in self._lists.allowed | self._lists.only:
            raise refusal("port", target.authority)
        if target.address is not None:
            self._check(target, target.address)
        elif is_local_name(target.host) and not _listed(target, self._lists.allowed):
            raise refusal("name", target.authority)
        return target

    def admit_addresses(self, target: Target, found: Sequence[Address], /) -> Sequence[Address]:
        """Check what a look-up gave, whole.

        Raises:
            TargetRefusedError: There is no address, or one that may not be connected to.
        """
        if not found:
            raise refusal("unresolved", f"{target.host} has no address")
        for address in found:
            self._check(target, address)
        return found

    def _check(self, target: Target, address: Address) -> None:
        kind = self._forbidden_as(target, address)
        if kind is not None:
            raise refusal("address", f"{target.authority} at {address}: {kind}")

    def _forbidden_as(self, target: Target, address: Address) -> str | None:
        if any(_holds(network, address) for network in self._lists.outside):
            return "denied"
        if any(_holds(network, address) for network in self._lists.inside):
            return None
        kind = forbidden_as(address)
        if _listed(target, self._lists.allowed) and (
            kind in _OWN_NETWORK or target.address is not None
        ):
            return None
        return kind


def _listed(target: Target, entries: frozenset[Entry]) -> bool:
    return (target.host, None) in entries or (target.host, target.port) in entries


def _holds(network: Network, address: Address) -> bool:
    """Membership; an IPv4 network holds the well-known NAT64 forms of its addresses, too."""
    if address.version == network.version:
        return address in network
    inner = inner_address(address)
    return inner is not None and inner in network
