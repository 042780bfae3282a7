// src/digits/background.py

const FITTED_SIDE = 32, FITTINGS = 8, CLOSE = 0.5, RIM = 5 / 6;
const TWO_KINDS = 0.8, LEAST_GROUND = 0.15, MUCH_INK = 0.3;
const LEAST_DESK = 0.15, MOST_INK = 0.2, LEAST_SHEET = 0.9, SOFT_SIZE = 5;
const ANGLES = [-20, -16, -12, -8, -4, 0, 4, 8, 12, 16, 20].map((angle) => (angle * Math.PI) / 180);

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
