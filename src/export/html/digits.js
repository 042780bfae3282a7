// src/digits in JavaScript, from the decoded RGBA of a picture on, function by function under the same names: it comes to
// the same pixels as Python. A grid is { width, height, data }, its data row by row.

const SIDE = 28, BOX = 20, CENTRE = 14, LEAST_INK = 32; // frame.py
const WORKING_SIDE = 112, CLOSER_SIDE = 320, LARGEST_SPREAD = 128; // grey.py
const FITTED_SIDE = 32, FITTINGS = 8, CLOSE = 0.5, RIM = 5 / 6; // background.py
const TWO_KINDS = 0.8, LEAST_GROUND = 0.15, MUCH_INK = 0.3;
const LEAST_DESK = 0.15, MOST_INK = 0.2, LEAST_SHEET = 0.9, SOFT_SIZE = 5;
const ANGLES = [-20, -16, -12, -8, -4, 0, 4, 8, 12, 16, 20].map((angle) => (angle * Math.PI) / 180);
const CLOSE_ENOUGH = 40, LEAST_CONTRAST = 8, LEAST_SIGNAL = 8, NOISE_FLOOR = 2.5, EDGE = 0.25, CORE = 0.4; // ink.py
const LEAST_SHARE = 0.1, SOFT_EDGE = 2;
const NARROW = 0.9, LEAST_PIXELS = 8, LEAST_HEIGHT = 0.15, LEAST_WIDTH = 0.25, LEAST_DIGIT = 0.4; // number.py
const MOST_LINES = 4, MOST_DIGITS = 24, WIDEST_GAP = 3;
const SURE = 0.9, WIDE = 1.3; // reading.py

class PictureError extends Error {}

const range = (length) => [...Array(length).keys()];
const total = (values) => values.reduce((sum, value) => sum + value, 0);
const largest = (values) => values.reduce((most, value) => Math.max(most, value), -Infinity);
const clip = (value, low, high) => Math.min(Math.max(value, low), high);
const sideOf = ({ width, height }) => Math.max(width, height);
const divided255 = (value) => ((value + 128) + ((value + 128) >> 8)) >> 8;

function round(value) { // half to even, as Python and NumPy do
  const down = Math.floor(value), rest = value - down;
  return down + (rest > 0.5 || (rest === 0.5 && down % 2 !== 0));
}

function median(values) {
  const sorted = Float32Array.from(values).sort(), middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : Math.fround((sorted[middle - 1] + sorted[middle]) / 2);
}

// Pillow's resize, reduce and MinFilter, to the bit

const FRACTION = 22; // bits of a weight
const BOX_FILTER = { support: 0.5, weigh: (x) => Number(x > -0.5 && x <= 0.5) };
const BICUBIC = {
  support: 2,
  weigh(x) {
    x = Math.abs(x);
    if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
  },
};

function resample(input, output, [from, to], lines, [step, line], [outStep, outLine], { support, weigh }) {
  const scale = from / to, stretch = Math.max(scale, 1), reach = support * stretch;
  for (let place = 0; place < to; place++) {
    const centre = (place + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - reach + 0.5), 0);
    const end = Math.min(Math.trunc(centre + reach + 0.5), from);
    const exact = range(end - first).map((at) => weigh((at + first - centre + 0.5) * (1 / stretch)));
    const sum = total(exact);
    const inBits = (share) => Math.sign(share) * Math.round(Math.abs(share) * 2 ** FRACTION);
    const weights = Int32Array.from(exact, (weight) => inBits(weight / sum));
    for (let number = 0; number < lines; number++) {
      let level = 1 << (FRACTION - 1);
      for (let at = 0, source = number * line + first * step; at < weights.length; at++, source += step) {
        level += weights[at] * input[source];
      }
      output[number * outLine + place * outStep] = clip(level >> FRACTION, 0, 255);
    }
  }
}

