"""Every protocol that a backend can implement, and the limits that it declares.

Law: parameters are positional-only, so that implementers choose names. A backend raises the errors
of `openbolt.errors` (``BackendError`` for what its own library says), declares in ``limits`` what
it can't do, and never clamps a value silently: a value out of bounds is an `InvalidRequestError`
or a `NotSupportedError`. `openbolt.testing` ships one conformance suite for each protocol here.
"""

from __future__ import annotations

import math
import re
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from typing import TYPE_CHECKING, Literal, Protocol

from attrs import field, frozen

from openbolt.errors import ConfigurationError
from openbolt.http import ByteStream, Headers, Principal, Request

if TYPE_CHECKING:
    from openbolt.chat.events import TurnEvent
    from openbolt.model import ModelEvent, ModelRequest

__all__ = [
    "AccountingRateLimiter",
    "AtomicKeyValueStore",
    "Authenticator",
    "Cipher",
    "Clock",
    "Decision",
    "EventBatch",
    "EventLog",
    "EventLogLimits",
    "HttpSender",
    "KVLimits",
    "KeyValueStore",
    "Lease",
    "LeaseStore",
    "Meter",
    "ModelProvider",
    "ObjectInfo",
    "ObjectLimits",
    "ObjectStore",
    "OpenedObject",
    "OutboundRequest",
    "OutboundResponse",
    "RateLimiter",
    "RatePolicy",
    "SessionRecord",
    "SessionStore",
    "Timeouts",
    "TokenSource",
]


@frozen
class KVLimits:
    """What a key-value store can hold.

    Attributes:
        min_ttl: The shortest time to live in seconds; a shorter one is a `NotSupportedError`.
        max_key_bytes: UTF-8 bytes; a longer key is an `InvalidRequestError`.
        max_value_bytes: A longer value is a `PayloadTooLargeError`.
        read_after_write: A read sees every write that ended before it, from every process.
    """

    min_ttl: float = 0.0
    max_key_bytes: int = 512
    max_value_bytes: int = 25 * 1024 * 1024
    read_after_write: bool = True


class KeyValueStore(Protocol):
    """Small values by key.

    Keys are paths of non-empty text; the first segment (up to ``/``) is the key's partition. Empty
    keys, keys with NUL and keys over the limit raise `InvalidRequestError` with field ``key``.
    """

    @property
    def limits(self) -> KVLimits: ...

    async def get(self, key: str, /) -> bytes | None:
        """The value, or None if there is none or it has expired."""
        ...

    async def set(self, key: str, value: bytes, /, *, ttl: float | None = None) -> None:
        """Write, replacing; ``ttl`` in seconds (more than 0), None for ever."""
        ...

    async def delete(self, key: str, /) -> None:
        """Remove; no error where there is nothing."""
        ...

    def scan(self, prefix: str, /) -> AsyncIterator[str]:
        """Live keys that start with ``prefix``: unordered, no duplicates.

        The prefix names at least one whole first segment with its ``/``, else
        `InvalidRequestError`. A key that lives from before the scan to its end is yielded.
        """
        ...


class AtomicKeyValueStore(KeyValueStore, Protocol):
    """A key-value store with operations that happen as one; Cloudflare KV is not one."""

    async def add(self, key: str, value: bytes, /, *, ttl: float | None = None) -> bool:
        """Write if absent; whether it was."""
        ...

    async def take(self, key: str, /) -> bytes | None:
        """Read and delete: of any number of takers, one gets the value."""
        ...

    async def increment(self, key: str, amount: int = 1, /, *, ttl: float | None = None) -> int:
        """Add to a decimal counter (absent: 0) and return it.

        ``ttl`` is set when the counter is created and not renewed. A value that isn't a decimal
        integer is an `InvalidRequestError`.
        """
        ...

    async def replace(
        self, key: str, value: bytes, /, *, expected: bytes | None, ttl: float | None = None
    ) -> bool:
        """Compare and set: write if the value is ``expected`` (None: absent); whether it was."""
        ...


@frozen
class ObjectLimits:
    """What an object store can hold.

    Attributes:
        max_key_bytes: UTF-8 bytes of a key.
        max_object_bytes: Bytes of one object.
        conditional_put: ``if_match`` and ``if_none_match`` work; else they are a
            `NotSupportedError`.
        unsized_put: A stream may be put without ``size``.
    """

    max_key_bytes: int = 1024
    max_object_bytes: int = 5 * 1024**3
    conditional_put: bool = True
    unsized_put: bool = True


