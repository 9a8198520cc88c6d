// Why it exists: an empty page shows what can be asked for.

import { h } from "./dom.js";

const EXAMPLES = [
  ["Todo list", "Build me a todo list"],
  ["Timer", "Build a timer with a big dial and a 25 minute preset"],
  ["Calculator", "Build a calculator that I can use by keyboard"],
  ["Notes", "Build a notes app that remembers what I write"],
  ["Snake", "Make a snake game with a high score"],
  ["Quiz", "Make a quiz with a few questions and a score at the end"],
];

/** A chip for each example; `choose(prompt)` is called for the one picked. */
export function showSuggestions(root, choose) {
  root.append(...EXAMPLES.map(([label, prompt]) => h("button", { type: "button", class: "chip", title: prompt, onclick: () => choose(prompt) }, label)));
}
