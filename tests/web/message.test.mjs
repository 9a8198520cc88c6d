// A reply built from frames must look like the same reply read from the store.

import assert from "node:assert/strict";
import { test } from "node:test";
import { applyFrame, blocksOf, emptyReply, filesWritten, fromStored, interrupt } from "../../examples/web/message.js";

const FRAMES = [
  { type: "start-step" },
  { type: "reasoning-start", id: "r1" },
  { type: "reasoning-delta", id: "r1", delta: "hm" },
  { type: "reasoning-end", id: "r1" },
  { type: "text-start", id: "t1" },
  { type: "text-delta", id: "t1", delta: "Before" },
  { type: "text-end", id: "t1" },
  { type: "data-artifact", id: "a", data: { artifactId: "a", title: "App", state: "open" } },
  { type: "data-action", id: "0", data: { artifactId: "a", actionId: "0", type: "file", filePath: "x.js", state: "open" } },
  { type: "data-action-delta", transient: true, data: { actionId: "0", delta: "let " } },
  { type: "data-action-delta", transient: true, data: { actionId: "0", delta: "x" } },
];
const CLOSING = [
  { type: "data-action", id: "0", data: { artifactId: "a", actionId: "0", type: "file", filePath: "x.js", state: "closed", content: "let x\n" } },
  { type: "data-file", id: "x.js", data: { filePath: "x.js", state: "saved", version: 1 } },
  { type: "data-artifact", id: "a", data: { artifactId: "a", title: "App", state: "closed" } },
  { type: "text-start", id: "t2" },
  { type: "text-delta", id: "t2", delta: "After" },
  { type: "text-end", id: "t2" },
  { type: "data-usage", id: "usage", data: { inputTokens: 1, outputTokens: 2 } },
  { type: "finish-step" },
  { type: "finish", finishReason: "stop" },
];

const build = (frames, message = emptyReply("m")) => frames.reduce(applyFrame, message);

test("text, artifact and later text stay in the order in which they came", () => {
  const { blocks } = blocksOf(build([...FRAMES, ...CLOSING]));
  assert.deepEqual(blocks.map((block) => block.key), ["reasoning:0", "text:1", "artifact:a", "text:5"]);
});

test("a data part with a known type and id replaces the old one", () => {
  const { blocks, files } = blocksOf(build([...FRAMES, ...CLOSING]));
  assert.deepEqual(blocks[2].actions.map((action) => action.state), ["closed"]);
  assert.equal(blocks[2].artifact.state, "closed");
  assert.deepEqual([...files.values()].map((file) => file.state), ["saved"]);
});

test("a file shows its deltas while it is written and its content once it is closed", () => {
  const open = build(FRAMES);
  assert.deepEqual([...filesWritten(open)], [["x.js", { text: "let x", state: "open" }]]);
  assert.deepEqual([...filesWritten(build(CLOSING, open))], [["x.js", { text: "let x\n", state: "closed" }]]);
});

test("a stored reply shows the same blocks as the stream did", () => {
  const live = build([...FRAMES, ...CLOSING]);
  const stored = fromStored({
    id: "m",
    role: "assistant",
    metadata: { status: "complete" },
    parts: live.parts.map(({ state, ...part }) => part),
  });
  assert.deepEqual(blocksOf(stored), blocksOf(live));
});

test("frames never change a message in place", () => {
  const before = build(FRAMES);
  const copy = structuredClone(before);
  build(CLOSING, before);
  assert.deepEqual(before, copy);
});

test("abort, error and a lost connection close the open text and say how it ended", () => {
  const open = build([{ type: "text-start", id: "t" }, { type: "text-delta", id: "t", delta: "half" }]);
  assert.equal(applyFrame(open, { type: "abort" }).status, "stopped");
  const failed = applyFrame(open, { type: "error", errorText: "Overloaded" });
  assert.deepEqual([failed.status, failed.error, failed.parts[0].state], ["failed", "Overloaded", "done"]);
  assert.equal(interrupt(open, "gone").status, "interrupted");
  assert.equal(interrupt(failed, "gone").status, "failed");
});

test("a delta for a part that is not open, and an unknown frame, change nothing", () => {
  const message = build([{ type: "text-start", id: "t" }, { type: "text-end", id: "t" }]);
  assert.equal(applyFrame(message, { type: "text-delta", id: "t", delta: "late" }), message);
  assert.equal(applyFrame(message, { type: "source-url", url: "x" }), message);
});

test("the finish reason is read beside the type and in the metadata", () => {
  assert.equal(build([{ type: "finish", finishReason: "length" }]).finishReason, "length");
  assert.equal(build([{ type: "finish", messageMetadata: { finishReason: "length" } }]).finishReason, "length");
});
