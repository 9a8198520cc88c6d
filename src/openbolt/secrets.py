"""The secrets of users (their keys for a model's provider, say): written by people, read by code.

Laws: over HTTP a secret goes in and never comes out; what is shown of it is its name, its dates,
and its last four characters where the rest is long enough to stay a secret. At rest it is
encrypted, bound to its user and its name, so that no ciphertext serves anybody else or as anything
else. Whoever has secrets is in an index, so that `openbolt.rotation` finds them all.
"""

from __future__ import annotations

import asyncio
import logging
import re
from base64 import b64decode, b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager

from attrs import frozen

from openbolt.access import owner_of
from openbolt.bodies import iso_time, json_response, read_json
from openbolt.errors import (
    BackendError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    PayloadTooLargeError,
)
from openbolt.hidden import Hidden
from openbolt.http import Request, Response
from openbolt.jsons import json_bytes, parse_json
from openbolt.protocols import Cipher, Clock, KeyValueStore
from openbolt.settings import Settings

__all__ = [
    "MODEL_KEY",
    "DeleteSecret",
    "ListSecrets",
    "PutSecret",
    "SecretBody",
    "SecretInfo",
    "SecretRecord",
    "SecretStore",
    "own_model_key",
    "reading_own_key",
]

MODEL_KEY = "anthropic"
"""The secret that replaces the operator's key when its user's turns call the model."""

_log = logging.getLogger("openbolt.secrets")
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_SURROGATE = re.compile("[\ud800-\udfff]")
_SHOWN_FROM = 12
_INDEX = "secret-owners/"


@frozen
class SecretInfo:
    """What may be told of a secret. Times in seconds since the epoch.

    Attributes:
        last_four: Its last four characters; None if it has fewer than twelve.
    """

    name: str
    last_four: str | None
    created_at: float
    updated_at: float

    def to_json(self) -> dict[str, object]:
        """As the API says it."""
        return {
            "name": self.name,
            "lastFour": self.last_four,
            "createdAt": iso_time(self.created_at),
            "updatedAt": iso_time(self.updated_at),
        }


@frozen
class SecretRecord:
    """A secret as it is stored: what may be told of it, and the rest encrypted."""

    info: SecretInfo
    sealed: bytes

    def to_bytes(self) -> bytes:
        """As the store holds it."""
        fields = {
            "lastFour": self.info.last_four,
            "createdAt": self.info.created_at,
            "updatedAt": self.info.updated_at,
            "sealed": b64encode(self.sealed).decode("ascii"),
        }
        return json_bytes(fields)

    @classmethod
    def from_bytes(cls, name: str, raw: bytes) -> SecretRecord:
        """The record that `to_bytes` wrote; `BackendError` for anything else."""
        try:
            fields = parse_json(raw)
            sealed = b64decode(fields["sealed"], validate=True)
            last_four, created, updated = (
                fields[key] for key in ("lastFour", "createdAt", "updatedAt")
            )
        except (ValueError, KeyError, TypeError):
            raise _unreadable(name) from None
        return cls(SecretInfo(name, last_four, created, updated), sealed)


@frozen
class SecretStore:
    """Secrets over a key-value store, below ``user:<id>/secrets/``."""

    kv: KeyValueStore
    cipher: Cipher
    clock: Clock
    settings: Settings

    async def put(self, user_id: str, name: str, value: str, /) -> SecretInfo:
        """Store a secret, replacing.

        Raises:
            InvalidRequestError: The name isn't 1 to 64 of ``a-z 0-9 _ . -`` (beginning with a
                letter or a digit), or the value is empty or no text that can be encoded.
            PayloadTooLargeError: The value is over ``max_secret_bytes``.
            ConflictError: The user has ``max_secrets_per_user`` others.
        """
        _check_name(name)
        data = _checked(value, self.settings.max_secret_bytes)
        now = self.clock.now()
        raw = await self.kv.get(key_of(user_id, name))
        if raw is None:
            await self._check_count(user_id)
        known = None if raw is None else _info(name, raw)
        created = now if known is None else known.created_at
        last_four = value[-4:] if len(value) >= _SHOWN_FROM else None
        info = SecretInfo(name, last_four, created, now)
        sealed = await self.cipher.encrypt(data, context=context_of(user_id, name))
        # Before the secret and every time: one that the index doesn't lead to is lost with its key.
        await self.kv.set(_INDEX + user_id, b"")
        await self.kv.set(key_of(user_id, name), SecretRecord(info, sealed).to_bytes())
        return info

    async def read(self, user_id: str, name: str, /) -> str | None:
        """The secret itself, for whoever has to send it; None if there is none. One read.

        Raises:
            BackendError: It is there and can't be decrypted (code ``secret_unreadable``).
        """
        raw = await self.kv.get(key_of(user_id, name))
        if raw is None:
            return None
        record = SecretRecord.from_bytes(name, raw)
        try:
            data = await self.cipher.decrypt(record.sealed, context=context_of(user_id, name))
        except InvalidRequestError:
            _log.error("the secret %s of user %s can't be decrypted", name, user_id)
            raise _unreadable(name) from None
        return data.decode()

    async def list(self, user_id: str, /) -> Sequence[SecretInfo]:
        """What may be told of a user's secrets, by name."""
        names = sorted([name async for name in self.names(user_id)])
        found = await asyncio.gather(*(self.kv.get(key_of(user_id, name)) for name in names))
        pairs = zip(names, found, strict=True)
        infos = [_info(name, raw) for name, raw in pairs if raw is not None]
        return [info for info in infos if info is not None]

    async def delete(self, user_id: str, name: str, /) -> bool:
        """Remove a secret; whether there was one."""
        if not _NAME.fullmatch(name) or await self.kv.get(key_of(user_id, name)) is None:
            return False
        await self.kv.delete(key_of(user_id, name))
        return True

    async def forget(self, user_id: str, /) -> None:
        """Remove all secrets of a user, and the user from the index."""
        for name in [name async for name in self.names(user_id)]:
            await self.kv.delete(key_of(user_id, name))
        await self.kv.delete(_INDEX + user_id)

    async def owners(self) -> AsyncIterator[str]:
        """Everybody who has secrets, or had some."""
        async for key in self.kv.scan(_INDEX):
            yield key.removeprefix(_INDEX)

    async def names(self, user_id: str, /) -> AsyncIterator[str]:
        """The names of a user's secrets, unordered."""
        prefix = key_of(user_id, "")
        async for key in self.kv.scan(prefix):
            if _NAME.fullmatch(name := key.removeprefix(prefix)):
                yield name

    async def _check_count(self, user_id: str) -> None:
        count, limit = 0, self.settings.max_secrets_per_user
        async for _ in self.names(user_id):
            count += 1
        if count >= limit:
            raise ConflictError(
                f"The limit of secrets is {limit} (max_secrets_per_user); delete one first.",
                code="too_many_secrets",
            )


