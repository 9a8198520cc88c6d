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

const list = document.querySelector("#list");
const text = document.querySelector("#text");
const search = document.querySelector("#search");
const saved = document.querySelector("#saved");
const remove = document.querySelector("#delete");

let notes = store.load("notes", []);
let deleted = null;
let current = null;

function titleOf(note) {
  return note.text.trim().split("\n")[0] || "Empty note";
}

function save(message) {
  store.save("notes", notes);
  saved.textContent = message;
}

function entry(note) {
  const li = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.append(titleOf(note));
  const day = document.createElement("small");
  day.textContent = new Date(note.changed).toLocaleString();
  button.append(day);
  button.setAttribute("aria-current", String(note === current));
  button.addEventListener("click", () => open(note));
  li.append(button);
  return li;
}

function render() {
  const words = search.value.trim().toLowerCase();
  const found = notes.filter((note) => note.text.toLowerCase().includes(words));
  found.sort((a, b) => b.changed - a.changed);
  list.replaceChildren(...found.map(entry));
  document.querySelector("#empty").hidden = found.length > 0;
  remove.textContent = deleted ? "Undo delete" : "Delete";
}

function open(note) {
  deleted = null;
  current = note;
  text.value = note.text;
  saved.textContent = "";
  render();
  text.focus();
}

function create() {
  const note = { text: "", changed: Date.now() };
  notes.push(note);
  search.value = "";
  open(note);
}

text.addEventListener("input", () => {
  current.text = text.value;
  current.changed = Date.now();
  deleted = null;
  save("Saved");
  render();
});

remove.addEventListener("click", () => {
  if (deleted) {
    const note = deleted;
    notes.push(note);
    open(note);
    save("It is back.");
    return;
  }
  const note = current;
  notes = notes.filter((other) => other !== note);
  if (notes.length === 0) {
    create();
  } else {
    open([...notes].sort((a, b) => b.changed - a.changed)[0]);
  }
  deleted = note;
  save("Deleted.");
  render();
  remove.focus();
});

search.addEventListener("input", render);
document.querySelector("#new").addEventListener("click", create);

if (notes.length === 0) {
  notes.push({ text: "Welcome\n\nWrite here. Everything is saved while you type.", changed: Date.now() });
}
current = [...notes].sort((a, b) => b.changed - a.changed)[0];
text.value = current.text;
render();