function resize(grid, newWidth, newHeight, filter) {
  const across = ({ width, height, data }) => {
    const resized = new Uint8Array(newWidth * height);
    resample(data, resized, [width, newWidth], height, [1, width], [1, newWidth], filter);
    return { width: newWidth, height, data: resized };
  };
  const down = ({ width, height, data }) => {
    const resized = new Uint8Array(width * newHeight);
    resample(data, resized, [height, newHeight], width, [width, 1], [width, 1], filter);
    return { width, height: newHeight, data: resized };
  };
  const fewer = grid.height - newHeight; // Pillow 13's order
  return fewer > 0 && fewer > 2 * (grid.width - newWidth) ? across(down(grid)) : down(across(grid));
}

function reduce({ width, height, data }, factor) {
  const newWidth = Math.ceil(width / factor), sums = new Uint32Array(newWidth * Math.ceil(height / factor));
  for (let row = 0, at = 0; row < height; row++) {
    const line = Math.floor(row / factor) * newWidth;
    for (let column = 0; column < width; column++) sums[line + Math.floor(column / factor)] += data[at++];
  }
  const inPart = (number, length) => Math.min(factor, length - number * factor); // the last one may be smaller
  const levels = Uint8Array.from(sums, (sum, at) => {
    const count = inPart(at % newWidth, width) * inPart(Math.floor(at / newWidth), height);
    return ((sum + (count >> 1)) * Math.trunc(Math.fround(2 ** 24 / count))) >>> 24;
  });
  return { width: newWidth, height: Math.ceil(height / factor), data: levels };
}

function leastAround({ width, height, data }, size) {
  const reach = size >> 1;
  const least = (values, step, length) => values.map((level, at) => {
    const place = Math.floor(at / step) % length;
    for (let near = Math.max(-reach, -place); near <= Math.min(reach, length - 1 - place); near++) {
      level = Math.min(level, values[at + near * step]);
    }
    return level;
  });
  return { width, height, data: least(least(data, 1, width), width, height) };
}

// grey.py

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

// background.py

function background({ width, height, data }) {
  const counts = countsOf({ data }), ground = groundOfTwo({ width, height, data }, counts);
  if (ground !== null) return new Float32Array(data.length).fill(ground);
  const level = medianOf(counts);
  if (counts[level] > 0.5 * data.length) return new Float32Array(data.length).fill(level);
  const spread = (length) => range(length).map((at) => (length > 1 ? -1 + at * (2 / (length - 1)) : -1));
  const [x, y] = [spread(width), spread(height)];
  const [stepX, stepY] = [width, height].map((length) => Math.ceil(length / FITTED_SIDE));
  const terms = [], values = [], rim = [];
  for (let row = 0; row < height; row += stepY) {
    for (let column = 0; column < width; column += stepX) {
      const [right, down] = [x[column], y[row]];
      terms.push([1, right, down, right * down, right * right, down * down]);
      values.push(data[row * width + column]);
      rim.push(Math.max(Math.abs(right), Math.abs(down)) >= RIM);
    }
  }
  let [fit, share] = fitBackground(terms, values, rim);
  if (share < 0.5) {
    const apart = values.map((value) => Math.abs(value - level)), usual = median(apart);
    [fit] = fitBackground(terms, values, apart.map((value) => value <= usual));
  }
  const surface = new Float32Array(data.length);
  for (let row = 0, at = 0; row < height; row++) {
    const start = fit[0] + fit[2] * y[row] + fit[5] * y[row] ** 2, slope = fit[1] + fit[3] * y[row];
    for (let column = 0; column < width; column++) surface[at++] = start + slope * x[column] + fit[4] * x[column] ** 2;
  }
  return surface;
}

function medianOf(counts) {
  const half = total(counts) / 2;
  let sum = 0;
  return counts.findIndex((count) => (sum += count) >= half);
}

