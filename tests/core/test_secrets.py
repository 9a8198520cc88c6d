"""Secrets: what goes in is read by code alone, for its user and under its name; and the keys that
protect it are changed without losing any.
"""

from __future__ import annotations

import asyncio
import json
import logging
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbolt import Settings
from openbolt.errors import (
    BackendError,
    ConflictError,
    InvalidRequestError,
    OpenBoltError,
    PayloadTooLargeError,
)
from openbolt.protocols import KeyValueStore
from openbolt.rotation import RotationReport, rotate_keys
from openbolt.secrets import SecretBody, SecretStore, context_of, reading_own_key
from openbolt.testing import ManualClock
from openbolt_local.crypto import AesGcmCipher, generate_key
from openbolt_local.memory import MemoryKeyValueStore
from openbolt_local.sqlite import SQLiteDatabase, SQLiteKeyValueStore
from tests.faults import keys_of

OLD, NEW = generate_key(), generate_key()
VALUE = "sk-ant-hunter2-hunter2-wxyz"


@pytest.fixture
def secrets(kv: MemoryKeyValueStore, clock: ManualClock) -> SecretStore:
    return store(kv, clock)


def store(
    kv: KeyValueStore, clock: ManualClock, *keys: str, settings: Settings | None = None
) -> SecretStore:
    return SecretStore(kv, AesGcmCipher(keys or (OLD,)), clock, settings or Settings())


# --- what is stored and told -----------------------------------------------------------------


async def test_what_was_put_is_read(secrets: SecretStore) -> None:
    assert await secrets.read("ann", "anthropic") is None
    await secrets.put("ann", "anthropic", VALUE)
    assert await secrets.read("ann", "anthropic") == VALUE
    assert await secrets.read("ann", "github") is None
    assert await secrets.read("bob", "anthropic") is None


TEXT = st.text(st.characters(codec="utf-8"), min_size=1)


@given(user=st.text("ab.-_", min_size=1), name=st.text("ab.-_", min_size=1), value=TEXT)
async def test_any_text_comes_back(user: str, name: str, value: str) -> None:
    clock = ManualClock()
    secrets = store(MemoryKeyValueStore(clock), clock)
    await secrets.put(user, f"a{name}"[:64], value)
    assert await secrets.read(user, f"a{name}"[:64]) == value


async def test_the_list_tells_names_last_characters_and_dates(
    secrets: SecretStore, clock: ManualClock
) -> None:
    first = await secrets.put("ann", "b", VALUE)
    clock.advance(60)
    second = await secrets.put("ann", "a", "hunter2")
    await secrets.put("bob", "c", VALUE)
    assert await secrets.list("ann") == [second, first]
    assert (first.last_four, second.last_four) == ("wxyz", None)
    assert (first.created_at, second.created_at) == (clock.now() - 60, clock.now())
    clock.advance(60)
    again = await secrets.put("ann", "b", "another-secret")
    assert (again.created_at, again.updated_at) == (first.created_at, clock.now())
    assert await secrets.list("ann") == [second, again]


@pytest.mark.parametrize(
    ("value", "told"), [("12345678901", None), ("123456789012", "9012"), ("é" * 8 + "wxyz", "wxyz")]
)
async def test_the_last_characters_are_told_where_the_rest_is_long(
    secrets: SecretStore, value: str, told: str | None
) -> None:
    assert (await secrets.put("ann", "a", value)).last_four == told


async def test_deleting_leaves_nothing_of_the_secret(
    secrets: SecretStore, kv: MemoryKeyValueStore
) -> None:
    await secrets.put("ann", "a", VALUE)
    assert await secrets.delete("ann", "a") is True
    assert await secrets.delete("ann", "a") is False
    assert await keys_of(kv, "user:ann/") == []
    assert (await secrets.read("ann", "a"), await secrets.list("ann")) == (None, [])


