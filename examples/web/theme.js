// Why it exists: light or dark is the reader's choice, and a choice once made is kept.
// Law: until the reader has chosen, the system's setting is followed live.

import { remember, recall } from "./storage.js";
import { fillIcon } from "./icons.js";

const KEY = "theme";

export function initTheme(button) {
  const system = matchMedia("(prefers-color-scheme: dark)");

  const apply = () => {
    const dark = (recall(KEY) ?? (system.matches ? "dark" : "light")) === "dark";
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    button.setAttribute("aria-pressed", String(dark));
    fillIcon(button, dark ? "moon" : "sun");
  };

  button.addEventListener("click", () => {
    remember(KEY, document.documentElement.dataset.theme === "dark" ? "light" : "dark");
    apply();
  });
  system.addEventListener("change", apply);
  // Another tab of ours changed it.
  addEventListener("storage", apply);
  apply();
}