function withoutDesk(grey) {
  const { width, height } = grey, factor = Math.ceil(sideOf(grey) / WORKING_SIDE);
  if (factor === 1) return grey;
  const small = reduce(grey, factor), threshold = betweenTwoKinds(countsOf(small));
  if (threshold === null || shareOfRim(small, threshold) < LEAST_DESK) return grey;
  const dark = small.data.map((level) => level <= threshold);
  const pieces = connectedPieces({ ...small, data: dark }, 0);
  const others = pieces.labels.map((label) => label < 0 || pieces.list[label].isInside);
  const { labels, list } = connectedPieces({ ...small, data: others }, 0);
  if (!list.length) return grey;
  const number = list.findIndex(({ area }) => area === largest(list.map((piece) => piece.area)));
  const sheet = small.data.map((_, at) => labels[at] === number);
  const part = total(dark.filter((_, at) => sheet[at])) / list[number].area;
  if (!(part > 0 && part < MOST_INK) || shareOfRectangle({ ...small, data: sheet }) < LEAST_SHEET) return grey;
  const inside = leastAround({ ...small, data: sheet.map((isSheet) => 255 * isSheet) }, SOFT_SIZE);
  const kept = resize(inside, width, height, BICUBIC).data;
  const paper = Math.trunc(median(small.data.filter((_, at) => sheet[at])));
  const mixed = (level, at) => divided255(paper * (255 - kept[at]) + level * kept[at]);
  return { width, height, data: grey.data.map(mixed) };
}

function shareOfRectangle({ width, height, data }) {
  const places = range(data.length).filter((at) => data[at]);
  const least = ANGLES.map((angle) => {
    const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
    const sides = [(x, y) => x * cos + y * sin, (x, y) => y * cos - x * sin].map((side) => {
      const values = range(data.length).map((at) => side(at % width, Math.floor(at / width)));
      const ofSheet = places.map((at) => values[at]), low = -largest(ofSheet.map((value) => -value));
      const high = largest(ofSheet);
      return values.map((value) => value >= low && value <= high);
    });
    return sides[0].filter((isInside, at) => isInside && sides[1][at]).length;
  });
  return places.length / Math.min(width * height, ...least);
}

function countsOf({ data }) {
  const counts = new Float64Array(256);
  for (const level of data) counts[level]++;
  return counts;
}

function groundOfTwo(levels, counts) {
  const threshold = betweenTwoKinds(counts), size = levels.data.length;
  if (threshold === null) return null;
  const isDark = shareOfRim(levels, threshold) > total(counts.subarray(0, threshold + 1)) / size;
  const ground = counts.map((count, level) => (level <= threshold === isDark ? count : 0)), part = total(ground) / size;
  return part >= LEAST_GROUND && part <= 1 - MUCH_INK ? medianOf(ground) : null;
}

function betweenTwoKinds(counts) {
  const size = total(counts);
  const cumulative = (values) => values.map(((sum) => (value) => (sum += value))(0)).map((sum) => sum / size);
  const share = cumulative(counts), first = cumulative(counts.map((count, level) => count * level));
  const mean = first[255], variance = total(counts.map((count, level) => count * (level - mean) ** 2)) / size;
  const between = share.map((part, level) => (mean * part - first[level]) ** 2 / (part * (1 - part)) || 0);
  const threshold = between.indexOf(largest(between));
  return between[threshold] < TWO_KINDS * variance ? null : threshold;
}

function shareOfRim({ width, height, data }, threshold) { // that is dark
  const rim = [];
  for (let column = 0; column < width; column++) rim.push(data[column], data[(height - 1) * width + column]);
  for (let row = 0; row < height; row++) rim.push(data[row * width], data[(row + 1) * width - 1]);
  return rim.filter((level) => level <= threshold).length / rim.length;
}

