"""A user's sessions over HTTP: what is shown of them, and who can end which."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from openbolt import Principal
from openbolt.auth.sessions import public_id
from openbolt.protocols import SessionRecord
from openbolt.testing import ManualClock
from tests.auth.asking import House
from tests.handlers.building import Answer, Caller

START = "2023-11-14T22:13:20.000Z"
FORGET = (
    "openbolt-session=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; "
    "Path=/; HttpOnly; SameSite=Lax"
)


class Browser:
    """Sends the cookie that it was given."""

    def __init__(self, call: Caller, token: str, record: SessionRecord) -> None:
        self._call = call
        self.token = token
        self.record = record

    @property
    def id(self) -> str:
        return public_id(self.record)

    async def __call__(self, method: str, target: str) -> Answer:
        cookie = {"cookie": f"openbolt-session={self.token}"}
        return await self._call(method, target, user=None, headers=cookie)

    async def is_in(self) -> bool:
        return (await self("GET", "/me")).status == 200


class Told:
    """Remembers which sessions it was told had ended."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    async def __call__(self, record: SessionRecord, /) -> None:
        self.ended.append(public_id(record))


@pytest.fixture
def told() -> Told:
    return Told()


@pytest_asyncio.fixture
async def call(house: House, told: Told) -> AsyncIterator[Caller]:
    caller = Caller(house.handler(ended=told))
    yield caller
    await caller.settle()


@pytest_asyncio.fixture
async def browsers(house: House, call: Caller) -> dict[str, Browser]:
    """Two of ann's, and bob's."""
    made: dict[str, Browser] = {}
    for name, device in (
        ("ann", "Firefox on Linux"),
        ("ann-2", "Safari on iPhone"),
        ("bob", "curl"),
    ):
        token, record = await house.sessions.start(name.partition("-")[0], device=device)
        made[name] = Browser(call, token, record)
        house.clock.advance(1)
    return made


async def test_one_s_sessions_are_listed_the_one_used_last_first(
    browsers: dict[str, Browser],
) -> None:
    answer = await browsers["ann"]("GET", "/api/auth/sessions")
    assert (answer.status, answer.json) == (
        200,
        {
            "sessions": [
                {
                    "id": browsers["ann-2"].id,
                    "device": "Safari on iPhone",
                    "createdAt": "2023-11-14T22:13:21.000Z",
                    "lastUsedAt": "2023-11-14T22:13:21.000Z",
                    "expiresAt": "2024-02-12T22:13:21.000Z",
                    "current": False,
                },
                {
                    "id": browsers["ann"].id,
                    "device": "Firefox on Linux",
                    "createdAt": START,
                    "lastUsedAt": START,
                    "expiresAt": "2024-02-12T22:13:20.000Z",
                    "current": True,
                },
            ]
        },
    )
    assert answer.headers.get("cache-control") == "no-store"


async def test_what_is_listed_is_worth_nothing(browsers: dict[str, Browser]) -> None:
    text = (await browsers["ann"]("GET", "/api/auth/sessions")).text
    for browser in browsers.values():
        assert browser.token not in text
        assert browser.record.id_hash not in text


async def test_a_use_of_a_session_changes_nothing_about_the_response(
    browsers: dict[str, Browser], clock: ManualClock
) -> None:
    clock.advance(3600)
    answer = await browsers["ann"]("GET", "/me")
    assert {name for name, _ in answer.headers.items} == {
        "content-type",
        "cache-control",
        "x-request-id",
    }
    rows = (await browsers["ann"]("GET", "/api/auth/sessions")).json["sessions"]
    assert [row["lastUsedAt"] for row in rows] == [
        "2023-11-14T23:13:23.000Z",
        "2023-11-14T22:13:21.000Z",
    ]


async def test_another_session_is_ended(
    browsers: dict[str, Browser], told: Told, call: Caller
) -> None:
    ann, other = browsers["ann"], browsers["ann-2"]
    answer = await ann("DELETE", f"/api/auth/sessions/{other.id}")
    assert (answer.status, answer.body, answer.headers.get("set-cookie")) == (204, b"", None)
    assert (await ann.is_in(), await other.is_in()) == (True, False)
    await call.settle()
    assert told.ended == [other.id]
    again = await ann("DELETE", f"/api/auth/sessions/{other.id}")
    assert again.error == (404, "not_found", None)


