"""Sessions: what an id is worth, from when, until when, and that nothing gives it back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from openbolt import Headers, Request, RequestContext, Settings
from openbolt.auth.devices import device_of
from openbolt.auth.session_store import KeyValueSessionStore
from openbolt.auth.sessions import Sessions, public_id
from openbolt.auth.tokens import hash_of
from openbolt.clock import SystemTokens
from openbolt.http import EMPTY_BODY
from openbolt.protocols import SessionRecord, SessionStore
from openbolt.testing import ManualClock
from openbolt_local.memory import MemoryKeyValueStore, MemorySessionStore
from tests.faults import keys_of

HOUR, DAY = 3600.0, 86_400.0


@pytest.fixture(params=["memory", "key-value"])
def store(request: pytest.FixtureRequest, clock: ManualClock) -> SessionStore:
    if request.param == "memory":
        return MemorySessionStore(clock)
    return KeyValueSessionStore(MemoryKeyValueStore(clock), clock)


@pytest.fixture
def sessions(store: SessionStore, clock: ManualClock, settings: Settings) -> Sessions:
    return Sessions(store, clock, SystemTokens(), settings)


async def test_a_session_is_found_by_what_the_browser_holds(
    sessions: Sessions, clock: ManualClock
) -> None:
    token, record = await sessions.start("ann", device="Firefox on Linux", data=b"sealed")
    now = clock.now()
    assert await sessions.resume(token) == record
    assert record == SessionRecord(
        hash_of(token), "ann", now, now, now + 90 * DAY, "Firefox on Linux", b"sealed"
    )


async def test_the_id_itself_is_stored_nowhere(clock: ManualClock) -> None:
    kv = MemoryKeyValueStore(clock)
    sessions = Sessions(KeyValueSessionStore(kv, clock), clock, SystemTokens(), Settings())
    token, record = await sessions.start("ann", device="Firefox on Linux")
    clock.advance(61)
    await sessions.resume(token)
    written = await keys_of(kv, "user:ann/", f"session:{record.id_hash}/")
    written += [repr(await kv.get(key)) for key in written]
    assert len(written) >= 4
    assert not [text for text in [*written, repr(record), public_id(record)] if token in text]


async def test_the_public_id_is_neither_the_hash_nor_part_of_it(sessions: Sessions) -> None:
    _, record = await sessions.start("ann")
    assert len(public_id(record)) == 16
    assert public_id(record) not in record.id_hash
    assert public_id(record) == public_id(evolve(record, last_used_at=0.0, data=b"x"))


async def test_no_changed_id_is_one(sessions: Sessions) -> None:
    token, _ = await sessions.start("ann")
    for at in range(len(token)):
        other = "a" if token[at] != "a" else "b"
        assert await sessions.resume(token[:at] + other + token[at + 1 :]) is None
    for changed in (None, "", token[:-1], token + "a", token.upper(), hash_of(token)):
        assert await sessions.resume(changed) is None


@given(st.text())
def test_no_text_is_an_error(text: str) -> None:
    clock = ManualClock()
    sessions = Sessions(MemorySessionStore(clock), clock, SystemTokens(), Settings())

    async def tried() -> object:
        return (
            await sessions.resume(text),
            await sessions.end(text),
            await sessions.renew(text),
            await sessions.revoke("ann", text),
        )

    assert asyncio.run(tried()) == (None, None, None, None)


async def test_what_is_no_id_is_not_even_looked_up(clock: ManualClock) -> None:
    class Unasked(MemorySessionStore):
        async def load(self, id_hash: str, /) -> SessionRecord | None:
            raise AssertionError(id_hash)

    sessions = Sessions(Unasked(clock), clock, SystemTokens(), Settings())
    assert await sessions.resume("../../etc/passwd") is None


async def test_sign_in_never_takes_an_id_that_came_along(sessions: Sessions) -> None:
    """Fixation: an id that somebody planted, alive or made up, is no session of who signs in."""
    planted, _ = await sessions.start("mallory")
    made_up = "a" * 52
    for came in (planted, made_up):
        token, _ = await sessions.start("ann", replaces=came)
        assert token not in {planted, made_up}
        assert await sessions.resume(came) is None
    assert await sessions.list("mallory") == []


async def test_each_sign_in_has_an_id_of_its_own(sessions: Sessions) -> None:
    tokens = {(await sessions.start("ann"))[0] for _ in range(10)}
    assert len(tokens) == 10


async def test_a_session_that_was_signed_out_stays_so(sessions: Sessions) -> None:
    token, record = await sessions.start("ann")
    assert await sessions.end(token) == record
    assert await sessions.resume(token) is None
    assert await sessions.end(token) is None
    assert await sessions.renew(token) is None
    assert await sessions.update(evolve(record, data=b"late")) is None
    assert await sessions.resume(token) is None
    assert await sessions.list("ann") == []


async def test_a_session_that_isn_t_used_ends(sessions: Sessions, clock: ManualClock) -> None:
    token, _ = await sessions.start("ann")
    clock.advance(14 * DAY - 1)
    assert await sessions.resume(token) is not None
    clock.advance(14 * DAY)
    assert await sessions.list("ann") == []
    assert await sessions.resume(token) is None


async def test_an_ended_session_isn_t_used_again_by_being_asked_for(
    sessions: Sessions, clock: ManualClock
) -> None:
    token, _ = await sessions.start("ann")
    clock.advance(14 * DAY)
    assert [await sessions.resume(token) for _ in range(3)] == [None] * 3


async def test_a_session_ends_however_much_it_is_used(
    sessions: Sessions, clock: ManualClock
) -> None:
    token, _ = await sessions.start("ann")
    for _ in range(90):
        assert await sessions.resume(token) is not None
        clock.advance(DAY)
    assert await sessions.resume(token) is None
    assert await sessions.list("ann") == []


@pytest.mark.parametrize("settings", [Settings(session_idle_ttl=60.0, session_ttl=HOUR)])
async def test_the_shortest_idle_time_doesn_t_end_what_is_in_use(
    sessions: Sessions, clock: ManualClock
) -> None:
    token, _ = await sessions.start("ann")
    for _ in range(120):
        clock.advance(29.9)
        assert await sessions.resume(token) is not None
    clock.advance(60)
    assert await sessions.resume(token) is None


async def test_last_use_is_written_once_a_minute(clock: ManualClock) -> None:
    class Counting(MemorySessionStore):
        writes = 0

        async def save(self, record: SessionRecord, /) -> None:
            self.writes += 1
            await super().save(record)

        async def change(self, id_hash: str, /, **fields: object) -> bool:
            self.writes += 1
            return await super().change(id_hash, **fields)

    store = Counting(clock)
    sessions = Sessions(store, clock, SystemTokens(), Settings())
    token, record = await sessions.start("ann")
    seen: list[float] = []
    for _ in range(31):
        found = await sessions.resume(token)
        assert found is not None
        seen.append(found.last_used_at - record.created_at)
        clock.advance(5)
    assert (seen[11:13], seen[23:25], seen[-1]) == ([0, 60], [60, 120], 120)
    assert store.writes == 1 + 2


async def test_a_renewed_session_has_another_id_and_the_same_end(
    sessions: Sessions, clock: ManualClock
) -> None:
    old, record = await sessions.start("ann", device="Firefox on Linux", data=b"sealed")
    clock.advance(HOUR)
    renewed = await sessions.renew(old)
    assert renewed is not None
    new, after = renewed
    assert after == evolve(record, id_hash=hash_of(new), last_used_at=clock.now())
    assert public_id(after) != public_id(record)
    assert await sessions.resume(old) is None
    assert await sessions.resume(new) == after
    assert await sessions.list("ann") == [after]


async def test_an_update_changes_what_is_kept_and_nothing_else(
    sessions: Sessions, clock: ManualClock
) -> None:
    token, record = await sessions.start("ann", data=b"old")
    clock.advance(90)
    used = await sessions.resume(token)
    assert used is not None
    forged = evolve(record, data=b"new", user_id="bob", expires_at=record.expires_at + DAY)
    assert await sessions.update(forged) == evolve(used, data=b"new")
    assert await sessions.resume(token) == evolve(used, data=b"new")


class Interrupted(MemorySessionStore):
    """Something happens right after the first time that a record is loaded."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.then: Callable[[SessionRecord], SessionRecord | None] | None = None

    async def load(self, id_hash: str, /) -> SessionRecord | None:
        record = await super().load(id_hash)
        if self.then is not None and record is not None:
            changed, self.then = self.then(record), None
            await (self.discard(id_hash) if changed is None else self.save(changed))
        return record


