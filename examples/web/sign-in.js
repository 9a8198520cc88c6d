// Why it exists: what somebody sees who isn't signed in, and the way to where they wanted to go.
// Law: it leads to paths of this server only, and comes back to the chat that was asked for, also after
// a sign-in that went wrong.

import { h } from "./dom.js";
import { fillIcon } from "./icons.js";
import { tabNote } from "./storage.js";

const RETURN = "return";
const EXPIRED = "expired";

/** Before a reload that will end at this screen: why, and that nothing typed is lost. */
export const noteExpiry = () => tabNote.leave(EXPIRED, "1");

/** `problem`: a sentence about the last attempt, or null. */
export function showSignIn(root, { providers, problem }) {
  const wanted = location.hash.length > 2 ? location.hash : (tabNote.take(RETURN) ?? "");
  const expired = tabNote.take(EXPIRED) !== null;
  const returnTo = encodeURIComponent(`${location.pathname}${wanted}`);
  const go = () => tabNote.leave(RETURN, wanted); // a refusal comes back without it

  const links = providers
    .filter(({ signInUrl }) => new URL(signInUrl, location.href).origin === location.origin)
    .map(({ name, signInUrl }, index) =>
      h("a", { class: `button large${index === 0 ? " primary" : ""}`, href: `${signInUrl}?return_to=${returnTo}`, onclick: go }, `Sign in with ${name}`),
    );
  const words = problem ?? (expired ? "Your session has ended. Sign in again to go on; what you were writing is kept." : null);
  const notice = h("p", { class: "sign-in-notice", role: "alert", dataset: { tone: problem ? "bad" : "warn" }, hidden: !words }, h("span", {}, words ?? ""));
  fillIcon(notice, "alert");
  root.querySelector(".sign-in-body").replaceChildren(notice, ...links);
  root.hidden = false;
  document.title = "Sign in \u00b7 openbolt";
}

/** Signed in: nothing is to be come back to any more. */
export function forgetSignIn() {
  tabNote.take(RETURN);
  tabNote.take(EXPIRED);
}
