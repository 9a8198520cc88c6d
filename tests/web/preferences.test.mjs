// What a person chooses must hold at once, survive a dead network and a reload, and never undo what they
// chose elsewhere.

import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULTS, Preferences, joinPatches, mergePatch, withoutPatch } from "../../examples/web/preferences.js";

const refusal = (status) => Object.assign(new Error(`refused: ${status}`), { status });

/** What `/api/preferences` does, in memory. */
class Server {
  version = 0;
  chosen = {};
  down = false;
  refused = null; // a field
  written = [];
  before = () => {};

  get etag() {
    return `"${this.version}"`;
  }

  #answer() {
    return { version: this.version, preferences: mergePatch(DEFAULTS, this.chosen), etag: this.etag };
  }

  change(patch) {
    this.chosen = mergePatch(this.chosen, patch);
    this.version += 1;
  }

  async read() {
    if (this.down) throw refusal(0);
    return structuredClone(this.#answer());
  }

  async write(patch, etag) {
    if (this.down) throw refusal(0);
    this.before();
    if (etag !== null && etag !== this.etag) throw refusal(412);
    if (this.refused in patch) throw refusal(400);
    this.written.push(structuredClone(patch));
    this.change(patch);
    return structuredClone(this.#answer());
  }
}

class Store {
  text = null;
  load = () => this.text;
  save = (text) => (this.text = text);
}

const open = (server, store = new Store()) => new Preferences({ store, remote: server, wait: async () => {} });

test("merge patches are applied as RFC 7396's appendix has them", () => {
  const cases = [
    [{ a: "b" }, { a: "c" }, { a: "c" }],
    [{ a: "b" }, { b: "c" }, { a: "b", b: "c" }],
    [{ a: "b" }, { a: null }, {}],
    [{ a: "b", b: "c" }, { a: null }, { b: "c" }],
    [{ a: ["b"] }, { a: "c" }, { a: "c" }],
    [{ a: "c" }, { a: ["b"] }, { a: ["b"] }],
    [{ a: { b: "c" } }, { a: { b: "d", c: null } }, { a: { b: "d" } }],
    [{ a: [{ b: "c" }] }, { a: [1] }, { a: [1] }],
    [["a", "b"], ["c", "d"], ["c", "d"]],
    [{ a: "b" }, ["c"], ["c"]],
    [{ a: "foo" }, null, null],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: "b", c: null }, { a: "b" }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ];
  for (const [target, patch, expected] of cases) assert.deepEqual(mergePatch(target, patch), expected);
});

test("a patch cannot reach an object's prototype", () => {
  const merged = mergePatch({}, JSON.parse('{"__proto__": {"owned": true}, "a": {"__proto__": {"owned": true}}}'));
  assert.equal(merged.owned, undefined);
  assert.equal(merged.a.owned, undefined);
  assert.equal({}.owned, undefined);
});

test("joined patches do what both did, one after the other", () => {
  const states = [{}, { theme: "dark", layout: { sidebar: "open", chatShare: 30 } }];
  const patches = [{ theme: "light" }, { theme: null }, { layout: { chatShare: 50 } }, { layout: { sidebar: null } }, { layout: { chatShare: null, tab: "code" }, mode: "build" }];
  for (const state of states) {
    for (const first of patches) {
      for (const second of patches) {
        assert.deepEqual(mergePatch(state, joinPatches(first, second)), mergePatch(mergePatch(state, first), second));
      }
    }
  }
});

test("of a patch that was taken only what has changed since is left", () => {
  assert.deepEqual(withoutPatch({ a: 1, b: 2 }, { a: 1 }), { b: 2 });
  assert.deepEqual(withoutPatch({ a: 2 }, { a: 1 }), { a: 2 });
  assert.deepEqual(withoutPatch({ layout: { tab: "code", chatShare: 5 } }, { layout: { tab: "code", chatShare: 4 } }), { layout: { chatShare: 5 } });
  assert.deepEqual(withoutPatch({ layout: { tab: "code" } }, { layout: { tab: "code" } }), {});
});

test("a change holds at once and reaches the server", async () => {
  const server = new Server();
  const preferences = open(server);
  const done = preferences.change({ theme: "dark" });
  assert.equal(preferences.value.theme, "dark");
  assert.equal(preferences.status, "saving");
  await done;
  assert.deepEqual(server.chosen, { theme: "dark" });
  assert.equal(preferences.status, "saved");
});

test("changes in a row are gathered into one request", async () => {
  const server = new Server();
  const preferences = open(server);
  preferences.change({ layout: { chatShare: 41 } });
  preferences.change({ layout: { chatShare: 42 } });
  await preferences.change({ mode: "discuss" });
  assert.deepEqual(server.written, [{ layout: { chatShare: 42 }, mode: "discuss" }]);
});

