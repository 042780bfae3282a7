// Runs an exported page's network and its check in Node, which has no page.

const html = require("node:fs").readFileSync(process.argv[2], "utf8");
const parts = Object.fromEntries(
  [...html.matchAll(/<script [^>]*id="(\w+)">(.*?)<\/script>/gs)].map(([, id, text]) => [id, text]),
);
globalThis.document = {
  getElementById: (id) => ({ textContent: parts[id] }),
  documentElement: { replaceChildren: (text) => process.stdout.write(`<html>${text}</html>`) },
};
const run = (text) => import(`data:text/javascript;base64,${Buffer.from(text).toString("base64")}`);
run(parts.reader).then(() => run(parts.check));
