"use strict";

const LONGEST = 2048; // pixels of a side of the picture that is sent
const MOST = 4 * 1024 ** 2; // bytes that the server takes
const TAKEN = ["image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp"];

let photo = null; // on the paper instead of a drawing: what is sent, what is shown of it, and where its digits are

function shrink(image) {
  const factor = Math.min(LONGEST / Math.max(image.width, image.height), 1);
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.width, image.height].map((side) => Math.max(Math.round(side * factor), 1));
  const context = canvas.getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas;
}

async function take(file) {
  if (!file) return;
  const image = await createImageBitmap(file).catch(() => null); // as with HEIC in most browsers
  const next = { name: file.name, body: file, type: file.type, image, digits: [] };
  if (!image) next.type = "image/heic"; // whatever it is, the server has a sentence for it
  else if (Math.max(image.width, image.height) > LONGEST || file.size > MOST || !TAKEN.includes(file.type)) {
    next.image = shrink(image);
    next.type = "image/jpeg";
    next.body = await new Promise((resolve) => next.image.toBlob(resolve, next.type, 0.9));
  }
  clear(next);
}

function showPhoto(context, side) {
  const { image, digits } = photo;
  if (!image) return;
  const scale = side / Math.max(image.width, image.height);
  context.setTransform(scale, 0, 0, scale, (side - image.width * scale) / 2, (side - image.height * scale) / 2);
  context.drawImage(image, 0, 0);
  context.strokeStyle = getComputedStyle(digit).getPropertyValue("--accent");
  context.lineWidth = (2 * devicePixelRatio) / scale;
  for (const { box: [left, top, right, bottom], unsure } of digits) {
    context.setLineDash(unsure ? [3 * context.lineWidth, 2 * context.lineWidth] : []);
    context.strokeRect(left, top, right - left, bottom - top);
  }
  context.resetTransform();
}

for (const input of document.querySelectorAll("input")) {
  document.getElementById(input.dataset.button).addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    take(input.files[0]);
    input.value = ""; // the same file may be chosen again
  });
}
document.addEventListener("paste", (event) => take(event.clipboardData.files[0]));
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  take(event.dataTransfer.files[0]);
});