function fitBackground(terms, values, first) {
  const middle = median(values.filter((_, at) => first[at]));
  let apart = values.map((value) => value - middle), considered = first, fit, weights;
  for (let time = 0; time < FITTINGS; time++) {
    const spread = Math.max(1.4826 * median(apart.filter((_, at) => considered[at]).map(Math.abs)), 1);
    weights = apart.map((value, at) => considered[at] * clip(1 - (value / (4 * spread)) ** 2, 0, 1) ** 2);
    const system = range(6).map((row) => range(7).map((column) => (row === column ? 1e-3 : 0)));
    terms.forEach((term, at) => {
      if (!weights[at]) return;
      for (let row = 0; row < 6; row++) {
        const weighted = weights[at] * term[row];
        for (let column = 0; column < 6; column++) system[row][column] += weighted * term[column];
        system[row][6] += weighted * values[at];
      }
    });
    fit = solve(system);
    const before = apart;
    apart = values.map((value, at) => value - total(terms[at].map((term, number) => term * fit[number])));
    if (largest(apart.map((value, at) => Math.abs(value - before[at]))) < CLOSE) break;
    considered = values.map(() => true);
  }
  return [fit, weights.filter((weight) => weight > 0).length / weights.length];
}

function solve(rows) { // Gauss and Jordan; the matrix is symmetric and positive, so that no rows need to change places
  rows.forEach((row, pivot) => {
    rows.forEach((other, number) => {
      const factor = number === pivot ? 0 : other[pivot] / row[pivot];
      for (let column = pivot; factor && column < 7; column++) other[column] -= factor * row[column];
    });
  });
  return rows.map((row, pivot) => row[6] / row[pivot]);
}

// ink.py and pieces.py

function separate(copy) {
  const { width, height, data } = copy;
  const ink = background(copy).map((level, at) => data[at] - level);
  if (ink.reduce((sum, value) => sum + value * value * value, 0) < 0) ink.forEach((value, at) => (ink[at] = -value));
  const highest = largest(ink);
  const [stepX, stepY] = [width, height].map((length) => Math.ceil(length / WORKING_SIDE));
  const some = [];
  for (let row = 0; row < height; row += stepY) {
    for (let column = 0; column < width; column += stepX) {
      if (ink[row * width + column] <= highest / 2) some.push(Math.abs(ink[row * width + column]));
    }
  }
  const noise = 1.4826 * median(some);
  if (!(highest >= Math.max(LEAST_CONTRAST, LEAST_SIGNAL * noise))) throw new PictureError("no ink found");
  const strong = ink.filter((value) => value > highest / 2);
  const full = total(strong) / strong.length, floor = NOISE_FLOOR * noise;
  const [least, most] = [Math.fround(floor), Math.fround(full - floor)];
  return { width, height, data: ink.map((value) => clip(Math.fround(Math.fround(value - least) / most), 0, 1)) };
}

function look(grey, side) {
  const copy = shrink(grey, side);
  let ink;
  try {
    ink = separate(copy);
  } catch (error) {
    if (!(error instanceof PictureError) || side >= Math.min(CLOSER_SIDE, sideOf(grey))) throw error;
    return look(grey, CLOSER_SIDE);
  }
  return { ink, pieces: connectedPieces(ink), factor: sideOf(grey) / sideOf(copy) };
}

function connectedPieces({ width, height, data }, least = Math.fround(CORE)) {
  const runs = [], first = [];
  for (let row = 0; row < height; row++) {
    first.push(runs.length);
    for (let column = 0; column < width; column++) {
      if (data[row * width + column] <= least) continue;
      const start = column;
      while (column < width && data[row * width + column] > least) column++;
      runs.push({ row, start, end: column, parent: runs.length });
    }
  }
  first.push(runs.length);
  const root = (number) => {
    while (runs[number].parent !== number) number = runs[number].parent = runs[runs[number].parent].parent;
    return number;
  };
  for (let row = 1; row < height; row++) {
    for (let run = first[row], above = first[row - 1]; run < first[row + 1]; run++) {
      while (above < first[row] && runs[above].end < runs[run].start) above++;
      for (let other = above; other < first[row] && runs[other].start <= runs[run].end; other++) {
        runs[root(other)].parent = root(run);
      }
    }
  }
  const roots = range(runs.length).filter((number) => runs[number].parent === number);
  const numbers = new Map(roots.map((number, at) => [number, at]));
  const pieces = roots.map(() => ({ area: 0, top: height, bottom: 0, left: width, right: 0 }));
  const labels = new Int32Array(data.length).fill(-1);
  runs.forEach(({ row, start, end }, run) => {
    const number = numbers.get(root(run)), piece = pieces[number];
    piece.area += end - start;
    [piece.top, piece.bottom] = [Math.min(piece.top, row), Math.max(piece.bottom, row + 1)];
    [piece.left, piece.right] = [Math.min(piece.left, start), Math.max(piece.right, end)];
    labels.fill(number, row * width + start, row * width + end);
  });
  for (const piece of pieces) {
    piece.isInside = piece.top > 0 && piece.bottom < height && piece.left > 0 && piece.right < width;
  }
  return { labels, list: pieces };
}

