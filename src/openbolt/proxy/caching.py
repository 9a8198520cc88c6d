"""Answers that are kept and used again by the rules of RFC 9111, as hishel's states have them.

Laws: the only module that imports ``hishel``, of which only the states are used: they decide and do
no I/O. What is kept for one user is never given to another, unless the operator shares it; nothing
kept holds a secret that was put in. What isn't whole is never kept.

hishel reads the system's clock, takes an answer without ``Date`` for ever young and knows no
``Age``; both are set right here before it sees them.
"""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from email.utils import formatdate, parsedate_to_datetime

import hishel
from attrs import evolve, field, frozen

from openbolt.errors import UpstreamError
from openbolt.http import Headers

__all__ = ["CachedAnswer", "Lookup", "MemoryCache", "keeping", "not_modified"]

_OVERHEAD = 512


@frozen
class CachedAnswer:
    """A whole answer."""

    status: int
    headers: Headers
    body: bytes
    key: str = ""
    asked: Headers = Headers()
    id: uuid.UUID = field(factory=uuid.uuid4)

    @property
    def size(self) -> int:
        """Bytes that it takes, roughly."""
        return len(self.body) + sum(len(n) + len(v) for n, v in self.headers.items) + _OVERHEAD


class MemoryCache:
    """Answers by key, the least used going first when there are more bytes than fit."""

    def __init__(self, max_bytes: int = 64 * 1024 * 1024) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._by_id: OrderedDict[uuid.UUID, CachedAnswer] = OrderedDict()
        self._by_key: dict[str, list[uuid.UUID]] = {}

    def find(self, key: str, /) -> Sequence[CachedAnswer]:
        """What is kept under a key."""
        found = self._by_key.get(key, ())
        for each in found:
            self._by_id.move_to_end(each)
        return [self._by_id[each] for each in found]

    def put(self, answer: CachedAnswer, /) -> None:
        """Keep; in place of one with the same id, or with the same request."""
        for other in self.find(answer.key):
            if other.id == answer.id or other.asked == answer.asked:
                self.discard(other.id)
        self._by_id[answer.id] = answer
        self._by_key.setdefault(answer.key, []).append(answer.id)
        self._bytes += answer.size
        while self._bytes > self._max_bytes:
            self.discard(next(iter(self._by_id)))

    def discard(self, answer_id: uuid.UUID, /) -> None:
        """Keep no longer."""
        answer = self._by_id.pop(answer_id, None)
        if answer is not None:
            self._bytes -= answer.size
            ids = self._by_key[answer.key]
            ids.remove(answer_id)
            if not ids:
                del self._by_key[answer.key]


