// src/data/deskew.py in JavaScript: all sums are exact, so it comes to the same pixels.

function onBlack(pixels) {
  const ground = Uint8Array.from(pixels).sort()[(pixels.length - 1) >> 1];
  return Uint8Array.from(pixels, (level) => round(Math.max(level - ground, 0) * 255 / Math.max(255 - ground, 1)));
}

function deskewed(seen) {
  const pixels = onBlack(seen);
  let mass = 0, byY = 0, byX = 0, leaning = 0, height = 0;
  pixels.forEach((level, at) => {
    const y = Math.floor(at / SIDE), x = at % SIDE;
    mass += level, byY += level * y, byX += level * x, leaning += level * x * y, height += level * y * y;
  });
  mass = Math.max(mass, 1);
  const slope = clip((leaning - byX * byY / mass) / Math.max(height - byY ** 2 / mass, 1), -1, 1);
  return Uint8Array.from(pixels, (_, at) => {
    const y = Math.floor(at / SIDE), source = (at % SIDE) + slope * (y - byY / mass), left = Math.floor(source);
    const taken = (x) => (x >= 0 && x < SIDE ? pixels[y * SIDE + x] : 0);
    return round(taken(left) + (taken(left + 1) - taken(left)) * (source - left));
  });
}