@frozen
class ObjectInfo:
    """What is known of an object without its bytes.

    Attributes:
        etag: Opaque, without quotes; changes whenever the bytes do.
        modified: Seconds since the epoch.
    """

    key: str
    size: int
    etag: str
    modified: float
    content_type: str = "application/octet-stream"


@frozen
class OpenedObject:
    """An object being read; close ``body`` (`openbolt.http.ByteStream`) when done."""

    info: ObjectInfo
    body: ByteStream


class ObjectStore(Protocol):
    """Large values by key, streamed.

    Keys are any non-empty text without NUL up to the limit: they are names, not paths, and no key
    (``../x``, ``/etc/passwd``, ``a//b``, ``.``) reaches anything outside the store. A failed or
    cancelled put leaves the old object whole.
    """

    @property
    def limits(self) -> ObjectLimits: ...

    async def open(
        self, key: str, /, *, start: int = 0, length: int | None = None
    ) -> OpenedObject | None:
        """Read from byte ``start``, at most ``length`` bytes; None if there is no object.

        A start at or beyond the end gives an empty body. ``info.size`` is the whole object's.
        """
        ...

    async def put(
        self,
        key: str,
        data: bytes | AsyncIterable[bytes],
        /,
        *,
        size: int | None = None,
        content_type: str = "application/octet-stream",
        if_match: str | None = None,
        if_none_match: Literal["*"] | None = None,
    ) -> ObjectInfo:
        """Write whole or not at all.

        Args:
            size: The length of a stream, in bytes; a stream of another length is an
                `InvalidRequestError` and nothing is written.
            if_match: Write only over the object with this ETag.
            if_none_match: ``"*"``: write only if there is no object.

        Raises:
            PreconditionFailedError: A condition did not hold.
            PayloadTooLargeError: Over ``limits.max_object_bytes``.
        """
        ...

    async def head(self, key: str, /) -> ObjectInfo | None: ...

    async def delete(self, key: str, /) -> None:
        """Remove; no error where there is nothing."""
        ...

    def scan(
        self, prefix: str, /, *, after: str | None = None, limit: int | None = None
    ) -> AsyncIterator[ObjectInfo]:
        """Objects whose key starts with ``prefix``, in order of their UTF-8 bytes.

        ``after`` and ``limit`` page through them. ``content_type`` may be the default here.
        """
        ...


@frozen
class EventBatch:
    """Events of a turn that lie next to each other; the first has index ``first``."""

    first: int
    events: Sequence[TurnEvent]


@frozen
class EventLogLimits:
    """What an event log offers.

    Attributes:
        shared: Readers in other processes see the same turns.
        durable: A closed or orphaned turn is still there after a restart.
        retention: Seconds for which a closed turn can be read.
    """

    shared: bool = False
    durable: bool = False
    retention: float = 600.0


class EventLog(Protocol):
    """The events of a turn, written by one runner and read by any number of readers.

    One process appends to a turn. Appending is cheap: a shared log may write behind by a fraction
    of a second, but a reader in the same process is woken at once.
    """

    @property
    def limits(self) -> EventLogLimits: ...

    async def open(self, turn: str, /) -> None:
        """Begin a turn; `ConflictError` if it exists."""
        ...

    async def append(self, turn: str, events: Sequence[TurnEvent], /) -> None:
        """Add events; `NotFoundError` if the turn isn't open or was closed."""
        ...

    def read(self, turn: str, /, *, after: int = -1) -> AsyncIterator[EventBatch]:
        """Events with an index above ``after``, then live ones until the turn is closed.

        The first step raises `NotFoundError` for an unknown turn. Close the iterator
        (``aclose``) to stop early.
        """
        ...

    async def has(self, turn: str, /) -> bool:
        """Whether `read` would find the turn: it is open, or was closed not long ago."""
        ...

    async def close(self, turn: str, /) -> None:
        """End the turn: readers finish, and the log keeps it for ``limits.retention`` seconds."""
        ...


@frozen
class Lease:
    """The right to be the one writer of something, for a while.

    Attributes:
        fence: Grows with every acquisition of the same name; a store can refuse older writers.
        expires_at: Seconds since the epoch.
    """

    name: str
    holder: str
    fence: int
    expires_at: float


class LeaseStore(Protocol):
    """Leases by name."""

    async def acquire(self, name: str, /, *, ttl: float) -> Lease | None:
        """Take the lease for ``ttl`` seconds, or None while another holder has it."""
        ...

    async def renew(self, lease: Lease, /, *, ttl: float) -> Lease | None:
        """Hold on for ``ttl`` seconds from now; None if it was lost."""
        ...

    async def release(self, lease: Lease, /) -> None:
        """Give it back; no error if it was lost."""
        ...

    async def holder(self, name: str, /) -> Lease | None:
        """Who has it now."""
        ...


