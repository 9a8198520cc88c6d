// Why it exists: who is signed in, and the way to their settings and out.
// Laws: a menu by the ARIA pattern (arrows, Home, End, Escape, focus back on its button). No picture is
// fetched: it would tell its host of every visit, and let the page load from wherever a provider says.

import { h } from "./dom.js";
import { fillIcon } from "./icons.js";

/** One or two letters of a name. */
export function initialsOf(name) {
  const words = name.trim().split(/[\s._-]+/u).filter((word) => /[\p{L}\p{N}]/u.test(word));
  const letters = [words.at(0), words.length > 1 ? words.at(-1) : ""].map((word) => Array.from(word ?? "")[0] ?? "");
  return letters.join("").toUpperCase() || "?";
}

const iconed = (element, icon) => {
  fillIcon(element, icon);
  return element;
};

export class AccountMenu {
  #button;
  #menu;
  #items;

  /** `actions`: settings(), signOut(). Without `signedIn` it is a button for the settings. */
  constructor(root, { user, signedIn }, actions) {
    if (!signedIn) {
      const open = h("button", { type: "button", class: "account-button", id: "open-settings", onclick: () => actions.settings() }, h("span", { class: "account-name" }, "Settings"));
      root.append(iconed(open, "sliders"));
      return;
    }
    const line = user.email ?? user.login ?? user.id;
    this.#button = h(
      "button",
      { type: "button", class: "account-button", id: "account-button", "aria-haspopup": "menu", "aria-expanded": "false", "aria-controls": "account-menu" },
      h("span", { class: "avatar", "aria-hidden": "true" }, initialsOf(user.name)),
      h("span", { class: "account-name" }, user.name),
    );
    this.#items = [
      iconed(h("button", { type: "button", role: "menuitem", tabindex: -1, id: "open-settings", onclick: () => this.#choose(actions.settings) }, "Settings"), "sliders"),
      iconed(h("button", { type: "button", role: "menuitem", tabindex: -1, id: "sign-out", onclick: () => this.#choose(actions.signOut) }, "Sign out"), "leave"),
    ];
    this.#menu = h(
      "div",
      { class: "account-menu", hidden: true },
      h("p", { class: "account-who" }, h("b", {}, user.name), h("span", {}, line)),
      h("div", { role: "menu", id: "account-menu", "aria-labelledby": "account-button" }, ...this.#items),
    );
    root.append(this.#menu, this.#button);
    this.#button.addEventListener("click", () => this.#toggle(this.#menu.hidden));
    this.#button.addEventListener("keydown", (event) => {
      if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return;
      event.preventDefault();
      this.#toggle(true);
    });
    this.#menu.addEventListener("keydown", (event) => this.#key(event));
    root.addEventListener("focusout", (event) => {
      if (!root.contains(event.relatedTarget)) this.#toggle(false, { focus: false });
    });
    document.addEventListener("pointerdown", (event) => {
      if (!root.contains(event.target)) this.#toggle(false, { focus: false });
    });
  }

  #toggle(open, { focus = true } = {}) {
    if (this.#menu.hidden === !open) return;
    this.#menu.hidden = !open;
    this.#button.setAttribute("aria-expanded", String(open));
    if (focus) (open ? this.#items[0] : this.#button).focus();
  }

  #choose(work) {
    this.#toggle(false);
    work();
  }

  #key(event) {
    const at = this.#items.indexOf(document.activeElement);
    const last = this.#items.length - 1;
    const to = { ArrowDown: at === last ? 0 : at + 1, ArrowUp: at <= 0 ? last : at - 1, Home: 0, End: last }[event.key];
    if (to !== undefined) this.#items[to].focus();
    else if (event.key === "Escape") this.#toggle(false);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
