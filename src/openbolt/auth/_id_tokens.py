"""ID tokens of OpenID Connect, checked; the one importer of PyJWT.

Law: a token's own word for how it is signed picks from an allow-list of public-key algorithms, and
the key is one that the issuer publishes for that very algorithm. So neither ``none`` nor a secret
of the attacker's choice (HS256 with the public key as the secret) is ever tried. The library checks
signature, issuer and audience; times are checked here, since time is an argument.
"""

from __future__ import annotations

import hmac
import math
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, cast

from openbolt.errors import ConfigurationError, StateMismatchError, UpstreamError

__all__ = ["ALGORITHMS", "LEEWAY", "check_id_token", "need_library"]

ALGORITHMS: Mapping[str, tuple[str, str | None]] = {
    "RS256": ("RSA", None),
    "ES256": ("EC", "P-256"),
    "EdDSA": ("OKP", "Ed25519"),
}
"""What a token may be signed with: the type of the key and its curve (RFC 7518, RFC 8037)."""

LEEWAY = 60.0
"""Seconds by which the issuer's clock may differ from ours."""

_MIN_RSA_BITS = 2048
_MAX_TOKEN_CHARS = 65_536


def need_library() -> None:
    """Look whether PyJWT and what it needs are there, without loading them.

    Raises:
        ConfigurationError: They aren't.
    """
    if find_spec("jwt") is None or find_spec("cryptography") is None:
        raise ConfigurationError(
            "OpenID Connect needs PyJWT. Install it with: pip install 'openbolt[oidc]'",
            setting="oidc_issuer",
        )


def check_id_token(
    token: str, key_set: object, /, *, issuer: str, client_id: str, nonce: str, now: float
) -> Mapping[str, Any]:
    """The claims of an ID token (OpenID Connect Core 1.0, 3.1.3.7).

    Args:
        key_set: The issuer's JSON Web Key Set, decoded.
        now: Seconds since the epoch.

    Raises:
        StateMismatchError: It was made for another attempt: its nonce isn't this one.
        UpstreamError: Anything else is wrong with it; what, is for the log.
    """
    import jwt

    if len(token) > _MAX_TOKEN_CHARS:
        raise _invalid("it is too long")
    try:
        header = jwt.get_unverified_header(token)
        algorithm = header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
            raise _invalid("it is signed in no way that is accepted")
        key = jwt.PyJWK(_published_key(key_set, algorithm, header.get("kid")), algorithm)
        if algorithm == "RS256" and key.key.key_size < _MIN_RSA_BITS:
            raise _invalid(f"its key has less than {_MIN_RSA_BITS} bits")
        claims = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=client_id,
            issuer=issuer,
            options={
                "require": ["iss", "sub", "aud", "exp", "iat"],
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
    except (jwt.PyJWTError, ValueError, TypeError) as exc:  # a key that is malformed
        raise _invalid(type(exc).__name__) from exc
    _check_party(claims, client_id)
    _check_times(claims, now)
    given = str(claims.get("nonce", "")).encode("utf-8", "surrogatepass")
    if not nonce or not hmac.compare_digest(given, nonce.encode()):
        raise StateMismatchError("This sign-in belongs to another attempt. Sign in again.")
    return claims


def _published_key(key_set: object, algorithm: str, kid: object) -> dict[str, Any]:
    """The one key that can have signed it: by its id, or the only one that fits."""
    keys = cast("dict[str, object]", key_set).get("keys") if isinstance(key_set, dict) else None
    if not isinstance(keys, list):
        raise UpstreamError("The identity provider publishes no keys.", detail="no JWK set")
    kind, curve = ALGORITHMS[algorithm]
    fitting = [
        cast("dict[str, Any]", key)
        for key in cast("list[object]", keys)
        if isinstance(key, dict) and _fits(cast("dict[str, Any]", key), algorithm, kind, curve)
    ]
    if kid is not None:
        fitting = [key for key in fitting if key.get("kid") == kid]
    if len(fitting) != 1:
        raise _invalid(f"{len(fitting)} published keys fit it")
    return fitting[0]


def _fits(key: dict[str, Any], algorithm: str, kind: str, curve: str | None) -> bool:
    return (
        key.get("kty") == kind
        and (curve is None or key.get("crv") == curve)
        and key.get("alg", algorithm) == algorithm
        and key.get("use", "sig") == "sig"
    )


def _check_party(claims: Mapping[str, Any], client_id: str) -> None:
    # The library has found client_id in ``aud``; for more than one audience somebody has to be
    # named as the one that it was made for.
    azp = claims.get("azp")
    several = isinstance(claims["aud"], list) and len(cast("list[object]", claims["aud"])) > 1
    if azp != client_id and (several or azp is not None):
        raise _invalid("it was made for another application (azp)")


def _check_times(claims: Mapping[str, Any], now: float) -> None:
    expires, issued = claims["exp"], claims["iat"]
    not_before = claims.get("nbf", issued)
    for value in (expires, issued, not_before):
        known = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not known or not math.isfinite(value):
            raise _invalid("one of its times is no number")
    if now >= expires + LEEWAY:
        raise _invalid("it has expired")
    if issued > now + LEEWAY or not_before > now + LEEWAY:
        raise _invalid("it isn't valid yet")


def _invalid(reason: str) -> UpstreamError:
    return UpstreamError("The identity provider's ID token isn't valid.", detail=reason)
