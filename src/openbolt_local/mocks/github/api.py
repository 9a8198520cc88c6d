"""The API part, below ``/api/v3`` as on GitHub Enterprise Server.

The law: no answer without a `User-Agent`, none about a person without their token, and none that
the token's scopes don't reach.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Mapping, Sequence
from urllib.parse import unquote

from attrs import frozen

from openbolt_local.mocks.connection import ReceivedRequest
from openbolt_local.mocks.github.answers import Answer, ApiRefusedError, json_answer
from openbolt_local.mocks.github.grants import Grants, Token
from openbolt_local.mocks.github.limits import RateLimits
from openbolt_local.mocks.github.profiles import (
    email_rows,
    membership_row,
    organization_row,
    user_row,
)
from openbolt_local.mocks.github.registry import Directory, GitHubAccount, GitHubApp
from openbolt_local.mocks.github.scopes import reach

ROOT = "/api/v3"
VERSIONS = frozenset({"2022-11-28", "2026-03-10"})

_MEMBERSHIPS = "/user/memberships/orgs/"
_EMAIL_SCOPES = ("user", "user:email")
_ORG_SCOPES = ("admin:org", "read:org", "user", "write:org")
_EMAILS_DOC = "/users/emails#list-email-addresses-for-the-authenticated-user"
_ORGS_DOC = "/orgs/orgs#list-organizations-for-the-authenticated-user"
_MEMBERSHIP_DOC = "/orgs/members#get-an-organization-membership-for-the-authenticated-user"
_DELETED = {"token": "token", "grant": "authorization"}
_LIMIT_DOC = "/overview/rate-limits-for-the-rest-api"
_NO_AGENT = (
    b"\r\nRequest forbidden by administrative rules. Please make sure your request has a "
    b"User-Agent header (https://docs.github.com/en/rest/overview/resources-in-the-rest-api"
    b"#user-agent-required). Check https://developer.github.com for other possible causes.\r\n"
)


@frozen
class _Caller:
    """Whose request it is, and by which application's token."""

    token: Token
    account: GitHubAccount
    app: GitHubApp

    def needs(self, permission: str, scopes: Sequence[str], refused: ApiRefusedError) -> None:
        """Let pass whoever has the permission, or one of the scopes.

        Raises:
            ApiRefusedError: They have not.
        """
        if self.app.expiring_tokens:
            if permission not in self.app.permissions:
                raise ApiRefusedError(403, "Resource not accessible by integration")
        elif not reach(self.token.scopes) & set(scopes):
            raise refused


