"""The guard that lets requests in at a rate, and tells their senders how it stands.

Laws: a request that one policy refuses uses nothing of the others, where the limiter can give back.
What a limiter doesn't know is not said. While its store is down a policy fails as it says, open or
closed, and the log says so once a minute.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_CEILING, Decimal

from attrs import Factory, evolve, field, frozen

from openbolt.clients import ClientAddress, TrustedProxies, address_group, client_address
from openbolt.errors import BackendError, ConfigurationError, RateLimitedError
from openbolt.guards import answer_to, error_response
from openbolt.http import Handler, Principal, Request, Response
from openbolt.limits import Counted, rate_limit_headers, retry_after
from openbolt.outages import Outages
from openbolt.protocols import (
    AccountingRateLimiter,
    Clock,
    Decision,
    RateLimiter,
    RatePolicy,
)
from openbolt.rate_policies import policies_from, route_policies
from openbolt.routing import Route
from openbolt.settings import Settings

__all__ = ["RateLimits", "limit_routes", "rate_limited"]

_log = logging.getLogger("openbolt.limits")

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


def _new_outages(limits: RateLimits) -> Outages:
    return Outages(_log, limits.clock)


@frozen
class RateLimits:
    """A limiter, the policies that hold, and whom a request counts for.

    Attributes:
        accounts: The same limiter, where it can be told afterwards; else nothing is given back.
        timeout: Seconds after which a limiter that doesn't answer counts as down.
    """

    limiter: RateLimiter
    clock: Clock
    policies: Mapping[str, RatePolicy] = field(factory=policies_from)
    accounts: AccountingRateLimiter | None = None
    proxies: TrustedProxies = field(factory=TrustedProxies)
    timeout: float = 5.0
    _outages: Outages = field(
        init=False, repr=False, eq=False, default=Factory(_new_outages, takes_self=True)
    )

    def __attrs_post_init__(self) -> None:
        after = [policy.name for policy in self.policies.values() if policy.unit != "requests"]
        if after and self.accounts is None:
            raise ConfigurationError(
                f"rate_limits sets {after[0]}, and this limiter can't be told afterwards what "
                "something cost; take it out of OPENBOLT_RATE_LIMITS.",
                setting="rate_limits",
            )

    @classmethod
    def of(
        cls,
        limiter: RateLimiter,
        clock: Clock,
        settings: Settings,
        /,
        *,
        accounts: AccountingRateLimiter | None = None,
        factor: int = 1,
    ) -> RateLimits:
        """From ``settings.rate_limits`` and ``settings.trusted_proxies``.

        Args:
            factor: How many times as much the defaults allow.

        Raises:
            ConfigurationError: One of the two holds something wrong.
        """
        return cls(
            limiter,
            clock,
            policies_from(settings.rate_limits, factor=factor),
            accounts,
            TrustedProxies.parse(settings.trusted_proxies),
        )

    def named(self, names: Iterable[str], /) -> tuple[RatePolicy, ...]:
        """Those of these policies that hold."""
        return tuple(self.policies[name] for name in names if name in self.policies)

    def subject(self, request: Request, policy: RatePolicy, /) -> str | None:
        """Whom a request counts for; None where the policy doesn't apply to it."""
        principal = request.context.principal
        match policy.per:
            case "user" if principal is not None:
                return f"user:{principal.user_id}"
            case "key":
                return _key_subject(principal)
            case "account":
                return None
            case _:
                return f"address:{address_group(self.address(request))}"

    def address(self, request: Request, /) -> ClientAddress | None:
        """The client's address, by the word of trusted proxies."""
        peer = request.context.client
        address = client_address(peer, request.headers, self.proxies)
        if address is None:
            self._outages.note(
                "address",
                "Some requests have no address and share one limit; behind a Unix socket, set "
                "trusted_proxies to unix",
            )
        elif (
            not self.proxies.networks
            and address.is_private
            and ("x-forwarded-for" in request.headers or "forwarded" in request.headers)
        ):
            self._outages.note(
                "proxy",
                "A proxy at %s forwards requests; until trusted_proxies names it, all that come "
                "through it share the limits of one address",
                address,
            )
        return address

    async def count(
        self, request: Request, policies: Iterable[RatePolicy], /
    ) -> tuple[Counted, ...]:
        """Count a request under several policies, all or none.

        Raises:
            BackendError: The limiter is down, and one of the policies fails closed.
        """
        counted: list[Counted] = []
        used: list[tuple[RatePolicy, str]] = []
        refused = False
        try:
            for policy in policies:
                subject = self.subject(request, policy)
                if subject is None:
                    continue
                decision = await self._ask(policy, subject, _cost(policy))
                if decision is None:
                    continue
                counted.append(Counted(policy, decision))
                if decision.allowed:
                    used.append((policy, subject))
                else:
                    refused = True
                    if self.accounts is None:
                        break  # what the others would use could not be given back
        except BackendError:
            await self._give_back(used)
            raise
        if refused:
            await self._give_back(used)
        return tuple(counted)

    async def acquire(self, name: str, subject: str, cost: int = 1, /) -> None:
        """Count something under one policy, if it holds.

        Raises:
            RateLimitedError: There is too little left.
            BackendError: The limiter is down, and the policy fails closed.
        """
        for policy in self.named([name]):
            decision = await self._ask(policy, subject, cost)
            if decision is not None and not decision.allowed:
                raise _refusal([Counted(policy, decision)])

    async def charge(self, name: str, subject: str, cost: int, /) -> None:
        """Tell what something has cost, if the policy holds; a limiter that is down misses it."""
        for policy in self.named([name]):
            await self._charge(policy, subject, cost)

    async def spend(self, user_id: str, /, *, tokens: int, usd: Decimal | None = None) -> None:
        """Tell what a model call of a user has cost: the policies ``tokens`` and ``spend``."""
        await self.charge("tokens", f"user:{user_id}", tokens)
        if usd is not None:
            micros = int((usd * 1_000_000).to_integral_value(rounding=ROUND_CEILING))
            await self.charge("spend", f"user:{user_id}", micros)

    async def _ask(self, policy: RatePolicy, subject: str, cost: int) -> Decision | None:
        """The limiter's answer; None while it is down and the policy fails open."""
        try:
            if not policy.shared:  # counted in memory: nothing to wait for
                return await self.limiter.acquire(subject, policy, cost)
            async with asyncio.timeout(self.timeout):
                return await self.limiter.acquire(subject, policy, cost)
        except (BackendError, TimeoutError) as exc:
            self._outages.note(
                policy.name,
                "The limiter is down: the rate limit %s fails %s (%s)",
                policy.name,
                policy.fails,
                _said(exc),
            )
            if policy.fails == "closed":
                raise BackendError(
                    "This can't be done at the moment; try again soon.",
                    detail=f"the rate limit {policy.name} can't be counted and fails closed",
                ) from exc
            return None

    async def _give_back(self, used: Iterable[tuple[RatePolicy, str]]) -> None:
        for policy, subject in used:
            if cost := _cost(policy):
                await self._charge(policy, subject, -cost)

    async def _charge(self, policy: RatePolicy, subject: str, cost: int) -> None:
        if self.accounts is None or not cost:
            return
        try:
            async with asyncio.timeout(self.timeout):
                await self.accounts.charge(subject, policy, cost)
        except (BackendError, TimeoutError) as exc:
            self._outages.note(
                f"{policy.name} charge",
                "The limiter is down: the rate limit %s misses what was used (%s)",
                policy.name,
                _said(exc),
            )


