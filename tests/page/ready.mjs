// ready.mjs PAGE: how long Chromium takes until a page has drawn itself, the
// middle of five times, and until one output is shown by its link. In
// milliseconds, on one line.
import { pathToFileURL } from "node:url";
import { resolve } from "node:path";
import { chromium } from "playwright-core";

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: [...(process.getuid?.() === 0 ? ["--no-sandbox"] : []), "--disable-dev-shm-usage"],
});
const page = pathToFileURL(resolve(process.argv[2])).href;
const measure = async (hash, wanted) => {
  const all = [];
  for (let turn = 0; turn < 5; ++turn) {
    const context = await browser.newContext({ viewport: { width: 1200, height: 900 } });
    const at = await context.newPage();
    const began = performance.now();
    await at.goto(page + hash, { timeout: 120000 });
    await at.waitForSelector(wanted, { state: "attached", timeout: 120000 });
    all.push(performance.now() - began);
    await context.close();
  }
  return Math.round(all.sort((a, b) => a - b)[2]);
};
const ready = await measure("", "html[data-ready] #table tbody tr");
const one = await measure("#output=" + encodeURIComponent(process.argv[3] ?? ""), "section.one");
console.log(`${ready} ${one}`);
await browser.close();