@frozen
class SessionRecord:
    """A signed-in browser. Times in seconds since the epoch.

    Attributes:
        id_hash: Hash of the secret id that the browser holds; the id itself is never stored.
    """

    id_hash: str
    user_id: str
    created_at: float
    last_used_at: float
    expires_at: float
    device: str = ""
    data: bytes = field(default=b"", repr=False)


class SessionStore(Protocol):
    """Sessions by the hash of their id."""

    async def load(self, id_hash: str, /) -> SessionRecord | None:
        """The record, or None if there is none or it has expired."""
        ...

    async def save(self, record: SessionRecord, /) -> None: ...

    async def change(
        self, id_hash: str, /, *, last_used_at: float | None = None, data: bytes | None = None
    ) -> bool:
        """Change what isn't None of a live session, and nothing else; whether there was one.

        It never makes a session: one that is discarded meanwhile stays gone, and of two changes to
        different fields at once neither is lost.
        """
        ...

    async def discard(self, id_hash: str, /) -> None: ...

    def list(self, user_id: str, /) -> AsyncIterator[SessionRecord]:
        """A user's live sessions, unordered."""
        ...


_POLICY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MAX_RATE = 1_000_000
_MAX_SPAN = 366 * 86_400.0


@frozen
class RatePolicy:
    """``limit`` units a ``period`` of seconds, with bursts of up to ``burst`` (0: ``limit``).

    Attributes:
        name: 1 to 64 of ``A-Z a-z 0-9 . _ -``; header fields name the policy so.
        limit: At least 1, and at most a million units a second.
        period: More than 0; a whole burst comes back within 366 days.
        per: For whom units are counted: a user (an address, where nobody is signed in), an API key
            (requests without one aren't counted), an address, or an account that somebody tries
            to sign in to.
        unit: What is counted. Requests are counted as they come, the others when they are known:
            such a policy refuses whoever used more than there was.
        fails: What becomes of requests while the limiter can't count: ``open`` lets them in,
            ``closed`` answers 503.
        shared: Processes count together, where the limiter can do it. Else each counts for itself,
            in memory, where it can do that: nobody waits for it.

    Raises:
        ConfigurationError: When made: a value is out of bounds.
    """

    name: str
    limit: int
    period: float
    burst: int = 0
    per: Literal["user", "key", "address", "account"] = "user"
    unit: Literal["requests", "tokens", "micro-usd"] = "requests"
    fails: Literal["open", "closed"] = "open"
    shared: bool = True

    def __attrs_post_init__(self) -> None:
        if not _POLICY_NAME.fullmatch(self.name):
            raise ConfigurationError(
                f"A rate policy's name is 1 to 64 of A-Z a-z 0-9 . _ -, not {self.name!r}."
            )
        if self.limit < 1 or self.burst < 0:
            raise ConfigurationError(
                f"Rate policy {self.name}: limit must be at least 1 and burst at least 0."
            )
        if not (math.isfinite(self.period) and self.limit / _MAX_RATE <= self.period):
            raise ConfigurationError(
                f"Rate policy {self.name}: period must be seconds, more than 0, and the rate at "
                "most a million units a second."
            )
        if max(self.burst, self.limit) * self.period > _MAX_SPAN * self.limit:
            raise ConfigurationError(
                f"Rate policy {self.name}: a whole burst must come back within 366 days."
            )


@frozen
class Decision:
    """A limiter's answer; what it doesn't know is None. Times in seconds.

    Attributes:
        retry_after: Waiting so long makes the same request succeed, if the subject isn't used
            meanwhile. None where it is allowed, where no waiting helps (it costs more than a whole
            burst), or where the limiter doesn't know; then ``remaining`` is None too.
        remaining: Units that are left; none in debt.
        reset: Until the whole burst is there.
    """

    allowed: bool
    retry_after: float | None = None
    remaining: int | None = None
    reset: float | None = None


class RateLimiter(Protocol):
    """Counts what a subject uses. One that only says yes or no (Cloudflare's binding) is one, too:
    it leaves the other fields of its decisions at None.
    """

    async def acquire(self, subject: str, policy: RatePolicy, cost: int = 1, /) -> Decision:
        """Use ``cost`` units if they are there; a refused request uses none.

        A cost of 0 uses nothing and is refused only in debt.

        Raises:
            InvalidRequestError: The cost is below 0.
            NotSupportedError: This limiter counts by one only.
            BackendError: It can't count now; ``policy.fails`` is the caller's business.
        """
        ...


