// Why it exists: the project's files beside the chat, and each one as it is being written.
// Laws: a file being written lies over the saved one until the project was read again; a text is fetched
// once per content hash; the view follows the writing until the reader picks a file.

import { h, setAttribute, setText } from "./dom.js";
import { fillIcon } from "./icons.js";
import { languageOf, onHighlighter, showCode } from "./highlight.js";
import { TreeView } from "./tree.js";

const RECOLOR = 120; // milliseconds between colorings of a growing file

export class FilesView {
  #tree = new TreeView((path) => this.#pick(path));
  #path = h("span", { class: "code-path" });
  #state = h("span", { class: "code-state" });
  #copy = h("button", { type: "button", class: "icon-button", "aria-label": "Copy this file", title: "Copy this file" });
  #numbers = h("pre", { class: "code-numbers", "aria-hidden": "true" });
  #code = h("code");
  #scroller;
  #empty = h("div", { class: "placeholder" }, h("p", {}, "No files yet. They appear here while they are being written."));
  #body;
  #texts = new Map(); // `${hash} ${path}` -> text | null (binary) | Error
  #selected = null;
  #picked = false;
  #shown = { path: null, text: null };
  #conversation = null;
  #timer = null;
  #asked = null;
  #read;

  /** `read(conversation, path)` gives a saved file's text, or null for one that isn't text. */
  constructor(panel, { copy, read }) {
    this.#read = read;
    fillIcon(this.#copy, "copy");
    this.#copy.addEventListener("click", () => copy(this.#shown.text ?? ""));
    this.#scroller = h("div", { class: "code-scroll", tabindex: 0, role: "region", "aria-label": "Code" }, this.#numbers, h("pre", { class: "code-text" }, this.#code));
    this.#body = h(
      "div",
      { class: "files", hidden: true },
      h("div", { class: "tree-box" }, this.#tree.element),
      h("div", { class: "code-box" }, h("div", { class: "code-head" }, this.#path, this.#state, this.#copy), this.#scroller),
    );
    panel.append(this.#empty, this.#body);
    onHighlighter(() => this.#show(this.#shown.path, this.#shown.text, true));
  }

  /** A new turn or another chat: follow the writing again. */
  release() {
    this.#picked = false;
  }

  /** Open a file by its path, as a reader does. */
  #pick(path) {
    this.#selected = path;
    this.#picked = true;
    if (this.#conversation) this.update(this.#conversation);
  }

  pick(path) {
    this.#pick(path);
  }

  update(conversation) {
    if (this.#conversation?.id !== conversation.id) {
      this.#selected = null;
      this.#picked = false;
    }
    this.#conversation = conversation;
    const live = conversation.liveFiles;
    const saved = new Map((conversation.project?.files ?? []).map((file) => [file.path, file]));
    const paths = [...new Set([...saved.keys(), ...live.keys()])].sort();
    const writing = [...live].findLast(([, file]) => file.state === "open")?.[0];
    if (writing && !this.#picked) this.#selected = writing;
    if (!paths.includes(this.#selected)) this.#selected = preferred(paths);

    this.#empty.hidden = paths.length > 0;
    this.#body.hidden = paths.length === 0;
    const marks = new Map([...live].map(([path, file]) => [path, file.state === "open" && conversation.running ? "writing" : "changed"]));
    this.#tree.update({ paths, selected: this.#selected, marks });
    if (this.#selected) this.#showFile(this.#selected, live.get(this.#selected), saved.get(this.#selected));
  }

  #showFile(path, live, saved) {
    const kind = live ? `live ${path}` : `${saved?.hash} ${path}`;
    setText(this.#path, path);
    setText(this.#state, live?.state === "open" && this.#conversation.running ? "writing\u2026" : saved && !live ? sizeOf(saved.size) : "");
    if (live) return this.#show(path, live.text);
    if (this.#texts.has(kind)) {
      const text = this.#texts.get(kind);
      if (text instanceof Error) return this.#show(path, text.message);
      return this.#show(path, text ?? "This file is not text. Download the zip to have it.");
    }
    if (this.#asked !== kind) this.#fetch(kind, path);
    return undefined;
  }

  async #fetch(kind, path) {
    this.#asked = kind;
    try {
      this.#texts.set(kind, await this.#read(this.#conversation, path));
    } catch (error) {
      this.#texts.set(kind, error);
    }
    this.#asked = null;
    this.update(this.#conversation);
    if (this.#texts.get(kind) instanceof Error) this.#texts.delete(kind); // asked again at the next change
  }

  #show(path, text, again = false) {
    if (path === null || (!again && this.#shown.path === path && this.#shown.text === text)) return;
    const grows = this.#shown.path === path && this.#shown.text !== null && text.startsWith(this.#shown.text);
    const atEnd = this.#scroller.scrollHeight - this.#scroller.scrollTop - this.#scroller.clientHeight < 40;
    const previous = this.#shown.text;
    this.#shown = { path, text };
    if (grows && !again && text.length > 4000) {
      // Coloring costs time in proportion to the file: plain text at once, color a few times a second.
      this.#code.append(text.slice(previous.length));
      this.#timer ??= setTimeout(() => this.#recolor(), RECOLOR);
    } else {
      this.#recolor();
    }
    this.#number(text);
    if (grows && atEnd) this.#scroller.scrollTop = this.#scroller.scrollHeight;
    else if (!grows && !again) this.#scroller.scrollTo(0, 0);
  }

  #recolor() {
    clearTimeout(this.#timer);
    this.#timer = null;
    showCode(this.#code, this.#shown.text, languageOf(this.#shown.path));
  }

  #number(text) {
    const lines = text === "" ? 1 : text.split("\n").length - (text.endsWith("\n") ? 1 : 0);
    if (Number(this.#numbers.dataset.lines) === lines) return;
    setAttribute(this.#numbers, "data-lines", lines);
    this.#numbers.textContent = Array.from({ length: lines }, (_, index) => index + 1).join("\n");
  }
}

function preferred(paths) {
  return paths.find((path) => path === "index.html") ?? paths.find((path) => path.endsWith("/index.html")) ?? paths[0] ?? null;
}

function sizeOf(bytes) {
  if (bytes === undefined) return "";
  return bytes < 1024 ? `${bytes} bytes` : `${(bytes / 1024).toFixed(1)} KiB`;
}
