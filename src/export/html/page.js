// What src/serve/page asks a server for is computed here, from the page's own canvas or picture.

const SURE = 0.9, WIDE = 1.3; // src/digits/reading.py
const areDigits = about.classes.join("") === "0123456789";

function answer(lines) {
  const digits = lines.flat().map(({ pixels, box }) => {
    const probabilities = probabilitiesOf(logitsOf(pixels)), confidence = largest(probabilities);
    const [left, top, right, bottom] = box;
    const unsure = confidence < SURE || right - left > WIDE * (bottom - top);
    return { digit: probabilities.indexOf(confidence), confidence, unsure, box, probabilities, picture: toUrl(pixels) };
  });
  let read = 0;
  const number = lines.map((line) => line.map(() => about.classes[digits[read++].digit]).join("")).join("/");
  return { number, unsure: digits.some(({ unsure }) => unsure), digits };
}

function toUrl(pixels) {
  const canvas = Object.assign(document.createElement("canvas"), { width: SIDE, height: SIDE });
  const rgba = Uint8ClampedArray.from({ length: 4 * SIDE ** 2 }, (_, at) => (at % 4 === 3 ? 255 : pixels[at >> 2]));
  canvas.getContext("2d").putImageData(new ImageData(rgba, SIDE), 0, 0);
  return canvas.toDataURL();
}

function decoded(image) {
  let canvas = image;
  if (!image.getContext) {
    canvas = Object.assign(document.createElement("canvas"), { width: image.width, height: image.height });
    canvas.getContext("2d").drawImage(image, 0, 0);
  }
  return canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
}

function predict(image) {
  if (!image) return { detail: "This browser cannot read this picture." };
  try {
    return answer((areDigits ? readNumber : readDigit)(decoded(image)));
  } catch (error) {
    if (!(error instanceof PictureError)) throw error;
    return { detail: `This picture cannot be read: ${error.message}.` };
  }
}

if (!areDigits) document.title = document.querySelector("h1").textContent = "Draw a picture";
Object.assign(globalThis, { classes: about.classes, predict });
