// Storage can be denied (private windows, sandboxed previews): then it lasts until the page is closed.
const store = {
  load(key, fallback) {
    try {
      return JSON.parse(localStorage.getItem(key)) ?? fallback;
    } catch {
      return fallback;
    }
  },
  save(key, value) {
    try {
      localStorage.setItem(key, JSON.stringify(value));
    } catch {
      // Nothing to do: the value stays in memory.
    }
  },
};

const form = document.querySelector("#add");
const entry = document.querySelector("#entry");
const list = document.querySelector("#list");
const filters = document.querySelectorAll("[data-filter]");

let items = store.load("todo-list", []);
let filter = "all";

function commit() {
  store.save("todo-list", items);
  render();
}

function row(item) {
  const li = document.createElement("li");
  li.className = item.done ? "done" : "";

  const label = document.createElement("label");
  const box = document.createElement("input");
  box.type = "checkbox";
  box.checked = item.done;
  box.addEventListener("change", () => {
    item.done = box.checked;
    commit();
  });
  const text = document.createElement("span");
  text.textContent = item.text;
  label.append(box, text);

  const remove = document.createElement("button");
  remove.type = "button";
  remove.textContent = "×";
  remove.setAttribute("aria-label", `Delete ${item.text}`);
  remove.addEventListener("click", () => {
    items = items.filter((other) => other !== item);
    commit();
    entry.focus();
  });

  li.append(label, remove);
  return li;
}

function render() {
  const shown = items.filter((item) => filter === "all" || item.done === (filter === "done"));
  list.replaceChildren(...shown.map(row));
  document.querySelector("#empty").hidden = shown.length > 0;

  const open = items.filter((item) => !item.done).length;
  document.querySelector("#count").textContent = `${open} ${open === 1 ? "entry" : "entries"} open`;
  document.querySelector("#clear").disabled = open === items.length;
  for (const button of filters) {
    button.setAttribute("aria-pressed", String(button.dataset.filter === filter));
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = entry.value.trim();
  if (!text) {
    return;
  }
  items.push({ text, done: false });
  entry.value = "";
  filter = filter === "done" ? "all" : filter;
  commit();
});

for (const button of filters) {
  button.addEventListener("click", () => {
    filter = button.dataset.filter;
    render();
  });
}

document.querySelector("#clear").addEventListener("click", () => {
  items = items.filter((item) => !item.done);
  commit();
});

render();
