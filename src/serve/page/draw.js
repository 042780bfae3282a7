"use strict";

const PEN = 0.08; // the pen's width as a part of the paper's side
const SENT = 280; // pixels of a side of the picture that is sent

const canvas = document.querySelector("canvas");
const [undoButton, clearButton] = document.querySelectorAll("button");
const [digit, sure, picture, bars, spoken, model] = ["digit", "sure", "picture", "bars", "spoken", "model"].map(
  (id) => document.getElementById(id),
);
const sent = document.createElement("canvas");
sent.width = sent.height = SENT;

const strokes = []; // lists of points, each from 0 to 1
let stroke = null; // the one being drawn
let asking = false;
let changed = false; // since the server was asked

for (let number = 0; number < 10; number++) {
  const item = document.createElement("li");
  item.innerHTML = `<span class="value"></span><span class="track"><span class="bar"></span></span>${number}`;
  bars.append(item);
}

function paint(context, side, colour) {
  context.strokeStyle = context.fillStyle = colour;
  context.lineWidth = PEN * side;
  context.lineCap = context.lineJoin = "round";
  for (const points of strokes) {
    const [{ x, y }] = points;
    context.beginPath(); // a dot, because lines without a length are not drawn
    context.arc(x * side, y * side, (PEN * side) / 2, 0, 2 * Math.PI);
    context.fill();
    context.beginPath();
    context.moveTo(x * side, y * side);
    points.forEach((point, index) => {
      const next = points[index + 1] ?? point;
      const middle = { x: (point.x + next.x) / 2, y: (point.y + next.y) / 2 };
      context.quadraticCurveTo(point.x * side, point.y * side, middle.x * side, middle.y * side);
    });
    context.stroke();
  }
}

function refresh() {
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  paint(context, canvas.width, getComputedStyle(canvas).color);
  document.querySelector(".hint").hidden = strokes.length > 0;
  undoButton.disabled = clearButton.disabled = strokes.length === 0;
}

function photograph() {
  const context = sent.getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, SENT, SENT);
  paint(context, SENT, "black");
  return new Promise((resolve) => sent.toBlob(resolve, "image/png"));
}

function percent(share) {
  return share > 0.99 ? ">99" : `${Math.round(share * 100)}`;
}

function show(answer, message) {
  const share = answer?.probabilities ?? Array(10).fill(0);
  [...bars.children].forEach((item, number) => {
    item.querySelector(".bar").style.setProperty("--share", share[number]);
    item.querySelector(".value").textContent = share[number] < 0.005 ? "" : percent(share[number]);
    item.setAttribute("aria-label", `${number}: ${percent(share[number])} %`);
    item.classList.toggle("best", number === answer?.digit);
  });
  digit.textContent = answer?.digit ?? "–";
  sure.textContent = message ?? `${percent(share[answer.digit])}\u00a0%\u00a0sure`;
  picture.hidden = !answer;
  if (answer) picture.src = answer.picture;
  // only the last word: an answer to an earlier state of the paper is soon followed by another
  if (!stroke && !changed) spoken.textContent = answer ? `${answer.digit}, ${sure.textContent}` : message;
}

async function ask() {
  const signal = AbortSignal.timeout(10_000);
  const response = await fetch("predict", { method: "POST", body: await photograph(), signal });
  const answer = await response.json();
  if (strokes.length) response.ok ? show(answer) : show(null, answer.detail);
}

// one request at a time, the next one with whatever has been drawn by then
async function change() {
  refresh();
  changed = true;
  if (asking) return;
  asking = true;
  while (changed) {
    changed = false;
    if (!strokes.length) show(null, "Nothing drawn yet");
    else await ask().catch(() => show(null, "The server does not answer"));
  }
  asking = false;
}

function undo() {
  stroke = null;
  strokes.pop();
  change();
}

function clear() {
  stroke = null;
  strokes.length = 0;
  change();
}

function place({ clientX, clientY }) {
  const box = canvas.getBoundingClientRect();
  return { x: (clientX - box.left) / box.width, y: (clientY - box.top) / box.height };
}

canvas.addEventListener("pointerdown", (event) => {
  if (stroke || event.button !== 0) return;
  canvas.setPointerCapture(event.pointerId);
  stroke = Object.assign([place(event)], { pointer: event.pointerId });
  strokes.push(stroke);
  change();
});
canvas.addEventListener("pointermove", (event) => {
  if (stroke?.pointer !== event.pointerId) return;
  const events = event.getCoalescedEvents?.() ?? []; // the way between two frames
  stroke.push(...(events.length ? events : [event]).map(place));
  change();
});
for (const end of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(end, (event) => {
    if (stroke?.pointer !== event.pointerId) return;
    stroke = null;
    change();
  });
}

undoButton.addEventListener("click", undo);
clearButton.addEventListener("click", clear);
document.addEventListener("keydown", (event) => {
  if (event.key.toLowerCase() === "z" && !event.altKey && !event.shiftKey) undo();
  else if (event.key === "Escape") clear();
  else return;
  event.preventDefault();
});

new ResizeObserver(() => {
  canvas.width = canvas.height = Math.round(canvas.clientWidth * devicePixelRatio);
  refresh();
}).observe(canvas);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh);

show(null, "Nothing drawn yet");
fetch("health").then((response) => response.json()).then((health) => (model.textContent = health.model)).catch(() => {});
