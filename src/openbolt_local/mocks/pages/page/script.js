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

const form = document.querySelector("#form");
const idea = document.querySelector("#idea");
const list = document.querySelector("#list");

const ideas = store.load("ideas", []);

function render() {
  list.replaceChildren(
    ...ideas.map((text) => {
      const item = document.createElement("li");
      item.textContent = text;
      return item;
    }),
  );
  document.querySelector("#status").textContent =
    ideas.length === 0 ? "No ideas noted yet." : `${ideas.length} noted.`;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = idea.value.trim();
  if (text) {
    ideas.push(text);
    store.save("ideas", ideas);
    idea.value = "";
    render();
  }
});

render();
