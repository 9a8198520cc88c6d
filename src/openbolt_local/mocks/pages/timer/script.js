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

const time = document.querySelector("#time");
const ring = document.querySelector("#ring");
const status = document.querySelector("#status");
const toggle = document.querySelector("#toggle");
const minutes = document.querySelector("#minutes");

let total = store.load("timer-seconds", 300);
let left = total;
let endsAt = 0;
let ticking = 0;
let sound = null;

function show() {
  const seconds = Math.ceil(left);
  const parts = [Math.floor(seconds / 60), seconds % 60];
  time.textContent = parts.map((part) => String(part).padStart(2, "0")).join(":");
  ring.style.strokeDashoffset = String(1 - left / total);
  document.title = ticking ? `${time.textContent} · ${document.querySelector("h1").textContent}` : document.querySelector("h1").textContent;
  toggle.textContent = ticking ? "Pause" : "Start";
}

function beep() {
  if (!sound) {
    return;
  }
  for (const start of [0, 0.4, 0.8]) {
    const tone = sound.createOscillator();
    const volume = sound.createGain();
    volume.gain.value = 0.15;
    tone.frequency.value = 880;
    tone.connect(volume).connect(sound.destination);
    tone.start(sound.currentTime + start);
    tone.stop(sound.currentTime + start + 0.2);
  }
}

function halt() {
  clearInterval(ticking);
  ticking = 0;
}

function tick() {
  // Measured against the clock: a background tab ticks late, but never wrong.
  left = Math.max(0, (endsAt - Date.now()) / 1000);
  if (left === 0) {
    halt();
    beep();
    document.body.className = "over";
    status.textContent = "Time is up.";
  }
  show();
}

function run() {
  // Browsers allow sound only after a click, so it is made ready in one.
  sound ??= "AudioContext" in window ? new AudioContext() : null;
  left = left === 0 ? total : left;
  endsAt = Date.now() + left * 1000;
  document.body.className = "";
  status.textContent = "Running";
  ticking = setInterval(tick, 200);
  show();
}

function set(seconds) {
  halt();
  total = seconds;
  left = seconds;
  document.body.className = "";
  status.textContent = "";
  store.save("timer-seconds", total);
  show();
}

toggle.addEventListener("click", () => {
  if (ticking) {
    tick();
    halt();
    status.textContent = left > 0 ? "Paused" : status.textContent;
    show();
  } else {
    run();
  }
});

document.querySelector("#reset").addEventListener("click", () => set(total));

for (const button of document.querySelectorAll("[data-minutes]")) {
  button.addEventListener("click", () => {
    minutes.value = "";
    set(Number(button.dataset.minutes) * 60);
  });
}

minutes.addEventListener("change", () => {
  if (minutes.value !== "" && minutes.checkValidity()) {
    set(Math.max(1, Math.round(Number(minutes.value) * 60)));
  }
});

show();
