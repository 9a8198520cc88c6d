"""Signing in with GitHub, or a GitHub Enterprise server: OAuth's web flow with PKCE.

Law: nothing is asked for that a sign-in has no use for. What makes a code worthless is the person's
affair (`SignInRefusedError`); what GitHub says against the application itself, its secret or its
callback URL, is the operator's (`UpstreamError`, with GitHub's word in the log).

After GitHub's "Authorizing OAuth apps", "Scopes for OAuth apps", "Authentication discovery
endpoints" (``iss``) and "REST API endpoints for OAuth authorizations".
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, cast
from urllib.parse import quote, urlencode, urlsplit

from attrs import Factory, field, frozen

from openbolt.auth import pkce
from openbolt.auth._oauth import (
    basic,
    check_id,
    checked_base_url,
    failure,
    form_post,
    get,
    grant_of,
    line,
    object_of,
    person_picture,
)
from openbolt.auth.identity import (
    Answer,
    Exchange,
    Grant,
    Identity,
    SignedIn,
    SignInAttempt,
    SignInRefusedError,
)
from openbolt.errors import StateMismatchError, UpstreamError, UpstreamRateLimitedError
from openbolt.jsons import json_bytes
from openbolt.protocols import OutboundRequest

__all__ = ["GitHub"]

_API = {"accept": "application/vnd.github+json", "x_github_api_version": "2022-11-28"}
_PAGE = 100
_MAX_PAGES = 10


def _base_url(url: str) -> str:
    checked = checked_base_url(url, setting="github_url")
    parts = urlsplit(checked)
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def _name(github: GitHub) -> str:
    return "GitHub" if github.host == "github.com" else "GitHub Enterprise"


@frozen
class GitHub:
    """An `IdentityProvider` for people with an account at GitHub.

    Scopes asked for: ``user:email``, for the verified address; a public profile needs none.

    Args:
        client_id: Of an OAuth app, or of a GitHub App with user sign-in.
        client_secret: Its secret.
        url: github.com, a subdomain of ghe.com, or a GitHub Enterprise server.
        want_orgs: Ask for the names of the person's organizations too (scope ``read:org``).
        id: In URLs, and in user ids: changing it makes strangers of everybody.

    Raises:
        ConfigurationError: ``url`` is no https URL, or ``id`` no id.
    """

    client_id: str
    client_secret: str = field(repr=False)
    url: str = field(default="https://github.com", converter=_base_url)
    want_orgs: bool = field(default=False, kw_only=True)
    id: str = field(default="github", kw_only=True, validator=check_id)
    name: str = field(init=False, default=Factory(_name, takes_self=True))

    @property
    def host(self) -> str:
        """The host, with its port where one is named."""
        return urlsplit(self.url).netloc

    @property
    def api_url(self) -> str:
        """Where the REST API is."""
        if self.host == "github.com" or self.host.endswith(".ghe.com"):
            return f"https://api.{self.host}"
        return f"{self.url}/api/v3"

    @property
    def scopes(self) -> tuple[str, ...]:
        """What is asked for."""
        return ("user:email", "read:org") if self.want_orgs else ("user:email",)

    def begin(self, attempt: SignInAttempt, /) -> Exchange[str]:
        """The URL of GitHub's authorization page; takes no request."""
        yield from ()
        query = {
            "client_id": self.client_id,
            "redirect_uri": attempt.redirect_uri,
            "scope": " ".join(self.scopes),
            "state": attempt.state,
            "code_challenge": pkce.challenge_of(attempt.verifier),
            "code_challenge_method": pkce.METHOD,
        }
        return f"{self.url}/login/oauth/authorize?{urlencode(query)}"

    def finish(
        self, attempt: SignInAttempt, callback: Mapping[str, str], /, *, now: float
    ) -> Exchange[SignedIn]:
        """Redeem the code, and ask who it is.

        Raises:
            StateMismatchError: Another server answered (RFC 9207).
            SignInRefusedError: The person declined, or the code is worthless.
            UpstreamError: GitHub failed, or doesn't accept the application.
        """
        if callback.get("iss", self._issuer) != self._issuer:
            raise StateMismatchError("This sign-in was answered by somebody else.")
        if "error" in callback:
            raise _refused_at_callback(line(callback["error"]))
        if not callback.get("code"):
            raise SignInRefusedError("GitHub sent no code. Sign in again.")
        data = yield from self._ask_for_token(
            {
                "code": callback["code"],
                "code_verifier": attempt.verifier,
                "redirect_uri": attempt.redirect_uri,
            }
        )
        grant = grant_of(data, now=now)
        return SignedIn((yield from self._identity(grant)), grant)

    def refresh(self, grant: Grant, /, *, now: float) -> Exchange[Grant]:
        """New tokens, where the app's tokens expire; the refresh token works once."""
        if grant.refresh_token is None:
            raise SignInRefusedError("GitHub has to be asked again. Sign in again.")
        data = yield from self._ask_for_token(
            {"grant_type": "refresh_token", "refresh_token": grant.refresh_token}
        )
        return grant_of(data, now=now, before=grant)

    def revoke(self, grant: Grant, /) -> Exchange[None]:
        """Delete the token; other sign-ins of the same person are left alone."""
        path = f"/applications/{quote(self.client_id, safe='')}/token"
        request = get(
            self.api_url + path,
            authorization=basic(self.client_id, self.client_secret),
            content_type="application/json",
            **_API,
        )
        body = json_bytes({"access_token": grant.access_token})
        answer = yield OutboundRequest(
            "DELETE", request.url, request.headers, body, request.timeouts
        )
        if answer.status not in {200, 204, 404, 422}:  # the last two: it is none any more
            raise failure(answer, "GitHub's revocation")

    @property
    def _issuer(self) -> str:
        return f"{self.url}/login/oauth"

    def _ask_for_token(self, fields: Mapping[str, str]) -> Exchange[dict[str, Any]]:
        credentials = {"client_id": self.client_id, "client_secret": self.client_secret}
        answer = yield form_post(f"{self.url}/login/oauth/access_token", {**credentials, **fields})
        # GitHub says what is wrong with a 200, and stand-ins say it with a 400.
        data = _error_in(answer) or object_of(answer, "GitHub's token")
        if "error" in data:
            raise _refused_for_token(line(data["error"]), line(data.get("error_description"), 500))
        return data

    def _identity(self, grant: Grant) -> Exchange[Identity]:
        answer = yield self._api("/user", grant)
        user = object_of(answer, "GitHub's user")
        number, login = user.get("id"), line(user.get("login"), 100)
        if not isinstance(number, int) or isinstance(number, bool) or not login:
            raise UpstreamError("GitHub didn't say who it is.", detail="no id or login in /user")
        email = yield from self._email(grant)
        organizations: tuple[str, ...] = ()
        if self.want_orgs:
            organizations = yield from self._organizations(grant)
        return Identity(
            provider=self.id,
            subject=self._subject(number),
            login=login,
            name=line(user.get("name")) or login,
            email=email,
            email_verified=bool(email),
            avatar_url=person_picture(user.get("avatar_url")),
            organizations=organizations,
        )

    def _subject(self, number: int) -> str:
        if self.host == "github.com":
            return str(number)
        return f"{sha256(self.host.encode()).hexdigest()[:8]}.{number}"

    def _email(self, grant: Grant) -> Exchange[str]:
        """The primary address if it is verified, else nothing."""
        rows = yield from self._rows("/user/emails", grant)
        for row in rows:
            if row.get("primary") is True and row.get("verified") is True:
                return line(row.get("email"), 254)
        return ""

    def _organizations(self, grant: Grant) -> Exchange[tuple[str, ...]]:
        names: list[str] = []
        for page in range(1, _MAX_PAGES + 1):
            rows = yield from self._rows(f"/user/orgs?per_page={_PAGE}&page={page}", grant)
            names.extend(line(row.get("login"), 100).lower() for row in rows)
            if len(rows) < _PAGE:
                break
        return tuple(name for name in names if name)

    def _rows(self, path: str, grant: Grant) -> Exchange[list[dict[str, Any]]]:
        """A list of the API; none where the person or the app's permissions withheld it."""
        answer = yield self._api(path, grant)
        if answer.status != 200:
            error = failure(answer, f"GitHub's {path}")
            if answer.status in {403, 404} and not isinstance(error, UpstreamRateLimitedError):
                return []
            raise error
        data = answer.json()
        if not isinstance(data, list):
            raise UpstreamError("GitHub answered with something unexpected.", detail=path)
        rows = cast("list[object]", data)
        return [cast("dict[str, Any]", row) for row in rows if isinstance(row, dict)]

    def _api(self, path: str, grant: Grant) -> OutboundRequest:
        return get(self.api_url + path, token=grant.access_token, **_API)


def _error_in(answer: Answer) -> dict[str, Any] | None:
    """What a 400 of the token endpoint says, if it is an OAuth error."""
    if answer.status != 400:
        return None
    data = answer.json()
    return cast("dict[str, Any]", data) if isinstance(data, dict) and "error" in data else None


def _refused_at_callback(error: str) -> Exception:
    if error == "access_denied":
        return SignInRefusedError("You declined to sign in.", code="sign_in_declined")
    return _not_accepted(f"at the callback: {error}")


def _refused_for_token(error: str, description: str) -> Exception:
    if error in {"bad_verification_code", "bad_refresh_token", "invalid_grant"}:
        return SignInRefusedError("This sign-in has expired. Sign in again.", detail=error)
    if error == "unverified_user_email":
        return SignInRefusedError(
            "Verify your e-mail address at GitHub first.", code="email_unverified"
        )
    return _not_accepted(f"{error}: {description}")


def _not_accepted(detail: str) -> UpstreamError:
    return UpstreamError(
        "GitHub doesn't accept this application. Tell whoever runs this server.", detail=detail
    )
