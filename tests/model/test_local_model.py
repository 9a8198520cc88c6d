"""Whole turns against a real model: what a scripted one cannot show is timing and what it counts.

Law: the words of the model reach the reader while it writes, and are stored as they were read.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx

from tests.model.running import Chatting, Reply, visible_text

Serve = Callable[..., Chatting]


def test_words_arrive_while_the_model_is_still_writing(server: Chatting) -> None:
    chunks = []
    running_at_first_word = None

    for chunk in server.chunks("first", "What is a garden?", mode="discuss"):
        chunks.append(chunk)
        if chunk["type"] == "text-delta" and running_at_first_word is None:
            running_at_first_word = server.get("/api/chats/first")["running"]

    reply = Reply(chunks)
    assert running_at_first_word is True
    assert len(reply.deltas) > 1
    [_, stored] = server.get("/api/chats/first")["messages"]
    assert visible_text(stored) == reply.text


def test_a_reply_over_the_limit_goes_on_in_a_second_call_and_both_are_counted(
    server: Chatting,
) -> None:
    reply = server.ask("long", "Tell me all about gardens.")

    usage = reply.usage
    assert usage["segments"] == 2
    assert 24 < usage["outputTokens"] <= 48
    assert usage["inputTokens"] + usage["cacheReadTokens"] > 500
    assert usage["costUsd"] is None
    assert reply.finish_reason in {"stop", "length"}
    [_, stored] = server.get("/api/chats/long")["messages"]
    assert visible_text(stored) == reply.text


def test_a_chat_outlives_the_server(serve: Serve) -> None:
    server = serve()
    server.ask("kept", "What is a garden?", mode="discuss")
    server.ask("kept", "Thank you", mode="discuss")
    before = server.get("/api/chats/kept")

    server.stop()
    server.start()

    after = server.get("/api/chats/kept")
    assert [message["role"] for message in after["messages"]] == ["user", "assistant"] * 2
    assert after == before
    assert server.ask("kept", "One more", mode="discuss").finish_reason in {"stop", "length"}
    assert len(server.get("/api/chats/kept")["messages"]) == 6


def test_stop_reaches_the_model(serve: Serve, model_url: str) -> None:
    server = serve(OPENBOLT_MAX_TOKENS="3000")
    chunks = []

    for chunk in server.chunks("endless", "Tell me all about gardens.", mode="discuss"):
        chunks.append(chunk)
        if chunk["type"] == "text-delta" and len(Reply(chunks).deltas) == 1:
            assert server.post("/api/chat/endless/stop") == {"stopped": True}

    assert chunks[-1] == {"type": "abort"}
    [_, stored] = server.get("/api/chats/endless")["messages"]
    assert visible_text(stored) == Reply(chunks).text
    deadline = time.monotonic() + 10
    while busy(model_url) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not busy(model_url)


def test_the_enhancer_streams_text(server: Chatting) -> None:
    body = {"message": "a page for my garden"}

    with httpx.stream("POST", f"{server.url}/api/enhancer", json=body, timeout=120) as answer:
        pieces = list(answer.iter_text())

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert len(pieces) > 1
    assert "".join(pieces).strip()


def busy(model_url: str) -> bool:
    """Whether llama.cpp works on a reply."""
    return any(slot["is_processing"] for slot in httpx.get(f"{model_url}/slots").json())
