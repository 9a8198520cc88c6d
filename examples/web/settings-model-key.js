// Why it exists: a person's own key for the model, in place of the server's.
// Law: the key goes from the field to the server and is nowhere else afterwards: not in the page, not in
// storage; what comes back of it is its last four characters.

import * as api from "./api.js";
import { h } from "./dom.js";
import { Message, busy, field, group, loaded, sureButton } from "./settings-parts.js";
import { dateOf } from "./times.js";

const NAME = "anthropic";

export function modelKeyPart() {
  const message = new Message();
  const list = loaded(api.secrets, (secrets, again) => {
    const known = secrets.find(({ name }) => name === NAME);
    return [present(known, message, again), form(known, message, again)];
  });
  list.again();
  return [
    group(
      "Your key for the model",
      "With a key of your own, replies are charged to your account at Anthropic. It is stored encrypted, can be replaced or removed, and is never shown again.",
      list.element,
      message.element,
    ),
  ];
}

function present(known, message, again) {
  if (!known) return h("p", { class: "settings-state" }, "No key is set. The server's own is used.");
  const remove = sureButton("Remove", "Remove the key?", (button) =>
    busy(button, message, async () => {
      await api.deleteSecret(NAME);
      message.say("Removed. The server's own key is used from now on.");
      await again({ focus: true });
    }),
  );
  const what = known.lastFour ? `Ends in ${known.lastFour}` : "A key is set";
  return h("div", { class: "settings-item" }, h("div", {}, h("b", {}, what), h("span", {}, `Set on ${dateOf(known.updatedAt)}`)), remove);
}

function form(known, message, again) {
  const input = h("input", { type: "password", autocomplete: "off", autocapitalize: "off", spellcheck: "false", required: true, placeholder: "sk-ant-\u2026" });
  const save = h("button", { type: "submit", class: "button primary" }, known ? "Replace" : "Save");
  return h(
    "form",
    {
      class: "settings-form",
      autocomplete: "off",
      onsubmit(event) {
        event.preventDefault();
        busy(save, message, async () => {
          await api.putSecret(NAME, input.value);
          input.value = "";
          message.say("Saved. Your next message uses it.");
          await again({ focus: true });
        });
      },
    },
    field(known ? "New key" : "Anthropic API key", input),
    save,
  );
}