def _said(exc: Exception) -> str:
    return str(exc) or type(exc).__name__


def _cost(policy: RatePolicy) -> int:
    """What a request costs before it is answered."""
    return 1 if policy.unit == "requests" else 0


def _key_subject(principal: Principal | None) -> str | None:
    if principal is None or principal.api_key is None:
        return None
    return f"key:{principal.user_id}/{principal.api_key}"


def _refusal(counted: Sequence[Counted]) -> RateLimitedError:
    wait = retry_after(counted)
    policy = next(one.policy for one in counted if not one.decision.allowed)
    said = f"Too many requests: the limit {policy.name} is {policy.limit} {policy.unit} in "
    said += f"{policy.period:g} seconds."
    if wait is not None:
        said += f" Try again in {wait} second{'' if wait == 1 else 's'}."
    return RateLimitedError(said, retry_after=wait)


def rate_limited(handler: Handler, limits: RateLimits, names: Iterable[str], /) -> Handler:
    """Let requests in at the rate that policies allow.

    A response has ``RateLimit-Policy`` and ``RateLimit``, whatever its status (but a redirect,
    which a client would follow late), and a refusal is a 429 with ``Retry-After``, or a 503 where
    the limiter is down and a policy fails closed. Errors of the handler are answered here, so that
    they have the fields, too.

    Args:
        names: Of policies; those that don't hold (a setting can switch them off) are left out.

    """
    policies = limits.named(names)
    if not policies:
        return handler

    async def limited(request: Request, /) -> Response:
        request_id = request.context.request_id
        try:
            counted = await limits.count(request, policies)
        except BackendError as error:  # which the log has, once a minute
            return error_response(error, request_id=request_id)
        refused = [one for one in counted if not one.decision.allowed]
        if refused:
            response = error_response(_refusal(counted), request_id=request_id)
        else:
            try:
                response = await handler(request)
            except Exception as error:
                response = answer_to(error, request)
        if response.status in _REDIRECTS:
            return response
        return response.with_headers(rate_limit_headers(counted))

    return limited


def limit_routes(routes: Iterable[Route], limits: RateLimits | None, /) -> list[Route]:
    """The same routes, each under the policies that the table has for it.

    Args:
        limits: None: no limiter; the table is consulted all the same.

    Raises:
        LookupError: A route isn't in `openbolt.rate_policies.ROUTE_POLICIES`.
    """
    found = [(route, route_policies(route.method, route.template)) for route in routes]
    if limits is None:
        return [route for route, _ in found]
    return [
        evolve(route, handler=rate_limited(route.handler, limits, names)) for route, names in found
    ]
