const display = document.querySelector("#display");
const trail = document.querySelector("#trail");
const SIGNS = { "+": "+", "-": "−", "*": "×", "/": "÷" };

let typed = "0";
let stored = null;
let operator = null;
let fresh = true;

function compute(a, b) {
  if (operator === "+") {
    return a + b;
  }
  if (operator === "-") {
    return a - b;
  }
  if (operator === "*") {
    return a * b;
  }
  return b === 0 ? NaN : a / b;
}

// Twelve digits: enough to be useful, few enough to hide that 0.1 + 0.2 is not quite 0.3.
function format(number) {
  return Number.isFinite(number) ? String(Number(number.toPrecision(12))) : "Not a number";
}

function clear() {
  typed = "0";
  stored = null;
  operator = null;
  fresh = true;
}

function digit(key) {
  typed = fresh ? "0" : typed;
  fresh = false;
  if (key === "." && typed.includes(".")) {
    return;
  }
  if (typed.replace(/[-.]/g, "").length >= 12) {
    return;
  }
  typed = typed === "0" && key !== "." ? key : typed + key;
}

function settle() {
  if (operator !== null && stored !== null) {
    typed = format(compute(stored, Number(typed)));
  }
  stored = null;
  operator = null;
  fresh = true;
}

function operate(key) {
  if (!fresh) {
    settle();
  }
  stored = Number(typed);
  operator = key;
  fresh = true;
}

function press(key) {
  if (key === "clear" || (typed === "Not a number" && !/\d/.test(key))) {
    clear();
  } else if (/^[\d.]$/.test(key)) {
    digit(key);
  } else if (key in SIGNS) {
    operate(key);
  } else if (key === "=") {
    settle();
  } else if (key === "sign") {
    typed = format(-Number(typed));
  } else if (key === "percent") {
    typed = format(Number(typed) / 100);
  } else if (key === "back" && !fresh) {
    typed = typed.slice(0, -1).replace(/^-?$/, "0");
  }
  display.textContent = typed.replace("-", "−");
  trail.textContent = operator === null ? "" : `${format(stored)} ${SIGNS[operator]}`;
}

for (const button of document.querySelectorAll("[data-key]")) {
  button.addEventListener("click", () => press(button.dataset.key));
}

const KEYS = { Enter: "=", Escape: "clear", Backspace: "back", ",": ".", "%": "percent" };

addEventListener("keydown", (event) => {
  const key = KEYS[event.key] ?? event.key;
  if (event.ctrlKey || event.metaKey || event.altKey) {
    return;
  }
  if (/^[\d.+\-*/=]$/.test(key) || Object.values(KEYS).includes(key)) {
    event.preventDefault();
    press(key);
  }
});
