"""A client of the GitHub stand-in that can do every step wrongly."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
from attrs import frozen

from openbolt_local.mocks import GitHubAccount, GitHubApp, GitHubEmail, GitHubMock
from openbolt_local.mocks.github.grants import challenge_of

CALLBACK = "https://app.example.com/api/auth/github/callback"
VERIFIER = "a" * 43
CHALLENGE = challenge_of(VERIFIER)
PKCE = {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}

APP = GitHubApp("app-1", "secret-1", (CALLBACK, "http://127.0.0.1/callback"), name="The <app>")
OTHER_APP = GitHubApp("app-2", "secret-2", (CALLBACK,))
EXPIRING_APP = GitHubApp("app-3", "secret-3", (CALLBACK,), expiring_tokens=True)
SUSPENDED_APP = GitHubApp("app-4", "secret-4", (CALLBACK,), suspended=True)
APPS = (APP, OTHER_APP, EXPIRING_APP, SUSPENDED_APP)

OCTO = GitHubAccount(
    583231,
    "octo",
    name="Octo Example",
    emails=(
        GitHubEmail("octo@example.com", primary=True, visibility="private"),
        GitHubEmail("octo@work.test", verified=False),
    ),
    orgs=("example", "Closed-Org"),
    pending_orgs=("inviting",),
)
MONA = GitHubAccount(2, "mona", emails=(GitHubEmail("mona@example.com", True),))
UNVERIFIED = GitHubAccount(3, "nobody", emails=(GitHubEmail("boss@example.com", True, False),))
ACCOUNTS = (OCTO, MONA, UNVERIFIED)


@frozen
class Flow:
    """An application (`APP`, unless told otherwise) and the person `octo`."""

    mock: GitHubMock
    http: httpx.AsyncClient

    def url(self, **parameters: str | None) -> str:
        """Where the person is sent to; None leaves a parameter out."""
        usual = {"client_id": APP.client_id, "redirect_uri": CALLBACK, "state": "s t&te", **PKCE}
        given = {name: text for name, text in {**usual, **parameters}.items() if text is not None}
        return f"{self.mock.url}/login/oauth/authorize?{urlencode(given)}"

    async def back(self, *, login: str = "octo", **parameters: str | None) -> dict[str, str]:
        """What the person comes back with."""
        location = await self.mock.authorize(self.url(**parameters), login=login)
        return query_of(location)

    async def code(self, *, login: str = "octo", **parameters: str | None) -> str:
        return (await self.back(login=login, **parameters))["code"]

    async def exchange(self, code: str | None, /, **fields: str | None) -> httpx.Response:
        """Ask for a token; None leaves a field out."""
        usual = {
            "client_id": APP.client_id,
            "client_secret": APP.client_secret,
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": VERIFIER,
        }
        data = {name: text for name, text in {**usual, **fields}.items() if text is not None}
        return await self.http.post(
            "/login/oauth/access_token", data=data, headers={"accept": "application/json"}
        )

    async def refresh(self, refresh_token: str, app: GitHubApp = EXPIRING_APP) -> httpx.Response:
        data = {
            "client_id": app.client_id,
            "client_secret": app.client_secret,
            "grant_type": "refresh_token",
            "refresh_token": refresh_token,
        }
        return await self.http.post(
            "/login/oauth/access_token", data=data, headers={"accept": "application/json"}
        )

    async def grant(
        self, app: GitHubApp = APP, *, login: str = "octo", scope: str | None = None
    ) -> dict[str, Any]:
        """The whole way, rightly: what the token endpoint says at the end."""
        code = await self.code(login=login, client_id=app.client_id, scope=scope)
        answer = await self.exchange(code, client_id=app.client_id, client_secret=app.client_secret)
        said: dict[str, Any] = answer.json()
        assert "access_token" in said, said
        return said

    async def token(self, scope: str | None = None, *, login: str = "octo") -> str:
        return str((await self.grant(scope=scope, login=login))["access_token"])

    async def api(self, path: str, token: str | None, **headers: str) -> httpx.Response:
        """GET below the API's root."""
        sent = {"authorization": f"Bearer {token}"} if token else {}
        return await self.http.get(f"/api/v3{path}", headers={**sent, **headers})

    async def delete(
        self, what: str, body: object, *, app: GitHubApp = APP, of: str | None = None
    ) -> httpx.Response:
        return await self.http.request(
            "DELETE",
            f"/api/v3/applications/{of or app.client_id}/{what}",
            json=body,
            auth=(app.client_id, app.client_secret),
        )


def query_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


def said(answer: httpx.Response) -> tuple[int, Any]:
    """Status and JSON."""
    return answer.status_code, answer.json()
