// Why it exists: everything that belongs to the person, in one dialog.
// Laws: its size doesn't change with what it shows; what was typed or shown in it is gone when it closes.

import { arrowTabs, h, markTab } from "./dom.js";
import { fillIcon, icon } from "./icons.js";
import { apiKeysPart } from "./settings-api-keys.js";
import { dataPart } from "./settings-data.js";
import { modelKeyPart } from "./settings-model-key.js";
import { preferencesPart } from "./settings-preferences.js";
import { sessionsPart } from "./settings-sessions.js";

const PARTS = [
  { id: "preferences", label: "Preferences", icon: "sliders", make: preferencesPart },
  { id: "model-key", label: "Model key", icon: "bolt", make: modelKeyPart },
  { id: "api-keys", label: "API keys", icon: "key", make: apiKeysPart },
  { id: "sessions", label: "Sessions", icon: "screen", make: sessionsPart, signedIn: true },
  { id: "data", label: "Your data", icon: "archive", make: dataPart },
];

export class SettingsDialog {
  #dialog;
  #tabs;
  #panel = h("div", { class: "settings-panel", id: "settings-panel", role: "tabpanel", tabindex: 0 });
  #parts = new Map(); // tab -> what it shows
  #context;
  #shown = new AbortController(); // aborted when the part that is shown goes

  /** `context`: user, signedIn, preferences, models(), copy(text) -> promise of whether, leave(work). */
  constructor(dialog, context) {
    this.#dialog = dialog;
    this.#context = context;
    const tabs = PARTS.filter((part) => context.signedIn || !part.signedIn).map((part) => {
      const tab = h("button", { type: "button", role: "tab", id: `settings-tab-${part.id}`, "aria-controls": "settings-panel", tabindex: -1 }, icon(part.icon), part.label);
      this.#parts.set(tab, part);
      return tab;
    });
    this.#tabs = h("div", { class: "settings-tabs", role: "tablist", "aria-label": "Settings", "aria-orientation": "vertical" }, ...tabs);
    const close = h("button", { type: "button", class: "icon-button", "aria-label": "Close the settings", title: "Close", onclick: () => dialog.close() });
    fillIcon(close, "close");
    dialog.append(h("header", { class: "settings-head" }, h("h2", { id: "settings-title" }, "Settings"), close), h("div", { class: "settings-body" }, this.#tabs, this.#panel));
    arrowTabs(this.#tabs, (tab) => this.#show(tab));
    dialog.addEventListener("close", () => this.#clear());
    // A press on the backdrop hits the dialog itself, and none of its children.
    dialog.addEventListener("pointerdown", (event) => event.target === dialog && isOutside(dialog, event) && dialog.close());
  }

  open(id = "preferences") {
    const tab = this.#tabs.querySelector(`#settings-tab-${id}`);
    this.#show(tab);
    this.#dialog.showModal();
    tab.focus();
  }

  #clear() {
    this.#shown.abort();
    this.#panel.replaceChildren();
  }

  #show(tab) {
    this.#clear();
    this.#shown = new AbortController();
    markTab(this.#tabs, tab);
    tab.scrollIntoView({ block: "nearest", inline: "nearest" });
    this.#panel.setAttribute("aria-labelledby", tab.id);
    this.#panel.replaceChildren(...this.#parts.get(tab).make({ ...this.#context, signal: this.#shown.signal }));
    this.#panel.scrollTop = 0;
  }
}

function isOutside(dialog, { clientX, clientY }) {
  const { left, right, top, bottom } = dialog.getBoundingClientRect();
  return clientX < left || clientX > right || clientY < top || clientY > bottom;
}
