"""A journal holds what was written, in order, and is there until the last of it is discarded."""

import random

import pytest

from openbolt.errors import BackendError
from openbolt.projects.journal import Journal, JournalHead, JournalStore
from openbolt.projects.store import FileEntry
from openbolt_local.memory import MemoryKeyValueStore
from tests.faults import FaultyKeyValues, keys_of


def head(turn: str = "t1", project: str = "p1") -> JournalHead:
    return JournalHead(turn, "c1", project, "ann", 3, 1000.5)


@pytest.fixture
def journals(kv: MemoryKeyValueStore) -> JournalStore:
    return JournalStore(kv)


async def test_files_and_text_come_back_in_the_order_of_their_numbers(
    journals: JournalStore,
) -> None:
    await journals.begin(head())
    numbers = list(range(120))
    random.Random(7).shuffle(numbers)
    for n in numbers:
        await journals.add_file(head(), n, FileEntry(f"f{n}.js", f"{n:064x}", n))
        await journals.add_text(head(), n, f"<{n}>")
    assert await journals.load(head()) == Journal(
        head(),
        tuple(FileEntry(f"f{n}.js", f"{n:064x}", n) for n in range(120)),
        "".join(f"<{n}>" for n in range(120)),
    )


@pytest.mark.parametrize("text", ["", "\ud800", "\0", "é☃𝄞", '"\\\n', "</boltAction>"])
async def test_any_text_comes_back_as_it_was(journals: JournalStore, text: str) -> None:
    await journals.begin(head())
    await journals.add_text(head(), 0, text)
    assert (await journals.load(head())).text == text


async def test_a_project_lists_its_own_journals_only(journals: JournalStore) -> None:
    heads = [head("t2"), head("t1"), head("t1", "p2"), head("t1", "p11")]
    for one in heads:
        await journals.begin(one)
        await journals.add_file(one, 0, FileEntry("src/head", "0" * 64, 1))
    assert await journals.list("p1") == [head("t1"), head("t2")]
    assert await journals.list("p3") == []


async def test_a_journal_without_entries_is_empty(journals: JournalStore) -> None:
    await journals.begin(head())
    assert await journals.load(head()) == Journal(head())


async def test_a_discarded_journal_leaves_nothing_and_takes_no_other_with_it(
    journals: JournalStore, kv: MemoryKeyValueStore
) -> None:
    for one in (head("t1"), head("t11")):
        await journals.begin(one)
        await journals.add_file(one, 0, FileEntry("a", "0" * 64, 1))
        await journals.add_text(one, 0, "x")
    await journals.discard(head("t1"))
    await journals.discard(head("t1"))
    assert await journals.list("p1") == [head("t11")]
    assert await keys_of(kv, "project:p1/") == [
        "project:p1/journal/t11/file/000000",
        "project:p1/journal/t11/head",
        "project:p1/journal/t11/text/00000000",
    ]


@pytest.mark.parametrize("fail_at", [1, 2, 3, 4, 5])
async def test_discarding_that_broke_off_anywhere_can_be_resumed(
    kv: MemoryKeyValueStore, fail_at: int
) -> None:
    journals = JournalStore(kv)
    await journals.begin(head())
    for n in range(2):
        await journals.add_file(head(), n, FileEntry(f"f{n}", "0" * 64, 1))
        await journals.add_text(head(), n, "x")
    with pytest.raises(BackendError):
        await JournalStore(FaultyKeyValues(kv, fail_at=fail_at)).discard(head())
    assert await journals.list("p1") == [head()]
    await journals.discard(head())
    assert await keys_of(kv, "project:p1/") == []
