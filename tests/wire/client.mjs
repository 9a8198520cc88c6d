// The SDKs' own client code behind a pipe: a JSON command on each line of stdin, one JSON answer
// on each line of stdout. Whatever an SDK grumbles about on the way is kept until "complaints" asks.
import { createInterface } from "node:readline";
import { callChatApi, fillMessageParts } from "@ai-sdk/ui-utils";
import * as current from "ai";
import * as oldest from "ai5";

const SDKS = { ai5: oldest, ai: current };
const PATIENCE = 20_000; // milliseconds; what is waited for has long happened, or never will

const complaints = [];
for (const level of ["log", "info", "warn", "error"]) {
  console[level] = (...words) => complaints.push(`console.${level}: ${words.map(told).join(" ")}`);
}
process.on("unhandledRejection", (reason) => complaints.push(`unhandled: ${told(reason)}`));
process.on("uncaughtException", (error) => complaints.push(`uncaught: ${told(error)}`));
process.on("warning", (warning) => complaints.push(`warning: ${told(warning)}`));

function told(value) {
  return value instanceof Error ? `${value.name}: ${value.message}` : String(value);
}

/** What `useChat` keeps in React state. */
class State {
  status = "ready";
  error = undefined;
  messages = [];
  snapshot = (value) => structuredClone(value);
  pushMessage = (message) => {
    this.messages = [...this.messages, this.snapshot(message)];
  };
  popMessage = () => {
    this.messages = this.messages.slice(0, -1);
  };
  replaceMessage = (index, message) => {
    this.messages = this.messages.with(index, this.snapshot(message));
  };
}

/** Let a transport of the SDK's also write down each chunk that it lets through. */
function record(transport, chunks) {
  const process = transport.processResponseStream.bind(transport);
  const transform = (chunk, controller) => {
    chunks.push(structuredClone(chunk));
    controller.enqueue(chunk);
  };
  transport.processResponseStream = (stream) =>
    process(stream).pipeThrough(new TransformStream({ transform }));
  return transport;
}

class Chat {
  constructor({ version, url, id, messages, protocol, body, transport }) {
    const sdk = SDKS[version];
    this.chunks = [];
    this.data = [];
    this.ends = 0;
    this.errors = [];
    this.state = new State();
    this.state.messages = messages ?? [];
    const Transport = protocol === "text" ? sdk.TextStreamChatTransport : sdk.DefaultChatTransport;
    const api = `${url}/api/chat${protocol ? `?protocol=${protocol}` : ""}`;
    this.transport = record(transport ?? new Transport({ api, body }), this.chunks);
    const Client = class extends sdk.AbstractChat {};
    this.sdk = new Client({
      id,
      transport: this.transport,
      state: this.state,
      onData: (part) => this.data.push(structuredClone(part)),
      onError: (error) => this.errors.push(told(error)),
      onFinish: () => this.ends++,
    });
    this.running = Promise.resolve();
  }

  /** Text of the last message, as a page would show it. */
  get text() {
    const parts = this.state.messages.at(-1)?.parts ?? [];
    return parts.map((part) => (part.type === "text" ? part.text : "")).join("");
  }

  report() {
    const { chunks, data, ends, errors } = this;
    const { status, messages, error } = this.state;
    const failure = error === undefined ? null : error.message;
    return { id: this.sdk.id, status, error: failure, errors, messages, chunks, data, ends };
  }
}

const chats = [];
let guide;
const commands = {
  async open({ module, ...options }) {
    if (module) guide = await import(module);
    const transport = module && guide.builder(options.url);
    return { chat: chats.push(new Chat({ ...options, transport })) - 1 };
  },
  async guide({ call, with_ }) {
    return guide[call](...with_);
  },
  send(chat, message) {
    chat.running = chat.sdk.sendMessage(message);
  },
  regenerate(chat) {
    chat.running = chat.sdk.regenerate();
  },
  resume(chat) {
    chat.running = chat.sdk.resumeStream();
  },
  async stop(chat) {
    await chat.sdk.stop();
  },
  /** The chunks of a running reply from its beginning, as the transport gives them; or null. */
  async reconnect(chat) {
    const stream = await chat.transport.reconnectToStream({ chatId: chat.sdk.id });
    if (stream === null) return null;
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    return chunks;
  },
  async until(chat, { text }) {
    const deadline = Date.now() + PATIENCE;
    while (chat.text !== text && Date.now() < deadline) await new Promise((go) => setTimeout(go, 5));
    if (chat.text !== text) throw new Error(`it never said ${told(text)}, but ${told(chat.text)}`);
    return chat.report();
  },
  async done(chat) {
    await within(chat.running);
    return chat.report();
  },
  async validate(_, { messages }) {
    await current.validateUIMessages({ messages });
  },
  async ai4(_, { url, body }) {
    const seen = { errors: [], message: null, finishReason: null, usage: null, data: null };
    await within(
      callChatApi({
        api: url,
        body: { ...body, messages: fillMessageParts(body.messages) },
        generateId: () => "unnamed",
        lastMessage: body.messages.at(-1),
        onUpdate: ({ message, data }) => Object.assign(seen, structuredClone({ message, data })),
        onFinish: (message, end) => Object.assign(seen, structuredClone({ message, ...end })),
        restoreMessagesOnFailure: () => {},
      }).catch((error) => seen.errors.push(told(error))),
    );
    return seen;
  },
  /** All complaints since the last time. */
  complaints() {
    return complaints.splice(0);
  },
};

function within(promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("it never ended")), PATIENCE);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

for await (const line of createInterface({ input: process.stdin })) {
  const { command, chat, ...options } = JSON.parse(line);
  let answer;
  try {
    const target = chat === undefined ? options : chats[chat];
    answer = { result: (await commands[command](target, options)) ?? null };
  } catch (error) {
    answer = { failed: told(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
