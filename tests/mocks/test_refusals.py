"""What the service refuses, the mock refuses, naming the field."""

from __future__ import annotations

import json

import pytest

from openbolt_local.mocks import AnthropicMock
from tests.mocks.raw import exchange, request_bytes

USER = {"role": "user", "content": "hi"}
RIGHT: dict[str, object] = {"model": "m", "max_tokens": 9, "messages": [USER]}
SYSTEM_ROLE = (
    'messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter, '
    'not "system" as an input message role.'
)
PREFILL = (
    "This model does not support assistant message prefill. "
    "The conversation must end with a user message."
)


def without(name: str) -> dict[str, object]:
    return {key: value for key, value in RIGHT.items() if key != name}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (without("model"), "model: Field required"),
        (without("max_tokens"), "max_tokens: Field required"),
        (without("messages"), "messages: Field required"),
        (
            {**RIGHT, "max_tokens": 0},
            "max_tokens: Input should be greater than or equal to 1",
        ),
        ({**RIGHT, "max_tokens": True}, "max_tokens: Input should be a valid integer"),
        ({**RIGHT, "messages": []}, "messages: at least one message is required"),
        ({**RIGHT, "messages": {}}, "messages: Input should be a valid array"),
        (
            {**RIGHT, "messages": [{"role": "assistant", "content": "x"}]},
            'messages: first message must use the "user" role',
        ),
        ({**RIGHT, "messages": [{"role": "system", "content": "x"}]}, SYSTEM_ROLE),
        (
            {**RIGHT, "messages": [{"role": "tool", "content": "x"}]},
            "messages.0.role: Input should be 'user' or 'assistant'",
        ),
        ({**RIGHT, "messages": [USER, {"role": "assistant", "content": "x"}]}, PREFILL),
        (
            {**RIGHT, "messages": [{"role": "user"}]},
            "messages.0.content: Field required",
        ),
        (
            {**RIGHT, "messages": [{"role": "user", "content": ""}]},
            "messages.0: all messages must have non-empty content",
        ),
        (
            {**RIGHT, "messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]},
            "messages: text content blocks must be non-empty",
        ),
        (
            {**RIGHT, "messages": [{"role": "user", "content": 1}]},
            "messages.0.content: Input should be a valid string or array",
        ),
        ({**RIGHT, "stream": "yes"}, "stream: Input should be a valid boolean"),
        ({**RIGHT, "system": 1}, "system: Input should be a valid string or array"),
        ({**RIGHT, "temperature": 2}, "temperature: range: 0..1"),
        ({**RIGHT, "colour": 1}, "colour: Extra inputs are not permitted"),
        (
            {**RIGHT, "stop_sequences": [" "]},
            "stop_sequences: each stop sequence must contain non-whitespace",
        ),
        (
            {**RIGHT, "thinking": {"type": "enabled", "budget_tokens": 1}},
            "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
        ),
        (
            {**RIGHT, "thinking": {"type": "enabled", "budget_tokens": 1024}},
            "`max_tokens` must be greater than `thinking.budget_tokens`",
        ),
        ([], "The request body is not a JSON object"),
    ],
)
async def test_a_wrong_body_is_a_400_that_names_the_field(
    mock: AnthropicMock, value: object, message: str
) -> None:
    got = await exchange(mock.url, request_bytes(value))
    assert (got.status, json.loads(got.text)["error"]) == (
        400,
        {"type": "invalid_request_error", "message": message},
    )


@pytest.mark.parametrize("data", [b"{", b"\xff", b'{"model": "\\ud800"}', b"[" * 100_000])
async def test_a_body_that_is_no_json_is_a_400(mock: AnthropicMock, data: bytes) -> None:
    got = await exchange(mock.url, request_bytes(data))
    assert got.status == 400
    assert "not valid JSON" in got.text


async def test_five_cache_breakpoints_are_one_too_many(mock: AnthropicMock) -> None:
    block = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}
    value = {**RIGHT, "messages": [{"role": "user", "content": [block] * 5}]}
    got = await exchange(mock.url, request_bytes(value))
    assert json.loads(got.text)["error"]["message"] == (
        "A maximum of 4 blocks with cache_control may be provided. Found 5."
    )


@pytest.mark.parametrize(
    ("headers", "status", "kind"),
    [
        ({"x-api-key": ""}, 401, "authentication_error"),
        ({"x-api-key": "", "authorization": "Basic eA=="}, 401, "authentication_error"),
        ({"x-api-key": "", "authorization": "Bearer k"}, 200, None),
        ({"anthropic-version": ""}, 400, "invalid_request_error"),
    ],
)
async def test_a_key_and_a_version_are_needed(
    mock: AnthropicMock, headers: dict[str, str], status: int, kind: str | None
) -> None:
    got = await exchange(mock.url, request_bytes(RIGHT, headers=headers))
    assert (got.status, json.loads(got.text).get("error", {}).get("type")) == (status, kind)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/messages", 405),
        ("POST", "/v1/other", 404),
        ("GET", "/", 404),
        ("GET", "/v1/models?limit=0", 400),
    ],
)
async def test_other_paths_are_refused_in_the_services_shape(
    mock: AnthropicMock, method: str, path: str, status: int
) -> None:
    got = await exchange(mock.url, request_bytes(b"", method=method, path=path))
    assert (got.status, json.loads(got.text)["type"]) == (status, "error")
