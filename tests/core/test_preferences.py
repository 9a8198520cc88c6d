"""Preferences: RFC 7396 to the letter, no tab's change lost, nothing dropped that isn't known."""

import asyncio
import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbolt.errors import (
    BackendError,
    InvalidRequestError,
    PayloadTooLargeError,
    PreconditionFailedError,
)
from openbolt.heads import KeyValueHeads
from openbolt.preferences import Preferences, PreferenceStore, SavedPreferences, merge_patch
from openbolt.testing import ManualClock
from openbolt_local.memory import MemoryKeyValueStore
from tests.faults import FaultyKeyValues, key_value_heads, object_heads

APPENDIX_A = """
{"a":"b"}            {"a":"c"}                   {"a":"c"}
{"a":"b"}            {"b":"c"}                   {"a":"b","b":"c"}
{"a":"b"}            {"a":null}                  {}
{"a":"b","b":"c"}    {"a":null}                  {"b":"c"}
{"a":["b"]}          {"a":"c"}                   {"a":"c"}
{"a":"c"}            {"a":["b"]}                 {"a":["b"]}
{"a":{"b":"c"}}      {"a":{"b":"d","c":null}}    {"a":{"b":"d"}}
{"a":[{"b":"c"}]}    {"a":[1]}                   {"a":[1]}
["a","b"]            ["c","d"]                   ["c","d"]
{"a":"b"}            ["c"]                       ["c"]
{"a":"foo"}          null                        null
{"a":"foo"}          "bar"                       "bar"
{"e":null}           {"a":1}                     {"e":null,"a":1}
[1,2]                {"a":"b","c":null}          {"a":"b"}
{}                   {"a":{"bb":{"ccc":null}}}   {"a":{"bb":{}}}
"""


@pytest.mark.parametrize("row", APPENDIX_A.strip().splitlines())
def test_the_table_of_rfc_7396_appendix_a(row: str) -> None:
    original, patch, result = (json.loads(cell) for cell in row.split())
    assert merge_patch(original, patch) == result


scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
names = st.sampled_from("abcd")
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
# Null in an object is what a merge patch can't say.
kept = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=3) | st.lists(scalars, max_size=3),
    lambda inner: st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(names, kept, max_size=4)
patches = st.dictionaries(names, values, max_size=4)


