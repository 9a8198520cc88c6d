// Why it exists: what a link shows, to anybody, signed in or not.
// Law: it reads and does nothing else; it asks for what the link opens, and for nothing besides.

import * as api from "./api.js";
import { ChatView } from "./chat-view.js";
import { h, oncePerFrame, setText } from "./dom.js";
import { FilesView } from "./files-view.js";
import { fillIcons } from "./icons.js";
import { fromStored } from "./message.js";

const $ = (id) => document.getElementById(id);

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    setText($("shared-status"), "Copied");
  } catch {
    setText($("shared-status"), "This browser doesn't let the page copy here.");
  }
}

export async function showShared(token) {
  const root = $("shared");
  root.hidden = false;
  fillIcons(root);
  let thing;
  try {
    thing = await api.shared(token);
  } catch (error) {
    setText($("shared-title"), "");
    root.querySelector(".badge").hidden = true;
    const words = error.status === 404 ? "This link opens nothing. It may have been revoked, or has ended." : error.message;
    $("shared-body").replaceChildren(h("div", { class: "placeholder" }, h("p", { role: "alert" }, words)));
    return;
  }
  const title = thing.title || "Untitled";
  setText($("shared-title"), title);
  document.title = `${title} \u00b7 openbolt`;
  if (thing.kind === "project") showProject(token, thing);
  else showChat(thing);
}

function showProject(token, project) {
  const panel = h("div", { class: "panel" });
  $("shared-body").replaceChildren(panel);
  const files = new FilesView(panel, { copy, read: (_, path) => api.sharedFileText(token, path) });
  const shown = { id: project.id, project, projectId: project.id, liveFiles: new Map(), running: false };
  files.update(shown);
  $("shared-download").hidden = project.files.length === 0;
  $("shared-download").href = api.sharedExportUrl(token);
}

function showChat(chat) {
  const list = h("div", { class: "messages", role: "region", "aria-label": "Messages" });
  const jump = h("button", { type: "button", hidden: true });
  const scroller = h("div", { class: "conversation", tabindex: 0 }, list);
  const note = chat.running ? h("p", { class: "banner" }, h("span", {}, "A reply is being written just now. Reload the page to see it.")) : "";
  $("shared-body").replaceChildren(note, scroller);
  // No reply is the last one here: nothing can be tried again.
  const shown = { id: chat.id, title: chat.title, turn: null, running: false, messages: [...chat.messages.map(fromStored), END] };
  const view = new ChatView({ scroller, list, jump, actions: { copy, openFile: null } });
  oncePerFrame(() => {
    view.update(shown);
    scroller.scrollTop = 0;
  })();
}

const END = { id: "end", role: "user", status: "complete", parts: [], written: {} };
