// src/digits/number.py

const NARROW = 0.9, LEAST_PIXELS = 8, LEAST_HEIGHT = 0.15, LEAST_WIDTH = 0.25, LEAST_DIGIT = 0.4;
const MOST_LINES = 4, MOST_DIGITS = 24, WIDEST_GAP = 3;

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
