// What the network says to images: base64 of float32 logits, in place of the page.

const images = new Uint8Array(reader.bytesOf("images")), size = 28 ** 2, rows = [];
for (let start = 0; start < images.length; start += size) {
  rows.push(reader.logitsOf(images.subarray(start, start + size)));
}
const bytes = rows.flatMap((row) => [...new Uint8Array(row.buffer)]);
document.documentElement.replaceChildren(btoa(bytes.map((byte) => String.fromCharCode(byte)).join("")));