class Lookup:
    """One request before the cache.

    Attributes:
        found: An answer that may be used as it is.
        conditions: Fields to send along, where what is kept has to be asked about.
        may_keep: The answer may be kept, if it comes to its end.
        again: The answer was about something that isn't kept: ask once more, without conditions.
    """

    def __init__(
        self,
        cache: MemoryCache,
        method: str,
        url: str,
        headers: Headers,
        /,
        *,
        scope: str,
        shared: bool,
    ) -> None:
        self.found: CachedAnswer | None = None
        self.conditions: dict[str, str] = {}
        self.may_keep = self.again = False
        self._cache = cache
        self._key = f"{scope} {url}"
        self._asked = headers
        request = hishel.Request(method, url, _theirs(headers))
        options: hishel.CacheOptions = {
            "shared": shared,
            "supported_methods": ["GET"],
            "allow_stale": False,
        }
        entries = [_entry(kept, url) for kept in cache.find(self._key)]
        self._state: hishel.AnyState = hishel.IdleClient(options=options).next(request, entries)
        if isinstance(self._state, hishel.FromCache):
            self.found = self._from_cache(self._state)
        elif isinstance(self._state, hishel.NeedRevalidation):
            sent = self._state.request.headers
            for name in ("if-none-match", "if-modified-since"):
                if name in sent:
                    self.conditions[name] = sent[name]

    def answered(self, status: int, headers: Headers, /, *, now: float) -> None:
        """Take in the head of the upstream's answer.

        Where it says that what is kept is still good, that is in `found`.

        Args:
            now: Seconds since the epoch.
        """
        state = self._state
        dated = _dated(headers, now)
        if not isinstance(state, (hishel.CacheMiss, hishel.NeedRevalidation)):
            return
        state = state.next(hishel.Response(status, _theirs(dated)))
        while True:
            if isinstance(state, hishel.InvalidateEntries):
                for each in state.entry_ids:
                    self._cache.discard(each)
                state = state.next()
            elif isinstance(state, hishel.NeedToBeUpdated):
                for entry in state.updating_entries:
                    self._freshen(entry)
                state = state.next()
            else:
                break
        self._state = state
        if isinstance(state, hishel.FromCache):
            self.found = self._from_cache(state)
        self.again = status == 304 and self.found is None
        if self.again:
            self.conditions = {}
            if not isinstance(state, hishel.CacheMiss):
                raise UpstreamError("The upstream says that nothing has changed, unasked.")
        self.may_keep = isinstance(state, hishel.StoreAndUse)

    def keep(self, body: bytes, /) -> None:
        """Keep a whole answer that `answered` allowed."""
        if isinstance(self._state, hishel.StoreAndUse):
            answer = self._state.response
            kept = _ours(answer.headers)
            self._cache.put(CachedAnswer(answer.status_code, kept, body, self._key, self._asked))

    def _freshen(self, entry: hishel.Entry) -> None:
        for kept in self._cache.find(self._key):
            if kept.id == entry.id:
                self._cache.put(evolve(kept, headers=_ours(entry.response.headers)))

    def _from_cache(self, state: hishel.FromCache) -> CachedAnswer | None:
        for kept in self._cache.find(self._key):
            if kept.id == state.entry.id:
                return evolve(kept, headers=_ours(state.entry.response.headers))
        return None


def _entry(kept: CachedAnswer, url: str) -> hishel.Entry:
    return hishel.Entry(
        kept.id,
        hishel.Request("GET", url, _theirs(kept.asked)),
        hishel.Response(kept.status, _theirs(kept.headers)),
    )


def _theirs(headers: Headers) -> hishel.Headers:
    fields: dict[str, str | list[str]] = {
        name: list(headers.get_all(name)) for name in dict.fromkeys(n for n, _ in headers.items)
    }
    return hishel.Headers(fields)


def _ours(headers: hishel.Headers) -> Headers:
    return Headers((name, value) for name in headers for value in headers.get_list(name) or ())


def _dated(headers: Headers, now: float) -> Headers:
    """An answer's fields with its age in its ``Date``: none is from the future, or has none."""
    date = min(_seconds(headers.get("date")) or now, now)
    stated = headers.get("age") or ""
    age = int(stated) if stated.isascii() and stated.isdigit() and len(stated) < 10 else 0
    born = min(date, now - age)
    fields = {"date": formatdate(born, usegmt=True)}
    expires = _seconds(headers.get("expires"))
    if expires is not None:
        fields["expires"] = formatdate(expires - (date - born), usegmt=True)
    kept = Headers(pair for pair in headers.items if pair[0] != "age")
    return kept.with_(fields)


def _seconds(text: str | None) -> float | None:
    try:
        return parsedate_to_datetime(text or "").timestamp()
    except (ValueError, OverflowError):
        return None


async def keeping(
    chunks: AsyncIterator[bytes], lookup: Lookup, /, *, limit: int
) -> AsyncGenerator[bytes]:
    """The chunks as they come; at their end the whole is kept, if it isn't too large."""
    parts: list[bytes] | None = []
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if parts is not None:
            if size > limit:
                parts = None
            else:
                parts.append(chunk)
        yield chunk
    if parts is not None:
        lookup.keep(b"".join(parts))


def not_modified(asked: Headers, headers: Headers, /) -> bool:
    """Whether the client has what would be sent (RFC 9110, section 13.2.2)."""
    tags = ",".join(asked.get_all("if-none-match"))
    if tags:
        tag = (headers.get("etag") or "").removeprefix("W/")
        given = {part.strip().removeprefix("W/") for part in tags.split(",")}
        return "*" in given or (bool(tag) and tag in given)
    since = _seconds(asked.get("if-modified-since"))
    changed = _seconds(headers.get("last-modified"))
    return since is not None and changed is not None and changed <= since
