"""Signing in with any OpenID Connect issuer: discovery, code flow, PKCE, nonce, ID token.

Law: nothing is remembered between two sign-ins, so an issuer may change its keys and addresses
whenever it likes; and nobody but the configured issuer is believed: its metadata, the callback and
the ID token all have to name it exactly.

After OpenID Connect Core 1.0 and Discovery 1.0, RFC 6749, 7009 (revocation), 7636 and 9207.
"""

from __future__ import annotations

from base64 import b32encode
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, cast
from urllib.parse import quote_plus, urlencode

from attrs import field, frozen

from openbolt.auth import pkce
from openbolt.auth._id_tokens import check_id_token, need_library
from openbolt.auth._oauth import (
    basic,
    check_id,
    checked_base_url,
    failure,
    form_post,
    get,
    grant_of,
    is_loopback_url,
    line,
    object_of,
    person_picture,
)
from openbolt.auth.identity import (
    Exchange,
    Grant,
    Identity,
    SignedIn,
    SignInAttempt,
    SignInRefusedError,
)
from openbolt.errors import StateMismatchError, UpstreamError
from openbolt.protocols import OutboundRequest

__all__ = ["OpenIdConnect"]

_SCOPE = "openid email profile"
_NEEDS_PERSON = {
    "account_selection_required",
    "consent_required",
    "interaction_required",
    "login_required",
}


@frozen
class _Metadata:
    """What discovery says, as far as it is used."""

    authorization_url: str
    token_url: str
    keys_url: str
    userinfo_url: str | None
    revocation_url: str | None
    token_auth: tuple[str, ...]
    revocation_auth: tuple[str, ...]
    names_itself: bool


def _issuer(url: str) -> str:
    return checked_base_url(url, setting="oidc_issuer")


