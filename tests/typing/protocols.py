"""Backends implement a protocol by its shape alone, and a wrong shape is a type error.

mypy and pyright read this file and never run it. Each ignored line must be an error (unused
ignores are errors themselves), so a protocol that grew too lax fails here.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from openbolt.protocols import (
    AtomicKeyValueStore,
    Cipher,
    Clock,
    Decision,
    HttpSender,
    KeyValueStore,
    KVLimits,
    OutboundRequest,
    OutboundResponse,
    RateLimiter,
    RatePolicy,
    TokenSource,
)


class PlainStore:
    """A store with names of its own for the parameters, and limits as a plain attribute."""

    limits = KVLimits(read_after_write=False)

    async def get(self, name: str, /) -> bytes | None:
        return name.encode()

    async def set(self, name: str, data: bytes, /, *, ttl: float | None = None) -> None:
        del name, data, ttl

    async def delete(self, name: str, /) -> None:
        del name

    async def scan(self, start: str, /) -> AsyncIterator[str]:
        yield start


class AtomicStore(PlainStore):
    """The same, with the operations that happen as one."""

    async def add(self, name: str, data: bytes, /, *, ttl: float | None = None) -> bool:
        return bool(name and data and ttl)

    async def take(self, name: str, /) -> bytes | None:
        return name.encode()

    async def increment(self, name: str, by: int = 1, /, *, ttl: float | None = None) -> int:
        return by if name and ttl else 0

    async def replace(
        self, name: str, data: bytes, /, *, expected: bytes | None, ttl: float | None = None
    ) -> bool:
        return bool(name and data and expected and ttl)


class TextStore(PlainStore):
    """Wrong: it gives back text."""

    async def get(self, name: str, /) -> str | None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        return name


class ForgetfulStore(PlainStore):
    """Wrong: it takes no time to live."""

    async def set(self, name: str, data: bytes, /) -> None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        del name, data


class UnlimitedStore:
    """Wrong: it doesn't say what it can hold."""

    async def get(self, name: str, /) -> bytes | None:
        return name.encode()

    async def set(self, name: str, data: bytes, /, *, ttl: float | None = None) -> None:
        del name, data, ttl

    async def delete(self, name: str, /) -> None:
        del name

    async def scan(self, start: str, /) -> AsyncIterator[str]:
        yield start


plain: KeyValueStore = PlainStore()
atomic: AtomicKeyValueStore = AtomicStore()
atomic_as_plain: KeyValueStore = atomic

not_atomic: AtomicKeyValueStore = PlainStore()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
plain_as_atomic: AtomicKeyValueStore = plain  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
text: KeyValueStore = TextStore()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
forgetful: KeyValueStore = ForgetfulStore()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
unlimited: KeyValueStore = UnlimitedStore()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]


class Sender:
    """A sender, written as the generator that most will be."""

    @asynccontextmanager
    async def send(self, request: OutboundRequest, /) -> AsyncGenerator[OutboundResponse]:
        async def body() -> AsyncIterator[bytes]:
            yield b""

        yield OutboundResponse(status=200, headers=request.headers, body=body())


class EagerSender:
    """Wrong: nothing says when its connection may go."""

    async def send(self, request: OutboundRequest, /) -> OutboundResponse:
        raise NotImplementedError(request.url)


sender: HttpSender = Sender()
opened: AbstractAsyncContextManager[OutboundResponse] = sender.send(OutboundRequest("GET", "/"))
eager: HttpSender = EagerSender()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]


class Generous:
    """A limiter that never says no."""

    async def acquire(self, who: str, policy: RatePolicy, cost: int = 1, /) -> Decision:
        return Decision(allowed=bool(who) and cost <= policy.limit)


class Costless:
    """Wrong: it can't be told what a request costs."""

    async def acquire(self, who: str, policy: RatePolicy, /) -> Decision:
        return Decision(allowed=bool(who) and bool(policy.limit))


limiter: RateLimiter = Generous()
costless: RateLimiter = Costless()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]


class Plaintext:
    """A cipher's shape."""

    async def encrypt(self, data: bytes, /, *, context: bytes) -> bytes:
        return data + context

    async def decrypt(self, data: bytes, /, *, context: bytes) -> bytes:
        return data.removesuffix(context)

    async def rewrap(self, data: bytes, /, *, context: bytes) -> bytes:
        return data


class SyncCipher:
    """Wrong: WebCrypto is asynchronous, so a cipher is."""

    def encrypt(self, data: bytes, /, *, context: bytes) -> bytes:
        return data + context

    def decrypt(self, data: bytes, /, *, context: bytes) -> bytes:
        return data.removesuffix(context)

    def rewrap(self, data: bytes, /, *, context: bytes) -> bytes:
        return data


cipher: Cipher = Plaintext()
sync: Cipher = SyncCipher()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]


class Still:
    """A clock that stands."""

    def now(self) -> float:
        return 0.0

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float, /) -> None:
        del seconds


class Same:
    """A source that always gives the same."""

    def token(self, size: int = 16, /) -> str:
        return "a" * size


clock: Clock = Still()
tokens: TokenSource = Same()