async def test_forgetting_a_user_leaves_nothing_at_all(
    secrets: SecretStore, kv: MemoryKeyValueStore
) -> None:
    for name in ("a", "b"):
        await secrets.put("ann", name, VALUE)
        await secrets.put("anna", name, VALUE)
    await secrets.forget("ann")
    await secrets.forget("nobody")
    assert await keys_of(kv, "user:ann/") == []
    assert [user async for user in secrets.owners()] == ["anna"]
    assert await secrets.read("anna", "a") == VALUE


@pytest.mark.parametrize(
    "name", ["", "A", "a b", "-a", ".a", "_", "a/b", "../a", "a\n", "\na", "ä", "a\0", "a" * 65]
)
async def test_a_name_that_is_none_is_refused(secrets: SecretStore, name: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await secrets.put("ann", name, VALUE)
    assert caught.value.field == "name"
    assert await secrets.delete("ann", name) is False


async def test_a_value_that_is_none_is_refused(kv: MemoryKeyValueStore, clock: ManualClock) -> None:
    secrets = store(kv, clock, settings=Settings(max_secret_bytes=16))
    for value in ("", "\ud800hunter2"):
        with pytest.raises(InvalidRequestError) as caught:
            await secrets.put("ann", "a", value)
        assert (caught.value.field, caught.value.__cause__) == ("value", None)
    with pytest.raises(PayloadTooLargeError) as caught:
        await secrets.put("ann", "a", "é" * 8 + "x")
    assert caught.value.field == "value"
    await secrets.put("ann", "a", "é" * 8)
    assert await keys_of(kv, "user:ann/") == ["user:ann/secrets/a"]


async def test_a_user_has_so_many_and_no_more(kv: MemoryKeyValueStore, clock: ManualClock) -> None:
    secrets = store(kv, clock, settings=Settings(max_secrets_per_user=2))
    await secrets.put("ann", "a", VALUE)
    await secrets.put("ann", "b", VALUE)
    with pytest.raises(ConflictError, match="max_secrets_per_user") as caught:
        await secrets.put("ann", "c", VALUE)
    assert caught.value.code == "too_many_secrets"
    await secrets.put("ann", "b", "another-secret")
    await secrets.put("bob", "a", VALUE)
    await secrets.delete("ann", "a")
    await secrets.put("ann", "c", VALUE)


# --- as an attacker with the store in hand -------------------------------------------------


async def everything(kv: MemoryKeyValueStore) -> dict[str, bytes]:
    keys = await keys_of(kv, "user:ann/", "user:bob/", "secret-owners/")
    return {key: await kv.get(key) or b"" for key in keys}


async def test_the_store_holds_no_secret(secrets: SecretStore, kv: MemoryKeyValueStore) -> None:
    await secrets.put("ann", "anthropic", VALUE)
    raw = b"".join(k.encode() + v for k, v in (await everything(kv)).items())
    for piece in (b"hunter2", b64encode(VALUE.encode())[:20], VALUE.encode().hex().encode()):
        assert piece not in raw


async def test_a_ciphertext_serves_nobody_else_and_as_nothing_else(
    secrets: SecretStore, kv: MemoryKeyValueStore
) -> None:
    await secrets.put("ann", "anthropic", VALUE)
    stolen = await kv.get("user:ann/secrets/anthropic")
    assert stolen is not None
    for user, name in (("bob", "anthropic"), ("ann", "github"), ("ann", "anthropic.")):
        await kv.set(f"user:{user}/secrets/{name}", stolen)
        with pytest.raises(BackendError) as caught:
            await secrets.read(user, name)
        assert caught.value.code == "secret_unreadable"
    assert await secrets.read("ann", "anthropic") == VALUE


NAMES = st.text(st.characters(codec="utf-8") | st.sampled_from("\0/\x01"), max_size=6)


@given(one=st.tuples(NAMES, NAMES), two=st.tuples(NAMES, NAMES))
def test_no_two_secrets_have_the_same_context(one: tuple[str, str], two: tuple[str, str]) -> None:
    assert (context_of(*one) == context_of(*two)) == (one == two)


def test_what_lies_between_user_and_name_cannot_be_moved() -> None:
    assert context_of("ann", "a\0b") != context_of("ann\0a", "b")
    assert context_of("ab", "c") != context_of("a", "bc")


def changes() -> list[Callable[[bytes], bytes]]:
    def flipped(at: int) -> Callable[[bytes], bytes]:
        return lambda sealed: sealed[:at] + bytes([sealed[at] ^ 0x80]) + sealed[at + 1 :]

    return [
        *(flipped(at) for at in (0, 1, 8, 9, 20, 21, 68, 69, 80, 81, -1)),
        lambda sealed: sealed[:-1],
        lambda sealed: sealed[:50],
        lambda sealed: sealed + b"\0",
        lambda _: b"",
        lambda _: VALUE.encode(),
    ]


@pytest.mark.parametrize("change", changes())
async def test_a_changed_ciphertext_is_refused_and_said_so(
    secrets: SecretStore, kv: MemoryKeyValueStore, change: Callable[[bytes], bytes]
) -> None:
    await secrets.put("ann", "a", VALUE)
    record = json.loads(await kv.get("user:ann/secrets/a") or b"")
    changed = change(b64decode(record["sealed"]))
    record["sealed"] = b64encode(changed).decode()
    await kv.set("user:ann/secrets/a", json.dumps(record).encode())
    with pytest.raises(BackendError) as caught:
        await secrets.read("ann", "a")
    assert caught.value.code == "secret_unreadable"
    assert "set it again" in caught.value.public_message
    assert [info.name for info in await secrets.list("ann")] == ["a"]


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"null", b"{}", b"\xff", b'{"sealed":"%"}', b'{"sealed":"AA=="}', b"[" * 9]
)
async def test_a_damaged_record_stands_in_nobodys_way(
    secrets: SecretStore, kv: MemoryKeyValueStore, raw: bytes
) -> None:
    await secrets.put("ann", "b", VALUE)
    await kv.set("user:ann/secrets/a", raw)
    with pytest.raises(BackendError):
        await secrets.read("ann", "a")
    assert [info.name for info in await secrets.list("ann")] == ["b"]
    await secrets.put("ann", "a", VALUE)
    assert await secrets.read("ann", "a") == VALUE