test("the server's word holds over the cache", async () => {
  const server = new Server();
  const store = new Store();
  await open(server, store).change({ theme: "dark", sendKey: "mod+enter" });
  server.change({ theme: "light" });
  const preferences = open(server, store);
  assert.equal(preferences.value.theme, "dark", "the cache is for the first paint");
  await preferences.sync();
  assert.equal(preferences.value.theme, "light");
  assert.equal(preferences.value.sendKey, "mod+enter");
  assert.equal(preferences.version, server.version);
});

test("after 412 only the changed field is sent again, and the other's stays", async () => {
  const server = new Server();
  const preferences = open(server);
  await preferences.sync();
  server.change({ theme: "light", layout: { sidebar: "closed" } }); // another device
  await preferences.change({ layout: { chatShare: 55 } });
  assert.deepEqual(server.chosen, { theme: "light", layout: { sidebar: "closed", chatShare: 55 } });
  assert.deepEqual(server.written, [{ layout: { chatShare: 55 } }]);
  assert.deepEqual(preferences.value.layout, { sidebar: "closed", chatShare: 55, tab: "preview" });
  assert.equal(preferences.value.theme, "light");
});

test("a writer who is always quicker doesn't keep it asking for ever, and nothing is lost", async () => {
  const server = new Server();
  const preferences = open(server);
  await preferences.sync();
  let asked = 0;
  server.before = () => {
    asked += 1;
    server.version += 1;
  };
  await preferences.change({ mode: "discuss" });
  assert.ok(asked > 1 && asked < 10);
  assert.equal(preferences.value.mode, "discuss");
  server.before = () => {};
  await preferences.sync();
  assert.deepEqual(server.chosen, { mode: "discuss" });
});

test("what was changed while the server was away is kept over a reload and sent later", async () => {
  const server = new Server();
  const store = new Store();
  server.down = true;
  const before = open(server, store);
  await before.change({ codeFontSize: 16 });
  assert.equal(before.status, "offline");
  server.down = false;
  server.change({ theme: "dark" });
  const after = open(server, store);
  assert.equal(after.value.codeFontSize, 16);
  await after.sync();
  assert.deepEqual(server.chosen, { theme: "dark", codeFontSize: 16 });
  assert.equal(after.status, "saved");
});

test("what changes while a request is on its way is not taken for sent", async () => {
  const server = new Server();
  const preferences = open(server);
  let once = () => preferences.change({ codeFontSize: 20 });
  server.before = () => {
    once();
    once = () => {};
  };
  await preferences.change({ codeFontSize: 18 });
  await preferences.sync();
  assert.equal(server.chosen.codeFontSize, 20);
  assert.equal(preferences.value.codeFontSize, 20);
});

test("what the server refuses is taken back and said, and not asked again", async () => {
  const server = new Server();
  server.refused = "codeFontSize";
  const preferences = open(server);
  await preferences.change({ codeFontSize: 99 });
  assert.equal(preferences.status, "refused");
  assert.equal(preferences.problem.status, 400);
  assert.equal(preferences.value.codeFontSize, DEFAULTS.codeFontSize);
  await preferences.change({ theme: "dark" });
  assert.deepEqual(server.chosen, { theme: "dark" });
  assert.equal(preferences.status, "saved");
});

test("a server without preferences leaves them in the browser", async () => {
  const store = new Store();
  const remote = { read: async () => { throw refusal(404); }, write: async () => assert.fail("asked though it has none") };
  const preferences = new Preferences({ store, remote, wait: async () => {} });
  await preferences.sync();
  await preferences.change({ theme: "dark" });
  assert.equal(preferences.status, "local");
  assert.equal(open(new Server(), store).value.theme, "dark");
});

test("two tabs over one cache lose neither's change", async () => {
  const server = new Server();
  const store = new Store();
  server.down = true;
  const [one, two] = [open(server, store), open(server, store)];
  await one.change({ theme: "dark" });
  await two.change({ mode: "discuss" });
  assert.equal(one.value.mode, "discuss");
  server.down = false;
  await one.sync();
  await two.sync();
  assert.deepEqual(server.chosen, { theme: "dark", mode: "discuss" });
});

test("it works where storage is denied", async () => {
  const server = new Server();
  const preferences = new Preferences({ store: { load: () => null, save: () => {} }, remote: server, wait: async () => {} });
  await preferences.change({ theme: "dark" });
  assert.equal(preferences.value.theme, "dark");
  assert.deepEqual(server.chosen, { theme: "dark" });
});

test("a damaged cache counts as none", () => {
  for (const text of ["", "null", "[]", "{", '{"version":"1"}', '{"version":1,"server":[],"pending":{}}']) {
    const store = new Store();
    store.text = text;
    assert.deepEqual(open(new Server(), store).value, { ...DEFAULTS, layout: { ...DEFAULTS.layout } });
  }
});

test("listeners hear of every change until they have gone", async () => {
  const preferences = open(new Server());
  const heard = [];
  const gone = new AbortController();
  preferences.watch(({ theme }) => heard.push(theme), { signal: gone.signal });
  await preferences.change({ theme: "dark" });
  gone.abort();
  await preferences.change({ theme: "light" });
  assert.equal(heard[0], "system");
  assert.equal(heard.at(-1), "dark");
});
