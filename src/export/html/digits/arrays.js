// src/digits in JavaScript, from the decoded RGBA of a picture on, file by file and function by function under the same
// names: it comes to the same pixels as Python. Here is what that has from Python and NumPy.
// A grid is { width, height, data }, its data row by row.

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
