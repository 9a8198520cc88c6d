"""App tokens over HTTP: make, list, revoke; and as a part of what is stored of a user.

Law: the answer that makes a token is the only one that holds it. Making one takes the say over the
project and over the owner's money: an API key needs both scopes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal, InvalidOperation
from typing import Any

from attrs import frozen

from openbolt.access import principal_of
from openbolt.archives import ExportedFile
from openbolt.bodies import iso_time, json_response, read_json
from openbolt.errors import InvalidRequestError, NotFoundError
from openbolt.http import Request, Response
from openbolt.personal.data import pretty_json
from openbolt.projects.store import Project, ProjectStore
from openbolt.proxy.app_tokens import AppTokens, Ledger
from openbolt.settings import Settings

__all__ = ["AppTokenData", "CreateAppToken", "ListAppTokens", "NewAppToken", "RevokeAppToken"]

_MAX_BODY_BYTES = 16 * 1024
_MAX_NAME_CHARS = 100
_MAX_MODELS = 50
_MAX_USD = Decimal(1000)
_MIN_LIFE, _MAX_LIFE = 60.0, 30 * 86_400.0


@frozen
class NewAppToken:
    """What a token is wanted for.

    Attributes:
        name: For its owner to tell it by.
        models: Names of models; None: those of the settings.
        max_usd: A decimal as text, in USD.
        expires_in: Seconds.
    """

    name: str = ""
    models: tuple[str, ...] | None = None
    max_usd: str = "1.00"
    expires_in: float = 3600.0

    def checked_models(self, settings: Settings) -> tuple[str, ...]:
        """Names that there are; one or more."""
        known = settings.models or (() if self.models else (settings.model,))
        wanted = known if self.models is None else self.models
        if not wanted or len(wanted) > _MAX_MODELS or not all(0 < len(m) <= 200 for m in wanted):
            raise _wrong("models", "must name a model")
        if known and not set(wanted) <= set(known):
            raise _wrong("models", f"must be some of {', '.join(known)}")
        return wanted

    def checked_usd(self) -> Decimal:
        """More than nothing, and at most 1,000."""
        try:
            usd = Decimal(self.max_usd)
        except InvalidOperation:
            usd = Decimal("NaN")
        if len(self.max_usd) > 20 or not (usd.is_finite() and 0 < usd <= _MAX_USD):
            raise _wrong("maxUsd", f"must be an amount of at most {_MAX_USD}, as '0.50'")
        return usd

    def end(self, now: float) -> float:
        """When it ends, in seconds since the epoch; a minute to 30 days from now."""
        if not _MIN_LIFE <= self.expires_in <= _MAX_LIFE:
            raise _wrong("expiresIn", "must be a minute to 30 days, in seconds")
        return now + self.expires_in

    def checked_name(self) -> str:
        """At most 100 characters."""
        text = " ".join(self.name.split())
        if len(text) > _MAX_NAME_CHARS:
            raise _wrong("name", f"must be at most {_MAX_NAME_CHARS} characters")
        return text


@frozen
class CreateAppToken:
    """``POST /api/projects/{id}/app-tokens``."""

    app_tokens: AppTokens
    projects: ProjectStore
    settings: Settings

    async def __call__(self, request: Request, /) -> Response:
        """Make one; ``token`` is in this answer and in no other."""
        project = await _project(self.projects, request)
        body = await read_json(request, NewAppToken, limit=_MAX_BODY_BYTES)
        secret, ledger = await self.app_tokens.create(
            project,
            name=body.checked_name(),
            models=body.checked_models(self.settings),
            max_usd=body.checked_usd(),
            expires_at=body.end(self.app_tokens.clock.now()),
        )
        base_url = f"{request.root_path}/api/proxy/anthropic"
        return json_response({**_row(ledger), "token": secret, "baseUrl": base_url}, status=201)


@frozen
class ListAppTokens:
    """``GET /api/projects/{id}/app-tokens``."""

    app_tokens: AppTokens
    projects: ProjectStore

    async def __call__(self, request: Request, /) -> Response:
        """The project's, the newest first, and what they have spent."""
        project = await _project(self.projects, request)
        found = await self.app_tokens.list(project.owner, of=project)
        return json_response({"appTokens": [_row(ledger) for ledger in found]})


@frozen
class RevokeAppToken:
    """``DELETE /api/projects/{id}/app-tokens/{token_id}``."""

    app_tokens: AppTokens
    projects: ProjectStore

    async def __call__(self, request: Request, /) -> Response:
        """Make it worthless at once; what is under way ends by itself."""
        project = await _project(self.projects, request)
        if not await self.app_tokens.revoke(project, request.path_params["token_id"]):
            raise NotFoundError("There is no such app token.")
        return Response(204)


@frozen
class AppTokenData:
    """App tokens as an `openbolt.personal.data.PersonalData`."""

    app_tokens: AppTokens

    @property
    def name(self) -> str:
        """As a receipt counts them."""
        return "appTokens"

    async def export(self, user_id: str, /) -> AsyncIterator[ExportedFile]:
        """What is known of them, without the tokens."""
        rows = [_row(ledger) for ledger in await self.app_tokens.list(user_id)]
        if rows:
            yield ExportedFile("app-tokens.json", pretty_json({"appTokens": rows}))

    async def erase(self, user_id: str, /) -> int:
        """Make them worthless."""
        return await self.app_tokens.revoke_all(user_id)


async def _project(projects: ProjectStore, request: Request) -> Project:
    asker = principal_of(request)
    return await projects.load(request.path_params["id"], owner=asker, to="write")


def _row(ledger: Ledger) -> dict[str, Any]:
    token = ledger.token
    return {
        "id": token.id,
        "projectId": token.project_id,
        "name": token.name,
        "models": list(token.models),
        "maxUsd": format(token.max_usd, "f"),
        "spentUsd": format(ledger.spent, "f"),
        "reservedUsd": format(ledger.reserved, "f"),
        "prefix": f"{token.prefix}…",
        "createdAt": iso_time(token.created_at),
        "expiresAt": iso_time(token.expires_at),
    }


def _wrong(field: str, said: str) -> InvalidRequestError:
    return InvalidRequestError(f"{field}: {said}", field=field)
