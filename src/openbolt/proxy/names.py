"""Hosts as text: from whatever a user wrote to the one spelling that every program reads alike.

Law: what comes out is lower-case ASCII, and either an address or a name that is none. International
names are mapped by UTS 46 and must be valid by IDNA 2008 (the standard library knows IDNA 2003
only); that takes the package ``idna``, which the HTTP libraries bring along. Without it such a name
is refused, and can be written in its ASCII form.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address

from attrs import frozen

from openbolt.proxy.addresses import Address, parse_ipv4
from openbolt.proxy.refusals import refusal

__all__ = ["Host", "is_local_name", "parse_host"]

_MAX_NAME = 253
# A leading or trailing hyphen is in no host name, and some resolvers take it for an option.
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_IPV6 = re.compile(r"[0-9a-f:.]{2,45}")

_LOCAL_SUFFIXES = (
    "localhost",  # RFC 6761
    "local",  # RFC 6762
    "internal",  # reserved by ICANN in 2024
    "home.arpa",  # RFC 8375
    "onion",  # RFC 7686
    "alt",  # RFC 9476
    # Never delegated, and in use inside networks (RFC 6762, appendix G; kubernetes' own).
    "localdomain",
    "intranet",
    "private",
    "corp",
    "home",
    "lan",
    "svc",
)
_METADATA = frozenset({"metadata.packet.net", "metadata.platformequinix.com"})
"""Services that trust whoever asks, at public addresses; others are caught by address."""


@frozen
class Host:
    """A host in its canonical spelling: ``text`` has no brackets and no trailing dot."""

    text: str
    address: Address | None = None


def parse_host(text: str, /) -> Host:
    """Read a URL's host.

    Raises:
        TargetRefusedError: It is no host, or one that programs read differently.
    """
    if text.startswith("["):
        return _ipv6(text)
    if "%" in text:
        raise refusal("malformed", "its host is percent-encoded")
    name = (text if text.isascii() else _mapped(text)).lower().removesuffix(".")
    try:
        address = parse_ipv4(name)
    except ValueError as exc:
        raise refusal("malformed", "its host ends in a number and is no IPv4 address") from exc
    if address is not None:
        return Host(str(address), address)
    labels = name.split(".")
    if len(name) > _MAX_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise refusal("malformed", "its host is not a host name")
    if any(label.startswith("xn--") for label in labels):
        _check_encoded(labels)
    return Host(name)


def is_local_name(name: str, /) -> bool:
    """Whether a name means something in one network only, or is a cloud's metadata service.

    A name without a dot is completed by the resolver's search list, so it is one of them.
    """
    return (
        "." not in name
        or name in _METADATA
        or any(name == suffix or name.endswith("." + suffix) for suffix in _LOCAL_SUFFIXES)
    )


def _ipv6(text: str) -> Host:
    inner = text[1:-1].lower()
    if not text.endswith("]") or not _IPV6.fullmatch(inner):  # no zones, no future versions
        raise refusal("malformed", "its host is not an IPv6 address")
    try:
        address = IPv6Address(inner)
    except ValueError as exc:
        raise refusal("malformed", "its host is not an IPv6 address") from exc
    return Host(address.compressed, address)


def _mapped(text: str) -> str:
    """An international name in ASCII; it may turn out to be an address."""
    try:
        import idna
    except ModuleNotFoundError as exc:
        raise refusal("malformed", "its host isn't ASCII; write it in its xn-- form") from exc
    if len(text) > _MAX_NAME:  # before any work is done on it
        raise refusal("malformed", "its host is not a host name")
    try:
        mapped = idna.uts46_remap(text, std3_rules=True, transitional=False)
        if mapped.isascii():
            return mapped
        return idna.encode(mapped, std3_rules=True).decode("ascii")
    except (idna.IDNAError, UnicodeError) as exc:
        raise refusal("malformed", "its host is not a valid international name") from exc


def _check_encoded(labels: list[str]) -> None:
    """Labels in their xn-- form must mean something, and be the one way to write it."""
    try:
        import idna
    except ModuleNotFoundError:
        return  # in a Worker, whose own fetch reads them as a browser does
    try:
        for label in labels:
            if label.startswith("xn--") and idna.alabel(idna.ulabel(label)) != label.encode():
                raise refusal("malformed", "its host is not a valid international name")
    except (idna.IDNAError, UnicodeError) as exc:
        raise refusal("malformed", "its host is not a valid international name") from exc
