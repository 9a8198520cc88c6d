// Why it exists: one chat with its project and, at times, its running turn. A conversation goes on
// reading while another one is on the screen.
// Laws: Stop asks the server and lets the stream end by itself; a cut stream is taken up again from its
// first event (several frames may share one event id, so a replay is the only seam without gaps).

import * as api from "./api.js";
import { StreamCutError, chunksOf, readFrames } from "./stream.js";
import { applyFrame, emptyReply, filesWritten, fromStored, interrupt, userMessage } from "./message.js";

const RESUME_DELAYS = [0.3, 1, 2, 4, 6]; // seconds
const STOP_GRACE = 2; // seconds until the fetch itself is aborted

const sleep = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

export class Conversation {
  id;
  title = "";
  projectId;
  project = null; // {id, version, files, ...} as the server lists it
  messages = [];
  turn = null; // {state: "sending" | "running" | "stopping" | "reconnecting", replyId}
  liveId = null; // the message whose files lie over the project's until the project was read again
  loaded = false;
  failure = null; // why this chat could not be opened
  #abort = null;
  #changed;

  constructor(id, { projectId = null, changed }) {
    this.id = id;
    this.projectId = projectId;
    this.#changed = changed;
  }

  get running() {
    return this.turn !== null;
  }

  get lastReply() {
    return this.messages.findLast((message) => message.role === "assistant") ?? null;
  }

  get #reply() {
    return this.messages.find((message) => message.id === this.turn?.replyId);
  }

  /** Files being written now, lying over the saved ones. */
  get liveFiles() {
    return filesWritten(this.messages.find((message) => message.id === this.liveId));
  }

  async load() {
    try {
      const chat = await api.chat(this.id);
      this.title = chat.title ?? "";
      this.projectId = chat.projectId ?? null;
      this.messages = chat.messages.map(fromStored);
      this.failure = null;
      this.loaded = true;
      this.#changed(this);
      if (chat.running) this.#follow(() => api.resumeTurn(this.id, this.#newSignal()));
    } catch (error) {
      this.failure = error;
      this.#changed(this);
      return;
    }
    await this.refreshProject();
  }

  async refreshProject() {
    if (!this.projectId) return;
    try {
      this.project = await api.project(this.projectId);
    } catch (error) {
      if (error.status !== 404) throw error;
      this.project = null;
    }
    if (!this.running) this.liveId = null;
    this.#changed(this);
  }

  /** Send one prompt. Rejects with ApiError when the server refused it before the first byte. */
  async send(text, { model, mode }) {
    const message = userMessage(api.newId(), text);
    this.messages = [...this.messages, message];
    try {
      await this.#start({ messages: [{ id: message.id, role: "user", parts: [{ type: "text", text }] }], model, mode });
    } catch (error) {
      this.messages = this.messages.filter((other) => other !== message);
      this.#changed(this);
      throw error;
    }
  }

  /** Ask for the last reply anew. */
  async regenerate({ model, mode }) {
    const before = this.messages;
    const reply = this.lastReply;
    const asked = before.findLast((message) => message.role === "user");
    this.messages = before.filter((message) => message !== reply);
    try {
      const messages = [{ id: asked.id, role: "user", parts: asked.parts.map(({ type, text }) => ({ type, text })) }];
      await this.#start({ messages, model, mode, trigger: "regenerate-message", messageId: reply?.id });
    } catch (error) {
      this.messages = before;
      this.#changed(this);
      throw error;
    }
  }

  async #start(body) {
    this.turn = { state: "sending", replyId: null };
    this.#changed(this);
    const full = { id: this.id, mode: body.mode, messages: body.messages };
    for (const name of ["model", "trigger", "messageId"]) if (body[name]) full[name] = body[name];
    if (this.projectId) full.projectId = this.projectId;
    let response;
    try {
      response = await api.startTurn(full, this.#newSignal());
    } catch (error) {
      this.turn = null;
      throw error;
    }
    this.loaded = true;
    this.projectId = response.headers.get("x-openbolt-project") || this.projectId;
    this.#follow(() => response);
  }

  async stop() {
    if (!this.turn || this.turn.state === "stopping") return;
    this.turn = { ...this.turn, state: "stopping" };
    this.#changed(this);
    const abort = this.#abort;
    await api.stopTurn(this.id).catch(() => {}); // the abort below ends it then
    await sleep(STOP_GRACE);
    abort?.abort();
  }

  #newSignal() {
    this.#abort = new AbortController();
    return this.#abort.signal;
  }

  /** Read a turn to its end through as many connections as it takes. Never rejects. */
  async #follow(connect) {
    this.turn ??= { state: "reconnecting", replyId: null };
    let failures = 0;
    let open = connect;
    for (;;) {
      try {
        const response = await open();
        if (response === null) break; // nothing runs any more
        for await (const { frame } of readFrames(chunksOf(response))) {
          failures = 0;
          this.#take(frame);
        }
        if (this.#reply?.status !== "streaming") return this.#end();
        break; // [DONE] and no word of how it ended: its writer died
      } catch (error) {
        if (error.name === "AbortError") return this.#end("");
        if (failures >= RESUME_DELAYS.length || !isCut(error)) return this.#end(error.message);
        if (this.turn.state !== "stopping") this.turn = { ...this.turn, state: "reconnecting" };
        this.#changed(this);
        await sleep(RESUME_DELAYS[failures++]);
        open = () => api.resumeTurn(this.id, this.#newSignal());
      }
    }
    // What is stored is the truth.
    this.turn = null;
    this.liveId = null;
    await this.load();
  }

  #take(frame) {
    if (frame.type === "start") return this.#begin(frame);
    const at = this.messages.findIndex((message) => message.id === this.turn.replyId);
    if (at < 0) return undefined;
    this.messages = this.messages.with(at, applyFrame(this.messages[at], frame));
    return this.#changed(this, frame);
  }

  #begin(frame) {
    const { messageId, messageMetadata = {} } = frame;
    this.projectId = messageMetadata.projectId ?? this.projectId;
    const reply = emptyReply(messageId);
    const at = this.messages.findIndex((message) => message.id === messageId);
    this.messages = at < 0 ? [...this.messages, reply] : this.messages.with(at, reply);
    this.liveId = messageId;
    this.turn = { state: this.turn.state === "stopping" ? "stopping" : "running", replyId: messageId };
    this.#changed(this, frame);
  }

  async #end(problem) {
    const { replyId } = this.turn;
    const stopping = this.turn.state === "stopping";
    this.turn = null;
    this.messages = this.messages.map((message) => {
      if (message.id !== replyId) return message;
      return stopping && message.status === "streaming"
        ? applyFrame(message, { type: "abort" })
        : interrupt(message, problem || "The connection was lost. What came so far is kept.");
    });
    this.#changed(this, { type: "turn-end" });
    await this.refreshProject().catch(() => {}); // the files shown stay as they are; opening the chat reads them again
  }
}

function isCut(error) {
  return error instanceof StreamCutError || error instanceof TypeError || error.code === "unreachable" || error.status >= 500;
}
