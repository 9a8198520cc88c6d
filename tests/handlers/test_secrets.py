"""Secrets over HTTP: they go in, and nothing that anybody can ask for has them in it."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from attrs import evolve

from openbolt import Dependencies, OpenBolt, Settings
from openbolt.secrets import SecretStore
from openbolt.testing import ManualClock
from openbolt_local.crypto import AesGcmCipher, generate_key
from openbolt_local.memory import MemoryKeyValueStore
from tests.faults import keys_of
from tests.handlers.building import Caller

START = "2023-11-14T22:13:20.000Z"
VALUE = "sk-ant-hunter2-hunter2-wxyz"


@pytest.fixture
def cipher() -> AesGcmCipher:
    return AesGcmCipher([generate_key()])


@pytest.fixture
def dependencies(dependencies: Dependencies, cipher: AesGcmCipher) -> Dependencies:
    return evolve(dependencies, cipher=cipher)


@pytest.fixture
def secrets(
    kv: MemoryKeyValueStore, cipher: AesGcmCipher, clock: ManualClock, settings: Settings
) -> SecretStore:
    """The same store that the application has."""
    return SecretStore(kv, cipher, clock, settings)


def row(name: str, last_four: str | None = "wxyz") -> dict[str, Any]:
    return {"name": name, "lastFour": last_four, "createdAt": START, "updatedAt": START}


async def test_nobody_has_secrets_at_first(call: Caller) -> None:
    answer = await call("GET", "/api/secrets")
    assert (answer.status, answer.json) == (200, {"secrets": []})


async def test_a_secret_is_set_listed_and_deleted(call: Caller, secrets: SecretStore) -> None:
    answer = await call("PUT", "/api/secrets/github", json={"value": VALUE})
    assert (answer.status, answer.json) == (200, row("github"))
    answer = await call("PUT", "/api/secrets/a.b-c_1", json={"value": "short"})
    assert (answer.status, answer.json) == (200, row("a.b-c_1", None))
    listed = await call("GET", "/api/secrets")
    assert listed.json == {"secrets": [row("a.b-c_1", None), row("github")]}
    assert listed.headers.get("cache-control") == "no-store"
    assert await secrets.read("ann", "github") == VALUE
    answer = await call("DELETE", "/api/secrets/github")
    assert (answer.status, answer.body) == (204, b"")
    assert (await call("DELETE", "/api/secrets/github")).error == (404, "not_found", None)
    assert (await call("GET", "/api/secrets")).json == {"secrets": [row("a.b-c_1", None)]}


async def test_setting_again_keeps_the_first_date(
    call: Caller, secrets: SecretStore, clock: ManualClock
) -> None:
    await call("PUT", "/api/secrets/github", json={"value": VALUE})
    clock.advance(1)
    answer = await call("PUT", "/api/secrets/github", json={"value": "another-secret-1234"})
    later = {"lastFour": "1234", "updatedAt": "2023-11-14T22:13:21.000Z"}
    assert answer.json == {**row("github"), **later}
    assert await secrets.read("ann", "github") == "another-secret-1234"


@pytest.mark.parametrize("target", ["/api/secrets/github", "/api/secrets/anthropic"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PATCH"])
async def test_no_method_reads_a_secret(call: Caller, method: str, target: str) -> None:
    await call("PUT", target, json={"value": VALUE})
    answer = await call(method, target)
    assert answer.status == 405
    assert VALUE not in answer.text


async def test_a_models_key_is_stored_without_the_blanks_around_it(
    call: Caller, secrets: SecretStore
) -> None:
    await call("PUT", "/api/secrets/anthropic", json={"value": f" {VALUE}\n"})
    assert await secrets.read("ann", "anthropic") == VALUE
    await call("PUT", "/api/secrets/pem", json={"value": f" {VALUE}\n"})
    assert await secrets.read("ann", "pem") == f" {VALUE}\n"


@pytest.mark.parametrize(
    "value", ["", "  \n", "sk ant", "sk\r\nx-evil: 1", "sk-ant-é", "sk\0", "\u200bsk"]
)
async def test_what_can_be_no_key_of_a_model_is_refused(call: Caller, value: str) -> None:
    answer = await call("PUT", "/api/secrets/anthropic", json={"value": value})
    assert answer.error == (400, "invalid_request", "value")
    assert (await call("GET", "/api/secrets")).json == {"secrets": []}


@pytest.mark.parametrize("name", ["A", "-", "a b", "ä", "a" * 65, "%00", ".."])
async def test_a_name_that_is_none_is_refused(
    call: Caller, kv: MemoryKeyValueStore, name: str
) -> None:
    answer = await call("PUT", f"/api/secrets/{name}", json={"value": VALUE})
    assert answer.error == (400, "invalid_request", "name")
    assert (await call("DELETE", f"/api/secrets/{name}")).status == 404
    assert await keys_of(kv, "user:ann/", "secret-owners/") == []


@pytest.mark.parametrize("settings", [Settings(max_secret_bytes=16, max_secrets_per_user=1)])
async def test_the_limits_of_the_settings_hold(call: Caller) -> None:
    answer = await call("PUT", "/api/secrets/a", json={"value": "x" * 17})
    assert answer.error == (413, "payload_too_large", "value")
    answer = await call("PUT", "/api/secrets/a", content=b'{"value": "' + rb"\u00e9" * 8 + b'"}',
                        headers={"content-type": "application/json"})  # fmt: skip
    assert answer.status == 200
    answer = await call("PUT", "/api/secrets/b", json={"value": "x"})
    assert answer.error == (409, "too_many_secrets", None)
    answer = await call("PUT", "/api/secrets/a", json={"value": "x" * 3000})
    assert answer.error == (413, "payload_too_large", None)


async def test_everybody_has_their_own(call: Caller, secrets: SecretStore) -> None:
    await call("PUT", "/api/secrets/github", json={"value": VALUE}, user="ann")
    assert (await call("GET", "/api/secrets", user="bob")).json == {"secrets": []}
    assert (await call("DELETE", "/api/secrets/github", user="bob")).status == 404
    await call("PUT", "/api/secrets/github", json={"value": "of bob"}, user="bob")
    assert await secrets.read("ann", "github") == VALUE


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_nobody_gets_anywhere_without_signing_in(call: Caller, method: str) -> None:
    target = "/api/secrets" if method == "GET" else "/api/secrets/github"
    body = {"value": VALUE} if method == "PUT" else None
    answer = await call(method, target, json=body, user=None)
    assert answer.error == (401, "unauthenticated", None)


async def test_without_a_cipher_nothing_of_the_kind_is_offered(
    dependencies: Dependencies, kv: MemoryKeyValueStore
) -> None:
    call = Caller(OpenBolt(evolve(dependencies, cipher=None)))
    answer = await call("PUT", "/api/secrets/github", json={"value": VALUE})
    assert answer.status in {404, 405, 501}
    assert await keys_of(kv, "user:ann/", "secret-owners/") == []


def misplaced() -> list[bytes]:
    secret = json.dumps(VALUE)
    return [
        secret.encode(),
        f"[{secret}]".encode(),
        f'{{"value": [{secret}]}}'.encode(),
        f'{{"value": {{"key": {secret}}}}}'.encode(),
        f'{{"token": {secret}}}'.encode(),
        f'{{"value": {secret}'.encode(),
        f'{{"value": {VALUE}}}'.encode(),
        f'{{"value": {secret}, "value": 1}}'.encode(),
        f'{{"value": {secret[:-1]}\\ud800"}}'.encode(),
        f'{{"value": {secret[:-1]}\xff"}}'.encode("latin-1"),
        f'{{"value": {secret[:-1]} "}}'.encode() * 200,
    ]


@pytest.mark.parametrize("body", misplaced())
@pytest.mark.parametrize("name", ["anthropic", "github", "Bad"])
async def test_what_is_said_wrongly_is_not_said_again(
    call: Caller, caplog: pytest.LogCaptureFixture, body: bytes, name: str
) -> None:
    caplog.set_level(logging.DEBUG)
    json_type = {"content-type": "application/json"}
    answer = await call("PUT", f"/api/secrets/{name}", content=body, headers=json_type)
    assert 400 <= answer.status < 500
    assert "hunter2" not in answer.text
    assert "hunter2" not in caplog.text
    answer = await call("PUT", f"/api/secrets/{name}", content=body)
    assert answer.status in {400, 415}
    assert "hunter2" not in answer.text + caplog.text


async def test_a_secret_that_cannot_be_read_any_more_is_logged_by_name_alone(
    dependencies: Dependencies,
    call: Caller,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await call("PUT", "/api/secrets/anthropic", json={"value": VALUE})
    other = Caller(OpenBolt(evolve(dependencies, cipher=AesGcmCipher([generate_key()]))))
    said = {"messages": [{"role": "user", "content": "Hi"}]}
    answer = await other("POST", "/api/chat", json=said)
    await other.settle()
    assert answer.error == (503, "secret_unreadable", None)
    assert "set it again" in answer.json["error"]["message"]
    assert "anthropic of user ann" in caplog.text
    assert "hunter2" not in caplog.text + answer.text
