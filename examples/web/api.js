// Why it exists: every request to the server goes through here, so that errors have one shape.
// Laws: a refused request becomes an ApiError whose message is a sentence, with the server's request id;
// a 401 tells whoever asked to be told; ids and paths are escaped segment by segment.

import { sentenceOf } from "./sentences.js";

export class ApiError extends Error {
  name = "ApiError";

  constructor(message, { status = 0, code = "unreachable", field = null, requestId = null, retryAfter = null } = {}) {
    super(message);
    Object.assign(this, { status, code, field, requestId, retryAfter });
  }
}

let signedOut = () => {};

/** Call `work` whenever the server doesn't know any more who is asking. */
export function whenSignedOut(work) {
  signedOut = work;
}

async function request(path, { method = "GET", body, headers = {}, signal } = {}) {
  const init = { method, signal, headers: { ...headers }, credentials: "same-origin", cache: "no-store" };
  if (body !== undefined) {
    init.headers["content-type"] = "application/json";
    init.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, init);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The server can't be reached. Is it still running?");
  }
  if (response.status === 401) signedOut();
  if (!response.ok) throw await errorOf(response);
  return response;
}

async function errorOf(response) {
  const body = await response.json().catch(() => null);
  const error = body?.error ?? {};
  const retryAfter = Number(response.headers.get("retry-after")) || null;
  const { status } = response;
  return new ApiError(sentenceOf({ status, code: error.code, message: error.message, retryAfter }), {
    status,
    code: error.code ?? "http_error",
    field: error.field ?? null,
    requestId: error.requestId ?? response.headers.get("x-request-id"),
    retryAfter,
  });
}

const json = async (path, options) => (await request(path, options)).json();
const segment = encodeURIComponent;
const segments = (path) => path.split("/").map(segment).join("/");

/** Pages of a listing until there is no `next`. */
async function listAll(path, name) {
  const items = [];
  let next = null;
  do {
    const page = await json(next ? `${path}?cursor=${segment(next)}` : path);
    items.push(...page[name]);
    next = page.next;
  } while (next);
  return items;
}

export const models = () => json("/api/models");
export const chats = () => listAll("/api/chats", "chats");
export const chat = (id) => json(`/api/chats/${segment(id)}`);
export const deleteChat = (id) => request(`/api/chats/${segment(id)}`, { method: "DELETE" });
export const projects = () => listAll("/api/projects", "projects");
export const project = (id) => json(`/api/projects/${segment(id)}`);
export const deleteProject = (id) => request(`/api/projects/${segment(id)}`, { method: "DELETE" });
export const exportUrl = (id) => `/api/projects/${segment(id)}/export`;
export const openPreview = (id) => json(`/api/projects/${segment(id)}/preview`, { method: "POST", body: {} });

export const fileText = (id, path) => textAt(`/api/projects/${segment(id)}/files/${segments(path)}`);

async function textAt(path) {
  const response = await request(path);
  const bytes = new Uint8Array(await response.arrayBuffer());
  // A NUL in the first bytes is what git too takes for "binary".
  if (bytes.subarray(0, 8000).includes(0)) return null;
  return new TextDecoder().decode(bytes);
}

export const startTurn = (body, signal) => request("/api/chat", { method: "POST", body, signal, headers: { accept: "text/event-stream" } });

/** The running or just-finished reply from its first event, or null when there is none. */
export async function resumeTurn(id, signal) {
  const response = await request(`/api/chat/${segment(id)}/stream`, { signal, headers: { accept: "text/event-stream" } });
  return response.status === 204 ? null : response;
}

export const stopTurn = (id) => json(`/api/chat/${segment(id)}/stop`, { method: "POST", body: {} });

export const enhance = (message, model, signal) =>
  request("/api/enhancer", { method: "POST", body: model ? { message, model } : { message }, signal });

// ---- who is here ----

export const session = () => json("/api/auth/session");
export const signOut = () => request("/api/auth/logout", { method: "POST" });
export const sessions = async () => (await json("/api/auth/sessions")).sessions;
export const endSession = (id) => request(`/api/auth/sessions/${segment(id)}`, { method: "DELETE" });
export const endOtherSessions = () => request("/api/auth/sessions", { method: "DELETE" });

// ---- what belongs to them ----

export const apiKeys = async () => (await json("/api/auth/keys")).keys;
export const createApiKey = (body) => json("/api/auth/keys", { method: "POST", body });
export const revokeApiKey = (id) => request(`/api/auth/keys/${segment(id)}`, { method: "DELETE" });

export const secrets = async () => (await json("/api/secrets")).secrets;
export const putSecret = (name, value) => json(`/api/secrets/${segment(name)}`, { method: "PUT", body: { value } });
export const deleteSecret = (name) => request(`/api/secrets/${segment(name)}`, { method: "DELETE" });

/** `{version, preferences, etag}` */
export const preferences = async () => tagged(await request("/api/preferences"));
export const changePreferences = async (patch, etag) =>
  tagged(await request("/api/preferences", { method: "PATCH", body: patch, headers: etag ? { "if-match": etag } : {} }));
const tagged = async (response) => ({ ...(await response.json()), etag: response.headers.get("etag") });

export const accountExportUrl = "/api/account/export";
export const deleteAccount = (userId) => json("/api/account", { method: "DELETE", body: { confirm: userId } });

// ---- links: `kind` is "projects" or "chats" ----

export const shares = async (kind, id) => (await json(`/api/${kind}/${segment(id)}/shares`)).shares;
export const createShare = (kind, id, body) => json(`/api/${kind}/${segment(id)}/shares`, { method: "POST", body });
export const revokeShare = (id) => request(`/api/shares/${segment(id)}`, { method: "DELETE" });
export const shared = (token) => json(`/api/shared/${segment(token)}`);
export const sharedFileText = (token, path) => textAt(`/api/shared/${segment(token)}/files/${segments(path)}`);
export const sharedExportUrl = (token) => `/api/shared/${segment(token)}/export`;

/** An id that the server accepts; `crypto.randomUUID` is missing on plain-http hosts other than loopback. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Ids as the contract has them; dots alone would climb out of the path. */
export const isId = (text) => /^[A-Za-z0-9._-]{1,128}$/.test(text) && !/^\.+$/.test(text);
