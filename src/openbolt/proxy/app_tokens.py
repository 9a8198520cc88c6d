"""Tokens with which an app under construction calls the model, and what they have spent.

Laws: a token is shown once, when it is made, and known by its hash afterwards. It is for one
project, some models, some time and some money. What a call may cost at most is reserved before it
and settled after it, in one place that every process sees; so all calls together overspend by one
call's cap at most. A reservation that is never settled counts as spent.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any
from weakref import WeakValueDictionary

from attrs import asdict, evolve, field, frozen

from openbolt.auth.tokens import hash_of
from openbolt.errors import BudgetExceededError, ConflictError, NotFoundError, UnauthenticatedError
from openbolt.heads import HeadStore, move_head
from openbolt.http import Principal
from openbolt.projects.store import Project, ProjectStore
from openbolt.protocols import Clock, KeyValueStore, TokenSource

__all__ = ["APP_TOKEN_PREFIX", "AppBearer", "AppToken", "AppTokens", "Hold", "Ledger"]

APP_TOKEN_PREFIX = "obt_"

_TOKEN = re.compile(r"obt_[a-z2-7]{52}")
_ID = re.compile(r"[a-z2-7]{16}")
_SHOWN_CHARS = len(APP_TOKEN_PREFIX) + 4
_MAX_PER_USER = 100


@frozen
class AppToken:
    """What is known of a token. Times in seconds since the epoch, money in USD.

    Attributes:
        id: Says which it is; no secret.
        project_created_at: With the project's id: it is for this very project.
        models: Names of models that it may call.
        prefix: Its first characters, to tell it by.
    """

    id: str
    owner: str
    project_id: str
    project_created_at: float
    name: str
    models: tuple[str, ...]
    max_usd: Decimal
    prefix: str
    created_at: float
    expires_at: float


@frozen
class Hold:
    """What a call that is under way may cost at most, and when it is over at the latest."""

    usd: Decimal
    until: float


@frozen
class Ledger:
    """A token, what it has spent, and what is reserved."""

    token: AppToken
    spent: Decimal = Decimal(0)
    holds: dict[str, Hold] = field(factory=dict[str, Hold])

    @property
    def reserved(self) -> Decimal:
        """What the calls under way may cost at most."""
        return sum((hold.usd for hold in self.holds.values()), Decimal(0))

    def at(self, now: float, /) -> Ledger:
        """With reservations that nobody settled in time counted as spent."""
        over = [hold.usd for hold in self.holds.values() if hold.until <= now]
        left = {name: hold for name, hold in self.holds.items() if hold.until > now}
        return evolve(self, spent=self.spent + sum(over, Decimal(0)), holds=left)

    def to_bytes(self) -> bytes:
        """As the head holds it."""
        data: dict[str, Any] = asdict(self)
        return json.dumps(data, separators=(",", ":"), default=str).encode()

    @classmethod
    def from_bytes(cls, raw: bytes, /) -> Ledger:
        """What `to_bytes` wrote."""
        data = json.loads(raw)
        said = data["token"]
        said |= {"models": tuple(said["models"]), "max_usd": Decimal(said["max_usd"])}
        holds = {
            name: Hold(Decimal(hold["usd"]), hold["until"]) for name, hold in data["holds"].items()
        }
        return cls(AppToken(**said), Decimal(data["spent"]), holds)


@frozen(kw_only=True)
class AppBearer(Principal):
    """Whoever holds a token: an app, in its owner's name, for the model and nothing else.

    Attributes:
        token_hash: Where its ledger is.
    """

    token: AppToken
    token_hash: str = field(repr=False)


class AppTokens:
    """The tokens of all users.

    A key-value store lists them by user; a token and its ledger are a head, which every process
    sees change at once.
    """

    def __init__(
        self,
        kv: KeyValueStore,
        heads: HeadStore,
        projects: ProjectStore,
        clock: Clock,
        tokens: TokenSource,
        /,
    ) -> None:
        self.clock = clock
        self._kv = kv
        self._heads = heads
        self._projects = projects
        self._tokens = tokens
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def create(
        self,
        project: Project,
        /,
        *,
        name: str,
        models: Sequence[str],
        max_usd: Decimal,
        expires_at: float,
    ) -> tuple[str, Ledger]:
        """Make a token; the text is nowhere else.

        Raises:
            ConflictError: The user has 100 already (``too_many_app_tokens``).
        """
        secret = f"{APP_TOKEN_PREFIX}{self._tokens.token(32)}"
        token = AppToken(
            self._tokens.token(10),
            project.owner,
            project.id,
            project.created_at,
            name,
            tuple(models),
            max_usd,
            secret[:_SHOWN_CHARS],
            self.clock.now(),
            expires_at,
        )
        ledger = Ledger(token)
        token_hash = hash_of(secret)
        # Listed first: what fails in between is a token that opens nothing.
        await self._kv.set(_place(token.owner, token.id), token_hash.encode())
        if not await self._heads.swap(_head(token_hash), ledger.to_bytes(), seen=None):
            raise ConflictError("There is such a token.")  # a broken TokenSource
        # Counted with it, so that many requests at once don't make more than one after another.
        if len(await self.list(token.owner)) > _MAX_PER_USER:
            await self._discard(token.owner, token.id, token_hash)
            raise ConflictError(
                f"There are {_MAX_PER_USER} app tokens already; revoke one first.",
                code="too_many_app_tokens",
            )
        return secret, ledger

    async def bearer(self, secret: str, /) -> AppBearer | None:
        """Who comes with a token; None for any other text, and where it or its project is over."""
        if not _TOKEN.fullmatch(secret):
            return None
        token_hash = hash_of(secret)
        ledger = await self._load(token_hash)
        if ledger is None or ledger.token.expires_at <= self.clock.now():
            return None
        token = ledger.token
        try:
            project = await self._projects.load(token.project_id, owner=token.owner)
        except NotFoundError:
            return None
        if project.created_at != token.project_created_at:
            return None
        return AppBearer(
            user_id=token.owner,
            scopes=frozenset({"proxy"}),
            api_key=f"app-{token.id}",
            token=token,
            token_hash=token_hash,
        )

    async def list(self, owner: str, /, *, of: Project | None = None) -> Sequence[Ledger]:
        """A user's tokens, the newest first; those that have expired are cleared away."""
        prefix, now = _place(owner, ""), self.clock.now()
        live: list[Ledger] = []
        for key in [key async for key in self._kv.scan(prefix)]:
            raw = await self._kv.get(key)
            ledger = await self._load(raw.decode()) if raw is not None else None
            if raw is None or ledger is None:
                await self._kv.delete(key)
            elif ledger.token.expires_at <= now:
                await self._discard(owner, ledger.token.id, raw.decode())
            elif of is None or (of.id, of.created_at) == (
                ledger.token.project_id,
                ledger.token.project_created_at,
            ):
                live.append(ledger.at(now))
        return sorted(live, key=lambda each: (-each.token.created_at, each.token.id))

    async def revoke(self, project: Project, token_id: str, /) -> bool:
        """Make a token of a project worthless at once; whether there was one."""
        place = _place(project.owner, token_id)
        raw = await self._kv.get(place) if _ID.fullmatch(token_id) else None
        ledger = await self._load(raw.decode()) if raw is not None else None
        if raw is None or ledger is None or ledger.token.project_id != project.id:
            return False
        await self._discard(project.owner, token_id, raw.decode())
        return True

    async def revoke_all(self, owner: str, /) -> int:
        """Make all tokens of a user worthless; how many there were."""
        prefix = _place(owner, "")
        keys = [key async for key in self._kv.scan(prefix)]
        for key in keys:
            raw = await self._kv.get(key)
            if raw is not None:
                await self._discard(owner, key.removeprefix(prefix), raw.decode())
        return len(keys)

    async def reserve(self, bearer: AppBearer, usd: Decimal, /, *, seconds: float) -> str:
        """Set aside what a call may cost at most; the name of the reservation.

        Raises:
            BudgetExceededError: Nothing is left that isn't spent or reserved.
            UnauthenticatedError: The token was revoked meanwhile.
        """
        name, now = self._tokens.token(10), self.clock.now()

        def change(raw: bytes | None) -> bytes:
            if raw is None:
                raise UnauthenticatedError("This app token is not valid.")
            ledger = Ledger.from_bytes(raw).at(now)
            if ledger.spent + ledger.reserved >= ledger.token.max_usd:
                raise BudgetExceededError(
                    f"This app token's budget of USD {ledger.token.max_usd} is spent."
                    if ledger.spent >= ledger.token.max_usd
                    else "What is left of this app token's budget is reserved for calls under way."
                )
            holds = {**ledger.holds, name: Hold(usd, now + seconds)}
            return evolve(ledger, holds=holds).to_bytes()

        await self._move(bearer.token_hash, change)
        return name

    async def settle(self, bearer: AppBearer, name: str, usd: Decimal, /) -> None:
        """Write down what a call has cost, in place of its reservation; once."""
        now = self.clock.now()

        def change(raw: bytes | None) -> bytes | None:
            if raw is None:  # revoked
                return None
            ledger = Ledger.from_bytes(raw).at(now)
            if name not in ledger.holds:  # it took too long, and counts as spent
                return ledger.to_bytes()
            holds = {key: hold for key, hold in ledger.holds.items() if key != name}
            return evolve(ledger, spent=ledger.spent + usd, holds=holds).to_bytes()

        await self._move(bearer.token_hash, change)

    async def _move(self, token_hash: str, change: Callable[[bytes | None], bytes | None]) -> None:
        # One at a time here, so that only other processes are ever in the way.
        lock = self._locks.get(token_hash)
        if lock is None:
            lock = self._locks[token_hash] = asyncio.Lock()
        async with lock:
            await move_head(self._heads, _head(token_hash), change)

    async def _load(self, token_hash: str) -> Ledger | None:
        head = await self._heads.load(_head(token_hash))
        return Ledger.from_bytes(head.data) if head else None

    async def _discard(self, owner: str, token_id: str, token_hash: str) -> None:
        await self._heads.discard(_head(token_hash))
        await self._kv.delete(_place(owner, token_id))


def _place(owner: str, token_id: str) -> str:
    return f"user:{owner}/app-tokens/{token_id}"


def _head(token_hash: str) -> str:
    return f"apptoken:{token_hash}/token"
