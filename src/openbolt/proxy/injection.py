"""The secrets of one request: found, and put in their places.

Law: a secret goes into the one field or parameter that its upstream names, whole, and is nowhere
else: it is in no repr, and what errors say is searched for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal
from urllib.parse import quote

from attrs import field, frozen

from openbolt.errors import InvalidRequestError, UpstreamError
from openbolt.hidden import Hidden
from openbolt.proxy.upstreams import Upstream, is_sendable
from openbolt.secrets import SecretStore

__all__ = ["Injected", "Secrets", "cover"]


@frozen
class Injected:
    """The secrets of one request, in their places.

    Attributes:
        headers: Whole values, by field.
        query: The same, by parameter.
        values: The secrets themselves, as they stand in a field and in a URL.
        whose: The operator's, if one of them is; None: there are none.
    """

    headers: Mapping[str, str] = field(factory=dict[str, str], repr=False)
    query: Mapping[str, str] = field(factory=dict[str, str], repr=False)
    values: tuple[str, ...] = field(default=(), repr=False)
    whose: Literal["operator", "user"] | None = None

    def are_in(self, text: str, /) -> bool:
        """Whether one of them stands in a text."""
        return any(secret in text for secret in self.values)


@frozen
class Secrets:
    """Where secrets come from."""

    operators: Mapping[str, Hidden] = field(factory=dict[str, Hidden], repr=False)
    users: SecretStore | None = None

    async def of(self, upstream: Upstream, user_id: str, /) -> Injected:
        """Those that an upstream gets with a request of a user.

        Raises:
            InvalidRequestError: The user hasn't stored theirs (``secret_missing``), or it can't be
                sent (``secret_unusable``).
        """
        headers: dict[str, str] = {}
        query: dict[str, str] = {}
        values: list[str] = []
        whose: Literal["operator", "user"] | None = None
        for injection in upstream.secrets:
            if injection.is_users:
                value = await self._own(upstream, injection.name, user_id)
                whose = whose or "user"
            else:
                value = self.operators[injection.name].reveal()
                whose = "operator"
            values += [value, quote(value, safe="")]
            whole = injection.template.replace("{secret}", value)
            if injection.header is not None:
                headers[injection.header] = whole
            else:
                query[str(injection.query)] = whole
        return Injected(headers, query, tuple(dict.fromkeys(values)), whose)

    async def _own(self, upstream: Upstream, name: str, user_id: str) -> str:
        value = None if self.users is None else await self.users.read(user_id, name)
        if value is None:
            raise InvalidRequestError(
                f"{upstream.name} needs your secret {name!r}; store it in the settings first.",
                code="secret_missing",
            )
        if not is_sendable(value):
            raise InvalidRequestError(
                f"Your secret {name!r} holds characters that can't be sent; replace it.",
                code="secret_unusable",
            )
        return value


def cover(error: UpstreamError, secrets: Iterable[str], /) -> None:
    """Take secrets out of what the log gets: some libraries repeat the URL in their errors."""
    for secret in secrets:
        if error.detail and secret in error.detail:
            error.detail = error.detail.replace(secret, "[redacted]")
        if error.__cause__ is not None and secret in f"{error.__cause__!r} {error.__cause__}":
            error.__cause__ = None
            error.__suppress_context__ = True