function findInk(grey, seen = look(grey, WORKING_SIDE)) {
  const { factor } = seen, ink = withoutResidue(seen);
  const { top, bottom, left, right } = bounds(ink);
  const longest = Math.max(bottom - top, right - left);
  if (factor === 1 || longest >= CLOSE_ENOUGH) {
    return { ink: crop(ink, left, top, right, bottom), box: toBox({ top, bottom, left, right }, factor) };
  }
  const around = (longest >> 1) + 2;
  const wider = { top: top - around, bottom: bottom + around, left: left - around, right: right + around };
  const part = toBox(wider, factor).map((corner, at) => clip(corner, 0, at % 2 ? grey.height : grey.width));
  const closer = findInk(crop(grey, ...part));
  return { ink: closer.ink, box: closer.box.map((corner, at) => corner + part[at % 2]) };
}

function withoutResidue({ ink, pieces }) {
  const { list } = pieces, areas = (some) => largest(some.map(({ area }) => area));
  const inside = list.filter((piece) => piece.isInside);
  const candidates = inside.length && areas(inside) >= LEAST_SHARE * areas(list) ? inside : list;
  const least = LEAST_SHARE * areas(candidates);
  return cutOut(ink, pieces, candidates.filter(({ area }) => area >= least));
}

function cutOut({ width, height, data }, { labels, list }, chosen) {
  const kept = list.map((piece) => chosen.includes(piece)), cut = new Float32Array(data.length);
  for (let at = 0; at < labels.length; at++) {
    if (labels[at] < 0 || !kept[labels[at]]) continue;
    const row = Math.floor(at / width), column = at % width;
    const goesOn = column && labels[at - 1] === labels[at]; // all but the last column around it is there already
    const left = Math.max(column + (goesOn ? SOFT_EDGE : -SOFT_EDGE), 0);
    const right = Math.min(column + SOFT_EDGE + 1, width);
    for (let near = Math.max(row - SOFT_EDGE, 0); near < Math.min(row + SOFT_EDGE + 1, height); near++) {
      for (let place = near * width + left; place < near * width + right; place++) cut[place] = data[place];
    }
  }
  return { width, height, data: cut };
}

function bounds({ width, height, data }, edge = EDGE) {
  const box = { top: height, bottom: 0, left: width, right: 0 };
  for (let at = 0; at < data.length; at++) {
    if (data[at] <= edge) continue;
    const row = Math.floor(at / width), column = at % width;
    [box.top, box.bottom] = [Math.min(box.top, row), row + 1];
    [box.left, box.right] = [Math.min(box.left, column), Math.max(box.right, column + 1)];
  }
  return box;
}

function toBox({ top, bottom, left, right }, factor) {
  return [left, top, right, bottom].map((corner) => round(corner * factor));
}

function crop({ width, data }, left, top, right, bottom) {
  const part = new data.constructor((right - left) * (bottom - top));
  for (let row = top; row < bottom; row++) {
    part.set(data.subarray(row * width + left, row * width + right), (row - top) * (right - left));
  }
  return { width: right - left, height: bottom - top, data: part };
}

// frame.py

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

// number.py

