"use strict";

const PEN = 0.08; // the pen's width as a part of the paper's side
const SENT = 280; // pixels of a side of the picture that is read

const canvas = document.querySelector("canvas");
const [undoButton, clearButton] = document.querySelectorAll("button");
const [digit, sure, pictures, bars, spoken] = ["digit", "sure", "pictures", "bars", "spoken"].map((id) =>
  document.getElementById(id),
);
const sent = document.createElement("canvas");
sent.width = sent.height = SENT;

const strokes = []; // lists of points, each from 0 to 1
let stroke = null; // the one being drawn
let asking = false;
let changed = false; // since an answer was asked for

for (const name of classes) {
  const item = document.createElement("li");
  item.innerHTML = '<span class="value"></span><span class="track"><span class="bar"></span></span>';
  item.append(name);
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
  if (photo) showPhoto(context, canvas.width);
  else paint(context, canvas.width, getComputedStyle(canvas).color);
  const hint = document.querySelector(".hint");
  hint.textContent = photo?.name ?? "Draw here";
  hint.hidden = Boolean(photo?.image || strokes.length);
  undoButton.disabled = clearButton.disabled = isEmpty();
}

function isEmpty() {
  return !photo && strokes.length === 0;
}

function photograph() {
  const context = sent.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, SENT, SENT);
  paint(context, SENT, "black");
  return sent;
}

function percent(share) {
  return share > 0.99 ? ">99" : `${Math.round(share * 100)}`;
}

function show(answer, message) {
  const digits = answer?.digits ?? [];
  const least = digits.reduce((least, other) => (other.confidence < least.confidence ? other : least), digits[0]);
  const share = least?.probabilities ?? classes.map(() => 0);
  [...bars.children].forEach((item, number) => {
    item.querySelector(".bar").style.setProperty("--share", share[number]);
    item.querySelector(".value").textContent = share[number] < 0.005 ? "" : percent(share[number]);
    item.setAttribute("aria-label", `${classes[number]}: ${percent(share[number])} %`);
    item.classList.toggle("best", number === least?.digit);
  });
  digit.textContent = answer?.number ?? "–";
  digit.style.setProperty("--length", digit.textContent.length);
  sure.textContent = message ?? describe(answer, least);
  pictures.style.setProperty("--columns", Math.ceil(Math.sqrt(digits.length)));
  pictures.replaceChildren(
    ...digits.map(({ picture, digit }) =>
      Object.assign(new Image(), { src: picture, alt: `The 28x28 pixels that the network reads as ${classes[digit]}` }),
    ),
  );
  // only the last word: an answer to an earlier state of the paper is soon followed by another
  if (!stroke && !changed) spoken.textContent = answer ? `${answer.number}, ${sure.textContent}` : message;
}

function describe({ digits, unsure }, { digit, confidence }) {
  const which = digits.length > 1 ? ` of\u00a0the\u00a0${classes[digit]}` : "";
  const share = `${percent(confidence)}\u00a0%`;
  return unsure ? `unsure${which}, ${share}` : which ? `least sure${which}, ${share}` : `${share}\u00a0sure`;
}

async function ask() {
  const asked = photo;
  const answer = await predict(asked ? asked.image : photograph(), asked);
  if (isEmpty() || asked !== photo) return;
  if (asked) asked.digits = answer.digits ?? [];
  answer.digits ? show(answer) : show(null, answer.detail);
  refresh();
}

// one question at a time, the next one with whatever has been drawn by then
async function change() {
  refresh();
  changed = true;
  if (asking) return;
  asking = true;
  while (changed) {
    changed = false;
    if (isEmpty()) show(null, "Nothing drawn yet");
    else await ask();
  }
  asking = false;
}

function undo() {
  stroke = photo = null;
  strokes.pop();
  change();
}

function clear(next = null) {
  stroke = null;
  strokes.length = 0;
  photo = next;
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
  photo = null;
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
clearButton.addEventListener("click", () => clear());
document.addEventListener("keydown", (event) => {
  if (event.key.toLowerCase() === "z" && !event.altKey && !event.shiftKey) undo();
  else if (event.key === "Escape") clear();
  else return;
  event.preventDefault();
});

show(null, "Nothing drawn yet");
new ResizeObserver(() => {
  canvas.width = canvas.height = Math.round(canvas.clientWidth * devicePixelRatio);
  refresh();
}).observe(canvas);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh);
