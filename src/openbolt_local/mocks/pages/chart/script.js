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

const SVG = document.querySelector("#chart").namespaceURI;
const AREA = { left: 56, right: 630, top: 24, bottom: 280 };

const chart = document.querySelector("#chart");
const rows = document.querySelector("#rows");

let data = store.load("chart", [
  { name: "Mon", value: 12 },
  { name: "Tue", value: 19 },
  { name: "Wed", value: 8 },
  { name: "Thu", value: 24 },
  { name: "Fri", value: 17 },
]);

function shape(name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) {
    element.setAttribute(key, value);
  }
  element.textContent = text ?? "";
  return element;
}

// The next round number above the largest value: 1, 2, 2.5 or 5 times a power of ten.
function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((limit) => limit >= value);
}

function draw() {
  const limit = ceiling(Math.max(...data.map((row) => row.value), 1));
  const height = AREA.bottom - AREA.top;
  const parts = [];
  for (let tick = 0; tick <= 4; tick += 1) {
    const y = AREA.bottom - (height * tick) / 4;
    parts.push(shape("line", { class: "grid", x1: AREA.left, x2: AREA.right, y1: y, y2: y }));
    const label = Number(((limit * tick) / 4).toPrecision(4));
    parts.push(shape("text", { class: "tick", x: AREA.left - 8, y: y + 5 }, label));
  }
  const slot = (AREA.right - AREA.left) / Math.max(data.length, 1);
  data.forEach((row, index) => {
    const size = (height * Math.max(row.value, 0)) / limit;
    const middle = AREA.left + slot * (index + 0.5);
    const width = Math.min(slot * 0.66, 90);
    parts.push(
      shape("rect", { class: "bar", x: middle - width / 2, y: AREA.bottom - size, width, height: size, rx: 4 }),
      shape("text", { class: "value", x: middle, y: AREA.bottom - size - 7 }, row.value),
      shape("text", { x: middle, y: AREA.bottom + 26 }, row.name.slice(0, Math.max(3, Math.floor(slot / 9)))),
    );
  });
  chart.replaceChildren(...parts);

  const sum = data.reduce((total, row) => total + row.value, 0);
  const mean = data.length ? sum / data.length : 0;
  document.querySelector("#caption").textContent =
    `${data.length} values, sum ${Number(sum.toFixed(2))}, mean ${Number(mean.toFixed(2))}`;
  store.save("chart", data);
}

function field(row, key, label) {
  const cell = document.createElement("td");
  const input = document.createElement("input");
  input.value = row[key];
  input.setAttribute("aria-label", label);
  if (key === "value") {
    input.type = "number";
    input.min = "0";
    input.step = "any";
  }
  input.addEventListener("input", () => {
    row[key] = key === "value" ? Math.max(0, Number(input.value) || 0) : input.value;
    draw();
  });
  cell.append(input);
  return cell;
}

function fill() {
  rows.replaceChildren(
    ...data.map((row, index) => {
      const tr = document.createElement("tr");
      const last = document.createElement("td");
      const remove = document.createElement("button");
      remove.type = "button";
      remove.textContent = "×";
      remove.setAttribute("aria-label", `Remove row ${index + 1}`);
      remove.addEventListener("click", () => {
        data = data.filter((other) => other !== row);
        fill();
      });
      last.append(remove);
      tr.append(field(row, "name", `Name ${index + 1}`), field(row, "value", `Value ${index + 1}`), last);
      return tr;
    }),
  );
  draw();
}

document.querySelector("#add").addEventListener("click", () => {
  data.push({ name: `Item ${data.length + 1}`, value: 10 });
  fill();
  rows.lastElementChild.querySelector("input").select();
});

fill();
