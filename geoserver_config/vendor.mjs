// Copies what the pages load, and its licences, from node_modules to static/vendor (git-ignored).
import { copyFileSync, mkdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const modules = join(here, "..", "node_modules");
const vendor = join(here, "static", "vendor");

const font = "@fontsource-variable/vazirmatn";
// Whole fonts, for documents: a PDF cannot put one script together with another of two files.
const whole = "vazirmatn/fonts/ttf/Vazirmatn";
const persianDigits = "vazirmatn/misc/Farsi-Digits/fonts/ttf/Vazirmatn-FD";
const files = {
  "ol/ol.js": "ol/dist/ol.js",
  "ol/ol.css": "ol/ol.css",
  "ol/LICENSE.md": "ol/LICENSE.md",
  "swagger-ui/swagger-ui-bundle.js": "swagger-ui-dist/swagger-ui-bundle.js",
  "swagger-ui/swagger-ui.css": "swagger-ui-dist/swagger-ui.css",
  "swagger-ui/LICENSE": "swagger-ui-dist/LICENSE",
  "swagger-ui/NOTICE": "swagger-ui-dist/NOTICE",
  // The Arabic subset only: Latin letters and digits come from the reader's own system.
  "vazirmatn/vazirmatn-arabic.woff2": `${font}/files/vazirmatn-arabic-wght-normal.woff2`,
  "vazirmatn/Vazirmatn-Regular.ttf": `${whole}-Regular.ttf`,
  "vazirmatn/Vazirmatn-Bold.ttf": `${whole}-Bold.ttf`,
  "vazirmatn/Vazirmatn-FD-Regular.ttf": `${persianDigits}-Regular.ttf`,
  "vazirmatn/Vazirmatn-FD-Bold.ttf": `${persianDigits}-Bold.ttf`,
  "vazirmatn/LICENSE": `${font}/LICENSE`,
};

rmSync(vendor, { recursive: true, force: true });
for (const [target, source] of Object.entries(files)) {
  const path = join(vendor, target);
  mkdirSync(dirname(path), { recursive: true });
  copyFileSync(join(modules, source), path);
}
console.log(`${Object.keys(files).length} files in static/vendor`);