class AccountingRateLimiter(RateLimiter, Protocol):
    """A limiter that can be told afterwards what something cost; Cloudflare's binding can't."""

    async def charge(self, subject: str, policy: RatePolicy, cost: int, /) -> None:
        """Use ``cost`` units whether they are there or not: a subject may go into debt, which time
        pays off. A cost below 0 gives back what was acquired.

        Raises:
            InvalidRequestError: The debt would last longer than 366 days.
            BackendError: It can't count now.
        """
        ...


class Meter(Protocol):
    """Is told what a user's model calls have cost."""

    async def spend(self, user_id: str, /, *, tokens: int, usd: Decimal | None = None) -> None:
        """Count a call that is over.

        Args:
            tokens: Those that came in and out.
            usd: None: the model has no price.
        """
        ...


@frozen
class Timeouts:
    """Limits of an outbound call in seconds; None waits for ever.

    Attributes:
        connect: Until the connection stands, TLS included.
        first_byte: Until the response's head.
        idle: Between two reads of the body.
    """

    connect: float | None = 10.0
    first_byte: float | None = 60.0
    idle: float | None = 60.0


def _without_query(url: str) -> str:
    return repr(url.partition("?")[0])


@frozen
class OutboundRequest:
    """A call to another server. Its repr shows neither query nor body, which may hold secrets.

    Attributes:
        connect_to: The address to connect to instead of resolving the URL's host; the host stays
            in ``Host`` and in TLS's server name.
    """

    method: str
    url: str = field(repr=_without_query)
    headers: Headers = Headers()
    body: bytes | AsyncIterable[bytes] = field(default=b"", repr=False)
    timeouts: Timeouts = Timeouts()
    connect_to: str | None = None


@frozen
class OutboundResponse:
    """Another server's answer; its body streams."""

    status: int
    headers: Headers
    body: AsyncIterator[bytes]


class HttpSender(Protocol):
    """Makes HTTP calls. It never follows a redirect by itself and decodes no content coding
    that it did not ask for."""

    def send(self, request: OutboundRequest, /) -> AbstractAsyncContextManager[OutboundResponse]:
        """Send; leaving the context closes the connection or returns it whole to its pool.

        Raises:
            UpstreamError: It can't be reached (``retryable`` where nothing was sent).
            UpstreamTimeoutError: A limit of ``timeouts`` ran out, also while the body is read.
            NotSupportedError: ``connect_to`` is set and can't be honored.
        """
        ...


class ModelProvider(Protocol):
    """A language model that streams."""

    def stream(
        self, request: ModelRequest, /
    ) -> AbstractAsyncContextManager[AsyncIterator[Sequence[ModelEvent]]]:
        """Call the model: one batch of events for each read of the network.

        Neighboring deltas of one read may come as one event. Entering the context sends the request
        and raises `UpstreamError` (or a subclass) for a refusal; leaving it, at any point, closes
        the connection. An error in mid-stream is raised by the iterator. A stream that ends without
        `ReplyStopped` is an `UpstreamError`.
        """
        ...


class Cipher(Protocol):
    """Authenticated encryption; async because WebCrypto is."""

    async def encrypt(self, plaintext: bytes, /, *, context: bytes) -> bytes:
        """Encrypt, bound to ``context`` (additional authenticated data)."""
        ...

    async def decrypt(self, ciphertext: bytes, /, *, context: bytes) -> bytes:
        """Decrypt; `InvalidRequestError` for anything that wasn't made so with this context."""
        ...

    async def rewrap(self, ciphertext: bytes, /, *, context: bytes) -> bytes:
        """The same plaintext under the key that encrypts now.

        What is under it already comes back byte for byte. `InvalidRequestError` where the key is
        unknown or the context another.
        """
        ...


class Clock(Protocol):
    """Time, so that it can be told in tests."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds that never run backwards."""
        ...

    async def sleep(self, seconds: float, /) -> None: ...


class TokenSource(Protocol):
    """Randomness, so that it can be told in tests."""

    def token(self, size: int = 16, /) -> str:
        """``size`` random bytes as lower-case base32 without padding: safe in URLs, file names
        and DNS labels."""
        ...


class Authenticator(Protocol):
    """Says who is asking."""

    async def authenticate(self, request: Request, /) -> Principal | None:
        """The caller, or None: the guard then answers 401.

        Raises:
            UnauthenticatedError: With a challenge, where the scheme has one.
        """
        ...
