"""Chats: no tab loses another's message, what failed half-way isn't there, what is gone is gone."""

import asyncio

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from openbolt.errors import BackendError, ConflictError, NotFoundError
from openbolt.heads import KeyValueHeads, ObjectHeads
from openbolt.history import Chat, ChatStore, Message
from openbolt.testing import ManualClock
from openbolt_local.memory import MemoryKeyValueStore, MemoryObjectStore
from tests.faults import FaultyKeyValues, FaultyObjects, keys_of


def message(name: str, text: str = "Hi", *, role: str = "user") -> Message:
    part = {"type": "text", "text": text}
    return Message(name, "user" if role == "user" else "assistant", 1000.0, (part,))


def new_chat(name: str = "c1", owner: str = "ann", *order: str) -> Chat:
    return Chat(name, owner, "p1", "Title", 1000.0, 1000.0, order=order)


@pytest.fixture(params=["key-value heads", "object heads"])
def chats(
    request: pytest.FixtureRequest,
    kv: MemoryKeyValueStore,
    objects: MemoryObjectStore,
    clock: ManualClock,
) -> ChatStore:
    faulty = FaultyKeyValues(kv)
    if request.param == "key-value heads":
        return ChatStore(faulty, KeyValueHeads(faulty), clock)
    return ChatStore(faulty, ObjectHeads(FaultyObjects(objects)), clock)


async def ids(chats: ChatStore, chat_id: str = "c1") -> list[str]:
    chat = await chats.load(chat_id, owner="ann")
    return [m.id for m in await chats.messages(chat)]


async def test_tabs_that_add_at_once_lose_no_message(chats: ChatStore) -> None:
    await chats.begin(new_chat("c1", "ann", "q1"), message("q1"))
    await asyncio.gather(*(chats.add("c1", message(f"m{n}")) for n in range(16)))
    found = await ids(chats)
    assert found[0] == "q1"
    assert sorted(found[1:]) == sorted(f"m{n}" for n in range(16))


async def test_messages_stay_in_the_order_in_which_they_were_added(chats: ChatStore) -> None:
    await chats.begin(new_chat("c1", "ann", "z"), message("z"))
    for name in ("b", "a", "c"):
        await chats.add("c1", message(name))
    assert await ids(chats) == ["z", "b", "a", "c"]


async def test_adding_a_message_a_second_time_changes_nothing(
    chats: ChatStore, clock: ManualClock
) -> None:
    await chats.begin(new_chat("c1", "ann", "q1"), message("q1"))
    await chats.add("c1", message("a1", "first"))
    before = await chats.load("c1", owner="ann")
    clock.advance(5)
    await chats.add("c1", message("a1", "second"))
    assert await chats.load("c1", owner="ann") == before
    assert [m.text for m in await chats.messages(before)] == ["Hi", "first"]


async def test_a_turn_that_began_from_an_old_order_keeps_what_was_added_meanwhile(
    chats: ChatStore,
) -> None:
    await chats.begin(new_chat("c1", "ann", "q1"), message("q1"))
    read = await chats.load("c1", owner="ann")
    await chats.add("c1", message("late"))
    wanted = evolve(read, order=(*read.order, "q2"), turn="t2")
    begun = await chats.begin(wanted, message("q2"), seen=read.order)
    assert (begun.order, begun.turn) == (("q1", "late", "q2"), "t2")
    assert await ids(chats) == ["q1", "late", "q2"]


async def test_a_turn_that_answers_again_drops_what_it_saw_and_nothing_else(
    chats: ChatStore,
) -> None:
    await chats.begin(new_chat("c1", "ann", "q1"), message("q1"))
    await chats.add("c1", message("a1"))
    read = await chats.load("c1", owner="ann")
    await chats.add("c1", message("late"))
    begun = await chats.begin(evolve(read, order=("q1",)), None, seen=read.order)
    assert begun.order == ("q1", "late")


