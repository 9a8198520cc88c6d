// Why it exists: links with which anybody reads a project or a chat, made and taken back in one dialog.
// Laws: a link is shown once, when it is made; its token stands behind the "#", which browsers send to no
// server and in no referrer.

import * as api from "./api.js";
import { h } from "./dom.js";
import { Message, busy, field, loaded, segmented, shownOnce, sureButton } from "./settings-parts.js";
import { dateOf } from "./times.js";

const DAY = 86_400;
const LIVES = [["Until you revoke it", ""], ["A day", DAY], ["A week", 7 * DAY], ["A month", 30 * DAY]];
const WORDS = {
  projects: "Whoever has the link sees the project's files as they are now, and can download them.",
  chats: "Whoever has the link reads this chat as it is now. What it cost, and what the model thought, is left out.",
};

export const linkTo = (token) => new URL(`${location.pathname}#/shared/${token}`, location.href).href;

export class ShareDialog {
  #dialog;
  #body = h("div", { class: "share-body" });
  #copy;

  constructor(dialog, { copy }) {
    this.#dialog = dialog;
    this.#copy = copy;
    dialog.append(h("h2", { id: "share-title" }, "Share by link"), this.#body, h("div", { class: "dialog-row" }, h("button", { type: "button", class: "button quiet", onclick: () => dialog.close() }, "Close")));
    dialog.addEventListener("close", () => this.#body.replaceChildren());
  }

  /** `things`: `{projects: id | null, chats: id | null}`, at least one of them. */
  open(things) {
    this.#show(things, things.projects ? "projects" : "chats");
    this.#dialog.showModal();
  }

  #show(things, kind) {
    const choices = [["projects", "Project"], ["chats", "Chat"]].filter(([each]) => things[each]);
    const message = new Message();
    const fresh = h("div", { class: "settings-fresh" });
    const list = loaded(() => api.shares(kind, things[kind]), (shares, again) => [links(shares, message, again)]);
    const life = h("select", {}, ...LIVES.map(([label, seconds]) => h("option", { value: seconds }, label)));
    const make = h("button", { type: "submit", class: "button primary" }, "Make a link");
    const form = h("form", { class: "settings-form" }, field("It works", life), make);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      message.say("");
      busy(make, message, async () => {
        const { token } = await api.createShare(kind, things[kind], life.value ? { expiresIn: Number(life.value) } : {});
        fresh.replaceChildren(h("p", {}, h("b", {}, "The link is ready."), " Copy it now: it isn't shown again."), shownOnce("The new link", linkTo(token), this.#copy));
        fresh.querySelector("input").focus();
        list.again();
      });
    });
    list.again();
    this.#body.replaceChildren(
      choices.length > 1 ? segmented("What", "share-what", choices, kind, (other) => this.#show(things, other)) : "",
      h("p", {}, WORDS[kind]),
      form,
      fresh,
      list.element,
      message.element,
    );
    if (this.#dialog.open) this.#body.querySelector(`input[value="${kind}"]`)?.focus();
  }
}

function links(shares, message, again) {
  if (shares.length === 0) return h("p", { class: "settings-state" }, "There are no links to it.");
  const rows = shares.map((share) => {
    const made = `Made on ${dateOf(share.createdAt)}`;
    const revoke = sureButton(
      "Revoke",
      "Revoke for good?",
      (button) =>
        busy(button, message, async () => {
          await api.revokeShare(share.id);
          message.say("Revoked: the link opens nothing any more.");
          await again({ focus: true });
        }),
      { "aria-label": `Revoke the link, ${made}` },
    );
    return h("li", { class: "settings-item" }, h("div", {}, h("b", {}, made), h("span", {}, share.expiresAt ? `Works until ${dateOf(share.expiresAt)}` : "Works until you revoke it")), revoke);
  });
  return h("ul", { class: "settings-list", "aria-label": "Links" }, ...rows);
}
