"""Preferences over HTTP: one version that all tabs agree on, and refusals that name the field."""

import json
from typing import Any

import pytest

from openbolt.preferences import Preferences
from tests.handlers.building import Caller

AT = "/api/preferences"


async def test_at_first_everything_is_at_its_default(call: Caller) -> None:
    answer = await call("GET", AT)
    assert (answer.status, answer.json) == (
        200,
        {
            "version": 0,
            "preferences": {
                "theme": "system",
                "model": None,
                "mode": "build",
                "language": None,
                "sendKey": "enter",
                "enhanceOnSend": False,
                "notifications": False,
                "codeFontSize": 13,
                "wordWrap": False,
                "lastProject": None,
                "lastChat": None,
                "layout": {"sidebar": "open", "chatShare": 40, "tab": "preview"},
                "custom": {},
            },
        },
    )
    assert answer.headers.get("cache-control") == "no-store"


async def test_a_change_is_answered_whole_and_is_what_is_read_next(call: Caller) -> None:
    changed = await call("PATCH", AT, json={"theme": "dark", "layout": {"tab": "code"}})
    assert changed.status == 200
    assert changed.json["version"] == 1
    assert changed.json["preferences"]["theme"] == "dark"
    assert changed.json["preferences"]["layout"]["tab"] == "code"
    read = await call("GET", AT)
    assert (read.json, read.headers.get("etag")) == (changed.json, changed.headers.get("etag"))


@pytest.mark.parametrize(
    "media", ["application/json", "application/merge-patch+json", "Application/JSON; charset=utf-8"]
)
async def test_both_names_of_the_media_type_are_taken(call: Caller, media: str) -> None:
    body, headers = b'{"wordWrap": true}', {"content-type": media}
    answer = await call("PATCH", AT, content=body, headers=headers)
    assert answer.json["preferences"]["wordWrap"] is True


@pytest.mark.parametrize(
    "media",
    ["text/plain", "application/x-www-form-urlencoded", "application/json-patch+json", ""],
)
async def test_no_other_media_type_is(call: Caller, media: str) -> None:
    body, headers = b'{"wordWrap": true}', {"content-type": media}
    answer = await call("PATCH", AT, content=body, headers=headers)
    assert answer.error == (415, "unsupported_media_type", None)


async def test_every_user_has_their_own(call: Caller) -> None:
    await call("PATCH", AT, json={"theme": "dark"})
    assert (await call("GET", AT, user="bob")).json["version"] == 0


@pytest.mark.parametrize("method", ["GET", "PATCH"])
async def test_nobody_has_none(call: Caller, method: str) -> None:
    answer = await call(method, AT, user=None, json={"theme": "dark"})
    assert answer.error == (401, "unauthenticated", None)


async def tag(call: Caller) -> str:
    return (await call("GET", AT)).headers.get("etag") or ""


async def test_a_change_made_from_the_present_state_is_taken(call: Caller) -> None:
    tags = {"if-match": await tag(call)}
    assert (await call("PATCH", AT, json={"theme": "dark"}, headers=tags)).json["version"] == 1
    tags = {"if-match": f'"x", {await tag(call)}'}
    assert (await call("PATCH", AT, json={"theme": None}, headers=tags)).json["version"] == 2
    answer = await call("PATCH", f"{AT}?version=2", json={"theme": "light"})
    assert answer.json["version"] == 3
    tags = {"if-match": "*"}
    assert (await call("PATCH", AT, json={"theme": "dark"}, headers=tags)).status == 200


async def test_a_change_made_from_an_old_state_is_refused_and_changes_nothing(
    call: Caller,
) -> None:
    old = await tag(call)
    await call("PATCH", AT, json={"theme": "dark"})
    for target, headers in (
        (AT, {"if-match": old}),
        (AT, {"if-match": f"W/{await tag(call)}"}),  # RFC 9110, 13.1.1: by strong comparison
        (f"{AT}?version=0", {}),
        (f"{AT}?version=0", {"if-match": await tag(call)}),
    ):
        answer = await call("PATCH", target, json={"theme": "light"}, headers=headers)
        assert answer.error == (412, "precondition_failed", None)
    read = await call("GET", AT)
    assert (read.json["version"], read.json["preferences"]["theme"]) == (1, "dark")


async def test_a_version_that_is_no_number_is_refused(call: Caller) -> None:
    for text in ("x", "-1", "", "1.0", "\u0661", "9" * 16):
        answer = await call("PATCH", f"{AT}?version={text}", json={})
        assert answer.error == (400, "invalid_request", "version")


async def test_the_tag_differs_wherever_the_answer_does(
    call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    tags = [await tag(call)]
    for theme in ("dark", "light", None):
        await call("PATCH", AT, json={"theme": theme})
        tags.append(await tag(call))
    assert len(set(tags)) == 4
    monkeypatch.setattr(Preferences, "to_json", lambda _: {"theme": "a newer default"})
    assert await tag(call) not in tags


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"[]", (400, "invalid_request", "body")),
        (b"null", (400, "invalid_request", "body")),
        (b'"x"', (400, "invalid_request", "body")),
        (b"{", (400, "invalid_request", "body")),
        (b'{"custom": {"a": NaN}}', (400, "invalid_request", "body")),
        (b'{"custom": {"a": 1e999}}', (400, "invalid_request", "body")),
        (b'{"custom": {"a": "\xff"}}', (400, "invalid_request", "body")),
        (b'{"theme": "sepia"}', (400, "invalid_request", "theme")),
        (b'{"layout": {"chatShare": 91}}', (400, "invalid_request", "layout.chatShare")),
        (b'{"custom": {"a": "%s"}}' % (b"x" * 20_000), (413, "payload_too_large", None)),
    ],
)
async def test_a_bad_body_is_refused_by_its_field(
    call: Caller, body: bytes, error: tuple[Any, ...]
) -> None:
    headers = {"content-type": "application/json"}
    assert (await call("PATCH", AT, content=body, headers=headers)).error == error
    assert (await call("GET", AT)).json["version"] == 0


async def test_a_body_nested_as_deep_as_it_may_be_long_is_refused(call: Caller) -> None:
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        levels = 16_000 // (len(opening) + 1)
        text = '{"custom":' + opening * levels + "1" + closing * levels + "}"
        headers = {"content-type": "application/json"}
        answer = await call("PATCH", AT, content=text.encode(), headers=headers)
        status, _, field = answer.error
        assert (status, field) in {(400, "custom"), (400, "body")}


async def test_many_small_changes_are_bounded_together(call: Caller) -> None:
    value = "x" * 5000
    statuses = [(await call("PATCH", AT, json={"custom": {name: value}})).status for name in "abcd"]
    assert statuses == [200, 200, 200, 413]
    answer = await call("PATCH", AT, json={"custom": {"a": None, "d": value}})
    assert answer.status == 200
    assert len(json.dumps(answer.json["preferences"]["custom"])) > 15_000