async def test_beginning_keeps_what_is_not_the_turns_to_change(
    chats: ChatStore, clock: ManualClock
) -> None:
    await chats.begin(new_chat("c1", "ann", "q1"), message("q1"))
    read = await chats.load("c1", owner="ann")
    await chats.rename("c1", "Renamed", owner="ann")
    clock.advance(3)
    await chats.begin(evolve(read, order=("q1", "q2"), turn="t2"), message("q2"))
    chat = await chats.load("c1", owner="ann")
    assert (chat.title, chat.created_at, chat.updated_at) == ("Renamed", 1000.0, clock.now())


async def test_nobody_begins_in_anothers_chat_or_touches_its_messages(
    chats: ChatStore, kv: MemoryKeyValueStore
) -> None:
    await chats.begin(new_chat("c1", "ann", "q1"), message("q1", "hers"))
    with pytest.raises(ConflictError):
        await chats.begin(new_chat("c1", "bob", "q1"), message("q1", "his"))
    chat = await chats.load("c1", owner="ann")
    assert [m.text for m in await chats.messages(chat)] == ["hers"]
    assert await keys_of(kv, "user:bob/") == []


async def test_anybody_elses_chat_is_no_chat(chats: ChatStore) -> None:
    await chats.begin(new_chat("c1", "ann", "q1"), message("q1"))
    with pytest.raises(NotFoundError):
        await chats.load("c1", owner="bob")
    with pytest.raises(NotFoundError):
        await chats.rename("c1", "Mine", owner="bob")
    with pytest.raises(NotFoundError):
        await chats.delete("c1", owner="bob")
    assert await chats.list("bob") == []
    assert [c.title for c in await chats.list("ann")] == ["Title"]


async def test_chats_are_listed_by_their_latest_change(
    chats: ChatStore, clock: ManualClock
) -> None:
    for name in ("c2", "c1", "c3"):
        await chats.begin(new_chat(name, "ann", "q1"), message("q1"))
    assert [c.id for c in await chats.list("ann")] == ["c1", "c2", "c3"]
    clock.advance(1)
    await chats.add("c3", message("a1"))
    clock.advance(1)
    await chats.add("c2", message("a1"))
    assert [c.id for c in await chats.list("ann")] == ["c2", "c3", "c1"]


async def test_a_deleted_chat_leaves_no_key_and_its_neighbor_whole(
    chats: ChatStore, kv: MemoryKeyValueStore
) -> None:
    for name in ("c1", "c11"):
        await chats.begin(new_chat(name, "ann", "q1"), message("q1"))
        await chats.add(name, message("a1"))
    await chats.delete("c1", owner="ann")
    assert await keys_of(kv, "chat:c1/") == []
    assert await keys_of(kv, "user:ann/") == ["user:ann/chat/c11"]
    assert await ids(chats, "c11") == ["q1", "a1"]
    with pytest.raises(NotFoundError):
        await chats.load("c1", owner="ann")


async def test_messages_that_no_head_names_any_more_are_deleted_too(
    chats: ChatStore, kv: MemoryKeyValueStore
) -> None:
    await chats.begin(new_chat("c1", "ann", "q1"), message("q1"))
    await chats.add("c1", message("dropped"))
    chat = await chats.load("c1", owner="ann")
    await chats.begin(evolve(chat, order=("q1",)), None)
    await chats.write("c1", message("never-named"))
    await chats.ask_stop("c1", "t1")
    await chats.delete("c1", owner="ann")
    assert await keys_of(kv, "chat:c1/") == []


async def test_a_message_for_a_deleted_chat_is_refused_and_leaves_nothing(
    chats: ChatStore, kv: MemoryKeyValueStore
) -> None:
    await chats.begin(new_chat("c1", "ann", "q1"), message("q1"))
    adding, deleting = chats.add("c1", message("a1")), chats.delete("c1", owner="ann")
    added, deleted = await asyncio.gather(adding, deleting, return_exceptions=True)
    assert deleted is None
    assert added is None or isinstance(added, NotFoundError)
    with pytest.raises(NotFoundError):
        await chats.add("c1", message("a2"))
    assert await keys_of(kv, "user:ann/") == []
    assert "chat:c1/message/a2" not in await keys_of(kv, "chat:c1/")


