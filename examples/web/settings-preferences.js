// Why it exists: what can be chosen about the page itself.
// Law: a choice holds at once, and the line below says whether it is kept beyond this browser.

import { h } from "./dom.js";
import { canNotify, mayNotify } from "./notifications.js";
import { check, group, segmented } from "./settings-parts.js";

const MAC = /mac|iphone|ipad/i.test(navigator.userAgentData?.platform ?? navigator.platform ?? "");
const SAID = {
  saved: "",
  saving: "Saving\u2026",
  offline: "Kept in this browser; the server can't be reached. It is sent when it can.",
  local: "Kept in this browser.",
};

export function preferencesPart({ preferences, signedIn, signal }) {
  const now = preferences.value;
  const change = (patch) => preferences.change(patch);
  const line = h("p", { class: "settings-message", role: "status" });
  const showStatus = () => {
    const { status, problem } = preferences;
    line.dataset.tone = status === "refused" || status === "offline" ? "bad" : "good";
    line.textContent = status === "refused" ? problem.message : SAID[status];
  };
  preferences.watch(showStatus, { signal });

  const size = h("input", { type: "number", min: 8, max: 32, step: 1, value: now.codeFontSize, inputmode: "numeric", class: "short" });
  size.addEventListener("change", () => {
    const pixels = Math.min(32, Math.max(8, Math.round(Number(size.value)) || preferences.value.codeFontSize));
    size.value = pixels;
    change({ codeFontSize: pixels });
  });

  return [
    group(
      "Appearance",
      null,
      segmented("Theme", "settings-theme", [["system", "System"], ["light", "Light"], ["dark", "Dark"]], now.theme, (theme) => change({ theme })),
    ),
    group(
      "Writing",
      null,
      segmented("Send with", "settings-send", [["enter", "Enter"], ["mod+enter", MAC ? "\u2318 Enter" : "Ctrl + Enter"]], now.sendKey, (sendKey) => change({ sendKey })),
      check("Enhance prompts before sending", "The model makes each one more precise first.", now.enhanceOnSend, (enhanceOnSend) => change({ enhanceOnSend })),
      canNotify() &&
        check("Tell me when a reply is done", "By a notification, while this page is out of sight.", now.notifications, (on, input) => notify(on, input, change, line)),
    ),
    group(
      "Code",
      null,
      h("label", { class: "settings-row" }, "Font size in pixels", size),
      check("Wrap long lines", "Line numbers are left out then.", now.wordWrap, (wordWrap) => change({ wordWrap })),
    ),
    signedIn && h("p", { class: "settings-words" }, "Preferences follow you to every browser that you sign in with."),
    line,
  ].filter(Boolean);
}

async function notify(on, input, change, line) {
  if (on && !(await mayNotify())) {
    input.checked = false;
    line.dataset.tone = "bad";
    line.textContent = "The browser doesn't let this page notify you. Allow it in the browser's settings for this site.";
    return;
  }
  change({ notifications: on });
}