@frozen
class OpenIdConnect:
    """An `IdentityProvider` for people whom an OpenID Connect issuer vouches for.

    It needs PyJWT (``pip install 'openbolt[oidc]'``), which is loaded when somebody signs in.

    Args:
        issuer: Exactly as the issuer writes it; a slash at its end makes another one.
        client_id: Of the application registered there.
        client_secret: Its secret; empty for a public client.
        name: What the page calls it.
        id: In URLs, and in user ids: changing it makes strangers of everybody.

    Raises:
        ConfigurationError: ``issuer`` is no https URL, ``id`` no id, or PyJWT is missing.
    """

    issuer: str = field(converter=_issuer)
    client_id: str
    client_secret: str = field(repr=False)
    name: str = field(default="single sign-on", kw_only=True)
    id: str = field(default="oidc", kw_only=True, validator=check_id)

    def __attrs_post_init__(self) -> None:
        need_library()

    def begin(self, attempt: SignInAttempt, /) -> Exchange[str]:
        """The URL of the issuer's authorization page, which is looked up."""
        metadata = yield from self._discover()
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": attempt.redirect_uri,
            "scope": _SCOPE,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": pkce.challenge_of(attempt.verifier),
            "code_challenge_method": pkce.METHOD,
        }
        joint = "&" if "?" in metadata.authorization_url else "?"
        return metadata.authorization_url + joint + urlencode(query)

    def finish(
        self, attempt: SignInAttempt, callback: Mapping[str, str], /, *, now: float
    ) -> Exchange[SignedIn]:
        """Redeem the code, and read the ID token that comes for it.

        Raises:
            StateMismatchError: Another issuer answered (RFC 9207), or the code was for another
                attempt (nonce).
            SignInRefusedError: The person declined, or the code is worthless.
            UpstreamError: The issuer failed, its ID token isn't valid, or it doesn't accept the
                application.
        """
        if callback.get("iss", self.issuer) != self.issuer:
            raise _answered_by_another()
        if "error" in callback:
            raise _refused_at_callback(line(callback["error"]))
        if not callback.get("code"):
            raise SignInRefusedError("The identity provider sent no code. Sign in again.")
        metadata = yield from self._discover()
        if metadata.names_itself and "iss" not in callback:
            raise _answered_by_another()
        data = yield from self._ask_for_token(
            metadata,
            {
                "grant_type": "authorization_code",
                "code": callback["code"],
                "redirect_uri": attempt.redirect_uri,
                "code_verifier": attempt.verifier,
            },
        )
        grant = grant_of(data, now=now)
        answer = yield get(metadata.keys_url)
        claims = check_id_token(
            str(data.get("id_token", "")),
            object_of(answer, "the issuer's keys"),
            issuer=self.issuer,
            client_id=self.client_id,
            nonce=attempt.nonce,
            now=now,
        )
        if "email" not in claims and metadata.userinfo_url is not None:
            more = yield from self._userinfo(metadata.userinfo_url, grant, claims)
            # Whether an address is verified, only whoever says the address can say.
            claims = {**claims, "email_verified": False, **more}
        return SignedIn(self._identity(claims), grant)

    def refresh(self, grant: Grant, /, *, now: float) -> Exchange[Grant]:
        """New tokens, where the issuer gave a refresh token."""
        if grant.refresh_token is None:
            raise SignInRefusedError("The identity provider has to be asked again. Sign in again.")
        metadata = yield from self._discover()
        data = yield from self._ask_for_token(
            metadata, {"grant_type": "refresh_token", "refresh_token": grant.refresh_token}
        )
        return grant_of(data, now=now, before=grant)

    def revoke(self, grant: Grant, /) -> Exchange[None]:
        """Revoke refresh and access token; nothing where the issuer has no endpoint for it."""
        metadata = yield from self._discover()
        if metadata.revocation_url is None:
            return
        tokens = [("access_token", grant.access_token)]
        if grant.refresh_token is not None:
            tokens.insert(0, ("refresh_token", grant.refresh_token))
        for kind, token in tokens:
            answer = yield self._authenticated(
                metadata.revocation_url,
                {"token": token, "token_type_hint": kind},
                metadata.revocation_auth,
            )
            # 400: of a kind that the issuer revokes no tokens of.
            if answer.status not in {200, 204, 400}:
                raise failure(answer, "the issuer's revocation")

    def _discover(self) -> Exchange[_Metadata]:
        url = f"{self.issuer.removesuffix('/')}/.well-known/openid-configuration"
        data = object_of((yield get(url)), "the issuer's metadata")
        if data.get("issuer") != self.issuer:
            raise _unusable(f"it calls itself {line(data.get('issuer'))!r}, not {self.issuer!r}")
        return _Metadata(
            self._needed_url(data, "authorization_endpoint"),
            self._needed_url(data, "token_endpoint"),
            self._needed_url(data, "jwks_uri"),
            self._url(data, "userinfo_endpoint"),
            self._url(data, "revocation_endpoint"),
            _methods(data, "token_endpoint_auth_methods_supported"),
            _methods(data, "revocation_endpoint_auth_methods_supported"),
            data.get("authorization_response_iss_parameter_supported") is True,
        )

    def _needed_url(self, data: Mapping[str, Any], name: str) -> str:
        url = self._url(data, name)
        if url is None:
            raise _unusable(f"{name} is missing")
        return url

    def _url(self, data: Mapping[str, Any], name: str) -> str | None:
        value = data.get(name)
        if value is None:
            return None
        url = line(value, 2000)
        try:
            # An issuer on loopback may name others on loopback; one on the network may not.
            secure = url.startswith("https://") or (
                url.startswith("http://") and is_loopback_url(url) and is_loopback_url(self.issuer)
            )
        except ValueError:
            secure = False
        if not secure or not url.isascii() or " " in url or "#" in url:
            raise _unusable(f"{name} is no https URL")
        return url

    def _ask_for_token(
        self, metadata: _Metadata, fields: Mapping[str, str]
    ) -> Exchange[dict[str, Any]]:
        answer = yield self._authenticated(metadata.token_url, fields, metadata.token_auth)
        if answer.status in {400, 401}:
            data = answer.json()
            error = cast("dict[str, object]", data).get("error") if isinstance(data, dict) else ""
            if error == "invalid_grant":
                raise SignInRefusedError("This sign-in has expired. Sign in again.")
            raise _not_accepted(f"at the token endpoint: {line(error)}")
        return object_of(answer, "the issuer's token")

    def _authenticated(
        self, url: str, fields: Mapping[str, str], methods: tuple[str, ...]
    ) -> OutboundRequest:
        if not self.client_secret:
            return form_post(url, {**fields, "client_id": self.client_id})
        if "client_secret_basic" in methods:
            # Form-encoded first (RFC 6749, 2.3.1).
            pair = quote_plus(self.client_id), quote_plus(self.client_secret)
            return form_post(url, fields, authorization=basic(*pair))
        if "client_secret_post" in methods:
            secret = {"client_id": self.client_id, "client_secret": self.client_secret}
            return form_post(url, {**fields, **secret})
        if "none" in methods:  # the verifier is proof enough to this issuer, and it gets no secret
            return form_post(url, {**fields, "client_id": self.client_id})
        raise _unusable(f"it takes none of our ways to authenticate, only {', '.join(methods)}")

    def _userinfo(
        self, url: str, grant: Grant, claims: Mapping[str, Any]
    ) -> Exchange[Mapping[str, Any]]:
        answer = yield get(url, token=grant.access_token)
        data = object_of(answer, "the issuer's userinfo")
        if data.get("sub") != claims["sub"]:
            raise UpstreamError(
                "The identity provider contradicts itself.", detail="userinfo has another sub"
            )
        wanted = ("email", "email_verified", "name", "preferred_username", "picture")
        return {name: data[name] for name in wanted if name in data}

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        subject = claims["sub"]
        if not isinstance(subject, str) or not 0 < len(subject) <= 255:
            raise UpstreamError("The identity provider didn't say who it is.", detail="no sub")
        digest = sha256(f"{self.issuer}\0{subject}".encode("utf-8", "surrogatepass")).digest()
        email = line(claims.get("email"), 254)
        return Identity(
            provider=self.id,
            subject=b32encode(digest).decode("ascii").lower()[:26],
            # Not preferred_username: people choose it, and it need not be unique (Core, 5.7).
            login="",
            name=line(claims.get("name")) or line(claims.get("preferred_username")) or email,
            email=email,
            email_verified=bool(email) and _is_true(claims.get("email_verified")),
            avatar_url=person_picture(claims.get("picture")),
        )


