"""Who of those that a provider vouches for may come in.

Laws: with no list at all everybody may; else one match in one of them is enough. Only what nobody
else can have counts: a login that is unique, a membership that the provider states, an e-mail
address that it has verified. Two names are the same only if they are so letter by letter: case is
folded in ASCII alone, and no character of Unicode is taken for another.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable

from attrs import frozen

from openbolt.auth.identity import Identity
from openbolt.errors import ConfigurationError, ForbiddenError
from openbolt.settings import Settings, variable_name

__all__ = ["Admission"]

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_LOCAL_PART = re.compile(r"[^\x00-\x20\x7f@<>(),;:\\\"\[\]]{1,64}")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")
_ASCII_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


@frozen
class Admission:
    """The lists, as they are compared.

    Attributes:
        logins: In lower case.
        addresses: Whole e-mail addresses.
        organizations: In lower case.
        domains: As the DNS writes them (``xn--``), for addresses in exactly these domains and not
            below them.
    """

    logins: frozenset[str] = frozenset()
    addresses: frozenset[str] = frozenset()
    organizations: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()

    @classmethod
    def of(cls, settings: Settings, /) -> Admission:
        """The lists of the settings; an ``allowed_users`` with an ``@`` is an e-mail address.

        Raises:
            ConfigurationError: An entry can be none of what its list holds.
        """
        users = settings.allowed_users
        return cls(
            _read((u for u in users if "@" not in u), "allowed_users", _name, "login"),
            _read((u for u in users if "@" in u), "allowed_users", _address, "e-mail address"),
            _read(settings.allowed_orgs, "allowed_orgs", _name, "organization"),
            _read(settings.allowed_email_domains, "allowed_email_domains", _domain, "domain"),
        )

    @property
    def is_open(self) -> bool:
        """Whether there is no list, so that everybody may come in."""
        return not (self.logins or self.addresses or self.organizations or self.domains)

    def check(self, identity: Identity, /) -> None:
        """Let somebody in.

        Raises:
            ForbiddenError: With the code ``sign_in_not_allowed``: they are on no list.
        """
        if not (self.is_open or self._admits(identity)):
            raise ForbiddenError(
                "You are not among those who may sign in here.", code="sign_in_not_allowed"
            )

    def _admits(self, identity: Identity) -> bool:
        address = _address(identity.email) if identity.email_verified else None
        return (
            _name(identity.login) in self.logins
            or any(_name(name) in self.organizations for name in identity.organizations)
            or (address is not None and address in self.addresses)
            or (address is not None and address.partition("@")[2] in self.domains)
        )


def _read(
    entries: Iterable[str], setting: str, read: Callable[[str], str | None], kind: str
) -> frozenset[str]:
    found: set[str] = set()
    for entry in entries:
        value = read(entry)
        if value is None:
            raise ConfigurationError(
                f"{setting} holds {entry!r}, which is no {kind}; set {variable_name(setting)}.",
                setting=setting,
            )
        found.add(value)
    return frozenset(found)


def _lower(text: str) -> str:
    # Not str.lower(): it makes a "k" of the Kelvin sign.
    return text.translate(_ASCII_LOWER)


def _name(text: str) -> str | None:
    """A login or an organization's name; None if it can't be one."""
    return _lower(text) if _NAME.fullmatch(text) else None


def _address(text: str) -> str | None:
    """An e-mail address; None if it can't be one, or needs quotes."""
    local, at, domain = text.partition("@")
    known = _domain(domain)
    if not at or known is None or not _LOCAL_PART.fullmatch(local):
        return None
    return f"{_lower(local)}@{known}"


def _domain(text: str) -> str | None:
    """A domain as the DNS writes it; None if it can't be one."""
    if len(text) > 253 or "." not in text:
        return None
    labels = [_label(label) for label in text.split(".")]
    return None if None in labels else ".".join(label for label in labels if label)


def _label(text: str) -> str | None:
    """One label of a domain.

    Nothing is mapped as IDNA 2003 would (``ß`` to ``ss``): it made one name of two domains that
    belong to different people. A label that isn't in lower case and in composed form is none.
    """
    if text.isascii():
        plain = _lower(text)
    elif unicodedata.normalize("NFKC", text.lower()) == text:
        plain = "xn--" + text.encode("punycode").decode("ascii")
    else:
        return None
    return plain if _LABEL.fullmatch(plain) else None
