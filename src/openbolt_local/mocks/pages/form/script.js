const form = document.querySelector("#form");
const summary = document.querySelector("#summary");
const sent = document.querySelector("#sent");
const message = document.querySelector("#message");
const fields = [...form.elements].filter((field) => document.querySelector(`#${field.id}-error`));

const MESSAGES = {
  name: "Please say who you are.",
  email: "Please type an email address, such as name@example.com.",
  message: "Please write at least 10 characters.",
  consent: "Without this we cannot answer you.",
};

function problem(field) {
  const blank = field.type !== "checkbox" && field.value.trim() === "";
  const short = field.minLength > 0 && field.value.trim().length < field.minLength;
  return blank || short || !field.checkValidity() ? MESSAGES[field.id] : "";
}

function check(field) {
  const text = problem(field);
  field.setAttribute("aria-invalid", String(text !== ""));
  document.querySelector(`#${field.id}-error`).textContent = text;
  return text === "";
}

function summarize(wrong) {
  const list = document.createElement("ul");
  for (const field of wrong) {
    const item = document.createElement("li");
    const link = document.createElement("a");
    link.href = `#${field.id}`;
    link.textContent = MESSAGES[field.id];
    link.addEventListener("click", (event) => {
      event.preventDefault();
      field.focus();
    });
    item.append(link);
    list.append(item);
  }
  summary.replaceChildren(list);
  summary.hidden = wrong.length === 0;
}

function show(data) {
  const pairs = [...data].filter(([name]) => name !== "consent");
  document.querySelector("#values").replaceChildren(
    ...pairs.flatMap(([name, value]) => {
      const term = document.createElement("dt");
      const text = document.createElement("dd");
      term.textContent = name[0].toUpperCase() + name.slice(1);
      text.textContent = value;
      return [term, text];
    }),
  );
  form.hidden = true;
  sent.hidden = false;
  sent.focus();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const wrong = fields.filter((field) => !check(field));
  summarize(wrong);
  if (wrong.length > 0) {
    summary.focus();
    return;
  }
  show(new FormData(form));
});

for (const field of fields) {
  field.addEventListener("blur", () => {
    if (field.type !== "checkbox" && field.value !== "") {
      check(field);
    }
  });
  field.addEventListener("input", () => {
    if (field.getAttribute("aria-invalid") === "true") {
      check(field);
    }
  });
}

function count() {
  const left = message.maxLength - message.value.length;
  document.querySelector("#message-count").textContent = `At least 10 characters, ${left} left.`;
}

message.addEventListener("input", count);

document.querySelector("#again").addEventListener("click", () => {
  form.reset();
  fields.forEach((field) => field.removeAttribute("aria-invalid"));
  sent.hidden = true;
  form.hidden = false;
  count();
  form.elements[0].focus();
});