def difference(old: Any, new: Any) -> Any:
    """A patch that leads from one value to the other."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    gone = dict.fromkeys(old.keys() - new.keys())
    return gone | {k: difference(old.get(k), v) for k, v in new.items()}


def text(value: Any) -> str:
    """To Python, 1 equals true."""
    return json.dumps(value, sort_keys=True)


@given(values, values)
def test_a_patch_applied_twice_is_applied_once(target: Any, patch: Any) -> None:
    once = merge_patch(target, patch)
    assert text(merge_patch(once, patch)) == text(once)


@given(values, values)
def test_neither_argument_is_changed(target: Any, patch: Any) -> None:
    before = copy.deepcopy((target, patch))
    merge_patch(target, patch)
    assert (target, patch) == before


@given(patches, patches)
def test_the_empty_patch_changes_nothing_and_no_other_leaves_what_it_names(
    target: dict[str, Any], patch: dict[str, Any]
) -> None:
    assert text(merge_patch(target, {})) == text(target)
    merged = merge_patch(target, patch)
    assert merged.keys() == (target.keys() | patch.keys()) - {k for k in patch if patch[k] is None}
    for name in target.keys() - patch.keys():
        assert text(merged[name]) == text(target[name])


@given(objects, objects)
def test_from_every_value_a_patch_leads_to_every_other(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    assert text(merge_patch(old, difference(old, new))) == text(new)


@given(patches, patches, patches)
def test_patches_of_different_members_come_in_any_order(
    target: dict[str, Any], one: dict[str, Any], two: dict[str, Any]
) -> None:
    two = {name: value for name, value in two.items() if name not in one}
    assert text(merge_patch(merge_patch(target, one), two)) == text(
        merge_patch(merge_patch(target, two), one)
    )


@pytest.fixture(params=[key_value_heads, object_heads])
def store(request: pytest.FixtureRequest) -> PreferenceStore:
    return PreferenceStore(request.param(), 1000)


async def test_who_has_chosen_nothing_has_the_defaults_at_version_0(store: PreferenceStore) -> None:
    saved = await store.load("ann")
    assert (saved.version, saved.chosen) == (0, {})
    assert saved.effective() == Preferences().to_json()
    assert saved.typed() == Preferences()


async def test_a_change_names_what_it_changes_and_null_goes_back(store: PreferenceStore) -> None:
    await store.change("ann", {"theme": "dark", "layout": {"chatShare": 55}})
    saved = await store.change("ann", {"theme": None, "codeFontSize": 15})
    assert saved.version == 2
    assert saved == await store.load("ann")
    assert saved.chosen == {"layout": {"chatShare": 55}, "codeFontSize": 15}
    effective = saved.effective()
    assert (effective["theme"], effective["codeFontSize"]) == ("system", 15)
    assert effective["layout"] == {"sidebar": "open", "chatShare": 55, "tab": "preview"}
    assert saved.typed().layout.chat_share == 55
    assert (await store.load("bob")).version == 0


async def test_only_what_was_chosen_is_stored_the_default_too_if_it_was(
    store: PreferenceStore,
) -> None:
    saved = await store.change("ann", {"theme": "system"})
    assert saved.chosen == {"theme": "system"}


async def test_what_changes_nothing_makes_no_version(store: PreferenceStore) -> None:
    assert (await store.change("ann", {"theme": None})).version == 0
    await store.change("ann", {"custom": {"a": 1}})
    assert (await store.change("ann", {"custom": {"a": 1}})).version == 1
    assert (await store.change("ann", {})).version == 1


async def test_true_is_another_value_than_1(store: PreferenceStore) -> None:
    await store.change("ann", {"custom": {"a": 1}})
    saved = await store.change("ann", {"custom": {"a": True}})
    assert saved.version == 2
    assert saved.chosen["custom"]["a"] is True


async def test_tabs_that_change_at_once_lose_nothing(store: PreferenceStore) -> None:
    await asyncio.gather(
        *(store.change("ann", {"custom": {f"tab{n}": n}}) for n in range(12)),
        store.change("ann", {"theme": "dark"}),
        store.change("ann", {"codeFontSize": 20}),
    )
    saved = await store.load("ann")
    assert saved.version == 14
    assert saved.chosen == {
        "custom": {f"tab{n}": n for n in range(12)},
        "theme": "dark",
        "codeFontSize": 20,
    }


async def test_of_changes_made_from_one_version_the_first_wins(store: PreferenceStore) -> None:
    changes = [
        store.change("ann", {"codeFontSize": 10 + n}, only_if=lambda saved: saved.version == 0)
        for n in range(8)
    ]
    done = await asyncio.gather(*changes, return_exceptions=True)
    won = [d for d in done if isinstance(d, SavedPreferences)]
    lost = [d for d in done if isinstance(d, PreconditionFailedError)]
    assert (len(won), len(lost)) == (1, 7)
    assert await store.load("ann") == won[0]


async def test_a_condition_fails_a_change_that_would_change_nothing_too(
    store: PreferenceStore,
) -> None:
    with pytest.raises(PreconditionFailedError, match="at version 0"):
        await store.change("ann", {}, only_if=lambda saved: saved.version == 3)


async def test_a_failed_write_leaves_what_was_there() -> None:
    kv = FaultyKeyValues(MemoryKeyValueStore(ManualClock()))
    store = PreferenceStore(KeyValueHeads(kv), 1000)
    await store.change("ann", {"theme": "dark"})
    kv.fail_at = kv.writes + 1
    with pytest.raises(BackendError):
        await store.change("ann", {"theme": "light"})
    assert (await store.load("ann")).chosen == {"theme": "dark"}


NEWER = SavedPreferences(
    7,
    {
        "theme": "sepia",
        "avatar": {"shape": "round"},
        "layout": {"sidebar": "left", "rows": 3, "chatShare": 30},
        "codeFontSize": 14,
    },
)


async def write(store: PreferenceStore, saved: SavedPreferences) -> None:
    assert await store.heads.swap("user:ann/preferences", saved.to_bytes(), seen=None)


async def test_what_a_newer_version_stored_survives_this_ones_changes(
    store: PreferenceStore,
) -> None:
    await write(store, NEWER)
    saved = await store.change("ann", {"codeFontSize": 16, "layout": {"chatShare": 35}})
    assert saved.version == 8
    assert saved.chosen == {
        "theme": "sepia",
        "avatar": {"shape": "round"},
        "layout": {"sidebar": "left", "rows": 3, "chatShare": 35},
        "codeFontSize": 16,
    }
    assert saved.effective()["avatar"] == {"shape": "round"}


async def test_what_a_newer_version_stored_can_be_taken_back_but_not_made_up(
    store: PreferenceStore,
) -> None:
    await write(store, NEWER)
    saved = await store.change("ann", {"avatar": None, "layout": {"rows": None}})
    assert "avatar" not in saved.chosen
    assert saved.chosen["layout"] == {"sidebar": "left", "chatShare": 30}
    with pytest.raises(InvalidRequestError) as caught:
        await store.change("ann", {"layout": {"rows": 4}})
    assert caught.value.field == "layout.rows"


async def test_a_value_that_this_version_does_not_know_is_the_default_to_it() -> None:
    assert NEWER.typed() == Preferences(code_font_size=14)


WRONG = [
    ({"theme": "sepia"}, "theme"),
    ({"tehme": "dark"}, "tehme"),
    ({"x" * 500: 1}, "x" * 63 + "…"),
    ({"model": ""}, "model"),
    ({"model": "m" * 201}, "model"),
    ({"model": 3}, "model"),
    ({"mode": True}, "mode"),
    ({"language": "english!"}, "language"),
    ({"sendKey": "tab"}, "sendKey"),
    ({"enhanceOnSend": 1}, "enhanceOnSend"),
    ({"notifications": "yes"}, "notifications"),
    ({"codeFontSize": 7}, "codeFontSize"),
    ({"codeFontSize": 33}, "codeFontSize"),
    ({"codeFontSize": 14.5}, "codeFontSize"),
    ({"wordWrap": []}, "wordWrap"),
    ({"lastProject": "a/b"}, "lastProject"),
    ({"lastChat": "x" * 129}, "lastChat"),
    ({"layout": "wide"}, "layout"),
    ({"layout": {"chatShare": 9}}, "layout.chatShare"),
    ({"layout": {"chatShare": "40"}}, "layout.chatShare"),
    ({"layout": {"sidebar": "left"}}, "layout.sidebar"),
    ({"layout": {"rows": 2}}, "layout.rows"),
    ({"custom": []}, "custom"),
    ({"custom": {"": 1}}, "custom"),
    ({"custom": {"__proto__": 1}}, "custom"),
    ({"custom": {"x" * 65: 1}}, "custom"),
    ({"custom": {str(n): n for n in range(101)}}, "custom"),
    ({"code_font_size": 14}, "code_font_size"),
]


@pytest.mark.parametrize(("patch", "where"), WRONG, ids=lambda value: str(value)[:40])
async def test_what_is_wrong_is_refused_by_its_name_and_nothing_of_it_is_stored(
    store: PreferenceStore, patch: dict[str, Any], where: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await store.change("ann", {"wordWrap": True, **patch})
    assert caught.value.field == where
    assert (await store.load("ann")).version == 0


def nested(levels: int, leaf: Callable[[Any], Any]) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = leaf(value)
    return value


@pytest.mark.parametrize("leaf", [lambda v: [v], lambda v: {"a": v}], ids=["lists", "objects"])
async def test_what_is_nested_too_deep_is_refused_at_any_depth(
    store: PreferenceStore, leaf: Callable[[Any], Any]
) -> None:
    await store.change("ann", {"custom": nested(16, lambda v: {"a": v})})
    for levels in (16, 17, 100_000):
        with pytest.raises(InvalidRequestError) as caught:
            await store.change("ann", {"custom": {"a": nested(levels, leaf)}})
        assert caught.value.field == "custom"


async def test_all_together_are_bounded_and_what_is_over_may_shrink(
    store: PreferenceStore,
) -> None:
    await store.change("ann", {"custom": {"a": "x" * 600, "b": "y" * 300}})
    with pytest.raises(PayloadTooLargeError):
        await store.change("ann", {"custom": {"c": "z" * 200}})
    assert (await store.load("ann")).version == 1
    lower = PreferenceStore(store.heads, 100)
    with pytest.raises(PayloadTooLargeError):
        await lower.change("ann", {"custom": {"b": "y" * 301}})
    await lower.change("ann", {"custom": {"b": None}})
    await lower.change("ann", {"custom": {"a": "x"}})
    assert (await lower.change("ann", {"theme": "dark"})).version == 4


async def test_the_size_is_in_bytes_not_characters(store: PreferenceStore) -> None:
    await store.change("ann", {"custom": {"a": "x" * 900}})
    with pytest.raises(PayloadTooLargeError):
        await store.change("ann", {"custom": {"a": "\u2603" * 400}})


async def test_any_text_that_json_can_say_comes_back(store: PreferenceStore) -> None:
    odd = {"a": "\ud800\u0000\u2603", "b": [None, {"c": None}], "d": 10**30, "e": 1e-300}
    await store.change("ann", {"custom": odd})
    assert (await store.load("ann")).chosen["custom"] == {**odd, "b": [None, {"c": None}]}


async def test_discarding_forgets_the_version_too(store: PreferenceStore) -> None:
    assert await store.discard("ann") is False
    await store.change("ann", {"theme": "dark"})
    assert await store.discard("ann") is True
    assert (await store.load("ann")) == SavedPreferences()
