// Why it exists: what the reply does to the project, as a card: each action and how it went.
// Law: the card never says more than the server did: a file is "saved" only when a data-file part says so,
// and a truncated or refused text stays readable here.

import { h, setAttribute, setText, syncList } from "./dom.js";
import { fillIcon } from "./icons.js";

const FILE_STATES = {
  saved: ["Saved", "good"],
  kept: ["Kept the old version", "warn"],
  held: ["Held back", "warn"],
  locked: ["Locked", "warn"],
  refused: ["Not saved", "bad"],
};

/** `[label, tone]` of one action. */
export function stateOf(action, file, live) {
  if (action.type === "shell" || action.type === "start") {
    return action.state === "open" && live ? ["Writing\u2026", "busy"] : ["Shown, not run", "idle"];
  }
  if (action.state === "open") return live ? ["Writing\u2026", "busy"] : ["Unfinished", "warn"];
  if (action.state === "truncated") {
    return [file?.state === "kept" ? "Truncated, old version kept" : "Truncated, not saved", "warn"];
  }
  if (file) {
    const [label, tone] = FILE_STATES[file.state] ?? [file.state, "idle"];
    return [action.state === "repaired" && file.state === "saved" ? "Saved, repaired" : label, tone];
  }
  return live ? ["Written", "busy"] : ["Written", "idle"];
}

const ICONS = { file: "file", edit: "edit", shell: "terminal", start: "terminal" };
const NEVER_SAVED = new Set(["kept", "held", "locked", "refused"]);

class ActionRow {
  element = h("li", { class: "action" });
  #open = h("button", { type: "button", class: "action-name" });
  #command = h("code", { class: "action-command" });
  #state = h("span", { class: "action-state" });
  #reason = h("p", { class: "action-reason", hidden: true });
  #details = h("details", { class: "action-text", hidden: true }, h("summary", {}, "Show the text"), h("pre", { tabindex: 0 }, h("code")));
  #path = null;
  #openFile;

  /** `openFile(path)`; null where files can't be opened. */
  constructor(openFile) {
    this.#openFile = openFile;
    this.#open.addEventListener("click", () => openFile(this.#path));
    const line = h("div", { class: "action-line" }, h("span", { class: "action-icon" }), this.#open, this.#command, this.#state);
    this.element.append(line, this.#reason, this.#details);
  }

  update({ action, file, text, live }) {
    const [label, tone] = stateOf(action, file, live);
    this.#path = action.filePath ?? null;
    this.element.dataset.tone = tone;
    fillIcon(this.element.querySelector(".action-icon"), tone === "good" ? "check" : tone === "bad" || tone === "warn" ? "alert" : (ICONS[action.type] ?? "box"));

    const isFile = action.type === "file" || action.type === "edit";
    const name = action.filePath || (isFile ? "A file without a name" : "");
    this.#open.hidden = !name;
    this.#open.disabled = !action.filePath || !this.#openFile;
    setText(this.#open, name);
    this.#command.hidden = isFile;
    if (!isFile) setText(this.#command, (text || action.type || "").trim());

    setText(this.#state, label);
    const lines = isFile && tone === "busy" ? text.split("\n").length : 0;
    setAttribute(this.#state, "data-lines", lines > 1 ? `${lines} lines` : null);
    setText(this.#reason, file?.reason ?? "");
    this.#reason.hidden = !file?.reason;
    this.#showText(isFile && text && (action.state === "truncated" || NEVER_SAVED.has(file?.state)) ? text : "");
  }

  #showText(text) {
    this.#details.hidden = text === "";
    setText(this.#details.querySelector("code"), text);
  }
}

export class ArtifactCard {
  element;
  #title = h("h3", { class: "card-title" });
  #summary = h("p", { class: "card-summary" });
  #list = h("ul", { class: "actions" });
  #openFile;

  constructor(openFile) {
    this.#openFile = openFile;
    const mark = h("span", { class: "card-mark" });
    fillIcon(mark, "box");
    this.element = h("section", { class: "card" }, h("header", { class: "card-head" }, mark, h("div", {}, this.#title, this.#summary)), this.#list);
  }

  update({ block, files, written, live }) {
    const rows = block.actions.map((action) => ({
      action,
      live,
      file: files.get(action.filePath ?? ""),
      text: action.content ?? written[action.actionId] ?? "",
    }));
    setText(this.#title, block.artifact.title || "Files");
    setText(this.#summary, summaryOf(rows, live && block.artifact.state !== "closed"));
    setAttribute(this.element, "data-busy", live && block.artifact.state !== "closed");
    syncList(this.#list, rows, (row) => row.action.actionId, () => new ActionRow(this.#openFile));
  }
}

function summaryOf(rows, busy) {
  const files = rows.filter(({ action }) => action.type === "file" || action.type === "edit");
  const saved = files.filter(({ file, action }) => file?.state === "saved" && action.state !== "truncated").length;
  if (busy) return files.length === 0 ? "Starting\u2026" : `Writing file ${files.length}\u2026`;
  if (files.length === 0) return rows.length === 0 ? "Nothing in it" : "No files";
  if (saved === files.length) return saved === 1 ? "1 file saved" : `${saved} files saved`;
  return `${saved} of ${files.length} files saved`;
}
