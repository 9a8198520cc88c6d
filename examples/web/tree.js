// Why it exists: the project's files as an ARIA tree that the keyboard can walk.
// Law: one item is in the tab order; arrows, Home and End move, Enter and Space open (ARIA tree pattern).

import { h, setAttribute, setText } from "./dom.js";
import { fillIcon } from "./icons.js";

/** Paths -> nested nodes `{name, path, children | null}`, folders first, each by name. */
export function nest(paths) {
  const root = { name: "", path: "", children: new Map() };
  for (const path of paths) {
    let node = root;
    const names = path.split("/");
    names.forEach((name, depth) => {
      const leaf = depth === names.length - 1;
      const key = leaf ? `f:${name}` : `d:${name}`;
      if (!node.children.has(key)) {
        node.children.set(key, { name, path: names.slice(0, depth + 1).join("/"), children: leaf ? null : new Map() });
      }
      node = node.children.get(key);
    });
  }
  const sorted = (node) => {
    if (!node.children) return node;
    const children = [...node.children.values()].map(sorted);
    children.sort((a, b) => (a.children ? 0 : 1) - (b.children ? 0 : 1) || a.name.localeCompare(b.name));
    return { ...node, children };
  };
  return sorted(root).children;
}

export class TreeView {
  element = h("ul", { class: "tree", role: "tree", "aria-label": "Files" });
  #open;
  #closed = new Set(); // folder paths
  #focus = null;
  #state = { marks: new Map(), selected: null };
  #shape = null;
  #nodes = [];

  /** `open(path)` is called when a file is chosen. */
  constructor(open) {
    this.#open = open;
    this.element.addEventListener("keydown", (event) => this.#key(event));
    this.element.addEventListener("click", (event) => {
      const item = event.target.closest('[role="treeitem"]');
      if (item) this.#activate(item);
    });
  }

  /** `marks` is path -> "writing" | "changed". */
  update({ paths, selected, marks }) {
    const shape = paths.join("\n");
    if (shape !== this.#shape) {
      this.#shape = shape;
      this.#nodes = nest(paths);
      this.#draw();
    }
    this.#state = { selected, marks };
    this.#mark();
  }

  #draw() {
    const focused = this.element.contains(document.activeElement);
    this.element.replaceChildren(...this.#nodes.map((node) => this.#item(node, 1)));
    this.#mark();
    if (focused) this.#items().find((item) => item.dataset.path === this.#focus)?.focus();
  }

  #item(node, level) {
    const row = h("span", { class: "tree-row" }, h("span", { class: "tree-name" }, node.name), h("span", { class: "tree-mark" }));
    const item = h("li", { role: "treeitem", "aria-level": level, tabindex: -1, dataset: { path: node.path } }, row);
    if (!node.children) {
      fillIcon(row, "file");
      return item;
    }
    fillIcon(row, "chevron");
    const isOpen = !this.#closed.has(node.path);
    item.setAttribute("aria-expanded", isOpen);
    if (isOpen) item.append(h("ul", { role: "group" }, ...node.children.map((child) => this.#item(child, level + 1))));
    return item;
  }

  #mark() {
    const { selected, marks } = this.#state;
    const items = this.#items();
    const stop = items.find((item) => item.dataset.path === this.#focus) ?? items.find((item) => item.dataset.path === selected) ?? items[0];
    for (const item of items) {
      const { path } = item.dataset;
      if (!item.hasAttribute("aria-expanded")) setAttribute(item, "aria-selected", path === selected);
      setAttribute(item, "tabindex", item === stop ? 0 : -1);
      const mark = marks.get(path) ?? "";
      setAttribute(item, "data-mark", mark || null);
      setText(item.querySelector(":scope > .tree-row > .tree-mark"), mark === "writing" ? "writing" : "");
    }
  }

  #items() {
    return [...this.element.querySelectorAll('[role="treeitem"]')];
  }

  #activate(item) {
    this.#focus = item.dataset.path;
    if (item.hasAttribute("aria-expanded")) this.#toggle(item.dataset.path);
    else this.#open(item.dataset.path);
    this.#focusOn(this.#items().find((other) => other.dataset.path === this.#focus));
  }

  #toggle(path) {
    if (!this.#closed.delete(path)) this.#closed.add(path);
    this.#draw();
  }

  #focusOn(item) {
    if (!item) return;
    this.#focus = item.dataset.path;
    this.#mark();
    item.focus();
  }

  #key(event) {
    const items = this.#items();
    const item = event.target.closest('[role="treeitem"]');
    const at = items.indexOf(item);
    const expanded = item?.getAttribute("aria-expanded");
    const moves = {
      ArrowDown: () => this.#focusOn(items[at + 1]),
      ArrowUp: () => this.#focusOn(items[at - 1]),
      Home: () => this.#focusOn(items[0]),
      End: () => this.#focusOn(items.at(-1)),
      Enter: () => this.#activate(item),
      " ": () => this.#activate(item),
      ArrowRight: () => (expanded === "false" ? this.#activate(item) : expanded === "true" ? this.#focusOn(items[at + 1]) : null),
      ArrowLeft: () => (expanded === "true" ? this.#activate(item) : this.#focusOn(item.parentElement.closest('[role="treeitem"]'))),
    };
    if (at < 0 || !moves[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    moves[event.key]();
  }
}