def _is_true(value: object) -> bool:
    return value is True or value == "true"  # some issuers write booleans as text


def _methods(data: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Ways for a client to authenticate; one where metadata doesn't say (Discovery, 3)."""
    value = data.get(name)
    if not isinstance(value, list):
        return ("client_secret_basic",)
    return tuple(line(method) for method in cast("list[object]", value))


def _answered_by_another() -> StateMismatchError:
    return StateMismatchError("This sign-in was answered by somebody else.")


def _refused_at_callback(error: str) -> Exception:
    if error == "access_denied":
        return SignInRefusedError("You declined to sign in.", code="sign_in_declined")
    if error in _NEEDS_PERSON:
        return SignInRefusedError("The identity provider asks for more. Sign in again.")
    if error in {"server_error", "temporarily_unavailable"}:
        return UpstreamError(
            "The identity provider couldn't complete the sign-in. Try again later.", detail=error
        )
    return _not_accepted(f"at the callback: {error}")


def _not_accepted(detail: str) -> UpstreamError:
    return UpstreamError(
        "The identity provider doesn't accept this application. Tell whoever runs this server.",
        detail=detail,
    )


def _unusable(detail: str) -> UpstreamError:
    return UpstreamError(
        "The identity provider can't be used. Tell whoever runs this server.",
        detail=f"metadata: {detail}",
    )
