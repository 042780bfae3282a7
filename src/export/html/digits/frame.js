// src/digits/frame.py

const SIDE = 28, BOX = 20, CENTRE = 14, LEAST_INK = 32;

function isFramed(grey) {
  if (grey.width !== SIDE || grey.height !== SIDE) return false;
  const inked = grey.data.filter((level) => level > 0).length;
  if (!inked || inked > 0.6 * SIDE * SIDE) return false;
  const { top, bottom, left, right } = bounds(grey, 0), longest = Math.max(bottom - top, right - left);
  return longest >= BOX - 1 && longest <= BOX && centreOfMass(grey).every((at) => Math.abs(at - CENTRE) <= 0.5);
}

function centreOfMass({ width, data }) { // of rows and of columns
  let [mass, down, right] = [0, 0, 0];
  data.forEach((level, at) => {
    [mass, down, right] = [mass + level, down + level * Math.floor(at / width), right + level * (at % width)];
  });
  return [Math.fround(down / mass), Math.fround(right / mass)];
}

function frame(ink) {
  const factor = BOX / sideOf(ink);
  const [width, height] = [ink.width, ink.height].map((length) => Math.max(1, round(length * factor)));
  const levels = Uint8Array.from(ink.data, (level) => round(Math.fround(level * 255)));
  const fitted = resize({ ...ink, data: levels }, width, height, factor > 1 ? BICUBIC : BOX_FILTER);
  const inked = fitted.data.filter((level) => level > LEAST_INK);
  const scale = Math.fround(255 / (inked.length ? median(inked) : 255));
  fitted.data = fitted.data.map((level) => round(Math.min(Math.fround(level * scale), 255)));
  const [top, left] = centreOfMass(fitted).map((middle, at) =>
    clip(round(CENTRE - middle), 0, SIDE - (at ? width : height)),
  );
  const framed = new Uint8Array(SIDE * SIDE);
  for (let row = 0; row < height; row++) {
    framed.set(fitted.data.subarray(row * width, (row + 1) * width), (top + row) * SIDE + left);
  }
  return framed;
}

function readDigit(image) { // that of a network for other classes than the digits
  const grey = toGrey(image);
  return [[{ pixels: isFramed(grey) ? grey.data : frame(findInk(withoutDesk(grey)).ink), box: [0, 0, 0, 0] }]];
}
