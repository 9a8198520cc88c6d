// Why it exists: a person takes everything along, or has all of it deleted.
// Law: nothing is deleted but by somebody who has written whose account it is, and the receipt stays
// until they have seen it.

import * as api from "./api.js";
import { h } from "./dom.js";
import { Message, busy, field, group, withIcon } from "./settings-parts.js";

export function dataPart({ user, signedIn, leave }) {
  const download = withIcon(h("a", { class: "button", href: api.accountExportUrl, download: true }, h("span", {}, "Download everything")), "download");
  const end = h("section", { class: "settings-group danger-zone" }, h("h3", {}, signedIn ? "Delete your account" : "Delete everything"));
  end.append(...deletion({ user, signedIn, leave, end }));
  return [
    group(
      "Take it along",
      "A zip archive of your chats, projects, preferences and what else is stored of you. Secrets and keys are listed in it without their values.",
      h("div", { class: "settings-actions" }, download),
    ),
    end,
  ];
}

function deletion({ user, signedIn, leave, end }) {
  const message = new Message();
  const name = user.login ?? user.id;
  const input = h("input", { type: "text", autocomplete: "off", autocapitalize: "off", spellcheck: "false" });
  const remove = h("button", { type: "submit", class: "button danger", disabled: true }, signedIn ? "Delete my account" : "Delete everything");
  const matches = () => input.value.trim().toLowerCase() === name.toLowerCase();
  input.addEventListener("input", () => (remove.disabled = !matches()));
  const form = h(
    "form",
    {
      class: "settings-form",
      onsubmit(event) {
        event.preventDefault();
        if (!matches()) return;
        busy(remove, message, () => leave(() => api.deleteAccount(user.id), { then: (receipt) => showReceipt(end, receipt) }));
      },
    },
    field(`Type ${name} to confirm`, input),
    remove,
  );
  const words = signedIn
    ? "All chats, projects, keys, links and preferences are deleted at once, and every browser is signed out. There is no way back."
    : "All chats, projects, keys, links and preferences on this server are deleted at once. There is no way back.";
  return [h("p", { class: "settings-words" }, words), form, message.element];
}

/** What is left of the account, to be seen (and copied) before the page goes. Gives a promise for that. */
function showReceipt(end, { id, deletedAt, counts }) {
  const rows = Object.entries(counts).filter(([, count]) => count > 0).map(([what, count]) => h("div", {}, h("dt", {}, what), h("dd", {}, String(count))));
  const done = h("button", { type: "button", class: "button primary" }, "Done");
  end.closest(".settings-panel").replaceChildren(
    h(
      "section",
      { class: "settings-group", id: "receipt" },
      h("h3", { tabindex: -1 }, "Deleted"),
      h("p", { class: "settings-words" }, `On ${new Date(deletedAt).toLocaleString("en")}. Keep the number of this receipt, if you want to be able to ask about it:`),
      h("p", {}, h("code", { class: "receipt-id" }, id)),
      h("dl", { class: "receipt" }, ...rows),
      done,
    ),
  );
  done.focus();
  return new Promise((seen) => {
    done.addEventListener("click", seen);
    end.ownerDocument.querySelector("#settings").addEventListener("close", seen);
  });
}
