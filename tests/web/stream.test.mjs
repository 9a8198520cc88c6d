// The page's stream parser must give the same frames whatever the network does to the bytes.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SseParser, StreamCutError, readFrames } from "../../examples/web/stream.js";

const REPLY =
  'id: 0\ndata: {"type":"start","messageId":"m1"}\n\n' +
  ": keep-alive\n\n" +
  'id: 1\r\ndata: {"type":"text-start","id":"t1"}\r\n\r\n' +
  'id: 2\rdata: {"type":"text-delta","id":"t1","delta":"h\u00e9llo \u{1F980}\\n"}\r\r' +
  'id: 3\ndata: {"type":"finish","finishReason":"stop"}\n\n' +
  "data: [DONE]\n\n";

const FRAMES = [
  { frame: { type: "start", messageId: "m1" }, id: "0" },
  { frame: { type: "text-start", id: "t1" }, id: "1" },
  { frame: { type: "text-delta", id: "t1", delta: "h\u00e9llo \u{1F980}\n" }, id: "2" },
  { frame: { type: "finish", finishReason: "stop" }, id: "3" },
];

async function* chunked(bytes, cuts) {
  let from = 0;
  for (const cut of [...cuts, bytes.length]) {
    yield bytes.subarray(from, cut);
    from = cut;
  }
}

async function collect(chunks) {
  const frames = [];
  for await (const frame of readFrames(chunks)) frames.push(frame);
  return frames;
}

test("every single cut of the bytes gives the same frames", async () => {
  const bytes = new TextEncoder().encode(REPLY);
  for (let cut = 0; cut <= bytes.length; cut++) {
    assert.deepEqual(await collect(chunked(bytes, [cut])), FRAMES, `cut at byte ${cut}`);
  }
});

test("one byte at a time gives the same frames", async () => {
  const bytes = new TextEncoder().encode(REPLY);
  const cuts = Array.from({ length: bytes.length - 1 }, (_, index) => index + 1);
  assert.deepEqual(await collect(chunked(bytes, cuts)), FRAMES);
});

test("pseudo-random chunkings give the same frames", async () => {
  const bytes = new TextEncoder().encode(REPLY);
  let seed = 1;
  const random = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
  for (let round = 0; round < 200; round++) {
    const cuts = Array.from({ length: 8 }, () => Math.floor(random() * bytes.length)).sort((a, b) => a - b);
    assert.deepEqual(await collect(chunked(bytes, cuts)), FRAMES, `cuts ${cuts}`);
  }
});

test("a stream without [DONE] is cut, and the frames before it were given", async () => {
  const seen = [];
  const bytes = new TextEncoder().encode('data: {"type":"start"}\n\ndata: {"type":"text-st');
  await assert.rejects(async () => {
    for await (const { frame } of readFrames(chunked(bytes, []))) seen.push(frame);
  }, StreamCutError);
  assert.deepEqual(seen, [{ type: "start" }]);
});

test("a frame that is not JSON is an error, not a gap", async () => {
  await assert.rejects(collect(chunked(new TextEncoder().encode("data: {oops\n\n"), [])), StreamCutError);
});

test("nothing after [DONE] is read", async () => {
  const bytes = new TextEncoder().encode('data: [DONE]\n\ndata: {"type":"text-start"}\n\n');
  assert.deepEqual(await collect(chunked(bytes, [])), []);
});

test("data lines are joined by a newline, one space after the colon is dropped, event names are kept", () => {
  assert.deepEqual(new SseParser().feed("event: note\ndata: a\ndata:  b\ndata\n\n"), [
    { data: "a\n b\n", event: "note", id: "" },
  ]);
});

test("an id sticks until the next one, and an event without data is none", () => {
  const parser = new SseParser();
  assert.deepEqual(parser.feed("id: 7\n\ndata: x\n\ndata: y\n\n"), [
    { data: "x", event: "message", id: "7" },
    { data: "y", event: "message", id: "7" },
  ]);
});

test("a byte order mark at the start is no part of the first field", () => {
  assert.deepEqual(new SseParser().feed("\uFEFFdata: x\n\n"), [{ data: "x", event: "message", id: "" }]);
});
