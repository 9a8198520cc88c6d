"""The official SDK reads everything the mock says, and raises what it raises for the service."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anthropic
import pytest
import pytest_asyncio

from openbolt_local.mocks import AnthropicMock, InputUsage, Reply, count_tokens

USER = {"role": "user", "content": "Build a todo list"}


@pytest_asyncio.fixture
async def client(mock: AnthropicMock) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=mock.url, api_key="k", max_retries=0) as made:
        yield made


async def test_a_stream_ends_in_the_whole_message(client) -> None:
    async with client.messages.stream(model="m", max_tokens=10_000, messages=[USER]) as stream:
        text = "".join([piece async for piece in stream.text_stream])
        message = await stream.get_final_message()
    assert message.content[0].text == text
    assert text.count("</boltAction>") == 3
    assert (message.stop_reason, message.usage.output_tokens) == ("end_turn", count_tokens(text))
    assert message.model == "m"


async def test_streamed_and_whole_answers_are_the_same(client) -> None:
    whole = await client.messages.create(model="m", max_tokens=9000, messages=[USER])
    async with client.messages.stream(model="m", max_tokens=9000, messages=[USER]) as stream:
        streamed = await stream.get_final_message()
    assert streamed.content[0].text == whole.content[0].text
    assert streamed.usage.output_tokens == whole.usage.output_tokens


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, anthropic.BadRequestError),
        (401, anthropic.AuthenticationError),
        (403, anthropic.PermissionDeniedError),
        (404, anthropic.NotFoundError),
        (413, anthropic.APIStatusError),
        (429, anthropic.RateLimitError),
        (500, anthropic.InternalServerError),
        (529, anthropic.InternalServerError),
    ],
)
async def test_a_status_becomes_the_sdks_own_error(client, status: int, error: type) -> None:
    message = {"role": "user", "content": f"hi [mock:{status} retry-after=2]"}
    with pytest.raises(error) as caught:
        await client.messages.create(model="m", max_tokens=9, messages=[message])
    assert caught.value.status_code == status
    assert caught.value.response.headers["retry-after"] == "2"
    assert caught.value.body["type"] == "error"
    assert caught.value.request_id == caught.value.body["request_id"]


async def test_an_error_event_is_raised_in_mid_stream(client) -> None:
    message = {"role": "user", "content": "hi [mock:error-event after=2]"}
    seen: list[str] = []
    with pytest.raises(anthropic.APIStatusError) as caught:
        async with client.messages.stream(model="m", max_tokens=999, messages=[message]) as stream:
            seen += [
                event.delta.text async for event in stream if event.type == "content_block_delta"
            ]
    assert caught.value.body["error"]["type"] == "overloaded_error"


async def test_times_lets_a_retry_succeed(mock: AnthropicMock) -> None:
    message = {"role": "user", "content": "hi [mock:529 times=2 retry-after=0.01]"}
    async with anthropic.AsyncAnthropic(base_url=mock.url, api_key="k", max_retries=2) as client:
        await client.messages.create(model="m", max_tokens=999, messages=[message])
    assert len(mock.requests) == 3


async def test_thinking_comes_first_with_a_signature_that_holds(client) -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024}
    first = await client.messages.create(
        model="m", max_tokens=9000, messages=[USER], thinking=thinking
    )
    assert [block.type for block in first.content] == ["thinking", "text"]
    history = [USER, first.to_param(), {"role": "user", "content": "make it dark"}]
    second = await client.messages.create(
        model="m", max_tokens=9000, messages=history, thinking=thinking
    )
    assert second.content[1].text.startswith("The page is dark now.")


async def test_thinking_that_was_altered_is_refused(client) -> None:
    block = {"type": "thinking", "thinking": "something else", "signature": "c2ln"}
    turn = {"role": "assistant", "content": [block, {"type": "text", "text": "x"}]}
    with pytest.raises(anthropic.BadRequestError) as caught:
        await client.messages.create(model="m", max_tokens=99, messages=[USER, turn, USER])
    assert caught.value.body["error"]["message"] == (
        "messages.1.content.0: Invalid `signature` in `thinking` block"
    )


async def test_tokens_are_counted_as_they_are_billed(client) -> None:
    counted = await client.messages.count_tokens(model="m", system="s" * 40, messages=[USER])
    message = await client.messages.create(
        model="m", max_tokens=9, system="s" * 40, messages=[USER]
    )
    assert counted.input_tokens == message.usage.input_tokens


async def test_models_are_listed_and_paged(client) -> None:
    names = [model.id async for model in client.models.list(limit=1)]
    assert len(names) == 3
    assert (await client.models.retrieve(names[0])).id == names[0]
    with pytest.raises(anthropic.NotFoundError):
        await client.models.retrieve("nothing")


async def test_a_cached_prefix_is_written_once_and_read_after(client) -> None:
    system = [{"type": "text", "text": "s" * 8000, "cache_control": {"type": "ephemeral"}}]
    usages = []
    for prompt in ("hi", "hi", "hello"):
        message = {"role": "user", "content": prompt}
        made = await client.messages.create(
            model="m", max_tokens=99, system=system, messages=[message]
        )
        usages.append((made.usage.cache_creation_input_tokens, made.usage.cache_read_input_tokens))
    assert usages == [(2000, 0), (0, 2000), (0, 2000)]


async def test_a_scripted_reply_is_said_exactly(client, mock: AnthropicMock) -> None:
    mock.enqueue(
        Reply(
            chunks=("a", "", "é😀"),
            thinking="hm",
            stop_reason="refusal",
            input_usage=InputUsage(1, 2, 3),
            output_tokens=7,
        ),
        "second",
    )
    deltas: list[str] = []
    async with client.messages.stream(model="m", max_tokens=1, messages=[USER]) as stream:
        async for event in stream:
            if event.type == "content_block_delta" and event.delta.type == "text_delta":
                deltas.append(event.delta.text)
        message = await stream.get_final_message()
    assert deltas == ["a", "", "é😀"]
    assert (message.content[0].thinking, message.stop_reason) == ("hm", "refusal")
    assert message.usage.output_tokens == 7
    assert message.usage.cache_read_input_tokens == 3
    after = await client.messages.create(model="m", max_tokens=99, messages=[USER])
    assert after.content[0].text == "second"


async def test_a_responder_answers_by_request(client, mock: AnthropicMock) -> None:
    async with (
        AnthropicMock(respond=lambda request: Reply(str(request.json["model"]))) as other,
        anthropic.AsyncAnthropic(base_url=other.url, api_key="k") as own,
    ):
        message = await own.messages.create(model="this one", max_tokens=99, messages=[USER])
    assert message.content[0].text == "this one"


async def test_a_stop_sequence_ends_the_text_before_itself(client) -> None:
    message = {"role": "user", "content": "[mock:echo one two three]"}
    made = await client.messages.create(
        model="m", max_tokens=99, messages=[message], stop_sequences=["three", "two"]
    )
    assert (made.content[0].text, made.stop_reason, made.stop_sequence) == (
        "one ",
        "stop_sequence",
        "two",
    )


async def test_a_paused_turn_goes_on_when_it_is_sent_back(client) -> None:
    prompt = {"role": "user", "content": "hi [mock:pause_turn after=2]"}
    first = await client.messages.create(model="m", max_tokens=9000, messages=[prompt])
    assert first.stop_reason == "pause_turn"
    rest = await client.messages.create(
        model="m", max_tokens=9000, messages=[prompt, first.to_param()]
    )
    whole = await client.messages.create(
        model="m", max_tokens=9000, messages=[{"role": "user", "content": "hi"}]
    )
    assert first.content[0].text + rest.content[0].text == whole.content[0].text


async def test_requests_are_recorded_as_they_came(client, mock: AnthropicMock) -> None:
    await client.messages.create(model="m", max_tokens=9, system="sys", messages=[USER])
    request = mock.requests[-1]
    assert (request.method, request.path) == ("POST", "/v1/messages")
    # From 2.0 on, the SDK sends a key as a bearer token.
    bearer = request.headers.get("authorization")
    assert "k" in {request.headers.get("x-api-key"), bearer and bearer.removeprefix("Bearer ")}
    assert request.json["system"] == "sys"


def test_it_runs_in_a_thread_for_synchronous_callers() -> None:
    with (
        AnthropicMock.in_thread() as mock,
        anthropic.Anthropic(base_url=mock.url, api_key="k") as client,
    ):
        message = client.messages.create(model="m", max_tokens=9000, messages=[USER])
    assert message.stop_reason == "end_turn"
