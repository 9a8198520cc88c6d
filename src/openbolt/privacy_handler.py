"""An account over HTTP: taken along, and deleted.

Law: an account is deleted only by somebody who names it.
"""

from __future__ import annotations

from attrs import frozen

from openbolt.access import Resource, owner_of, principal_of, require
from openbolt.auth.cookies import session_cookie, with_cookies
from openbolt.bodies import json_response, read_json
from openbolt.errors import InvalidRequestError
from openbolt.http import Headers, Request, Response, StreamBody
from openbolt.privacy import Privacy

__all__ = ["Confirmation", "DeleteAccount", "ExportAccount"]

_MAX_BODY_BYTES = 1024


@frozen
class Confirmation:
    """What tells a deletion from a mistake: the id of the user who is to be deleted."""

    confirm: str


@frozen
class ExportAccount:
    """``GET /api/account/export``."""

    privacy: Privacy

    async def __call__(self, request: Request, /) -> Response:
        """Everything that is stored of the caller, as a zip archive."""
        owner = owner_of(request)
        require(principal_of(request), "read", Resource("account", owner))
        # Before the response begins: what this writes counts as work in the account.
        await self.privacy.settle(owner)
        headers = Headers.of(
            {
                "content-type": "application/zip",
                "content-disposition": f'attachment; filename="account-{owner}.zip"',
                "cache-control": "no-store",
            }
        )
        archive = self.privacy.export(owner, host=request.host or "openbolt")
        return Response(200, headers, StreamBody(archive))


@frozen
class DeleteAccount:
    """``DELETE /api/account``."""

    privacy: Privacy

    async def __call__(self, request: Request, /) -> Response:
        """Delete everything that is stored of the caller, sign out everywhere, give a receipt."""
        principal, owner = principal_of(request), owner_of(request)
        require(principal, "delete", Resource("account", owner))
        body = await read_json(request, Confirmation, limit=_MAX_BODY_BYTES)
        if body.confirm != owner:
            raise InvalidRequestError(
                "confirm: must be the id of the user who is to be deleted", field="confirm"
            )
        receipt = await self.privacy.erase(owner)
        # As at sign-out, and not "storage": other applications may share the origin.
        headers = {"clear-site-data": '"cache"'}
        response = json_response(receipt.to_json(), headers=headers)
        if principal.session is None:
            return response
        return with_cookies(response, session_cookie(request, self.privacy.settings).delete())