async def test_a_session_that_is_signed_out_while_it_is_used_stays_so(clock: ManualClock) -> None:
    store = Interrupted(clock)
    sessions = Sessions(store, clock, SystemTokens(), Settings())
    token, _ = await sessions.start("ann")
    clock.advance(HOUR)
    store.then = lambda record: None
    assert await sessions.resume(token) is None
    assert await sessions.resume(token) is None


async def test_an_update_while_a_session_is_used_isn_t_lost(clock: ManualClock) -> None:
    store = Interrupted(clock)
    sessions = Sessions(store, clock, SystemTokens(), Settings())
    token, _ = await sessions.start("ann", data=b"old")
    clock.advance(HOUR)
    store.then = lambda record: evolve(record, data=b"new")
    found = await sessions.resume(token)
    assert found is not None
    assert (found.data, found.last_used_at) == (b"new", clock.now())


async def test_a_list_has_one_s_own_sessions_the_one_used_last_first(
    sessions: Sessions, clock: ManualClock
) -> None:
    first, _ = await sessions.start("ann")
    clock.advance(HOUR)
    _, second = await sessions.start("ann")
    await sessions.start("bob")
    clock.advance(HOUR)
    used = await sessions.resume(first)
    assert await sessions.list("ann") == [used, second]


async def test_a_session_is_revoked_by_its_owner_alone(sessions: Sessions) -> None:
    token, record = await sessions.start("ann")
    other, _ = await sessions.start("ann")
    assert await sessions.revoke("bob", public_id(record)) is None
    assert await sessions.resume(token) == record
    assert await sessions.revoke("ann", public_id(record)) == record
    assert await sessions.revoke("ann", public_id(record)) is None
    assert await sessions.resume(token) is None
    assert await sessions.resume(other) is not None


