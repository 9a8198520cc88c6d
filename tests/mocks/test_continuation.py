"""A reply that was cut goes on exactly where it stopped, however often it was cut."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from openbolt_local.mocks import AnthropicMock, Reply
from openbolt_local.mocks.brain import answer
from openbolt_local.mocks.call import Call, read_call
from openbolt_local.mocks.choosing import Chooser
from openbolt_local.mocks.connection import ReceivedRequest
from openbolt_local.mocks.conversation import splice
from openbolt_local.mocks.reply import Emission, plan_emission
from openbolt_local.mocks.tokens import InputUsage
from tests.mocks.raw import body, exchange, request_bytes

PROMPT = "Build a todo list"
GO_ON = "Continue exactly where you stopped. Do not repeat anything."


def turn(chooser: Chooser, messages: list[dict[str, str]], max_tokens: int) -> Emission:
    """One request, without the network."""
    value = {"model": "m", "max_tokens": max_tokens, "messages": messages}
    request = ReceivedRequest("POST", "/v1/messages", {}, json.dumps(value).encode())
    call: Call = read_call(request.body)
    reply, directive = chooser.choose(call, request)
    return plan_emission(
        message_id="m",
        call=call,
        reply=reply,
        directive=directive,
        input_usage=InputUsage(0),
        thinking=None,
        delta_size=12,
    )


def rounds(
    chooser: Chooser, prompt: str, max_tokens: int, *, joined: bool, overlapping: bool = False
) -> list[str]:
    """Ask on until the end; the parts are sent back as one assistant turn or as a chain."""
    messages = [{"role": "user", "content": prompt}]
    parts: list[str] = []
    said = ""
    while True:
        emission = turn(chooser, messages, max_tokens)
        parts.append(emission.text)
        said = splice(said, emission.text) if overlapping else said + emission.text
        if emission.stop_reason != "max_tokens":
            return parts
        if joined:
            messages = [messages[0], {"role": "assistant", "content": said}]
        else:
            messages.append({"role": "assistant", "content": emission.text})
        messages.append({"role": "user", "content": GO_ON})


def whole(prompt: str) -> str:
    value = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": prompt}]}
    return answer(read_call(json.dumps(value).encode()).messages, "")


@given(max_tokens=st.integers(150, 3000), joined=st.booleans())
@example(max_tokens=150, joined=False)
@settings(max_examples=25)
def test_the_parts_are_the_whole_for_every_limit(max_tokens: int, joined: bool) -> None:
    parts = rounds(Chooser(None, 0), PROMPT, max_tokens, joined=joined)
    assert "".join(parts) == whole(PROMPT)
    assert all(len(part.encode()) <= max_tokens * 4 for part in parts)


@given(
    text=st.text(alphabet=st.sampled_from("abé€😀<>\n "), min_size=1, max_size=200).filter(
        str.strip
    ),
    max_tokens=st.integers(1, 60),
)
def test_a_scripted_text_is_continued_too(text: str, max_tokens: int) -> None:
    chooser = Chooser(None, 0)
    chooser.queue.append(Reply(text))
    messages = [{"role": "user", "content": "hi"}]
    said = ""
    while True:
        emission = turn(chooser, messages, max_tokens)
        said += emission.text
        if emission.stop_reason != "max_tokens" or not said.strip():
            break
        messages = [messages[0], {"role": "assistant", "content": said}]
        messages.append({"role": "user", "content": GO_ON})
    assert said == text if said.strip() else text.startswith(said)


def test_another_mock_can_go_on() -> None:
    first = turn(Chooser(None, 0), [{"role": "user", "content": PROMPT}], 100)
    messages = [
        {"role": "user", "content": PROMPT},
        {"role": "assistant", "content": first.text},
        {"role": "user", "content": GO_ON},
    ]
    assert first.text + turn(Chooser(None, 0), messages, 10_000).text == whole(PROMPT)


@pytest.mark.parametrize("joined", [True, False])
@pytest.mark.parametrize("written", [True, False])
def test_a_seam_can_overlap(written: bool, joined: bool) -> None:
    prompt = f"{PROMPT} [mock:seam-overlap=40]" if written else PROMPT
    chooser = Chooser(None, 0 if written else 40)
    parts = rounds(chooser, prompt, 500, joined=joined, overlapping=True)
    said = parts[0]
    for part in parts[1:]:
        assert part[:40] == said[-40:]
        said += part[40:]
    assert said == whole(PROMPT)


def test_a_limit_in_the_prompt_holds_for_every_part() -> None:
    parts = rounds(Chooser(None, 0), f"{PROMPT} [mock:max-tokens=300]", 10_000, joined=True)
    assert "".join(parts) == whole(PROMPT)
    assert len(parts) == -(-len(whole(PROMPT).encode()) // 1200)


def test_a_wish_after_a_stopped_reply_is_no_continuation() -> None:
    messages = [
        {"role": "user", "content": PROMPT},
        {"role": "assistant", "content": whole(PROMPT)[:6000]},
        {"role": "user", "content": "frobnicate"},
    ]
    assert turn(Chooser(None, 0), messages, 9000).text.startswith("I did not understand")


def test_what_was_complete_is_not_continued() -> None:
    messages = [
        {"role": "user", "content": PROMPT},
        {"role": "assistant", "content": whole(PROMPT)},
        {"role": "user", "content": "continue"},
    ]
    assert turn(Chooser(None, 0), messages, 9000).text.startswith("There is nothing to continue")


async def test_max_tokens_are_cut_and_told_on_the_wire() -> None:
    async with AnthropicMock() as mock:
        got = await exchange(mock.url, request_bytes(body(PROMPT, max_tokens=50)))
    assert got.content == whole(PROMPT)[:200]
    assert '"stop_reason":"max_tokens"' in got.text
    assert '"output_tokens":50' in got.text
