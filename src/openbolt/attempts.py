"""Nobody tries passwords or keys at leisure.

Law: an address that has failed too often isn't listened to, a right password included, until it has
an attempt again; so the answers to guesses beyond that tell nothing.
"""

from __future__ import annotations

from attrs import frozen

from openbolt.clients import address_group
from openbolt.errors import UnauthenticatedError
from openbolt.http import Principal, Request
from openbolt.limiting import RateLimits
from openbolt.protocols import Authenticator

__all__ = ["LimitedAttempts"]


@frozen
class LimitedAttempts:
    """An `Authenticator` under the policy ``guesses``, by address.

    Whoever sends ``Authorization`` and is refused has made an attempt. With a limiter that can't be
    told afterwards, a right password is let in also when no attempts are left.
    """

    authenticator: Authenticator
    limits: RateLimits

    async def authenticate(self, request: Request, /) -> Principal | None:
        """Whoever the other authenticator says.

        Raises:
            RateLimitedError: Too many attempts from this address.
        """
        if "authorization" not in request.headers:
            return await self.authenticator.authenticate(request)
        subject = f"address:{address_group(self.limits.address(request))}"
        can_charge = self.limits.accounts is not None
        if can_charge:
            await self.limits.acquire("guesses", subject, 0)
        try:
            return await self.authenticator.authenticate(request)
        except UnauthenticatedError:
            if can_charge:
                await self.limits.charge("guesses", subject, 1)
            else:
                await self.limits.acquire("guesses", subject)
            raise
