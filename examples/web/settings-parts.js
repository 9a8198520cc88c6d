// Why it exists: the small pieces that the settings are made of, so that each part of them looks and
// behaves alike. Law: what goes wrong is said where it went wrong, and what can't be undone asks twice.

import { h } from "./dom.js";
import { fillIcon } from "./icons.js";

let nextId = 0;
const freshId = (name) => `${name}-${(nextId += 1)}`;

export function withIcon(element, name) {
  fillIcon(element, name);
  return element;
}

/** Heading, a sentence, and what belongs to it. */
export const group = (title, words, ...children) =>
  h("section", { class: "settings-group" }, h("h3", {}, title), words && h("p", { class: "settings-words" }, words), ...children);

/** A control with its label above it. */
export function field(label, control, hint = null) {
  control.id ||= freshId("field");
  const words = hint && h("span", { class: "settings-hint", id: freshId("hint") }, hint);
  if (words) control.setAttribute("aria-describedby", words.id);
  return h("div", { class: "settings-field" }, h("label", { for: control.id }, label), control, words);
}

/** A row of exclusive choices; `chosen(value)` is called for the one picked. */
export function segmented(label, name, choices, value, chosen) {
  const inputs = choices.map(([key, text]) =>
    h("label", {}, h("input", { type: "radio", name, value: key, checked: key === value, onchange: () => chosen(key) }), h("span", {}, text)),
  );
  const id = freshId("choice");
  return h("div", { class: "settings-row", role: "radiogroup", "aria-labelledby": id }, h("span", { id }, label), h("div", { class: "segmented" }, ...inputs));
}

export function check(label, hint, checked, changed) {
  const input = h("input", { type: "checkbox", checked, onchange: () => changed(input.checked, input) });
  return h("label", { class: "settings-row settings-check" }, h("span", {}, label, hint && h("span", { class: "settings-hint" }, hint)), input);
}

/** A line that says how it went; read out by screen readers. */
export class Message {
  element = h("p", { class: "settings-message", role: "status" });

  say(text, tone = "good") {
    this.element.dataset.tone = tone;
    this.element.textContent = text;
  }

  fail(error) {
    this.say(error.message, "bad");
  }
}

/** Do `work` while the button waits; a failure is said by `message`. */
export async function busy(button, message, work) {
  button.disabled = true;
  try {
    await work();
  } catch (error) {
    message.fail(error);
  }
  button.disabled = false;
}

/** A button that asks once more, in its place, before it does what can't be undone. */
export function sureButton(label, question, work, props = {}) {
  const button = h("button", { type: "button", class: "button small quiet", ...props }, label);
  const reset = () => {
    delete button.dataset.sure;
    button.textContent = label;
  };
  button.addEventListener("click", () => {
    if (button.dataset.sure) return work(button);
    button.dataset.sure = "true";
    button.textContent = question;
    return undefined;
  });
  button.addEventListener("blur", reset);
  return button;
}

/** A part that asks the server: `draw(answer, again)` gives its elements; `again()` asks anew. */
export function loaded(load, draw) {
  const element = h("div", { class: "settings-loaded", tabindex: -1, "aria-busy": "true" }, h("p", { class: "settings-words" }, "Loading\u2026"));
  let newest = 0;
  const again = async ({ focus = false } = {}) => {
    const mine = (newest += 1);
    element.setAttribute("aria-busy", "true");
    let children;
    try {
      children = draw(await load(), again);
    } catch (error) {
      children = [failure(error, again)];
    }
    if (mine !== newest) return;
    element.replaceChildren(...children);
    element.setAttribute("aria-busy", "false");
    if (focus) element.focus();
  };
  return { element, again };
}

function failure(error, again) {
  if (error.status === 404 || error.status === 501) return h("p", { class: "settings-words" }, "This server doesn't offer that.");
  return h(
    "p",
    { class: "settings-problem", role: "alert" },
    h("span", {}, error.message),
    h("button", { type: "button", class: "button small", onclick: () => again() }, "Try again"),
  );
}

/** Something that is shown once: read-only, selected, with a button that copies it. */
export function shownOnce(label, text, copy) {
  const input = h("input", { type: "text", readonly: true, spellcheck: "false", autocomplete: "off", "aria-label": label, onfocus: () => input.select() });
  input.value = text;
  const button = withIcon(h("button", { type: "button", class: "button primary" }, h("span", {}, "Copy")), "copy");
  button.addEventListener("click", async () => {
    if (await copy(text)) button.lastElementChild.textContent = "Copied";
    else input.focus();
  });
  return h("div", { class: "once" }, input, button);
}
