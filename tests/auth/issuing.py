"""An issuer's keys, and ID tokens signed with them: rightly, and in every wrong way."""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64encode
from functools import cache
from typing import Any

import jwt
from attrs import field, frozen
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from tests.auth.exchanges import NOW

ISSUER = "https://issuer.example/realm"
CLIENT = "client-1"
NONCE = "nonce-1"


@frozen
class Key:
    """A private key and what an issuer publishes of it."""

    alg: str
    private: Any = field(repr=False)
    jwk: dict[str, Any]

    def sign(self, claims: dict[str, Any], **header: Any) -> str:
        payload = json.dumps(claims).encode()  # not jwt.encode(), which refuses wrong claims
        named = {"kid": self.jwk["kid"], **header}
        return jwt.PyJWS().encode(payload, self.private, self.alg, named)


@cache
def key_of(alg: str, kid: str = "key-1", *, bits: int = 2048) -> Key:
    """A key; the same one for the same words."""
    private: Any
    match alg:
        case "RS256" | "RS512" | "PS256":
            private = rsa.generate_private_key(65537, bits)
            public = RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)
        case "ES256":
            private = ec.generate_private_key(ec.SECP256R1())
            public = ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
        case "ES384":
            private = ec.generate_private_key(ec.SECP384R1())
            public = ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
        case _:
            private = ed25519.Ed25519PrivateKey.generate()
            public = OKPAlgorithm.to_jwk(private.public_key(), as_dict=True)
    public = {k: v for k, v in public.items() if k != "key_ops"}
    return Key(alg, private, {**public, "kid": kid, "alg": alg, "use": "sig"})


def published(*keys: Key) -> dict[str, Any]:
    """A JSON Web Key Set."""
    return {"keys": [key.jwk for key in keys]}


def claims(**changes: Any) -> dict[str, Any]:
    """What a right ID token says; ``...`` takes a claim out."""
    usual = {
        "iss": ISSUER,
        "sub": "subject-1",
        "aud": CLIENT,
        "exp": NOW + 300,
        "iat": NOW,
        "nonce": NONCE,
        "email": "ann@corp.example",
        "email_verified": True,
        "name": "Ann Example",
    }
    return {name: value for name, value in {**usual, **changes}.items() if value is not ...}


def by_hand(header: dict[str, Any], payload: dict[str, Any], secret: bytes | None = None) -> str:
    """A token that no library would make: unsigned, or with a secret by HS256."""
    signed = f"{_part(json.dumps(header).encode())}.{_part(json.dumps(payload).encode())}"
    signature = b"" if secret is None else hmac.digest(secret, signed.encode(), "sha256")
    return f"{signed}.{_part(signature)}"


def _part(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
