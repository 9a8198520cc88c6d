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

const SIGNS = ["★", "♥", "♣", "♦", "☀", "☂", "♫", "✿"];
const NAMES = ["star", "heart", "club", "diamond", "sun", "umbrella", "notes", "flower"];

const board = document.querySelector("#cards");
const status = document.querySelector("#status");

let cards = [];
let open = [];
let moves = 0;
let record = store.load("memory-record", 0);

function shuffle(values) {
  for (let last = values.length - 1; last > 0; last -= 1) {
    const other = Math.floor(Math.random() * (last + 1));
    [values[last], values[other]] = [values[other], values[last]];
  }
  return values;
}

function show(card, state) {
  const place = cards.indexOf(card) + 1;
  card.button.className = state;
  card.button.textContent = state ? SIGNS[card.sign] : "";
  card.button.disabled = state === "found";
  card.button.setAttribute("aria-label", `Card ${place}: ${state ? NAMES[card.sign] : "face down"}`);
}

function count() {
  document.querySelector("#moves").textContent = moves;
  document.querySelector("#record").textContent = record || "–";
}

function finish() {
  const better = !record || moves < record;
  record = better ? moves : record;
  store.save("memory-record", record);
  status.textContent = `All found in ${moves} moves${better ? ": a new record!" : "."}`;
  count();
}

function turn(card) {
  if (open.length === 2) {
    open.forEach((other) => show(other, ""));
    open = [];
  }
  if (card.found || open.includes(card)) {
    return;
  }
  show(card, "open");
  open.push(card);
  if (open.length === 1) {
    status.textContent = `A ${NAMES[card.sign]}. Where is the other?`;
    return;
  }
  moves += 1;
  count();
  if (open[0].sign !== card.sign) {
    status.textContent = "Not a pair. Turn over the next card.";
    return;
  }
  for (const found of open) {
    found.found = true;
    show(found, "found");
  }
  open = [];
  status.textContent = "A pair!";
  if (cards.every((other) => other.found)) {
    finish();
  }
}

function deal() {
  moves = 0;
  open = [];
  cards = shuffle([...SIGNS.keys(), ...SIGNS.keys()]).map((sign) => {
    const button = document.createElement("button");
    button.type = "button";
    const card = { sign, button, found: false };
    button.addEventListener("click", () => turn(card));
    return card;
  });
  board.replaceChildren(...cards.map((card) => card.button));
  cards.forEach((card) => show(card, ""));
  status.textContent = "Turn over a card.";
  count();
}

document.querySelector("#again").addEventListener("click", deal);
deal();
