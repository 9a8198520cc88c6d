// Why it exists: light or dark is the reader's choice, and a choice once made is kept.
// Law: until the reader has chosen, the system's setting is followed live.

import { recall, remember } from "./storage.js";
import { fillIcon } from "./icons.js";

const KEY = "theme"; // what theme-boot.js reads before anything else is there
const system = matchMedia("(prefers-color-scheme: dark)");

/** Show "light", "dark", or (for anything else) what the system says; tells whether it is dark. */
function show(theme) {
  const dark = theme === "dark" || (theme !== "light" && system.matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  return dark;
}

/** For screens without a person: what was chosen here last, else the system's. */
export function followSystem() {
  system.addEventListener("change", () => show(recall(KEY)));
  show(recall(KEY));
}

export function initTheme(button, preferences) {
  const apply = ({ theme }) => {
    remember(KEY, theme === "system" ? null : theme);
    const dark = show(theme);
    button.setAttribute("aria-pressed", String(dark));
    fillIcon(button, dark ? "moon" : "sun");
  };
  button.addEventListener("click", () => {
    preferences.change({ theme: document.documentElement.dataset.theme === "dark" ? "light" : "dark" });
  });
  system.addEventListener("change", () => apply(preferences.value));
  preferences.watch(apply);
}