class Api:
    """What the API answers.

    https://docs.github.com/en/rest
    """

    def __init__(
        self,
        directory: Directory,
        grants: Grants,
        limits: RateLimits,
        *,
        limit_status: int,
        closed_orgs: Collection[str],
    ) -> None:
        self._directory = directory
        self._grants = grants
        self._limits = limits
        self._limit_status = limit_status
        self._closed = {org.lower() for org in closed_orgs}

    def answer(self, request: ReceivedRequest, base_url: str) -> Answer:
        """Answer a request whose path lies below the root.

        https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api
        """
        if not request.headers.get("user-agent", "").strip():
            return Answer(403, {"content-type": "text/html"}, _NO_AGENT)
        headers: dict[str, str] = {"x-github-media-type": "github.v3; format=json"}
        try:
            return self._routed(request, base_url, headers).with_headers(headers)
        except ApiRefusedError as exc:
            return exc.answer.with_headers(headers)

    def _routed(self, request: ReceivedRequest, base_url: str, headers: dict[str, str]) -> Answer:
        version = request.headers.get("x-github-api-version", "2022-11-28")
        if version not in VERSIONS:
            raise ApiRefusedError(400, f'"{version}" is not a supported version.')
        path = request.path.removeprefix(ROOT)
        match request.method, path.split("/")[1:]:
            case "DELETE", ["applications", client_id, ("token" | "grant") as what]:
                return self._delete(request, unquote(client_id), what)
            case _:
                pass
        caller = self._caller(request.headers)
        passes, counted = self._limits.count(caller.account.id if caller else None)
        headers.update(counted)
        if not passes:
            raise self._over_limit(caller)
        if caller is None:
            # A token that does not work is counted as nobody's, and refused whatever it asks for.
            if request.headers.get("authorization"):
                raise ApiRefusedError(401, "Bad credentials")
            if path == "/user" or path.startswith("/user/"):
                raise ApiRefusedError(401, "Requires authentication")
            raise ApiRefusedError(404, "Not Found")
        if not caller.app.expiring_tokens:
            headers["x-oauth-scopes"] = ", ".join(caller.token.scopes)
        headers["x-oauth-client-id"] = caller.app.client_id
        if request.method not in {"GET", "HEAD"}:
            raise ApiRefusedError(404, "Not Found")
        return self._read(path, caller, request, base_url, headers)

    def _read(
        self,
        path: str,
        caller: _Caller,
        request: ReceivedRequest,
        base_url: str,
        headers: dict[str, str],
    ) -> Answer:
        api_url = base_url + ROOT
        if path == "/user":
            headers["x-accepted-oauth-scopes"] = ""
            return json_answer(200, user_row(caller.account, base_url, api_url))
        if path == "/user/emails":
            headers["x-accepted-oauth-scopes"] = ", ".join(_EMAIL_SCOPES)
            caller.needs("emails", _EMAIL_SCOPES, ApiRefusedError(404, "Not Found", _EMAILS_DOC))
            return _paged(email_rows(caller.account), request, api_url + path)
        if path == "/user/orgs":
            headers["x-accepted-oauth-scopes"] = ", ".join(_ORG_SCOPES)
            message = "You need at least read:org scope or user scope to list your organizations."
            caller.needs("members", _ORG_SCOPES, ApiRefusedError(403, message, _ORGS_DOC))
            shown = [org for org in caller.account.orgs if org.lower() not in self._closed]
            rows = [organization_row(org, api_url) for org in shown]
            return _paged(rows, request, api_url + path)
        if path.startswith(_MEMBERSHIPS):
            headers["x-accepted-oauth-scopes"] = ", ".join(_ORG_SCOPES)
            name = path.removeprefix(_MEMBERSHIPS)
            return self._membership(unquote(name), caller, base_url)
        raise ApiRefusedError(404, "Not Found")

    def _membership(self, name: str, caller: _Caller, base_url: str) -> Answer:
        """https://docs.github.com/en/rest/orgs/members#get-an-organization-membership-for-the-authenticated-user."""
        message = "You need at least read:org scope or user scope to see your memberships."
        caller.needs("members", _ORG_SCOPES, ApiRefusedError(403, message, _MEMBERSHIP_DOC))
        states = {org.lower(): (org, "pending") for org in caller.account.pending_orgs}
        states |= {org.lower(): (org, "active") for org in caller.account.orgs}
        found = states.get(name.lower())
        if found is None:
            raise ApiRefusedError(404, "Not Found", _MEMBERSHIP_DOC)
        org, state = found
        if org.lower() in self._closed:
            raise ApiRefusedError(
                403,
                "Although you appear to have the correct authorization credentials, the "
                f"`{org}` organization has enabled OAuth App access restrictions, meaning that "
                "data access to third-parties is limited.",
                _MEMBERSHIP_DOC,
            )
        row = membership_row(caller.account, org, state, base_url, base_url + ROOT)
        return json_answer(200, row)

    # Revoking

    def _delete(self, request: ReceivedRequest, client_id: str, what: str) -> Answer:
        """https://docs.github.com/en/rest/apps/oauth-applications#delete-an-app-token."""
        app = self._application(request.headers)
        if app.client_id != client_id:
            raise ApiRefusedError(404, "Not Found", _deletion_doc(what))
        try:
            access_token = request.json.get("access_token")
        except ValueError:
            raise ApiRefusedError(400, "Problems parsing JSON", _deletion_doc(what)) from None
        if not isinstance(access_token, str):
            message = 'Invalid request.\n\n"access_token"' + " wasn't supplied."
            raise ApiRefusedError(422, message, _deletion_doc(what))
        token = self._grants.find(access_token)
        if token is None or token.client_id != app.client_id:
            raise ApiRefusedError(422, "Validation Failed", _deletion_doc(what))
        if what == "token":
            self._grants.revoke_token(token)
        else:
            self._grants.revoke_grant(token.client_id, token.account_id)
        return Answer(204, {})

    def _application(self, headers: Mapping[str, str]) -> GitHubApp:
        scheme, _, encoded = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic":
            raise ApiRefusedError(401, "Requires authentication")
        try:
            plain = base64.b64decode(encoded.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise ApiRefusedError(401, "Bad credentials") from None
        client_id, _, secret = plain.partition(":")
        app = self._directory.authenticated(client_id, secret)
        if app is None:
            raise ApiRefusedError(401, "Bad credentials")
        return app

    # Asking

    def _caller(self, headers: Mapping[str, str]) -> _Caller | None:
        scheme, _, value = headers.get("authorization", "").partition(" ")
        if scheme.lower() not in {"bearer", "token"}:
            return None
        token = self._grants.find(value.strip())
        if token is None:
            return None
        return _Caller(
            token, self._directory.accounts[token.account_id], self._directory.apps[token.client_id]
        )

    def _over_limit(self, caller: _Caller | None) -> ApiRefusedError:
        who = f"user ID {caller.account.id}" if caller else "127.0.0.1"
        message = f"API rate limit exceeded for {who}."
        return ApiRefusedError(self._limit_status, message, _LIMIT_DOC)


def _deletion_doc(what: str) -> str:
    return (
        f"/apps/oauth-applications#delete-an-app-{'token' if what == 'token' else 'authorization'}"
    )


def _paged(rows: Sequence[object], request: ReceivedRequest, url: str) -> Answer:
    """https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api."""
    size = min(_number(request.query.get("per_page"), 30), 100)
    number = _number(request.query.get("page"), 1)
    last = max(1, -(-len(rows) // size))
    targets: dict[str, int] = {}
    if number > 1:
        targets |= {"prev": min(number - 1, last), "first": 1}
    if number < last:
        targets |= {"next": number + 1, "last": last}
    links = [
        f'<{url}?per_page={size}&page={target}>; rel="{name}"' for name, target in targets.items()
    ]
    headers = {"link": ", ".join(links)} if links else {}
    return json_answer(200, rows[(number - 1) * size : number * size], headers)


def _number(text: str | None, default: int) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and int(text) > 0 else default