async def test_all_sessions_but_one_are_revoked_and_nobody_else_s(sessions: Sessions) -> None:
    tokens = [(await sessions.start("ann"))[0] for _ in range(3)]
    theirs, _ = await sessions.start("bob")
    kept = await sessions.resume(tokens[1])
    assert kept is not None
    ended = await sessions.revoke_all("ann", keep=public_id(kept))
    assert sorted(r.id_hash for r in ended) == sorted(hash_of(tokens[at]) for at in (0, 2))
    assert [await sessions.resume(token) is not None for token in tokens] == [False, True, False]
    assert await sessions.revoke_all("ann") == [kept]
    assert await sessions.list("ann") == []
    assert await sessions.resume(theirs) is not None


@pytest.mark.parametrize("settings", [Settings(max_sessions_per_user=3)])
async def test_a_session_beyond_the_cap_ends_the_one_unused_for_longest(
    sessions: Sessions, clock: ManualClock
) -> None:
    theirs, _ = await sessions.start("bob")
    tokens: list[str] = []
    for _ in range(3):
        tokens.append((await sessions.start("ann"))[0])
        clock.advance(HOUR)
    await sessions.resume(tokens[0])
    tokens.append((await sessions.start("ann"))[0])
    live = [await sessions.resume(token) is not None for token in tokens]
    assert live == [True, False, True, True]
    assert await sessions.resume(theirs) is not None


