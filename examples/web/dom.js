// Why it exists: building elements without strings of HTML, and keyed lists without a framework.
// Law: text goes in as text. The one place that may set markup is markdown.js, after sanitizing
// (and code-view.js, with highlight.js's own escaped output).

/** `h("button", {class: "x", onclick: f, "aria-label": "y"}, child, ...)`; null and false children are left out. */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "dataset") Object.assign(element.dataset, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Write text only when it changed, so that selections and screen readers are left in peace. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setAttribute(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, String(value));
}

/**
 * Make `parent`'s children match `items` by key: kept nodes are updated in place (focus and scroll
 * survive), new ones made, stale ones removed. `make(item)` returns `{element, update(item)}`.
 */
export function syncList(parent, items, keyOf, make) {
  const known = (parent.keyedViews ??= new Map());
  const wanted = new Set(items.map(keyOf));
  for (const [key, view] of known) {
    if (wanted.has(key)) continue;
    view.element.remove();
    known.delete(key);
  }
  let previous = null;
  for (const item of items) {
    const key = keyOf(item);
    let view = known.get(key);
    if (!view) known.set(key, (view = make(item)));
    view.update?.(item);
    const next = previous ? previous.nextSibling : parent.firstChild;
    if (next !== view.element) parent.insertBefore(view.element, next);
    previous = view.element;
  }
}

/** Call `work` once in the next frame, however often it is asked for; a hidden tab waits by timer instead. */
export function oncePerFrame(work) {
  let asked = false;
  const run = () => {
    asked = false;
    work();
  };
  return () => {
    if (asked) return;
    asked = true;
    if (document.hidden) setTimeout(run, 100);
    else requestAnimationFrame(run);
  };
}

/** Roving focus for a row (or column) of tabs: arrows, Home and End move and choose (ARIA tabs pattern). */
export function arrowTabs(tablist, choose) {
  tablist.addEventListener("keydown", (event) => {
    const tabs = [...tablist.querySelectorAll('[role="tab"]')];
    const at = tabs.indexOf(document.activeElement);
    const moves = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 };
    if (tablist.getAttribute("aria-orientation") === "vertical") Object.assign(moves, { ArrowDown: at + 1, ArrowUp: at - 1 });
    const to = moves[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    const tab = tabs[(to + tabs.length) % tabs.length];
    tab.focus();
    choose(tab);
  });
  tablist.addEventListener("click", (event) => {
    const tab = event.target.closest('[role="tab"]');
    if (tab) choose(tab);
  });
}

export function markTab(tablist, chosen) {
  for (const tab of tablist.querySelectorAll('[role="tab"]')) {
    setAttribute(tab, "aria-selected", tab === chosen);
    setAttribute(tab, "tabindex", tab === chosen ? 0 : -1);
  }
}
