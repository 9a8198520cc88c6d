// Why it exists: the way back to every chat, and to projects that no chat leads to any more.
// Law: nothing is deleted without asking, and the question says what goes.

import * as api from "./api.js";
import { h, setAttribute, setText, syncList } from "./dom.js";
import { fillIcon } from "./icons.js";
import { ago } from "./times.js";

class Row {
  element = h("li", { class: "side-row" });
  #link = h("a", { class: "side-link" });
  #title = h("span", { class: "side-title" });
  #time = h("span", { class: "side-time" });
  #remove = h("button", { type: "button", class: "icon-button side-delete" });
  #item = null;

  constructor(remove) {
    fillIcon(this.#remove, "trash");
    this.#link.append(this.#title, this.#time);
    this.element.append(this.#link, this.#remove);
    this.#remove.addEventListener("click", () => remove(this.#item));
  }

  update(item) {
    this.#item = item;
    setText(this.#title, item.title || "Untitled");
    setText(this.#time, item.running ? "writing\u2026" : ago(item.updatedAt));
    setAttribute(this.element, "data-running", Boolean(item.running));
    setAttribute(this.#link, "href", item.href);
    setAttribute(this.#link, "aria-current", item.current ? "page" : null);
    setAttribute(this.#remove, "aria-label", `Delete ${item.title || "Untitled"}`);
    setAttribute(this.#remove, "title", "Delete");
  }
}

export class Sidebar {
  #chats = h("ul", { class: "side-list" });
  #projects = h("ul", { class: "side-list" });
  #chatsHead = h("h2", { class: "side-head" }, "Chats");
  #projectsHead = h("h2", { class: "side-head" }, "Projects without a chat");
  #none = h("p", { class: "side-none" }, "Your chats will be listed here.");
  #dialog;
  #actions;

  /** `actions`: deleted({chatId, projectId}), fail(error). */
  constructor(root, dialog, actions) {
    this.#dialog = dialog;
    this.#actions = actions;
    root.append(this.#chatsHead, this.#none, this.#chats, this.#projectsHead, this.#projects);
  }

  update({ chats, projects, current, running }) {
    const used = new Set(chats.map((chat) => chat.projectId));
    const orphans = projects.filter((project) => !used.has(project.id));
    const chatRows = chats.map((chat) => ({ ...chat, kind: "chat", href: `#/chat/${chat.id}`, current: chat.id === current.chatId, running: running.has(chat.id) }));
    const projectRows = orphans.map((project) => ({ ...project, kind: "project", href: `#/project/${project.id}`, current: project.id === current.projectId && !current.chatId }));
    const make = () => new Row((item) => this.#confirm(item, chats));
    syncList(this.#chats, chatRows, (row) => row.id, make);
    syncList(this.#projects, projectRows, (row) => row.id, make);
    this.#none.hidden = chats.length > 0;
    this.#projectsHead.hidden = orphans.length === 0;
  }

  #confirm(item, chats) {
    const dialog = this.#dialog;
    const isChat = item.kind === "chat";
    const shared = isChat && chats.some((chat) => chat.id !== item.id && chat.projectId === item.projectId);
    const files = dialog.querySelector("#delete-files");
    dialog.querySelector("#delete-title").textContent = isChat ? "Delete this chat?" : "Delete this project?";
    dialog.querySelector("#delete-text").textContent = `\u201c${item.title || "Untitled"}\u201d will be gone for good.`;
    dialog.querySelector("#delete-files-row").hidden = !isChat || !item.projectId || shared;
    files.checked = isChat && Boolean(item.projectId) && !shared;
    dialog.returnValue = "cancel";
    dialog.addEventListener("close", () => dialog.returnValue === "delete" && this.#delete(item, files.checked), { once: true });
    dialog.showModal();
  }

  async #delete(item, withFiles) {
    try {
      if (item.kind === "chat") {
        await api.deleteChat(item.id);
        if (withFiles) await api.deleteProject(item.projectId);
      } else {
        await api.deleteProject(item.id);
      }
      this.#actions.deleted({ chatId: item.kind === "chat" ? item.id : null });
    } catch (error) {
      this.#actions.fail(error);
    }
  }
}
