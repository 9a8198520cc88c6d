"""The guard before every URL that comes from a user: look up once, check, connect to just that.

Law: no connection is made to an address that the policy hasn't admitted. The name is looked up here
and nowhere else, and the sender is told the address (``OutboundRequest.connect_to``), so a name
that changes its answer changes nothing. Redirects are followed here, each one a request that is
checked like the first.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
)
from typing import Protocol

from attrs import evolve, field, frozen

from openbolt.errors import ConfigurationError, UpstreamError
from openbolt.http import Headers
from openbolt.protocols import HttpSender, OutboundRequest, OutboundResponse
from openbolt.proxy.addresses import Address
from openbolt.proxy.fetching import Fetched, fetched
from openbolt.proxy.policy import FetchPolicy
from openbolt.proxy.refusals import ResponseTooLargeError, TargetRefusedError, refusal
from openbolt.proxy.targets import Target

__all__ = [
    "FetchPolicy",
    "Fetched",
    "GuardedSender",
    "LiteralOnlyGuard",
    "Resolver",
    "ResponseTooLargeError",
    "Target",
    "TargetRefusedError",
]

_MAX_CONNECTS = 4
"""Addresses that are tried, of two families in turn; a name may have hundreds."""


class Resolver(Protocol):
    """Looks names up."""

    async def resolve(self, host: str, port: int, /) -> Sequence[Address]:
        """Every address of a name, the preferred one first; none if it has none.

        ``host`` is lower-case ASCII and never an address.

        Raises:
            UpstreamError: The look-up failed.
        """
        ...


@frozen
class GuardedSender:
    """An `openbolt.protocols.HttpSender` for URLs that users name.

    Args:
        sender: One that honors ``connect_to``.
        resolver: Asked once for each request.
        policy: What may be fetched.
    """

    sender: HttpSender
    resolver: Resolver
    policy: FetchPolicy = field(factory=FetchPolicy)

    @asynccontextmanager
    async def send(self, request: OutboundRequest, /) -> AsyncGenerator[OutboundResponse]:
        """Send to an address that was admitted, and to no other; see `HttpSender.send`.

        Where no connection stands, the name's next address is tried, up to four. The look-up takes
        up to ``timeouts.connect``. ``Host`` and ``connect_to`` of the request are not heeded: they
        are what the URL says.

        Raises:
            TargetRefusedError: The URL can't be read, isn't allowed, or leads nowhere.
        """
        target = self.policy.admit(request.url)
        found = await self._addresses(target, request.timeouts.connect)
        outbound = _canonical(request, target)
        async with AsyncExitStack() as stack:
            response = await self._connected(outbound, found, stack)
            _check_headers(response, target, self.policy)
            yield response

    def fetch(
        self, request: OutboundRequest, /, *, secret_headers: Iterable[str] = ()
    ) -> AbstractAsyncContextManager[Fetched]:
        """Fetch: redirects followed, the body unpacked, all within the policy's limits.

        Args:
            secret_headers: Fields that stay with the first origin. ``Authorization``, ``Cookie``
                and whatever is named like a secret do so without being said.

        Raises:
            TargetRefusedError: The URL, or one that a redirect leads to, may not be fetched.
            ResponseTooLargeError: The head or the body is over its limit.
            UpstreamTimeoutError: ``policy.total`` ran out.
            UpstreamError: It can't be reached, redirects in a circle or too often, or is broken.
        """
        return fetched(self.send, request, self.policy, secret=tuple(secret_headers))

    async def _addresses(self, target: Target, limit: float | None) -> Sequence[Address]:
        if target.address is not None:
            return [target.address]
        try:
            async with asyncio.timeout(limit):
                found = await self.resolver.resolve(target.host, target.port)
        except (UpstreamError, OSError) as exc:  # a TimeoutError is one, too
            # In the same words as a forbidden address, whatever went wrong inside.
            raise refusal("unresolved", f"{target.host}: {exc!r}") from exc
        return _families_in_turn(self.policy.admit_addresses(target, found))

    async def _connected(
        self, request: OutboundRequest, found: Sequence[Address], stack: AsyncExitStack
    ) -> OutboundResponse:
        *others, last = found[:_MAX_CONNECTS]
        for address in others:
            pinned = evolve(request, connect_to=str(address))
            try:
                return await stack.enter_async_context(self.sender.send(pinned))
            except UpstreamError as exc:
                if not exc.retryable:  # something was sent
                    raise
        pinned = evolve(request, connect_to=str(last))
        return await stack.enter_async_context(self.sender.send(pinned))


@frozen
class LiteralOnlyGuard:
    """The guard where a name can't be pinned to an address: in a Worker.

    It checks the URL's text, addresses written in it included, and the policy's list of hosts; then
    the sender looks the name up by itself. So it protects as far as the listed hosts can be
    trusted with their own names, and no further.

    Raises:
        ConfigurationError: The policy has no ``only_hosts``.
    """

    sender: HttpSender
    policy: FetchPolicy

    def __attrs_post_init__(self) -> None:
        if self.policy.only_hosts is None:
            raise ConfigurationError(
                "only_hosts must list the hosts to fetch from where names can't be pinned.",
                setting="only_hosts",
            )

    @asynccontextmanager
    async def send(self, request: OutboundRequest, /) -> AsyncGenerator[OutboundResponse]:
        """Send if the URL's text allows it; see `GuardedSender.send`."""
        target = self.policy.admit(request.url)
        async with self.sender.send(_canonical(request, target)) as response:
            _check_headers(response, target, self.policy)
            yield response

    def fetch(
        self, request: OutboundRequest, /, *, secret_headers: Iterable[str] = ()
    ) -> AbstractAsyncContextManager[Fetched]:
        """Fetch; see `GuardedSender.fetch`."""
        return fetched(self.send, request, self.policy, secret=tuple(secret_headers))


def _canonical(request: OutboundRequest, target: Target) -> OutboundRequest:
    headers = Headers(pair for pair in request.headers.items if pair[0] != "host")
    return evolve(request, url=target.url, headers=headers, connect_to=None)


def _check_headers(response: OutboundResponse, target: Target, policy: FetchPolicy) -> None:
    size = sum(len(name) + len(value) for name, value in response.headers.items)
    if size > policy.max_header_bytes:
        raise ResponseTooLargeError(
            f"{target.host} sends over {policy.max_header_bytes} bytes of header fields."
        )


def _families_in_turn(found: Sequence[Address]) -> Sequence[Address]:
    """Each address once, IPv4 and IPv6 in turn: where one family is broken the other comes soon."""
    distinct = list(dict.fromkeys(found))
    first = [address for address in distinct if address.version == distinct[0].version]
    second = [address for address in distinct if address.version != distinct[0].version]
    turns = min(len(first), len(second))
    paired = [address for pair in zip(first, second, strict=False) for address in pair]
    return [*paired, *first[turns:], *second[turns:]]
