// src/digits/ink.py and pieces.py

const CLOSE_ENOUGH = 40, LEAST_CONTRAST = 8, LEAST_SIGNAL = 8, NOISE_FLOOR = 2.5, EDGE = 0.25, CORE = 0.4;
const LEAST_SHARE = 0.1, SOFT_EDGE = 2;

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