async def test_another_users_keys_do_not_show_in_a_list(
    secrets: SecretStore, kv: MemoryKeyValueStore
) -> None:
    await secrets.put("ann/secrets/x", "a", VALUE)  # no authenticator gives such an id
    assert [info.name for info in await secrets.list("ann")] == []


async def test_without_its_key_a_secret_can_be_seen_and_replaced_but_not_read(
    kv: MemoryKeyValueStore, clock: ManualClock
) -> None:
    await store(kv, clock, OLD).put("ann", "a", VALUE)
    secrets = store(kv, clock, NEW)
    with pytest.raises(BackendError, match="set it again"):
        await secrets.read("ann", "a")
    assert [info.last_four for info in await secrets.list("ann")] == ["wxyz"]
    await secrets.put("ann", "a", "another-secret")
    assert await secrets.read("ann", "a") == "another-secret"


async def test_errors_and_logs_hold_no_secret(
    kv: MemoryKeyValueStore, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = store(kv, clock, OLD, settings=Settings(max_secret_bytes=32, max_secrets_per_user=1))
    await secrets.put("ann", "a", VALUE)
    said: list[str] = []
    attempts: list[Callable[[], Any]] = [
        lambda: secrets.put("ann", "A", VALUE),
        lambda: secrets.put("ann", "b", VALUE),
        lambda: secrets.put("ann", "a", VALUE * 2),
        lambda: secrets.put("ann", "a", VALUE + "\ud800"),
        lambda: store(kv, clock, NEW).read("ann", "a"),
    ]
    for attempt in attempts:
        with pytest.raises(OpenBoltError) as caught:
            await attempt()
        error: BaseException | None = caught.value
        while error is not None:
            said += [str(error), repr(error), repr(vars(error))]
            error = error.__cause__ or error.__context__
    text = "\n".join([*said, caplog.text, repr(secrets), repr(SecretBody(VALUE))])
    assert "can't be decrypted" in caplog.text
    assert "hunter2" not in text
    assert OLD not in text


# --- the own key of a turn ------------------------------------------------------------------


class Slow:
    """A store whose reads wait until they are let go."""

    def __init__(self, kv: MemoryKeyValueStore) -> None:
        self.kv, self.limits = kv, kv.limits
        self.reads = 0
        self.go = asyncio.Event()

    async def get(self, key: str, /) -> bytes | None:
        self.reads += 1
        await self.go.wait()
        return await self.kv.get(key)

    async def set(self, key: str, value: bytes, /, *, ttl: float | None = None) -> None:
        await self.kv.set(key, value, ttl=ttl)

    async def delete(self, key: str, /) -> None:
        await self.kv.delete(key)

    def scan(self, prefix: str, /) -> AsyncIterator[str]:
        return self.kv.scan(prefix)


async def test_an_own_key_is_read_beside_other_things_and_once(
    secrets: SecretStore, kv: MemoryKeyValueStore, clock: ManualClock
) -> None:
    await secrets.put("ann", "anthropic", VALUE)
    slow = Slow(kv)
    async with reading_own_key(store(slow, clock), "ann") as own_key:
        await asyncio.sleep(0)
        assert slow.reads == 1
        slow.go.set()
        key = await own_key
        assert key is not None
        assert key.reveal() == VALUE
        assert "finished" in repr(own_key)  # as a slow step is logged by asyncio in debug mode
        assert VALUE not in repr(own_key)
    assert slow.reads == 1


async def test_a_read_that_nobody_waits_for_ends_with_its_context(
    kv: MemoryKeyValueStore, clock: ManualClock
) -> None:
    slow = Slow(kv)
    async with reading_own_key(store(slow, clock), "ann") as own_key:
        await asyncio.sleep(0)
        assert slow.reads == 1
    with pytest.raises(asyncio.CancelledError):
        await own_key
    async with reading_own_key(None, "ann") as own_key:
        assert await own_key is None


# --- changing keys ----------------------------------------------------------------------------


async def test_a_rotation_moves_all_secrets_of_all_users_to_the_first_key(
    kv: MemoryKeyValueStore, clock: ManualClock
) -> None:
    before = store(kv, clock, OLD)
    wanted = {(user, name): f"{user}-{name}-{VALUE}" for user in "abc" for name in "xy"}
    for (user, name), value in wanted.items():
        await before.put(user, name, value)
    secrets = store(kv, clock, NEW, OLD)
    await secrets.put("d", "z", VALUE)
    told = [await secrets.list(user) for user in "abcd"]
    dry = await rotate_keys(secrets, kv, dry_run=True)
    assert dry == RotationReport(users=4, rewrapped=6, current=1)
    assert await before.read("a", "x") == wanted["a", "x"]
    assert await rotate_keys(secrets, kv) == dry
    assert await rotate_keys(secrets, kv) == RotationReport(users=4, current=7)
    after = store(kv, clock, NEW)
    for (user, name), value in wanted.items():
        assert await after.read(user, name) == value
    assert [await after.list(user) for user in "abcd"] == told
    with pytest.raises(BackendError):
        await before.read("a", "x")


async def test_a_rotation_leaves_the_secret_itself_as_it_was(
    kv: MemoryKeyValueStore, clock: ManualClock
) -> None:
    def sealed(raw: bytes | None) -> bytes:
        return b64decode(json.loads(raw or b"")["sealed"])

    await store(kv, clock, OLD).put("ann", "a", VALUE)
    before = sealed(await kv.get("user:ann/secrets/a"))
    await rotate_keys(store(kv, clock, NEW, OLD), kv)
    after = sealed(await kv.get("user:ann/secrets/a"))
    assert after[69:] == before[69:]
    assert after[:69] != before[:69]


async def test_what_no_key_fits_is_counted_and_left_alone(
    kv: MemoryKeyValueStore, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    await store(kv, clock, generate_key()).put("ann", "lost", VALUE)
    await store(kv, clock, OLD).put("ann", "kept", VALUE)
    await kv.set("user:ann/secrets/damaged", b"{}")
    lost = await kv.get("user:ann/secrets/lost")
    report = await rotate_keys(store(kv, clock, NEW, OLD), kv)
    assert report == RotationReport(users=1, rewrapped=1, unreadable=2)
    assert not report.is_done
    assert await kv.get("user:ann/secrets/lost") == lost
    assert "the secret lost of user ann" in caplog.text


class Meddled(MemoryKeyValueStore):
    """Does something after the n-th read of a secret, as another process might."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.reads = 0
        self.meddling: dict[int, Callable[[], Any]] = {}
        self._is_meddling = False

    async def get(self, key: str, /) -> bytes | None:
        found = await super().get(key)
        if "/secrets/" in key and not self._is_meddling:
            self.reads += 1
            if meddle := self.meddling.pop(self.reads, None):
                self._is_meddling = True
                await meddle()
                self._is_meddling = False
        return found


@pytest.mark.parametrize("is_atomic", [True, False])
@pytest.mark.parametrize("newer", [OLD, NEW], ids=["old", "new"])
async def test_a_secret_that_is_set_meanwhile_stays_as_it_was_set(
    clock: ManualClock, is_atomic: bool, newer: str
) -> None:
    kv = Meddled(clock)
    await store(kv, clock, OLD).put("ann", "a", VALUE)
    kv.reads = 0
    kv.meddling[1] = lambda: store(kv, clock, newer).put("ann", "a", "set meanwhile")
    report = await rotate_keys(store(kv, clock, NEW, OLD), kv if is_atomic else None)
    assert report == (
        RotationReport(users=1, rewrapped=1) if newer == OLD else RotationReport(users=1, current=1)
    )
    assert await store(kv, clock, NEW).read("ann", "a") == "set meanwhile"


@pytest.mark.parametrize("is_atomic", [True, False])
async def test_a_secret_that_is_deleted_meanwhile_stays_deleted(
    clock: ManualClock, is_atomic: bool
) -> None:
    kv = Meddled(clock)
    secrets = store(kv, clock, OLD)
    await secrets.put("ann", "a", VALUE)
    kv.reads = 0
    kv.meddling[1] = lambda: secrets.delete("ann", "a")
    report = await rotate_keys(store(kv, clock, NEW, OLD), kv if is_atomic else None)
    assert report == RotationReport(users=1)
    assert await secrets.read("ann", "a") is None


async def test_a_secret_that_never_rests_is_left_for_another_run(clock: ManualClock) -> None:
    kv = Meddled(clock)
    secrets = store(kv, clock, OLD)
    await secrets.put("ann", "a", VALUE)
    kv.reads = 0
    kv.meddling = dict.fromkeys(range(1, 17), lambda: secrets.put("ann", "a", VALUE))
    report = await rotate_keys(store(kv, clock, NEW, OLD), kv)
    assert (report, report.is_done) == (RotationReport(users=1, busy=1), False)
    assert await rotate_keys(store(kv, clock, NEW, OLD), kv) == RotationReport(1, 1)


async def test_through_a_change_of_keys_every_process_reads_every_secret(
    tmp_path: Path, clock: ManualClock
) -> None:
    """In the order that docs/how-to/rotate-keys.md gives, with old and new processes at once."""
    async with SQLiteDatabase.open(tmp_path / "db") as database:
        kv = SQLiteKeyValueStore(database, clock)
        stages = [((OLD,), (OLD, NEW)), ((OLD, NEW), (NEW, OLD))]
        for number, pair in enumerate(stages):
            processes = [store(kv, clock, *keys) for keys in pair]
            for writer, process in enumerate(processes):
                await process.put("ann", f"s{number}{writer}", VALUE)
            for info in await processes[0].list("ann"):
                for process in processes:
                    assert await process.read("ann", info.name) == VALUE
        running = store(kv, clock, NEW, OLD)

        async def use() -> None:
            for _ in range(5):
                for name in ("s00", "s01", "s10", "s11"):
                    assert await running.read("ann", name) == VALUE
                await running.put("ann", "s00", VALUE)

        (report, *_) = await asyncio.gather(rotate_keys(running, kv), use(), use())
        assert report.is_done
        last = store(kv, clock, NEW)
        assert [await last.read("ann", i.name) for i in await last.list("ann")] == [VALUE] * 4