class DeletedMeanwhile(FaultyKeyValues):
    """A store in which the chat is deleted the moment after a message was written."""

    async def set(self, key: str, value: bytes, /, *, ttl: float | None = None) -> None:
        await super().set(key, value, ttl=ttl)
        if key == "chat:c1/message/late":
            await self.inner.delete("chat:c1/head")


async def test_a_message_for_a_chat_that_is_deleted_meanwhile_leaves_nothing(
    kv: MemoryKeyValueStore, clock: ManualClock
) -> None:
    faulty = DeletedMeanwhile(kv)
    chats = ChatStore(faulty, KeyValueHeads(faulty), clock)
    await chats.begin(new_chat("c1", "ann"), None)
    with pytest.raises(NotFoundError):
        await chats.add("c1", message("late"))
    assert await keys_of(kv, "chat:c1/") == []


async def answered_chat(kv: MemoryKeyValueStore, clock: ManualClock) -> ChatStore:
    """A sound store with one chat: a question and its answer."""
    sound = ChatStore(kv, KeyValueHeads(kv), clock)
    await sound.begin(new_chat("c1", "ann", "q1"), message("q1"))
    await sound.add("c1", message("a1"))
    return sound


@pytest.mark.parametrize("fail_at", range(1, 9))
async def test_a_write_that_fails_leaves_the_chat_before_or_the_one_after(
    kv: MemoryKeyValueStore, clock: ManualClock, fail_at: int
) -> None:
    sound = await answered_chat(kv, clock)
    faulty = FaultyKeyValues(kv, fail_at=fail_at)
    chats = ChatStore(faulty, KeyValueHeads(faulty), clock)
    chat = await sound.load("c1", owner="ann")
    try:
        await chats.begin(evolve(chat, order=(*chat.order, "q2")), message("q2"))
        await chats.add("c1", message("a2"))
    except BackendError:
        assert await ids(sound) in (["q1", "a1"], ["q1", "a1", "q2"])
    else:
        assert fail_at > 5
        assert await ids(sound) == ["q1", "a1", "q2", "a2"]


@pytest.mark.parametrize("fail_at", range(1, 5))
async def test_deleting_that_broke_off_can_be_asked_for_again(
    kv: MemoryKeyValueStore, clock: ManualClock, fail_at: int
) -> None:
    sound = await answered_chat(kv, clock)
    faulty = FaultyKeyValues(kv, fail_at=fail_at)
    with pytest.raises(BackendError):
        await ChatStore(faulty, KeyValueHeads(faulty), clock).delete("c1", owner="ann")
    if fail_at <= 3:
        await sound.delete("c1", owner="ann")
        assert await keys_of(kv, "user:ann/") == []
    assert await keys_of(kv, "chat:c1/") == []
    assert await sound.list("ann") == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.lists(st.dictionaries(st.text(), json_values, max_size=3), max_size=3),
    st.text(st.characters()),
    st.dictionaries(st.text(), json_values, max_size=3),
)
async def test_any_message_comes_back_as_it_was(
    parts: list[dict[str, object]], raw: str, metadata: dict[str, object]
) -> None:
    clock = ManualClock()
    kv = MemoryKeyValueStore(clock)
    chats = ChatStore(kv, KeyValueHeads(kv), clock)
    said = Message("m1", "assistant", 1.5, tuple(parts), raw, "stopped", metadata)
    await chats.begin(new_chat("c1", "ann", "m1"), said)
    assert await chats.messages(await chats.load("c1", owner="ann")) == [said]


@pytest.mark.parametrize("title", ["\ud800", "\0", "é𝄞", '"', ""])
async def test_any_title_comes_back_as_it_was(chats: ChatStore, title: str) -> None:
    await chats.begin(evolve(new_chat(), title=title), None)
    assert (await chats.load("c1", owner="ann")).title == title
