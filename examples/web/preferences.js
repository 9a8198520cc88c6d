// Why it exists: what a person has chosen is there before the server has answered, while it can't be
// reached, and on their other devices.
// Laws: what the server last said holds, but for the fields changed here that it hasn't taken yet; those
// are sent again, alone, until it has taken or refused them. The cache holds both, so that no tab and no
// reload loses a change.

export const DEFAULTS = Object.freeze({
  theme: "system",
  model: null,
  mode: "build",
  sendKey: "enter",
  enhanceOnSend: false,
  notifications: false,
  codeFontSize: 13,
  wordWrap: false,
  layout: Object.freeze({ sidebar: "open", chatShare: 40, tab: "preview" }),
});

const TRIES = 5; // in a row against writers who are quicker

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const entries = (value) => Object.entries(value).filter(([name]) => name !== "__proto__");

/** A JSON merge patch (RFC 7396) applied; neither argument is changed. */
export function mergePatch(target, patch) {
  if (!isObject(patch)) return patch;
  const merged = isObject(target) ? { ...target } : {};
  for (const [name, value] of entries(patch)) {
    if (value === null) delete merged[name];
    else merged[name] = mergePatch(merged[name], value);
  }
  return merged;
}

/** One patch that does what `first` and then `second` do. */
export function joinPatches(first, second) {
  if (!isObject(first) || !isObject(second)) return second;
  const joined = { ...first };
  for (const [name, value] of entries(second)) joined[name] = name in joined ? joinPatches(joined[name], value) : value;
  return joined;
}

/** What is left of a patch when another one was taken: the fields that have changed again since. */
export function withoutPatch(patch, taken) {
  const left = {};
  for (const [name, value] of entries(patch)) {
    if (!(name in taken)) left[name] = value;
    else if (isObject(value) && isObject(taken[name])) {
      const inner = withoutPatch(value, taken[name]);
      if (Object.keys(inner).length > 0) left[name] = inner;
    } else if (JSON.stringify(value) !== JSON.stringify(taken[name])) left[name] = value;
  }
  return left;
}

const isEmpty = (patch) => Object.keys(patch).length === 0;
const NOTHING = Object.freeze({ version: 0, etag: null, server: {}, pending: {} });

export class Preferences {
  #store;
  #remote;
  #wait;
  #listeners = new Set();
  #raw = null;
  #state = NOTHING;
  #work = Promise.resolve();
  #due = false;
  /** "saved", "saving", "offline" (kept here, sent later), "refused" (and taken back), "local" (no server keeps them) */
  status = "saved";
  problem = null;

  /**
   * `store`: load() -> string or null, save(string). `remote`: read() -> {version, preferences, etag} and
   * write(patch, etag), which reject with `{status}`. `wait`: a promise for the time in which changes are gathered.
   */
  constructor({ store, remote, wait = () => new Promise((done) => setTimeout(done, 400)) }) {
    this.#store = store;
    this.#remote = remote;
    this.#wait = wait;
    this.#load();
  }

  get value() {
    const { server, pending } = this.#load();
    const chosen = mergePatch(server, pending);
    return { ...DEFAULTS, ...chosen, layout: { ...DEFAULTS.layout, ...chosen.layout } };
  }

  get version() {
    return this.#load().version;
  }

  /** Call `listener(value)` now and after every change, until `signal` says stop. */
  watch(listener, { signal } = {}) {
    this.#listeners.add(listener);
    signal?.addEventListener("abort", () => this.#listeners.delete(listener));
    listener(this.value);
  }

  /** Another tab has written the cache. */
  refresh() {
    this.#tell();
  }

  /** Change the fields named; the promise is kept when the server has taken or refused them, or can't be reached. */
  change(patch) {
    const state = this.#load();
    this.#save({ ...state, pending: joinPatches(state.pending, patch) });
    if (this.status !== "local") this.status = "saving";
    this.#tell();
    if (this.#due) return this.#work; // those that wait take it along
    this.#due = true;
    this.#work = this.#work.then(async () => {
      await this.#wait();
      this.#due = false;
      await this.#send();
    });
    return this.#work;
  }

  /** Ask the server what holds, and send what it hasn't taken yet. */
  sync() {
    this.#work = this.#work.then(async () => {
      if (await this.#attempt(() => this.#read())) await this.#send();
    });
    return this.#work;
  }

  async #read() {
    this.#take(await this.#remote.read());
    this.status = isEmpty(this.#load().pending) ? "saved" : "saving";
  }

  async #send() {
    for (let tries = 0; tries < TRIES; tries++) {
      const { pending, etag } = this.#load();
      if (isEmpty(pending) || this.status === "local") return;
      if (!(await this.#attempt(() => this.#write(pending, etag)))) return;
    }
    if (!isEmpty(this.#load().pending)) this.#end("offline"); // the next change, or the next visit, tries again
  }

  async #write(pending, etag) {
    try {
      const answer = await this.#remote.write(pending, etag);
      this.#take(answer, pending);
      this.status = isEmpty(this.#load().pending) ? "saved" : "saving";
    } catch (error) {
      if (error.status === 412) return this.#read();
      if (error.status !== 400 && error.status !== 413) throw error;
      // Asked again it would be refused again.
      const state = this.#load();
      this.#save({ ...state, pending: withoutPatch(state.pending, pending) });
      this.#end("refused", error);
    }
    return undefined;
  }

  async #attempt(work) {
    try {
      await work();
      this.#tell();
      return this.status !== "refused";
    } catch (error) {
      this.#end(error.status === 404 || error.status === 501 ? "local" : "offline", error);
      return false;
    }
  }

  #end(status, problem = null) {
    this.status = status;
    this.problem = problem;
    this.#tell();
  }

  #take({ version, preferences, etag }, taken = {}) {
    const { pending } = this.#load();
    this.#save({ version, etag, server: preferences, pending: withoutPatch(pending, taken) });
  }

  #tell() {
    const value = this.value;
    for (const listener of this.#listeners) listener(value);
  }

  /** The cache is the truth while there is one: another tab may have written it. */
  #load() {
    const raw = this.#store.load();
    if (raw !== null && raw !== this.#raw) {
      this.#raw = raw;
      this.#state = parse(raw) ?? this.#state;
    }
    return this.#state;
  }

  #save(state) {
    this.#state = state;
    this.#raw = JSON.stringify(state);
    this.#store.save(this.#raw);
  }
}

function parse(raw) {
  try {
    const { version, etag, server, pending } = JSON.parse(raw);
    return Number.isInteger(version) && isObject(server) && isObject(pending) ? { version, etag, server, pending } : null;
  } catch {
    return null;
  }
}
