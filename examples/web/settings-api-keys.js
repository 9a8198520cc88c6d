// Why it exists: keys with which a person's programs come in their name.
// Law: a new key is shown once, until it is put away or the dialog closes.

import * as api from "./api.js";
import { h } from "./dom.js";
import { Message, busy, field, group, loaded, shownOnce, sureButton } from "./settings-parts.js";
import { ago, dateOf } from "./times.js";

const SCOPES = [
  ["chat", "Chats", "write and read chats, enhance prompts"],
  ["projects", "Projects", "files, previews, exports"],
  ["proxy", "Proxy", "requests to other servers"],
  ["admin", "Account", "keys, sessions, settings, links, deletion"],
];
const DAY = 86_400;
const LIVES = [["30 days", 30 * DAY], ["90 days", 90 * DAY], ["1 year", 365 * DAY], ["No end", ""]];

export function apiKeysPart({ copy }) {
  const message = new Message();
  const fresh = h("div", { class: "settings-fresh" });
  const list = loaded(api.apiKeys, (keys, again) =>
    keys.length === 0
      ? [h("p", { class: "settings-state" }, "You have no keys.")]
      : [h("ul", { class: "settings-list", "aria-label": "API keys" }, ...keys.map((key) => row(key, message, again)))],
  );
  list.again();
  const show = (made) => {
    const away = () => {
      fresh.replaceChildren();
      list.element.focus();
    };
    fresh.replaceChildren(
      h("p", {}, h("b", {}, `\u201c${made.name}\u201d is ready.`), " Copy it now: it isn't shown again."),
      shownOnce("The new API key", made.key, copy),
      h("button", { type: "button", class: "button small quiet", onclick: away }, "I have it"),
    );
    fresh.querySelector("input").focus();
    list.again();
  };
  return [
    group(
      "API keys",
      "For programs that use this server in your name: they send one as Authorization: Bearer.",
      fresh,
      list.element,
      message.element,
    ),
    group("Make a key", null, form(message, show)),
  ];
}

function row(key, message, again) {
  const revoke = sureButton(
    "Revoke",
    "Revoke for good?",
    (button) =>
      busy(button, message, async () => {
        await api.revokeApiKey(key.id);
        message.say(`\u201c${key.name}\u201d is revoked.`);
        await again({ focus: true });
      }),
    { "aria-label": `Revoke ${key.name}` },
  );
  const facts = [
    key.scopes.join(", "),
    key.expiresAt ? `ends ${dateOf(key.expiresAt)}` : "no end",
    key.lastUsedAt ? `used ${ago(key.lastUsedAt)}` : "not used yet",
  ];
  return h("li", { class: "settings-item" }, h("div", {}, h("b", {}, key.name, " ", h("code", {}, key.prefix)), h("span", {}, facts.join(" \u00b7 "))), revoke);
}

function form(message, show) {
  const name = h("input", { type: "text", required: true, maxlength: 100, autocomplete: "off", placeholder: "What it is for" });
  const scopes = SCOPES.map(([id, label, hint]) => {
    const input = h("input", { type: "checkbox", value: id, checked: id === "chat" || id === "projects" });
    return h("label", { class: "settings-scope" }, input, h("span", {}, h("b", {}, label), h("span", { class: "settings-hint" }, hint)));
  });
  const life = h("select", {}, ...LIVES.map(([label, seconds]) => h("option", { value: seconds, selected: label === "90 days" }, label)));
  const create = h("button", { type: "submit", class: "button primary" }, "Make the key");
  return h(
    "form",
    {
      class: "settings-form column",
      onsubmit(event) {
        event.preventDefault();
        message.say("");
        busy(create, message, async () => {
          const chosen = scopes.map((label) => label.querySelector("input")).filter((input) => input.checked);
          if (chosen.length === 0) throw new Error("Choose at least one thing that the key may do.");
          const body = { name: name.value, scopes: chosen.map((input) => input.value) };
          if (life.value) body.expiresIn = Number(life.value);
          show(await api.createApiKey(body));
          name.value = "";
        });
      },
    },
    field("Name", name),
    h("fieldset", { class: "settings-scopes" }, h("legend", {}, "It may use"), ...scopes),
    field("It ends after", life),
    create,
  );
}
