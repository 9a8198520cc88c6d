"""ID tokens: right ones are read, and every way in which one can be wrong is refused."""

from __future__ import annotations

import importlib.util
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from openbolt.auth import _id_tokens
from openbolt.auth._id_tokens import ALGORITHMS, LEEWAY, check_id_token
from openbolt.auth.oidc import OpenIdConnect
from openbolt.errors import ConfigurationError, StateMismatchError, UpstreamError
from tests.auth.exchanges import NOW
from tests.auth.issuing import CLIENT, ISSUER, NONCE, by_hand, claims, key_of, published

RSA = key_of("RS256")
EC = key_of("ES256", "key-2")
ED = key_of("EdDSA", "key-3")
KEYS = published(RSA, EC, ED)


def check(token: str, keys: object = KEYS, *, now: float = NOW, nonce: str = NONCE) -> Any:
    return check_id_token(token, keys, issuer=ISSUER, client_id=CLIENT, nonce=nonce, now=now)


def refused(token: str, keys: object = KEYS, *, now: float = NOW) -> str:
    """Why a token is refused."""
    with pytest.raises(UpstreamError) as caught:
        check(token, keys, now=now)
    assert caught.value.public_message == "The identity provider's ID token isn't valid."
    return caught.value.detail or ""


@pytest.mark.parametrize("key", [RSA, EC, ED], ids=lambda key: key.alg)
def test_a_right_token_is_read(key: Any) -> None:
    assert check(key.sign(claims())) == claims()
    bare = {name: value for name, value in key.jwk.items() if name not in {"alg", "use"}}
    assert check(key.sign(claims()), {"keys": [bare]}) == claims()


def test_only_public_key_algorithms_are_accepted() -> None:
    assert set(ALGORITHMS) == {"RS256", "ES256", "EdDSA"}


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "", None, 1, ["RS256"], {}])
def test_a_token_without_a_signature_is_refused(alg: object) -> None:
    refused(by_hand({"alg": alg, "kid": "key-1"}, claims()))
    refused(by_hand({"kid": "key-1"}, claims()))


@pytest.mark.parametrize(
    "secret",
    [
        RSA.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        RSA.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        json.dumps(RSA.jwk).encode(),
        RSA.jwk["n"].encode(),
        b"",
    ],
)
@pytest.mark.parametrize("alg", ["HS256", "RS256"])
def test_the_public_key_is_no_secret_to_sign_with(alg: str, secret: bytes) -> None:
    refused(by_hand({"alg": alg, "kid": "key-1"}, claims(), secret))
    symmetric = {"kty": "oct", "k": RSA.jwk["n"], "kid": "key-9", "alg": "HS256"}
    refused(by_hand({"alg": "HS256", "kid": "key-9"}, claims(), secret), {"keys": [symmetric]})


@pytest.mark.parametrize("alg", ["RS512", "PS256", "ES384"])
def test_other_algorithms_are_refused_even_with_a_published_key(alg: str) -> None:
    key = key_of(alg, "key-8")
    assert refused(key.sign(claims()), published(key)) == "it is signed in no way that is accepted"


def test_a_key_that_isn_t_the_issuer_s_is_refused() -> None:
    theirs = key_of("RS256", "attacker")
    ours = {**theirs.jwk, "kid": "key-1"}
    assert refused(theirs.sign(claims(), kid="key-1")) == "InvalidSignatureError"
    assert refused(theirs.sign(claims())) == "0 published keys fit it"  # an unknown kid
    # A key that the token brings along, or says where to fetch, is nobody's.
    refused(theirs.sign(claims(), kid="key-1", jwk=ours))
    refused(theirs.sign(claims(), kid="key-1", jku="https://evil.example/keys", x5u="x"))


def test_a_key_serves_only_for_what_it_was_published_for() -> None:
    token = RSA.sign(claims())
    for change in (
        {"use": "enc"},
        {"alg": "RS512"},
        {"alg": "HS256"},
        {"kty": "oct"},
        {"kty": "EC"},
        {"kid": "other"},
        {"kid": None},
    ):
        assert refused(token, {"keys": [{**RSA.jwk, **change}]}) == "0 published keys fit it"
    assert refused(EC.sign(claims()), {"keys": [{**EC.jwk, "crv": "P-384"}]})


def test_without_a_key_id_the_only_key_that_fits_is_taken_and_none_of_two() -> None:
    import jwt

    token = jwt.encode(claims(), RSA.private, "RS256")
    assert check(token) == claims()
    second = key_of("RS256", "key-5")
    assert refused(token, published(RSA, second)) == "2 published keys fit it"
    assert refused(RSA.sign(claims()), published(RSA, RSA)) == "2 published keys fit it"


