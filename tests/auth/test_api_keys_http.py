"""API keys over HTTP: made and shown once, listed without what they are worth, revoked."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio

from openbolt import Principal, Settings
from openbolt.testing import ManualClock
from tests.auth.asking import House
from tests.handlers.building import Answer, ByHeader, Caller

START = "2023-11-14T22:13:20.000Z"
KEYS = "/api/auth/keys"


@pytest.fixture
def call(house: House) -> Caller:
    """Asks as the user ``ann``."""
    return Caller(house.handler(ByHeader()))


@pytest_asyncio.fixture
async def program(house: House) -> Caller:
    """Asks with whatever it is told to bring."""
    return Caller(house.handler())


async def made(call: Caller, **body: Any) -> Answer:
    return await call("POST", KEYS, json={"name": "CI", "scopes": ["chat"], **body})


async def test_a_key_is_shown_when_it_is_made_and_never_again(
    call: Caller, program: Caller
) -> None:
    answer = await made(call, name="  build\tserver ", scopes=["projects", "chat"])
    assert answer.status == 201
    assert answer.headers.get("cache-control") == "no-store"
    row = answer.json
    key = row.pop("key")
    assert row == {
        "id": row["id"],
        "name": "build server",
        "scopes": ["chat", "projects"],
        "prefix": f"{key[:8]}…",
        "createdAt": START,
        "expiresAt": None,
        "lastUsedAt": None,
    }
    listed = await call("GET", KEYS)
    assert listed.json == {"keys": [row]}
    assert key[8:] not in listed.text
    me = await program("GET", "/me", user=None, headers={"authorization": f"Bearer {key}"})
    assert me.json == {
        "user": "ann",
        "scopes": ["chat", "projects"],
        "session": None,
        "key": row["id"],
    }
    assert (await call("GET", KEYS)).json["keys"][0]["lastUsedAt"] == START


@pytest.mark.parametrize(
    "given",
    [
        {"expiresIn": 3600},
        {"expiresIn": 3600.0},
        {"expiresAt": "2023-11-14T23:13:20Z"},
        {"expiresAt": "2023-11-15T01:13:20+02:00"},
    ],
)
async def test_a_key_may_end(
    call: Caller, program: Caller, clock: ManualClock, given: dict[str, Any]
) -> None:
    answer = await made(call, **given)
    assert (answer.status, answer.json["expiresAt"]) == (201, "2023-11-14T23:13:20.000Z")
    bearer = {"authorization": f"Bearer {answer.json['key']}"}
    assert (await program("GET", "/me", user=None, headers=bearer)).status == 200
    clock.advance(3600)
    assert (await program("GET", "/me", user=None, headers=bearer)).status == 401
    assert (await call("GET", KEYS)).json == {"keys": []}


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "name"),
    ({"name": " \t\n"}, "name"),
    ({"name": "n" * 101}, "name"),
    ({"name": None}, "name"),
    ({"name": 1}, "name"),
    ({"scopes": []}, "scopes"),
    ({"scopes": "chat"}, "scopes"),
    ({"scopes": None}, "scopes"),
    ({"scopes": ["chat", "everything"]}, "scopes[1]"),
    ({"scopes": ["Chat"]}, "scopes[0]"),
    ({"scopes": [None]}, "scopes[0]"),
    ({"expiresIn": 0}, "expiresIn"),
    ({"expiresIn": -1}, "expiresIn"),
    ({"expiresIn": 59.9}, "expiresIn"),
    ({"expiresIn": 1e300}, "expiresIn"),
    ({"expiresIn": 3651 * 86400}, "expiresIn"),
    ({"expiresIn": "3600"}, "expiresIn"),
    ({"expiresIn": True}, "expiresIn"),
    ({"expiresAt": "tomorrow"}, "expiresAt"),
    ({"expiresAt": "2023-11-14T23:13:20"}, "expiresAt"),  # no zone
    ({"expiresAt": "2023-11-14"}, "expiresAt"),
    ({"expiresAt": "2023-11-14T22:13:20Z"}, "expiresAt"),  # now
    ({"expiresAt": "0001-01-01T00:00:00+14:00"}, "expiresAt"),
    ({"expiresAt": "9999-12-31T23:59:59-14:00"}, "expiresAt"),
    ({"expiresAt": 1_700_003_600}, "expiresAt"),
    ({"expiresIn": 3600, "expiresAt": "2023-11-14T23:13:20Z"}, "expiresAt"),
]


@pytest.mark.parametrize(("body", "field"), WRONG)
async def test_a_wrong_field_is_named(call: Caller, body: dict[str, Any], field: str) -> None:
    answer = await made(call, **body)
    assert answer.error == (400, "invalid_request", field)
    assert (await call("GET", KEYS)).json == {"keys": []}


@pytest.mark.parametrize("missing", ["name", "scopes"])
async def test_a_missing_field_is_named(call: Caller, missing: str) -> None:
    body = {"name": "CI", "scopes": ["chat"]}
    del body[missing]
    answer = await call("POST", KEYS, json=body)
    assert answer.error == (400, "invalid_request", missing)


async def test_a_form_makes_no_key(call: Caller) -> None:
    for kind in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data"):
        answer = await call(
            "POST",
            KEYS,
            content=b'{"name": "CI", "scopes": ["chat"]}',
            headers={"content-type": kind},
        )
        assert answer.error[:2] == (415, "unsupported_media_type")
    assert (await call("GET", KEYS)).json == {"keys": []}


async def test_a_body_that_no_key_needs_is_refused(call: Caller) -> None:
    answer = await made(call, name="n" * 20_000)
    assert answer.error[:2] == (413, "payload_too_large")


async def test_a_revoked_key_is_refused_at_once(call: Caller, program: Caller) -> None:
    answer = await made(call)
    bearer = {"authorization": f"Bearer {answer.json['key']}"}
    assert (await program("GET", "/me", user=None, headers=bearer)).status == 200
    revoked = await call("DELETE", f"{KEYS}/{answer.json['id']}")
    assert (revoked.status, revoked.body) == (204, b"")
    assert (await program("GET", "/me", user=None, headers=bearer)).status == 401
    again = await call("DELETE", f"{KEYS}/{answer.json['id']}")
    assert again.error == (404, "not_found", None)


async def test_another_user_s_key_does_not_exist(call: Caller, house: House) -> None:
    secret, key = await house.keys.create(Principal("bob"), name="k", scopes=("chat",))
    for wanted in (key.id, secret, "x", "..", "%00"):
        answer = await call("DELETE", f"{KEYS}/{wanted}")
        assert answer.error == (404, "not_found", None)
    assert (await call("GET", KEYS)).json == {"keys": []}
    assert await house.keys.authenticate(secret) is not None


@pytest.mark.parametrize("settings", [Settings(max_api_keys_per_user=1)])
async def test_the_cap_is_said(clock: ManualClock, settings: Settings) -> None:
    call = Caller(House.of(clock, settings).handler(ByHeader()))
    assert (await made(call)).status == 201
    assert (await made(call)).error == (409, "too_many_keys", None)
    assert len((await call("GET", KEYS)).json["keys"]) == 1


async def test_a_key_for_the_account_makes_keys_within_its_own_scopes(
    house: House, program: Caller
) -> None:
    key, _ = await house.keys.create(Principal("ann"), name="k", scopes=("admin", "chat"))
    bearer = {"authorization": f"Bearer {key}"}
    body = {"name": "CI", "scopes": ["chat"]}
    answer = await program("POST", KEYS, json=body, user=None, headers=bearer)
    assert (answer.status, answer.json["scopes"]) == (201, ["chat"])
    more = {"name": "CI", "scopes": ["chat", "proxy"]}
    answer = await program("POST", KEYS, json=more, user=None, headers=bearer)
    assert answer.error == (403, "scope_missing", None)
    assert "'proxy'" in answer.json["error"]["message"]


async def test_another_key_sees_makes_and_revokes_none(house: House, program: Caller) -> None:
    key, known = await house.keys.create(
        Principal("ann"), name="k", scopes=("chat", "projects", "proxy")
    )
    bearer = {"authorization": f"Bearer {key}"}
    for method, target, body in (
        ("GET", KEYS, None),
        ("POST", KEYS, {"name": "CI", "scopes": ["chat"]}),
        ("DELETE", f"{KEYS}/{known.id}", None),
    ):
        answer = await program(method, target, json=body, user=None, headers=bearer)
        assert answer.error == (403, "scope_missing", None)
        assert "'admin'" in answer.json["error"]["message"]
    assert len(await house.keys.list("ann")) == 1
