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