def context_of(user_id: str, name: str, /) -> bytes:
    """What a secret's ciphertext is bound to: no two pairs of user and name have the same."""
    parts = [part.encode("utf-8", "surrogatepass") for part in ("openbolt secret", user_id, name)]
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


async def own_model_key(secrets: SecretStore | None, user_id: str, /) -> Hidden | None:
    """The user's own key for the model; None if there is none, and the operator's is meant.

    Hidden, because a task that has read it shows its result to whoever logs the task.
    """
    key = None if secrets is None else await secrets.read(user_id, MODEL_KEY)
    return None if key is None else Hidden(key)


@asynccontextmanager
async def reading_own_key(
    secrets: SecretStore | None, user_id: str, /
) -> AsyncGenerator[Awaitable[Hidden | None]]:
    """Read the user's own key beside what the caller does meanwhile; await it where it is used."""
    reading: asyncio.Future[Hidden | None]
    if secrets is None:
        reading = asyncio.get_running_loop().create_future()
        reading.set_result(None)
    else:
        reading = asyncio.ensure_future(own_model_key(secrets, user_id))
    try:
        yield reading
    finally:
        # Only if it wasn't awaited: whoever leaves with something in hand isn't held up here.
        if not reading.done():
            reading.cancel()
            await asyncio.wait([reading])
        if not reading.cancelled():
            reading.exception()  # it was raised where it was awaited, or nobody cares


@frozen
class SecretBody:
    """The body of ``PUT /api/secrets/{name}``."""

    value: str

    def __repr__(self) -> str:
        return "SecretBody(value='***')"


@frozen
class ListSecrets:
    """``GET /api/secrets``: names, last characters and dates."""

    secrets: SecretStore

    async def __call__(self, request: Request, /) -> Response:
        """The caller's."""
        found = await self.secrets.list(owner_of(request))
        return json_response({"secrets": [info.to_json() for info in found]})


@frozen
class PutSecret:
    """``PUT /api/secrets/{name}``."""

    secrets: SecretStore

    async def __call__(self, request: Request, /) -> Response:
        """Store it; the answer holds no more than the list."""
        user_id, name = owner_of(request), request.path_params["name"]
        _check_name(name)
        # In JSON a character may be written as \uXXXX, six bytes for one.
        limit = 6 * self.secrets.settings.max_secret_bytes + 1024
        body = await read_json(request, SecretBody, limit=limit)
        value = _model_key(body.value) if name == MODEL_KEY else body.value
        return json_response((await self.secrets.put(user_id, name, value)).to_json())


@frozen
class DeleteSecret:
    """``DELETE /api/secrets/{name}``."""

    secrets: SecretStore

    async def __call__(self, request: Request, /) -> Response:
        """204, or 404 if there is none."""
        if not await self.secrets.delete(owner_of(request), request.path_params["name"]):
            raise NotFoundError("There is no such secret.")
        return Response(204)


def _model_key(value: str) -> str:
    """A key as it was pasted, without the blanks around it."""
    key = value.strip()
    if not all("!" <= character <= "~" for character in key):
        raise InvalidRequestError("value: holds characters that no key has", field="value")
    return key


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidRequestError(
            "name: must be 1 to 64 of a-z, 0-9, _, . and -, beginning with a letter or a digit",
            field="name",
        )


def _checked(value: str, limit: int) -> bytes:
    # Looked for rather than caught: the error that encoding raises holds the value.
    if _SURROGATE.search(value):
        raise InvalidRequestError("value: is no text", field="value")
    data = value.encode()
    if not data:
        raise InvalidRequestError("value: is empty", field="value")
    if len(data) > limit:
        raise PayloadTooLargeError(f"value: is over {limit} bytes", field="value")
    return data


def _info(name: str, raw: bytes) -> SecretInfo | None:
    """What a record says, if it is whole: one that isn't can be deleted and replaced."""
    try:
        return SecretRecord.from_bytes(name, raw).info
    except BackendError:
        _log.error("the record of a secret %s is damaged", name)
        return None


def _unreadable(name: str) -> BackendError:
    return BackendError(
        f"The stored secret {name!r} can't be decrypted any more; set it again in the settings.",
        code="secret_unreadable",
    )


def key_of(user_id: str, name: str, /) -> str:
    """Where a secret is stored."""
    return f"user:{user_id}/secrets/{name}"
