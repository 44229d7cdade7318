// Makes one HTML file of everything: style, scripts, ONNX Runtime and, at will, models.
//
//     node bundle.mjs [--output FILE] [MODEL.onnx ...]

import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";

import { build } from "esbuild";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** A script with all that it imports, as text that may stand inside of <script>. */
async function bundled(entry) {
  const { outputFiles } = await build({
    entryPoints: [here(entry)],
    bundle: true,
    format: "iife", // a worker of a page that was opened as a file cannot be a module
    define: { "import.meta.url": "self.location.href" },
    minify: true,
    target: "es2022",
    write: false,
  });
  return outputFiles[0].text.replaceAll("<!--", "\\x3C!--").replaceAll(/<\/script/gi, "\\x3C/script");
}

const { values, positionals } = parseArgs({
  options: { output: { type: "string", default: here("dist/index.html") } },
  allowPositionals: true,
});
const wasm = await readFile(fileURLToPath(import.meta.resolve("onnxruntime-web/ort-wasm-simd-threaded.wasm")));
const models = await Promise.all(positionals.map(readModel));
const style = await readFile(here("src/style.css"), "utf8");
const page = await bundled("src/page.js");
const hash = (text) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
const parts = {
  POLICY: [
    "default-src 'none'",
    `script-src ${hash(page)} 'wasm-unsafe-eval'`,
    `style-src ${hash(style)}`,
    "worker-src blob:",
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; "),
  STYLE: style,
  RUNTIME: gzipSync(wasm, { level: 9 }).toString("base64"),
  WORKER: await bundled("src/worker.js"),
  MODELS: models.map(dataBlock).join("\n"),
  PAGE: page,
};
const template = await readFile(here("src/index.html"), "utf8");
const html = template.replaceAll(/%([A-Z]+)%/g, (_, name) => parts[name]);
await mkdir(dirname(values.output), { recursive: true });
await writeFile(values.output, html);
const contents = ["ONNX Runtime", ...models.map(([name]) => name)].join(", ");
console.log(`${values.output}: ${(html.length / 2 ** 20).toFixed(1)} MiB, with ${contents}`);

/** Name and content of a model file. */
async function readModel(path) {
  try {
    return [basename(path), await readFile(path, "base64")];
  } catch (error) {
    console.error(`${path}: cannot be read (${error.code}); give the .onnx that "hed export" writes.`);
    return process.exit(2);
  }
}

/** Data inside of a page, which is no script to a browser. */
function dataBlock([name, base64]) {
  return `<script class="model" type="text/plain" data-name="${escaped(name)}">${base64}</script>`;
}

function escaped(text) {
  return text.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("<", "&lt;");
}
