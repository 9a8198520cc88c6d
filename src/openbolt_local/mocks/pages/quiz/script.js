// Put in your own questions. `right` is the place of the right answer, counted from 0.
const QUESTIONS = [
  {
    text: "Which planet is the largest of our solar system?",
    answers: ["Earth", "Jupiter", "Saturn", "Neptune"],
    right: 1,
    why: "Jupiter has more than twice the mass of all the other planets together.",
  },
  {
    text: "How many legs does a spider have?",
    answers: ["Six", "Eight", "Ten"],
    right: 1,
    why: "Spiders are arachnids and have eight legs; insects have six.",
  },
  {
    text: "Which language gives a web page its structure?",
    answers: ["CSS", "SQL", "HTML"],
    right: 2,
    why: "HTML gives the structure, CSS the looks, JavaScript the behavior.",
  },
  {
    text: "What does water do when it freezes?",
    answers: ["It expands", "It shrinks", "It keeps its size"],
    right: 0,
    why: "Ice takes up about nine percent more room, which is why it floats.",
  },
];

const question = document.querySelector("#question");
const answers = document.querySelector("#answers");
const feedback = document.querySelector("#feedback");
const next = document.querySelector("#next");

let current = 0;
let points = 0;

function choose(chosen) {
  const { right, why } = QUESTIONS[current];
  [...answers.children].forEach((button, index) => {
    button.disabled = true;
    if (index === right) {
      button.className = "right";
    } else if (index === chosen) {
      button.className = "wrong";
    }
  });
  points += chosen === right ? 1 : 0;
  feedback.textContent = `${chosen === right ? "Right!" : "Not quite."} ${why}`;
  next.textContent = current === QUESTIONS.length - 1 ? "See the result" : "Next";
  next.hidden = false;
  next.focus();
}

function ask() {
  const { text, answers: choices } = QUESTIONS[current];
  document.querySelector("#progress").textContent = `Question ${current + 1} of ${QUESTIONS.length}`;
  question.textContent = text;
  answers.replaceChildren(
    ...choices.map((choice, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = choice;
      button.addEventListener("click", () => choose(index));
      return button;
    }),
  );
  feedback.textContent = "";
  next.hidden = true;
}

function finish() {
  document.querySelector("#progress").textContent = "Finished";
  question.textContent = `${points} of ${QUESTIONS.length} right`;
  answers.replaceChildren();
  feedback.textContent = points === QUESTIONS.length ? "Perfect." : "Another try?";
  next.textContent = "Try again";
  question.focus();
}

next.addEventListener("click", () => {
  if (current === QUESTIONS.length) {
    current = 0;
    points = 0;
    ask();
    question.focus();
    return;
  }
  current += 1;
  if (current === QUESTIONS.length) {
    finish();
  } else {
    ask();
    question.focus();
  }
});

ask();
