// Why it exists: the project's page, in use, beside the chat that wrote it.
// Laws: model-written pages never run in our origin: by a host of their own where that host can be
// reached, else in a sandbox without an origin. A frame is replaced once its successor has loaded.

import * as api from "./api.js";
import { h, setAttribute, setText } from "./dom.js";
import { fillIcon } from "./icons.js";

const SANDBOX = "allow-scripts allow-forms allow-modals allow-popups allow-downloads";
const PROBE_TIME = 2500; // milliseconds
const SWAP_TIME = 4000; // milliseconds after which a slow page is shown as far as it is
const MARGIN = 60_000; // milliseconds before its end at which an address counts as spent

export class Preview {
  #stage = h("div", { class: "stage" });
  #place = h("span", { class: "preview-place" });
  #reload = h("button", { type: "button", class: "icon-button", "aria-label": "Reload the preview", title: "Reload the preview" });
  #phone = h("button", { type: "button", class: "icon-button phone-width", "aria-label": "Phone width", title: "Phone width", "aria-pressed": "false" });
  #external = h("a", { class: "icon-button", target: "_blank", rel: "noopener noreferrer", "aria-label": "Open in a new tab", title: "Open in a new tab" });
  #bar;
  #words = h("div", { class: "placeholder" });
  #addresses = new Map(); // projectId -> {src, ownHost, expiresAt}
  #wanted = null;
  #project = null;

  constructor(panel) {
    fillIcon(this.#reload, "reload");
    fillIcon(this.#phone, "phone");
    fillIcon(this.#external, "external");
    this.#reload.addEventListener("click", () => this.#open(this.#project, { fresh: true }));
    this.#phone.addEventListener("click", () => {
      const narrow = this.#stage.classList.toggle("narrow");
      this.#phone.setAttribute("aria-pressed", narrow);
    });
    this.#bar = h("div", { class: "preview-bar", hidden: true }, this.#reload, this.#place, this.#phone, this.#external);
    panel.append(this.#bar, this.#words, this.#stage);
  }

  update(conversation) {
    const { project, running, projectId } = conversation;
    this.#project = project;
    const paths = project?.files.map((file) => file.path) ?? [];
    if (!paths.includes("index.html")) {
      this.#clear();
      this.#say(running ? "The preview opens once the files are saved." : paths.length ? NO_PAGE : "Nothing to preview yet.");
      return;
    }
    this.#bar.hidden = false;
    const wanted = `${projectId} ${project.version}`;
    if (wanted === this.#wanted) return;
    this.#wanted = wanted;
    this.#open(project);
  }

  #say(text) {
    this.#words.hidden = text === "";
    if (this.#words.textContent !== text) this.#words.replaceChildren(text ? h("p", {}, text) : "");
  }

  #clear() {
    this.#wanted = null;
    this.#bar.hidden = true;
    this.#stage.replaceChildren();
  }

  async #open(project, { fresh = false } = {}) {
    const wanted = this.#wanted;
    try {
      const address = await this.#address(project.id, fresh);
      if (wanted === this.#wanted) this.#show(project, address);
    } catch (error) {
      if (wanted !== this.#wanted) return;
      this.#stage.replaceChildren();
      this.#say(`The preview can't be opened. ${error.message}`);
    }
  }

  /** An address is kept while it lasts, so that what the page stored under its origin is still there after a reload. */
  async #address(projectId, fresh) {
    const known = this.#addresses.get(projectId);
    if (known && !fresh && known.expiresAt - MARGIN > Date.now()) return known;
    const { url, sandboxUrl, expiresAt } = await api.openPreview(projectId);
    const ownHost = Boolean(url) && (await reachable(url));
    const address = { src: ownHost ? url : sandboxUrl, ownHost, expiresAt: Date.parse(expiresAt) || Infinity };
    this.#addresses.set(projectId, address);
    return address;
  }

  #show(project, { src, ownHost }) {
    const frame = h("iframe", {
      title: `Preview of ${project.title || "the project"}`,
      sandbox: ownHost ? `${SANDBOX} allow-same-origin` : SANDBOX,
      referrerpolicy: "no-referrer",
      class: "loading",
      src,
    });
    const swap = () => {
      for (const other of [...this.#stage.children]) if (other !== frame) other.remove();
      frame.classList.remove("loading");
    };
    frame.addEventListener("load", swap, { once: true });
    setTimeout(() => frame.isConnected && swap(), SWAP_TIME);
    this.#stage.append(frame);
    this.#say("");
    setText(this.#place, ownHost ? "Runs under a host of its own" : "Runs in a sandbox without storage");
    setAttribute(this.#external, "href", src);
  }
}

const NO_PAGE = "This project has no index.html to show. Commands such as npm are shown in the chat, not run by this server.";

/** Whether the browser gets an answer there, whatever it is; a page may not see more of another origin. */
async function reachable(url) {
  try {
    await fetch(new URL("?ping", url), { mode: "no-cors", cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(PROBE_TIME) });
    return true;
  } catch {
    return false;
  }
}