def test_a_weak_key_is_refused() -> None:
    weak = key_of("RS256", "weak", bits=1024)
    with pytest.warns(UserWarning, match="below"):  # PyJWT's own word, while it signs
        token = weak.sign(claims())
    assert "2048 bits" in refused(token, published(weak))


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://issuer.example/realm/"},
        {"iss": "https://issuer.example"},
        {"iss": "https://evil.example"},
        {"iss": ...},
        {"iss": None},
        {"iss": [ISSUER]},
        {"aud": "client-2"},
        {"aud": ["client-2"]},
        {"aud": []},
        {"aud": ...},
        {"aud": None},
        {"aud": "client-11"},
        {"aud": [CLIENT, "client-2"]},
        {"aud": [CLIENT, "client-2"], "azp": "client-2"},
        {"azp": "client-2"},
        {"sub": ...},
        {"sub": 17},
        {"exp": ...},
        {"exp": NOW - LEEWAY},
        {"exp": NOW - 3600},
        {"exp": "soon"},
        {"exp": None},
        {"exp": True},
        {"exp": float("nan")},
        {"exp": float("inf")},
        {"iat": ...},
        {"iat": NOW + LEEWAY + 1},
        {"iat": "now"},
        {"nbf": NOW + LEEWAY + 1},
        {"nbf": "now"},
    ],
    ids=str,
)
def test_a_claim_that_is_wrong_is_refused(change: dict[str, Any]) -> None:
    refused(RSA.sign(claims(**change)))


@pytest.mark.parametrize(
    "change",
    [
        {"aud": [CLIENT]},
        {"aud": [CLIENT, "client-2"], "azp": CLIENT},
        {"azp": CLIENT},
        {"exp": NOW - LEEWAY + 1},
        {"iat": NOW + LEEWAY},
        {"nbf": NOW + LEEWAY},
        {"iat": NOW - 86_400},
    ],
    ids=str,
)
def test_what_the_standard_allows_is_read(change: dict[str, Any]) -> None:
    check(RSA.sign(claims(**change)))


def test_time_is_what_is_said_and_not_what_the_machine_says() -> None:
    token = RSA.sign(claims(iat=10.0, exp=100.0))
    check(token, now=100.0 + LEEWAY - 1)
    refused(token, now=100.0 + LEEWAY)


@pytest.mark.parametrize("nonce", ["nonce-2", "", None, 1, ["nonce-1"], "nonce-1 ", "\ud800", ...])
def test_a_token_for_another_attempt_is_told_from_a_bad_one(nonce: object) -> None:
    with pytest.raises(StateMismatchError):
        check(RSA.sign(claims(nonce=nonce)))


def test_an_attempt_without_a_nonce_accepts_no_token() -> None:
    for said in ("", ...):
        with pytest.raises(StateMismatchError):
            check(RSA.sign(claims(nonce=said)), nonce="")


@pytest.mark.parametrize("keys", [None, [], {}, {"keys": None}, {"keys": {}}, "keys", 1])
def test_a_key_set_that_is_none_is_the_issuer_s_error(keys: object) -> None:
    with pytest.raises(UpstreamError, match="publishes no keys"):
        check(RSA.sign(claims()), keys)


@pytest.mark.parametrize(
    "key", [None, 1, [], {}, {"kty": "RSA"}, {"kty": "RSA", "n": "!", "e": "!"}, {"kty": ["RSA"]}]
)
def test_a_published_key_that_is_none_is_passed_over(key: object) -> None:
    assert check(RSA.sign(claims()), {"keys": [key, RSA.jwk]}) == claims()
    broken = {**key, "kid": "key-1", "alg": "RS256"} if isinstance(key, dict) else key
    refused(RSA.sign(claims()), {"keys": [broken]})


def test_a_token_of_any_length_is_refused_at_once() -> None:
    assert refused("a." * 40_000) == "it is too long"


@given(at=st.integers(min_value=0), to=st.characters(codec="ascii"))
def test_no_token_survives_a_change_of_any_character(at: int, to: str) -> None:
    token = EC.sign(claims())
    at %= len(token)
    if token[at] == to:
        return
    changed = token[:at] + to + token[at + 1 :]
    try:
        found = check(changed)
    except (UpstreamError, StateMismatchError):
        return
    # base64url has characters whose last bits say nothing: then the very same token was read.
    assert found == claims()
    assert at in {token.index(".") - 1, token.rindex(".") - 1, len(token) - 1}


@given(text=st.text(max_size=80) | st.binary(max_size=60).map(lambda raw: raw.hex()))
def test_what_was_never_a_token_is_refused(text: str) -> None:
    refused(text)
    refused(f"{text}.{text}.{text}")


def test_without_its_library_openid_connect_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def without(name: str) -> object:
        return None if name == "jwt" else importlib.util.find_spec(name)

    monkeypatch.setattr(_id_tokens, "find_spec", without)
    with pytest.raises(ConfigurationError, match=r"openbolt\[oidc\]"):
        OpenIdConnect(ISSUER, CLIENT, "secret-1")
