// Why it exists: one pure function turns frames into a message, so that live, resumed and stored replies
// look the same. Law: messages are values (never changed in place); data parts are reconciled by
// (type, id), deltas only appended; frames this page does not know are ignored.

/** A message of ours: `{id, role, status, parts, written, error?, finishReason?, note?}`; `written` is text by actionId. */
export function emptyReply(id) {
  return { id, role: "assistant", status: "streaming", parts: [], written: {} };
}

export function userMessage(id, text) {
  return { id, role: "user", status: "complete", parts: [{ type: "text", text, state: "done" }], written: {} };
}

/** What GET /api/chats/{id} lists, in the shape that frames build up. */
export function fromStored(stored) {
  const parts = typeof stored.content === "string" && !stored.parts ? [{ type: "text", text: stored.content }] : (stored.parts ?? []);
  return {
    id: stored.id,
    role: stored.role,
    status: stored.metadata?.status ?? "complete",
    finishReason: stored.metadata?.finishReason,
    parts: parts.map((part) => ({ ...part, state: "done" })),
    written: {},
  };
}

export function applyFrame(message, frame) {
  const { type } = frame;
  if (type === "text-start" || type === "reasoning-start") {
    return push(message, { type: type.slice(0, -6), id: frame.id, text: "", state: "streaming" });
  }
  if (type === "text-delta" || type === "reasoning-delta") {
    return changeOpen(message, type.slice(0, -6), frame.id, (part) => ({ ...part, text: part.text + frame.delta }));
  }
  if (type === "text-end" || type === "reasoning-end") {
    return changeOpen(message, type.slice(0, -4), frame.id, (part) => ({ ...part, state: "done" }));
  }
  if (type === "data-action-delta") {
    const { actionId, delta } = frame.data;
    return { ...message, written: { ...message.written, [actionId]: (message.written[actionId] ?? "") + delta } };
  }
  if (type.startsWith("data-")) return frame.transient ? withNote(message, frame) : reconcile(message, frame);
  if (type === "finish") {
    // The AI SDK 5.0 refuses a finishReason beside the type, so it may come as metadata.
    return close(message, { status: "complete", finishReason: frame.finishReason ?? frame.messageMetadata?.finishReason });
  }
  if (type === "abort") return close(message, { status: "stopped" });
  if (type === "error") return close(message, { status: "failed", error: frame.errorText });
  return message;
}

/** A turn that ended without a closing frame: what came is kept, and said to be partial. */
export function interrupt(message, error) {
  return message.status === "streaming" ? close(message, { status: "interrupted", error }) : message;
}

function close(message, change) {
  if (message.status === "failed") return message;
  const parts = message.parts.map((part) => (part.state === "streaming" ? { ...part, state: "done" } : part));
  return { ...message, parts, note: undefined, ...change };
}

function push(message, part) {
  return { ...message, parts: [...message.parts, part] };
}

function withNote(message, frame) {
  return { ...message, note: frame.data };
}

function changeOpen(message, type, id, change) {
  const at = message.parts.findLastIndex((part) => part.type === type && part.id === id && part.state === "streaming");
  return at < 0 ? message : { ...message, parts: message.parts.with(at, change(message.parts[at])) };
}

function reconcile(message, frame) {
  const part = { type: frame.type, id: frame.id, data: frame.data };
  const at = frame.id === undefined ? -1 : message.parts.findIndex((old) => old.type === frame.type && old.id === frame.id);
  return at < 0 ? push(message, part) : { ...message, parts: message.parts.with(at, part) };
}

/**
 * The message as it is shown, in order: text and reasoning, artifacts with their actions gathered in,
 * notices; usage and context apart, since they stand at the foot.
 */
export function blocksOf(message) {
  const blocks = [];
  const artifacts = new Map();
  const files = new Map();
  const foot = { usage: null, context: null, progress: message.note ?? null };

  const artifactOf = (id) => {
    if (!artifacts.has(id)) {
      const block = { kind: "artifact", key: `artifact:${id}`, artifact: { artifactId: id, title: "", state: "open" }, actions: [] };
      artifacts.set(id, block);
      blocks.push(block);
    }
    return artifacts.get(id);
  };

  message.parts.forEach((part, index) => {
    if (part.type === "text" || part.type === "reasoning") {
      if (part.text !== "") blocks.push({ kind: part.type, key: `${part.type}:${index}`, text: part.text, open: part.state === "streaming" });
    } else if (part.type === "data-artifact") {
      artifactOf(part.data.artifactId).artifact = part.data;
    } else if (part.type === "data-action") {
      artifactOf(part.data.artifactId).actions.push(part.data);
    } else if (part.type === "data-file") {
      files.set(part.data.filePath, part.data);
    } else if (part.type === "data-notice") {
      blocks.push({ kind: "notice", key: `notice:${index}`, data: part.data });
    } else if (part.type === "data-usage") {
      foot.usage = part.data;
    } else if (part.type === "data-context") {
      foot.context = part.data;
    } else if (part.type === "data-progress") {
      foot.progress = part.data;
    }
  });
  return { blocks, files, foot };
}

/** Files that this message writes: path -> `{text, state}`, the last action of a path winning. */
export function filesWritten(message) {
  const files = new Map();
  if (!message) return files;
  for (const part of message.parts) {
    const action = part.data;
    if (part.type !== "data-action" || action.type !== "file" || !action.filePath) continue;
    files.set(action.filePath, { text: action.content ?? message.written[action.actionId] ?? "", state: action.state });
  }
  return files;
}

/** The visible text, for copying. */
export function plainText(message) {
  return message.parts.filter((part) => part.type === "text").map((part) => part.text).join("\n\n");
}
