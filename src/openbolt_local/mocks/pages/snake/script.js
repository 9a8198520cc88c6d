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

const SIZE = 20;
const TURNS = {
  up: [0, -1],
  down: [0, 1],
  left: [-1, 0],
  right: [1, 0],
};

const board = document.querySelector("#board");
const pen = board.getContext("2d");
const status = document.querySelector("#status");
const start = document.querySelector("#start");

let snake = [];
let food = [0, 0];
let direction = TURNS.right;
let turns = [];
let timer = 0;
let best = store.load("snake-best", 0);

function same(a, b) {
  return a[0] === b[0] && a[1] === b[1];
}

function placeFood() {
  do {
    food = [Math.floor(Math.random() * SIZE), Math.floor(Math.random() * SIZE)];
  } while (snake.some((part) => same(part, food)));
}

function draw() {
  const cell = board.width / SIZE;
  const colors = getComputedStyle(board);
  pen.clearRect(0, 0, board.width, board.height);
  pen.fillStyle = colors.caretColor;
  pen.beginPath();
  pen.arc((food[0] + 0.5) * cell, (food[1] + 0.5) * cell, cell * 0.36, 0, Math.PI * 2);
  pen.fill();
  pen.fillStyle = colors.color;
  for (const [x, y] of snake) {
    pen.beginPath();
    pen.roundRect(x * cell + 1, y * cell + 1, cell - 2, cell - 2, cell * 0.28);
    pen.fill();
  }
  document.querySelector("#score").textContent = Math.max(0, snake.length - 3);
  document.querySelector("#best").textContent = best;
}

function reset() {
  snake = [[6, 10], [5, 10], [4, 10]];
  direction = TURNS.right;
  turns = [];
  placeFood();
}

function end() {
  clearTimeout(timer);
  timer = 0;
  const score = snake.length - 3;
  const record = score > best;
  best = Math.max(best, score);
  store.save("snake-best", best);
  status.textContent = `Game over with ${score} points${record ? ": a new record!" : "."}`;
  start.textContent = "Play again";
  draw();
}

function step() {
  direction = turns.shift() ?? direction;
  const head = [snake[0][0] + direction[0], snake[0][1] + direction[1]];
  const outside = head.some((value) => value < 0 || value >= SIZE);
  if (outside || snake.slice(0, -1).some((part) => same(part, head))) {
    end();
    return;
  }
  snake.unshift(head);
  if (same(head, food)) {
    placeFood();
  } else {
    snake.pop();
  }
  draw();
  timer = setTimeout(step, Math.max(70, 160 - snake.length * 2));
}

function play() {
  clearTimeout(timer);
  reset();
  status.textContent = "Use the arrow keys or the buttons.";
  start.textContent = "Start again";
  timer = setTimeout(step, 160);
  draw();
}

function turn(name) {
  const next = TURNS[name];
  if (!timer) {
    play();
  }
  const last = turns.at(-1) ?? direction;
  if (last[0] + next[0] !== 0 || last[1] + next[1] !== 0) {
    turns = [...turns, next].slice(-2);
  }
}

addEventListener("keydown", (event) => {
  const name = event.key.replace("Arrow", "").toLowerCase();
  if (event.key.startsWith("Arrow") && name in TURNS) {
    event.preventDefault();
    turn(name);
  }
});

for (const button of document.querySelectorAll("[data-turn]")) {
  button.addEventListener("click", () => turn(button.dataset.turn));
}

start.addEventListener("click", play);
reset();
draw();
