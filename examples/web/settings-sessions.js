// Why it exists: where a person is signed in, and the way to end that from here.
// Law: ending the session of this browser is signing out, with all that belongs to it.

import * as api from "./api.js";
import { h } from "./dom.js";
import { Message, busy, group, loaded, sureButton } from "./settings-parts.js";
import { ago, dateOf } from "./times.js";

export function sessionsPart({ leave }) {
  const message = new Message();
  const list = loaded(api.sessions, (sessions, again) => {
    const others = sessions.filter(({ current }) => !current);
    const all = sureButton(
      "Sign out everywhere else",
      "Sign out everywhere else?",
      (button) =>
        busy(button, message, async () => {
          await api.endOtherSessions();
          message.say("Signed out everywhere else.");
          await again({ focus: true });
        }),
      { class: "button" },
    );
    const rows = sessions.map((session) => row(session, { message, again, leave }));
    return [h("ul", { class: "settings-list", "aria-label": "Sessions" }, ...rows), others.length > 0 ? h("div", { class: "settings-actions" }, all) : ""];
  });
  list.again();
  return [
    group("Where you are signed in", "End what you don't recognise. Browsers are named as they named themselves; addresses are not kept.", list.element, message.element),
  ];
}

function row(session, { message, again, leave }) {
  const device = session.device || "Unknown browser";
  const end = sureButton(
    "Sign out",
    session.current ? "Sign out here?" : "Sign it out?",
    (button) =>
      busy(button, message, async () => {
        if (session.current) return leave(() => api.endSession(session.id));
        await api.endSession(session.id);
        message.say(`${device} is signed out.`);
        return again({ focus: true });
      }),
    { "aria-label": `Sign out ${device}` },
  );
  const facts = [session.current ? null : `used ${ago(session.lastUsedAt)}`, `signed in ${dateOf(session.createdAt)}`];
  return h(
    "li",
    { class: "settings-item" },
    h("div", {}, h("b", {}, device, session.current ? h("span", { class: "badge" }, "This browser") : ""), h("span", {}, facts.filter(Boolean).join(" \u00b7 "))),
    end,
  );
}
