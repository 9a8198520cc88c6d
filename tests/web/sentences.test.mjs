// Whoever reads a refusal is a person: every code and status must come out as a sentence to act on.

import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { test } from "node:test";
import { sentenceOf, signInSentence, waitOf } from "../../examples/web/sentences.js";

const isSentence = (text) => /^[A-Z\u201c].*[.!?]$/s.test(text);

test("no code is no problem", () => {
  assert.equal(signInSentence(null), null);
  assert.equal(signInSentence(""), null);
});

test("a code that nobody knows gives a sentence, and is not in it", () => {
  for (const code of ["<b>x</b>", "toString", "__proto__", "constructor", "sign_in_bogus"]) {
    const said = signInSentence(code);
    assert.ok(isSentence(said));
    assert.ok(!said.includes(code));
  }
});

test("every code that a sign-in can end with has a sentence of its own", async () => {
  const folder = new URL("../../src/openbolt/auth/", import.meta.url);
  const names = (await readdir(folder)).filter((name) => /^(sign_in|github|oidc|admission|identity|_oauth)/.test(name) && name.endsWith(".py"));
  const sources = await Promise.all(names.map((name) => readFile(new URL(name, folder), "utf8")));
  const codes = new Set(sources.flatMap((text) => [...text.matchAll(/\bcode = ?"([a-z_]+)"|\bcode="([a-z_]+)"/g)].map(([, a, b]) => a ?? b)));
  assert.ok(codes.has("sign_in_declined") && codes.has("sign_in_not_allowed"), "the source is where it was");
  const other = signInSentence("no_such_code");
  for (const code of codes) assert.notEqual(signInSentence(code), other, code);
});

test("waiting is told in the largest unit that fits, and never too short", () => {
  const cases = [[0, "in 1 second"], [1, "in 1 second"], [1.2, "in 2 seconds"], [45, "in 45 seconds"], [90, "in 90 seconds"], [91, "in 2 minutes"], [3600, "in 60 minutes"], [7200, "in 2 hours"], [200_000, "in 3 days"]];
  for (const [seconds, expected] of cases) assert.equal(waitOf(seconds), expected);
});

test("the server's own words stand, with the wait after them", () => {
  assert.equal(sentenceOf({ status: 429, code: "rate_limited", message: "Too many requests.", retryAfter: 5 }), "Too many requests. Try again in 5 seconds.");
  assert.equal(sentenceOf({ status: 503, code: "upstream_overloaded", message: "The model is overloaded", retryAfter: 1 }), "The model is overloaded. Try again in 1 second.");
  assert.equal(sentenceOf({ status: 429, message: "Too many requests. Try again in 1 second.", retryAfter: 1 }), "Too many requests. Try again in 1 second.");
  assert.equal(sentenceOf({ status: 403, code: "scope_missing", message: "The key lacks the scope admin." }), "The key lacks the scope admin.");
});

test("a refusal without words is a sentence all the same", () => {
  for (const status of [401, 403, 404, 413, 429, 418, 500, 502, 503]) {
    assert.ok(isSentence(sentenceOf({ status })), String(status));
    assert.ok(isSentence(sentenceOf({ status, message: "" })), String(status));
  }
});

test("refusals in the words of a protocol are said in a person's", () => {
  for (const code of ["cross_origin", "precondition_failed"]) {
    const said = sentenceOf({ status: 403, code, message: "Sec-Fetch-Site: cross-site" });
    assert.ok(isSentence(said) && !said.includes("Sec-Fetch"));
  }
});