async def test_one_s_own_session_is_ended_and_the_browser_forgets_it(
    browsers: dict[str, Browser],
) -> None:
    ann = browsers["ann"]
    answer = await ann("DELETE", f"/api/auth/sessions/{ann.id}")
    assert (answer.status, answer.headers.get_all("set-cookie")) == (204, (FORGET,))
    assert not await ann.is_in()
    assert await browsers["ann-2"].is_in()


@pytest.mark.parametrize("wanted", ["id", "hash", "token", "x", "%2e%2e", "caf%C3%A9"])
async def test_another_user_s_session_does_not_exist(
    browsers: dict[str, Browser], told: Told, call: Caller, wanted: str
) -> None:
    bob = browsers["bob"]
    known = {"id": bob.id, "hash": bob.record.id_hash, "token": bob.token}
    answer = await browsers["ann"]("DELETE", f"/api/auth/sessions/{known.get(wanted, wanted)}")
    assert answer.error == (404, "not_found", None)
    assert await bob.is_in()
    await call.settle()
    assert told.ended == []


async def test_all_others_are_ended(browsers: dict[str, Browser], told: Told, call: Caller) -> None:
    answer = await browsers["ann"]("DELETE", "/api/auth/sessions")
    assert (answer.status, answer.headers.get("set-cookie")) == (204, None)
    assert [await each.is_in() for each in browsers.values()] == [True, False, True]
    await call.settle()
    assert told.ended == [browsers["ann-2"].id]


async def test_all_are_ended_and_the_browser_forgets_its_own(
    browsers: dict[str, Browser], told: Told, call: Caller
) -> None:
    answer = await browsers["ann"]("DELETE", "/api/auth/sessions?all=true")
    assert (answer.status, answer.headers.get_all("set-cookie")) == (204, (FORGET,))
    assert [await each.is_in() for each in browsers.values()] == [False, False, True]
    await call.settle()
    assert sorted(told.ended) == sorted([browsers["ann"].id, browsers["ann-2"].id])


@pytest.mark.parametrize("said", ["1", "", "TRUE", "yes"])
async def test_what_all_says_is_true_or_false(browsers: dict[str, Browser], said: str) -> None:
    answer = await browsers["ann"]("DELETE", f"/api/auth/sessions?all={said}")
    assert answer.error == (400, "invalid_request", "all")
    assert await browsers["ann-2"].is_in()


async def test_a_key_for_the_account_ends_sessions_and_has_none(
    house: House, call: Caller, browsers: dict[str, Browser]
) -> None:
    key, _ = await house.keys.create(Principal("ann"), name="k", scopes=("admin",))
    bearer = {"authorization": f"Bearer {key}"}
    rows = await call("GET", "/api/auth/sessions", user=None, headers=bearer)
    assert [row["current"] for row in rows.json["sessions"]] == [False, False]
    answer = await call("DELETE", "/api/auth/sessions", user=None, headers=bearer)
    assert (answer.status, answer.headers.get("set-cookie")) == (204, None)
    assert [await each.is_in() for each in browsers.values()] == [False, False, True]


async def test_another_key_sees_and_ends_none(
    house: House, call: Caller, browsers: dict[str, Browser]
) -> None:
    key, _ = await house.keys.create(Principal("ann"), name="k", scopes=("chat", "projects"))
    bearer = {"authorization": f"Bearer {key}"}
    own = browsers["ann"].id
    for method, target in (
        ("GET", "/api/auth/sessions"),
        ("DELETE", "/api/auth/sessions"),
        ("DELETE", f"/api/auth/sessions/{own}"),
    ):
        answer = await call(method, target, user=None, headers=bearer)
        assert answer.error == (403, "scope_missing", None)
    assert await browsers["ann-2"].is_in()


async def test_an_answer_doesn_t_wait_for_what_the_session_held(
    house: House, clock: ManualClock
) -> None:
    async def slowly(record: SessionRecord, /) -> None:
        await clock.sleep(60)

    call = Caller(house.handler(ended=slowly))
    browser = Browser(call, *await house.sessions.start("ann"))
    assert (await browser("DELETE", "/api/auth/sessions?all=true")).status == 204
    assert not await browser.is_in()
    await clock.advance(60)
    await call.settle()
