// The network: fully connected layers with ReLU between them, on pixels / 255 less the mean, by the standard deviation,
// of digits set upright if it was trained on such.

const textOf = (id) => document.getElementById(id).textContent;
const bytesOf = (id) => Uint8Array.from(atob(textOf(id)), (letter) => letter.charCodeAt(0)).buffer;

function fromHalf(bits) { // by hand: not every browser has Float16Array
  const exponent = (bits >> 10) & 31, fraction = bits & 1023;
  return (bits >> 15 ? -1 : 1) * (exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24);
}

const about = JSON.parse(textOf("about"));
const numbers = about.precision === "float16"
  ? Float32Array.from(new Uint16Array(bytesOf("weights")), fromHalf)
  : new Float32Array(bytesOf("weights"));
let used = 0;
const layers = about.layers.map(([inputs, outputs]) => {
  const weights = numbers.subarray(used, (used += inputs * outputs));
  return { weights, biases: numbers.subarray(used, (used += outputs)) };
});

function logitsOf(pixels) {
  const { mean, std } = about.normalization;
  let values = Float32Array.from(about.deskew ? deskewed(pixels) : pixels, (level) => (level / 255 - mean) / std);
  layers.forEach(({ weights, biases }, number) => {
    const inputs = values;
    values = biases.map((sum, output) => {
      for (let at = 0, weight = output * inputs.length; at < inputs.length; at++) sum += weights[weight++] * inputs[at];
      return number < layers.length - 1 ? Math.max(sum, 0) : sum;
    });
  });
  return values;
}

function probabilitiesOf(logits) {
  const most = largest(logits), shares = Array.from(logits, (logit) => Math.exp(logit - most)), sum = total(shares);
  return shares.map((share) => share / sum);
}

globalThis.reader = { bytesOf, logitsOf, readNumber, PictureError }; // for what checks them
