"""The laws of a turn, held after each turn of a story."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from attrs import define, field, frozen

from tests.durability import oracle
from tests.durability.simulation import (
    Call,
    Disk,
    Heard,
    KilledError,
    Power,
    Process,
    ScriptedModel,
)
from tests.durability.story import CHAT, PROJECT, Played, Reader, Turn, play, read_again

LEASE = 30.0
SILENCE = 20.0
FOR_EVER = 1000.0
"""A grace that outlasts every turn."""


@frozen
class Story:
    """Turns of one chat, one after the other, under some settings."""

    turns: tuple[Turn, ...]
    grace: float = 0.0
    max_segments: int = 3
    max_recoveries: int = 2
    latency: float = 0.0


@define
class Teller:
    """Plays a story and holds every law after each turn.

    Attributes:
        deaths: Turns in which the process was killed.
    """

    story: Story
    disk: Disk = field(factory=Disk)
    model: ScriptedModel = field(factory=ScriptedModel)
    deaths: int = 0
    messages: int = 0
    versions: dict[int, dict[str, str]] = field(factory=dict[int, dict[str, str]])

    def boot(self) -> Process:
        """A process over the disk as it is."""
        story = self.story
        limits = {
            "disconnect_grace": story.grace,
            "max_segments": story.max_segments,
            "max_recoveries": story.max_recoveries,
            "max_turns_per_user": 1,
            "silence_timeout": SILENCE,
            "turn_timeout": 10 * SILENCE,
            "lease_ttl": LEASE,
        }
        return Process(self.disk, self.model, Power(latency=story.latency), limits)

    async def tell(self) -> None:
        process = self.boot()
        for number, turn in enumerate(self.story.turns):
            self.model.script(turn.text, turn.calls)
            played = await play(process, turn, f"prompt {number}")
            assert self.model.open == 0
            self.deaths += played.killed
            if played.killed or turn.fails or turn.is_ended_twice:
                if turn.fails and not played.killed:
                    check_answered(played.first, left=turn.is_left)
                # A dead process' lease, or one that could not be given back, runs out.
                await asyncio.sleep(LEASE + 1)
                if turn.kill_again is not None:
                    await self.die_again(turn.kill_again)
                process = self.boot()
                await self.check_recovered(process, played)
            else:
                if played.first.status is None:
                    # Who hangs up while the lease is being taken leaves it to its time.
                    await asyncio.sleep(LEASE + 1)
                await self.check_settled(process, turn, played)
                if turn.shutdown is not None:
                    process = self.boot()
        await self.check_goes_on(process)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert left == set()

    async def die_again(self, kill_at: int) -> None:
        """The process that settles what a killed one left is killed on the way."""
        process = self.boot()
        process.power.reset(kill_at=kill_at, after=False, fails=range(0))
        with suppress(KilledError):
            await self.chat(process)
        await asyncio.sleep(LEASE + 1)

    async def check_settled(self, process: Process, turn: Turn, played: Played) -> None:
        """After a turn that could end by itself."""
        assert await self.disk.leases.holder(f"chat:{CHAT}") is None
        assert await self.disk.keys(f"project:{PROJECT}/journal/") == []
        began = bool(self.model.heard)
        chat = await self.chat(process)
        assert len(chat["messages"]) == self.messages + 2 * began
        self.messages = len(chat["messages"])
        if not began:
            assert played.first.status in {None, 502, 504}
            assert await self.disk.versions(PROJECT) == self.versions
            return
        assert chat["running"] is False
        whole = await read_again(process)
        assert whole.status == 200
        check_whole(whole)
        check_readers(whole, played, left=turn.is_left)
        frames = [frame for _, frame in whole.frames]
        text = oracle.joined(heard.text for heard in self.model.heard)
        check_text(frames, text)
        check_actions(frames, oracle.action_count(text))
        message = chat["messages"][-1]
        assert message["parts"] == oracle.fold(frames)
        assert await self.raw(message["id"]) == text
        check_usage(frames, self.model.heard, len(self.model.requests))
        check_status(frames, message["metadata"])
        self.check_asked_on()
        stays = not turn.is_left or (
            self.story.grace == FOR_EVER and turn.shutdown is None and played.first.status == 200
        )
        if stays and turn.stop is None:
            assert ending_of(frames) == expected_ending(self.story, turn)
        await self.check_files(frames, text)

    async def check_files(self, frames: Sequence[Mapping[str, Any]], text: str) -> None:
        whole = dict(oracle.whole_files(text))
        said = {f["id"]: f["data"]["state"] for f in frames if f["type"] == "data-file"}
        assert {path for path, state in said.items() if state == "saved"} >= set(whole) - set(
            truncated_after(text)
        )
        before = self.versions.get(len(self.versions), {})
        after = {**before, **whole}
        versions = await self.disk.versions(PROJECT)
        expected = {**self.versions, **({} if after == before else {len(self.versions) + 1: after})}
        assert versions == expected
        self.versions = versions

    async def check_recovered(self, process: Process, played: Played) -> None:
        """After a crash, or a store that failed: nothing whole is lost, nothing partial is kept."""
        chat = await self.chat(process)
        for path in ("/api/projects/p", "/api/projects/p/versions"):
            status, _ = await process.call("GET", path)
            assert status in {200, 404}
        assert await self.disk.leases.holder(f"chat:{CHAT}") is None
        assert await self.disk.keys(f"project:{PROJECT}/journal/") == []
        text = oracle.joined(heard.text for heard in self.model.heard)
        added = chat["messages"][self.messages :]
        assert [m["role"] for m in added] in (["user", "assistant"], [])
        self.messages = len(chat["messages"])
        frames = [frame for _, frame in played.first.frames]
        if frames:
            assert added, "a client saw the turn begin"
        said: dict[str, str] = {}
        if added:
            message = added[-1]
            raw = await self.raw(message["id"])
            assert text.startswith(raw)
            parts = message["parts"]
            shown = "".join(p["text"] for p in parts if p["type"] == "text")
            assert shown == oracle.visible(raw)
            states = [p["data"]["state"] for p in parts if p["type"] == "data-action"]
            assert "open" not in states
            said = {p["id"]: p["data"]["state"] for p in parts if p["type"] == "data-file"}
            if not (played.first.ended and frames[-1]["type"] == "finish"):
                assert message["metadata"]["status"] in {
                    "interrupted", "complete", "failed", "stopped",
                }  # fmt: skip
            else:
                assert message["metadata"]["status"] == "complete"
        await self.check_recovered_files(frames, text, said)
        again = await process.open("GET", f"/api/chat/{CHAT}/stream")
        assert again.status in {204, 404}

    async def check_recovered_files(
        self, frames: Sequence[Mapping[str, Any]], text: str, said: Mapping[str, str]
    ) -> None:
        versions = await self.disk.versions(PROJECT)
        assert {n: versions.get(n) for n in self.versions} == self.versions
        assert len(versions) - len(self.versions) in {0, 1}
        before = self.versions.get(len(self.versions), {})
        now = versions.get(len(versions), {})
        whole = oracle.whole_files(text)
        for path, content in now.items():
            assert content == before.get(path) or (path, content) in whole
        assert set(before) <= set(now)
        for path in {path for path, content in now.items() if content != before.get(path)}:
            assert said.get(path) in {"saved", "kept"}, "a file was changed without a word"
        for path, state in said.items():
            if state == "saved":
                assert path in now
        # What a client was told is saved is saved: that text, or a later one of the turn.
        order = [path for path, _ in whole]
        for path in {f["id"] for f in frames if f["type"] == "data-file"}:
            times = sum(
                f["type"] == "data-file" and f["id"] == path and f["data"]["state"] == "saved"
                and "version" not in f["data"] for f in frames
            )  # fmt: skip
            texts = [content for name, content in whole if name == path]
            if times:
                assert now[path] in texts[times - 1 :], (path, order)
        self.versions = versions

    def check_asked_on(self) -> None:
        """Whenever the model is asked on, it is shown all that it has said, by a user's turn."""
        said = ""
        first = self.model.requests[0].messages
        for request in self.model.requests:
            assert request.messages[: len(first)] == first
            assert request.messages[-1].role == "user"
            said = "".join(
                block.text  # type: ignore[union-attr]
                for message in request.messages[len(first) :]
                if message.role == "assistant"
                for block in message.content[-1:]
            )
        text = oracle.joined(heard.text for heard in self.model.heard)
        assert "".join(text.split()).startswith("".join(said.split()))

    async def check_goes_on(self, process: Process) -> None:
        """Another prompt in the same chat works, and reads as if nothing had been."""
        self.model.script("All is well.", ())
        played = await play(process, Turn(""), "and now?")
        assert played.first.status == 200, played.first.answer
        frames = [frame for _, frame in played.first.frames]
        check_text(frames, "All is well.")
        assert ending_of(frames) == ("finish", "stop")
        chat = await self.chat(process)
        roles = [message["role"] for message in chat["messages"]]
        assert roles == ["user", "assistant"] * (self.messages // 2 + 1)
        assert await self.disk.versions(PROJECT) == self.versions

    async def chat(self, process: Process) -> Any:
        status, chat = await process.call("GET", f"/api/chats/{CHAT}")
        return chat if status == 200 else {"messages": [], "running": False}

    async def raw(self, message_id: str) -> str:
        stored = await self.disk.kv.get(f"chat:{CHAT}/message/{message_id}")
        assert stored is not None
        return str(json.loads(stored)["raw"])


def truncated_after(text: str) -> list[str]:
    """Paths whose last action in a reply did not come whole."""
    opened = [p.partition('"')[0] for p in text.split('<boltAction type="file" filePath="')[1:]]
    done = [path for path, _ in oracle.whole_files(text)]
    return opened[len(done) :]


def check_answered(reader: Reader, *, left: bool) -> None:
    """A status and a JSON body, or a stream with one ending: never both, never neither."""
    if reader.status is None or (left and not reader.ended):
        assert left
    elif reader.status == 200:
        check_whole(reader)
    else:
        assert reader.answer["error"]["code"]


def check_whole(reader: Reader) -> None:
    assert reader.ended
    assert [index for index, _ in reader.frames] == list(range(len(reader.frames)))
    kinds = [frame["type"] for _, frame in reader.frames]
    assert kinds[:2] == ["start", "start-step"]
    assert [k for k in kinds if k in {"finish", "error", "abort"}] == kinds[-1:]
    assert kinds.count("finish-step") == (kinds[-1] == "finish")


def check_readers(whole: Reader, played: Played, *, left: bool) -> None:
    """Whoever reads from some index gets exactly what comes after it."""
    for reader in [played.first, *played.others]:
        expected = whole.frames[reader.after + 1 :]
        if reader.ended:
            assert reader.frames == expected
        else:
            assert reader.frames == expected[: len(reader.frames)]
            assert left or reader.status is None


def check_text(frames: Sequence[Mapping[str, Any]], text: str) -> None:
    shown = "".join(f["delta"] for f in frames if f["type"] == "text-delta")
    assert shown == oracle.visible(text)


def check_actions(frames: Sequence[Mapping[str, Any]], count: int) -> None:
    states: dict[str, list[str]] = {}
    for frame in frames:
        if frame["type"] == "data-action":
            states.setdefault(frame["id"], []).append(frame["data"]["state"])
    assert len(states) == count
    for history in states.values():
        assert history[0] == "open"
        assert len(history) == 2
        assert history[1] in {"closed", "truncated", "repaired"}


def check_usage(frames: Sequence[Mapping[str, Any]], calls: Sequence[Heard], asked: int) -> None:
    took = gave = 0
    for heard in calls:
        took += heard.usage[0]
        size = len(heard.text) + len(heard.thought)
        # Of a reply that broke off, the count that came first says less than what was read.
        estimate = -(-size // 4) if heard.stopped is None else 0
        gave += max(heard.usage[1], estimate)
    [usage] = [f["data"] for f in frames if f["type"] == "data-usage"]
    assert (usage["inputTokens"], usage["outputTokens"]) == (took, gave)
    assert usage["segments"] == asked


def ending_of(frames: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    last = frames[-1]
    return last["type"], last.get("messageMetadata", {}).get("finishReason", "")


def check_status(frames: Sequence[Mapping[str, Any]], metadata: Mapping[str, Any]) -> None:
    kind, reason = ending_of(frames)
    allowed = {
        "finish": {"complete"},
        "error": {"failed"},
        "abort": {"stopped", "interrupted"},
    }
    assert metadata["status"] in allowed[kind]
    assert metadata.get("finishReason", "") == reason


def expected_ending(story: Story, turn: Turn) -> tuple[str, str]:
    """How a turn ends that nobody disturbs and whose first call was answered."""
    segments = recoveries = 0
    reasons = {"end_turn": "stop", "refusal": "content-filter"}
    for call in [*turn.calls, Call()]:
        kind = call.refused or call.ending
        if kind == "broken":
            recoveries += 1
            if recoveries > story.max_recoveries:
                return "error", ""
        elif kind == "max_tokens":
            segments += 1
            if segments >= story.max_segments:
                return "finish", "length"
        elif kind in {"fatal", "stall", "pings"}:
            return "error", ""
        else:
            return "finish", reasons[kind]
    raise AssertionError
