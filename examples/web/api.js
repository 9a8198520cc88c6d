// Why it exists: every request to the server goes through here, so that errors have one shape.
// Law: a refused request becomes an ApiError that carries the server's own words and request id;
// ids and paths are escaped segment by segment.

export class ApiError extends Error {
  name = "ApiError";

  constructor(message, { status = 0, code = "unreachable", field = null, requestId = null, retryAfter = null } = {}) {
    super(message);
    Object.assign(this, { status, code, field, requestId, retryAfter });
  }
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
  if (!response.ok) throw await errorOf(response);
  return response;
}

async function errorOf(response) {
  const body = await response.json().catch(() => null);
  const error = body?.error ?? {};
  const retryAfter = Number(response.headers.get("retry-after")) || null;
  let message = error.message || `The server answered ${response.status}.`;
  if (retryAfter) message += ` Try again in ${retryAfter} s.`;
  return new ApiError(message, {
    status: response.status,
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

export async function fileText(id, path) {
  const response = await request(`/api/projects/${segment(id)}/files/${segments(path)}`);
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

/** An id that the server accepts; `crypto.randomUUID` is missing on plain-http hosts other than loopback. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Ids as the contract has them; dots alone would climb out of the path. */
export const isId = (text) => /^[A-Za-z0-9._-]{1,128}$/.test(text) && !/^\.+$/.test(text);