async def test_a_shorter_life_holds_for_the_sessions_that_there_are(
    store: SessionStore, clock: ManualClock
) -> None:
    before = Sessions(store, clock, SystemTokens(), Settings())
    token, _ = await before.start("ann")
    clock.advance(HOUR)
    assert await before.resume(token) is not None
    after = Sessions(store, clock, SystemTokens(), Settings(session_ttl=HOUR))
    assert await after.list("ann") == []
    assert await after.resume(token) is None


async def test_what_is_over_is_cleared_away_at_the_next_sign_in(
    sessions: Sessions, store: SessionStore, clock: ManualClock
) -> None:
    await sessions.start("ann")
    clock.advance(14 * DAY)
    _, record = await sessions.start("ann")
    assert [each async for each in store.list("ann")] == [record]


@pytest.mark.parametrize("settings", [Settings(max_sessions_per_user=2)])
async def test_what_is_over_takes_no_place_below_the_cap(
    sessions: Sessions, store: SessionStore, clock: ManualClock
) -> None:
    await sessions.start("ann")
    clock.advance(13 * DAY)
    token, _ = await sessions.start("ann")
    clock.advance(2 * DAY)
    await sessions.start("ann")
    assert await sessions.resume(token) is not None
    assert len([record async for record in store.list("ann")]) == 2


@pytest.mark.parametrize("settings", [Settings(max_sessions_per_user=3)])
async def test_the_cap_holds_for_any_number_of_sign_ins_at_once(sessions: Sessions) -> None:
    started = await asyncio.gather(*(sessions.start("ann") for _ in range(20)))
    live = [token for token, _ in started if await sessions.resume(token) is not None]
    assert len(live) == 3


FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
SAFARI = "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15"
CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0"
AGENTS = {
    FIREFOX: "Firefox on Linux",
    "Mozilla/5.0 (Android 15; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0": "Firefox on Android",
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} Safari/537.36": "Chrome on Windows",
    f"Mozilla/5.0 (Windows NT 10.0) {CHROME} Safari/537.36 Edg/142.0.0.0": "Edge on Windows",
    f"Mozilla/5.0 (X11; CrOS x86_64 1.0) {CHROME}": "Chrome on ChromeOS",  # codespell:ignore
    f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {SAFARI}": "Safari on macOS",
    f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {CHROME} OPR/124.0.0.0": "Opera on macOS",
    f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) {SAFARI}": "Safari on iPhone",
    f"Mozilla/5.0 (iPad; CPU OS 18_1 like Mac OS X) {SAFARI}": "Safari on iPad",
    f"Mozilla/5.0 (Linux; Android 15) {CHROME} SamsungBrowser/28.0": "Samsung Internet on Android",
    f"Mozilla/5.0 (X11; Linux x86_64) {CHROME} Safari/537.36 Vivaldi/7.6": "Vivaldi on Linux",
    "curl/8.5.0": "curl",
    "python-httpx/0.28.1": "python-httpx",
    "Mozilla/5.0 (X11; Linux x86_64)": "Unknown browser on Linux",
    "Mozilla/5.0": "Unknown device",
    "<script>alert(1)</script>": "Unknown device",
    "": "Unknown device",
    "x" * 5000: "x" * 40,
}


def with_agent(agent: str) -> Request:
    context = RequestContext(spawn=lambda work: work.close())
    return Request("GET", "/", Headers.of({"user-agent": agent}), EMPTY_BODY, context)


@pytest.mark.parametrize("agent", AGENTS)
def test_a_device_is_named_as_people_would(agent: str) -> None:
    assert device_of(with_agent(agent)) == AGENTS[agent]


@given(st.text() | st.text(st.sampled_from(" /.;()MozilaFrefxSW") | st.characters(), max_size=600))
def test_no_user_agent_gets_more_than_a_few_harmless_words_in(agent: str) -> None:
    device = device_of(with_agent(agent))
    assert 1 <= len(device) <= 60
    assert device.isascii()
    assert device.isprintable()
    assert not set("<>&\"'(){};/\\") & set(device)


async def test_a_device_of_somebody_s_own_is_cut(sessions: Sessions) -> None:
    _, record = await sessions.start("ann", device="d" * 1000)
    assert record.device == "d" * 60
