"""Callers with a key that may do some things only."""

from __future__ import annotations

from attrs import evolve

from openbolt.http import Principal, Request
from tests.handlers.building import ByHeader

__all__ = ["ByHeaders"]


class ByHeaders(ByHeader):
    """Believes ``x-test-user``, and ``x-test-scopes`` as the scopes of that user's API key."""

    async def authenticate(self, request: Request, /) -> Principal | None:
        principal = await super().authenticate(request)
        held = request.headers.get("x-test-scopes")
        if principal is None or held is None:
            return principal
        return evolve(principal, scopes=frozenset(held.split()), api_key="k")
