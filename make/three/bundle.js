// Bundles what entry.js names of three.js, with its license as the first comment.
import { readFileSync } from "node:fs";
import { build } from "esbuild";

const three = new URL("node_modules/three/", import.meta.url);
const { version } = JSON.parse(readFileSync(new URL("package.json", three), "utf8"));
const license = readFileSync(new URL("LICENSE", three), "utf8").trimEnd();

await build({
  entryPoints: ["entry.js"],
  outfile: process.argv[2],
  bundle: true,
  minify: true,
  format: "iife",
  globalName: "THREE",
  legalComments: "none",
  banner: { js: `/*! three.js ${version}\n${license}\n*/` },
});
