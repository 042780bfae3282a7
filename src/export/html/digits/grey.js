// src/digits/grey.py

const WORKING_SIDE = 112, CLOSER_SIDE = 320, LARGEST_SPREAD = 128;

function shrink(grid, side) {
  const factor = sideOf(grid) / side;
  if (factor <= 1) return grid;
  return resize(grid, ...[grid.width, grid.height].map((length) => Math.max(1, round(length / factor))), BOX_FILTER);
}

function toGrey({ width, height, data }) {
  const plane = (channel) => {
    const levels = new Uint8Array(width * height);
    for (let at = channel, pixel = 0; pixel < levels.length; at += 4) levels[pixel++] = data[at];
    return { width, height, data: levels };
  };
  let [isOpaque, isGrey] = [true, true];
  for (let at = 0; at < data.length && isOpaque; at += 4) {
    isGrey &&= data[at] === data[at + 1] && data[at] === data[at + 2];
    isOpaque = data[at + 3] === 255;
  }
  if (isOpaque && isGrey) return plane(0); // as reduceColours would, sooner
  const colours = [plane(0), plane(1), plane(2)];
  return isOpaque ? reduceColours(colours) : fillTransparent(colours, plane(3));
}

function fillTransparent(colours, alpha) {
  const smallAlpha = shrink(alpha, WORKING_SIDE).data;
  const small = colours.map((plane) => {
    const weighted = plane.data.map((level, at) => divided255(level * alpha.data[at]));
    const levels = shrink({ ...plane, data: weighted }, WORKING_SIDE).data;
    const divided = (level, at) => (smallAlpha[at] ? Math.min(Math.floor((255 * level) / smallAlpha[at]), 255) : level);
    return levels.map(divided);
  });
  const opaque = range(smallAlpha.length).filter((at) => smallAlpha[at] > 127);
  if (opaque.length === smallAlpha.length) return reduceColours(colours);
  const light = opaque.map((at) => total(small.map((plane) => plane[at])) / 3);
  const spread = largest(light) + largest(light.map((level) => -level));
  if (opaque.length < 0.5 * smallAlpha.length && !(spread >= LARGEST_SPREAD)) return alpha;
  const filled = colours.map((plane, channel) => {
    const ground = Math.trunc(median(opaque.map((at) => small[channel][at])));
    const mixed = (level, at) => divided255(ground * (255 - alpha.data[at]) + level * alpha.data[at]);
    return { ...plane, data: plane.data.map(mixed) };
  });
  return reduceColours(filled);
}

function reduceColours(colours) {
  const small = colours.map((plane) => shrink(plane, WORKING_SIDE).data);
  const apart = small.map((levels) => {
    const mean = total(levels) / levels.length;
    return Float64Array.from(levels, (level) => level - mean);
  });
  const product = (one, other) => one.reduce((sum, value, at) => sum + value * other[at], 0);
  let line = mainAxis(apart.map((one) => apart.map((other) => product(one, other) / one.length)));
  const sum = total(line.map(Math.abs)) * (total(line) < 0 ? -1 : 1);
  line = line.map((part) => part / sum);
  const offset = Math.fround(-255 * total(line.filter((part) => part < 0)));
  const [red, green, blue] = colours.map(({ data }) => data);
  const { fround } = Math, [byRed, byGreen, byBlue] = line.map(fround);
  const projected = red.map((level, at) => {
    const two = fround(fround(byRed * level) + fround(byGreen * green[at]));
    return clip(fround(fround(two + fround(byBlue * blue[at])) + offset) + 0.5, 0, 255);
  });
  return { ...colours[0], data: projected };
}

function mainAxis(matrix) { // its square's square's square and so on has no other direction left
  for (let time = 0; time < 50; time++) {
    const trace = matrix[0][0] + matrix[1][1] + matrix[2][2];
    if (!trace) return [0, 0, 1];
    matrix = matrix.map((row) => row.map((value) => value / trace));
    matrix = matrix.map((row) => range(3).map((column) => total(row.map((value, at) => value * matrix[at][column]))));
  }
  return matrix[range(3).reduce((best, at) => (matrix[at][at] > matrix[best][best] ? at : best))];
}
