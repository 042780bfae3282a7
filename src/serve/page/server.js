"use strict";

// What the page asks for comes from a server here; in the file that `export` writes, from src/export/html/page.js.
const classes = [..."0123456789"];

async function predict(image, photo) {
  const signal = AbortSignal.timeout(photo ? 60_000 : 10_000);
  const type = photo?.type ?? "image/png";
  const body = photo?.body ?? (await new Promise((resolve) => image.toBlob(resolve, type)));
  try {
    return await (await fetch("predict", { method: "POST", body, headers: { "Content-Type": type }, signal })).json();
  } catch {
    return { detail: "The server does not answer" };
  }
}

fetch("health").then((response) => response.json()).then(({ model }) => {
  document.getElementById("model").textContent = model;
}).catch(() => {});