function readNumber(image) {
  let grey = toGrey(image);
  if (isFramed(grey)) return [[{ pixels: grey.data, box: toBox(bounds(grey, 0), 1) }]];
  grey = withoutDesk(grey);
  const seen = look(grey, WORKING_SIDE);
  let closer = seen, lines = linesOf(group(seen));
  if (seen.factor > 1 && mayBeSeveral(lines)) {
    closer = look(grey, CLOSER_SIDE);
    lines = linesOf(group(closer));
  }
  if (lines.every((line) => line.length < 2)) {
    const { ink, box } = findInk(grey, seen);
    return [[{ pixels: frame(ink), box }]];
  }
  refuseOtherThanOneNumber(lines);
  return lines.map((line) =>
    line.map((digit) => {
      const part = cutOut(closer.ink, closer.pieces, digit.pieces);
      const { top, bottom, left, right } = bounds(part);
      return { pixels: frame(crop(part, left, top, right, bottom)), box: toBox(digit, closer.factor) };
    }),
  );
}

const heightOf = ({ top, bottom }) => bottom - top;
const widthOf = ({ left, right }) => right - left;

function mayBeSeveral(lines) {
  if (lines.length !== 1 || lines[0].length !== 1) return true;
  const [[digit]] = lines;
  return widthOf(digit) > NARROW * heightOf(digit) || heightOf(digit) < CLOSE_ENOUGH;
}

function group({ pieces }) {
  const inside = pieces.list.filter(({ isInside, area }) => isInside && area >= LEAST_PIXELS);
  const tallest = largest(inside.map(heightOf));
  const chosen = inside.filter(
    (piece) => heightOf(piece) >= LEAST_HEIGHT * tallest || widthOf(piece) >= LEAST_WIDTH * tallest,
  );
  const groups = [];
  for (const piece of chosen.sort((one, other) => heightOf(other) - heightOf(one))) {
    let joined = { ...piece, pieces: [piece] }, other;
    while ((other = groups.find((some) => isOneDigit(some, joined)))) {
      groups.splice(groups.indexOf(other), 1);
      joined = {
        top: Math.min(other.top, joined.top), bottom: Math.max(other.bottom, joined.bottom),
        left: Math.min(other.left, joined.left), right: Math.max(other.right, joined.right),
        pieces: [...other.pieces, ...joined.pieces],
      };
    }
    groups.push(joined);
  }
  const highest = largest(groups.map(heightOf));
  return groups.filter((digit) => heightOf(digit) >= LEAST_DIGIT * highest);
}

function isOneDigit(one, other) {
  const overlap = Math.min(one.right, other.right) - Math.max(one.left, other.left);
  const narrow = Math.min(widthOf(one), widthOf(other));
  const short = Math.min(heightOf(one), heightOf(other)), tall = Math.max(heightOf(one), heightOf(other));
  const gap = Math.max(one.top, other.top) - Math.min(one.bottom, other.bottom);
  return (overlap > 0.5 * narrow && gap <= 0) || (overlap > 0.3 * narrow && gap < 0.25 * tall && short < 0.6 * tall);
}

function linesOf(groups) {
  const lines = [];
  for (const digit of groups.sort((one, other) => one.top + one.bottom - other.top - other.bottom)) {
    const above = lines.at(-1) ?? [];
    const [top, bottom] = ["top", "bottom"].map((end) => total(above.map((other) => other[end])) / above.length);
    if ((digit.top + digit.bottom) / 2 < bottom || digit.top < (top + bottom) / 2) above.push(digit);
    else lines.push([digit]);
  }
  return lines.map((line) => line.sort((one, other) => one.left - other.left));
}

function refuseOtherThanOneNumber(lines) {
  const digits = lines.flat(), height = median(digits.map(heightOf));
  const gaps = lines.flatMap((line) => line.slice(1).map(({ left }, before) => left - line[before].right));
  if (lines.length > MOST_LINES || digits.length > MOST_DIGITS || largest([0, ...gaps]) > WIDEST_GAP * height) {
    throw new PictureError(`${digits.length} pieces that look like digits, not one number`);
  }
}
