// browser.mjs FOLDER [SHOTS]: the pages of page_maker, in Chromium. Each is to
// draw itself, ask for nothing and complain of nothing, whatever a model wrote.
// With SHOTS, pictures for a person to look at. $CHROMIUM is the browser.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const folder = resolve(process.argv[2]);
const shots = process.argv[3];
const root = process.getuid?.() === 0;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: [...(root ? ["--no-sandbox"] : []), "--disable-dev-shm-usage"],
});

const wide = { viewport: { width: 1200, height: 900 } };
const address = (file, hash = "") => pathToFileURL(`${folder}/${file}`).href + hash;

// A page that is open, and what it asked for and complained of.
async function open(file, hash = "", options = {}) {
  const context = await browser.newContext({ ...wide, ...options });
  const page = await context.newPage();
  const asked = [], said = [];
  page.on("request", (one) => asked.push(one.url().split("#")[0]));
  page.on("console", (one) => said.push(`${one.type()}: ${one.text()}`));
  page.on("pageerror", (one) => said.push(`error: ${one.message}`));
  page.on("dialog", (one) => { said.push(`dialog: ${one.message()}`); one.dismiss(); });
  await page.goto(address(file, hash));
  await page.waitForSelector("html[data-ready]");
  return {
    page,
    async close() {
      assert.deepEqual(asked, [address(file)], `${file} asks for more than itself`);
      assert.deepEqual(said, [], `${file} complains`);
      await context.close();
    },
  };
}

const text = (page, selector) => page.locator(selector).allInnerTexts();
const rows = (page) => page.locator("#table tbody tr").count();
const column = async (page, k) => (await page.locator(`#table tbody tr td:nth-child(${k})`).allInnerTexts()).map((s) => s.trim());

const cases = {
  async "the verdict stands first, then what it stands on"() {
    const { page, close } = await open("effect.html");
    assert.match(await page.locator("h1").innerText(), /^Skill h100-kernels: does it help/);
    assert.equal(await page.locator(".verdict strong").innerText(), "Helps");
    const heads = await text(page, "h2");
    assert.deepEqual(heads, ["How far outputs got", "Difference, by model and task", "Speed", "Assertions", "Tuning", "Roofline", "Tokens", "Outputs"]);
    assert.equal(await page.locator("svg[role=img][aria-label]").count(), 6);
    assert.match(await page.locator("main").innerText(), /2 outputs could not be tried/);
    assert.match(await page.locator("main").innerText(), /Speed is predicted/);
    await close();
  },

  async "outputs are sorted by any column, both ways"() {
    const { page, close } = await open("effect.html");
    const all = await rows(page);
    assert.equal(all, 120);
    const head = page.getByRole("button", { name: "tokens" });
    await head.click();
    const up = (await column(page, 6)).map(Number);
    assert.deepEqual(up, [...up].sort((a, b) => a - b));
    await head.click();
    const down = (await column(page, 6)).map(Number);
    assert.deepEqual(down, [...down].sort((a, b) => b - a));
    assert.equal(await page.locator("th[aria-sort=descending]").innerText(), "tokens \u2193");
    await close();
  },

  async "outputs are filtered, and the choice stands in the address"() {
    const { page, close } = await open("effect.html");
    await page.getByRole("combobox", { name: "arm" }).selectOption("baseline");
    await page.getByRole("combobox", { name: "outcome" }).selectOption("unjudged");
    assert.equal(await rows(page), 6);
    assert.equal(await page.getByRole("status").innerText(), "6 of 120");
    await page.getByLabel("text in id or reason").fill("layernorm");
    assert.equal(await rows(page), 2);
    const hash = new URL(page.url()).hash;
    await close();
    const again = await open("effect.html", hash);
    assert.equal(await rows(again.page), 2);
    await again.close();
  },

  async "a deep link shows one output, its findings at their lines"() {
    const { page, close } = await open("effect.html");
    const bad = page.locator("#table tbody tr", { has: page.locator("td.failed") }).first();
    const id = await bad.locator("a").innerText();
    const sound = await page.locator("#table tbody tr", { has: page.locator("td.correct") }).first().locator("a").innerText();
    await close();
    const one = await open("effect.html", "#output=" + encodeURIComponent(id));
    const part = one.page.locator("section.one");
    assert.match(await part.locator("h2").innerText(), new RegExp("^" + id));
    assert.equal(await one.page.evaluate(() => document.activeElement?.id), "one");
    assert.equal(await part.locator("pre .row.hit").getAttribute("data-line"), "5");
    assert.match(await part.locator("pre .say").innerText(), /^wrong_value: y\[17\] is 3/);
    assert.ok(await part.locator("pre .k").count() > 3, "keywords are coloured");
    await part.getByText("The compiler's log").click();
    assert.match(await part.getByLabel("the compiler's log").innerText(), /^half:\ncandidate\.cu\(5\): warning #177-D/);
    assert.match(await part.innerText(), /ptx_uses tensor_cores/);
    assert.match(await part.innerText(), /global load sectors|warp instructions/);
    await part.getByRole("link", { name: "Close" }).click();
    assert.equal(await one.page.locator("section.one").count(), 0);
    await one.close();
    const right = await open("effect.html", "#output=" + encodeURIComponent(sound));
    assert.match(await right.page.locator("section.one").innerText(), /Times[^]*CUPTI records[^]*% \((memory|arithmetic)\)/);
    assert.match(await right.page.locator("section.one").innerText(), /cuDNN 9\.19\.0, layer norm[^]*not measured: it knows no way/);
    await right.close();
    const none = await open("effect.html", "#output=nobody");
    assert.match(await none.page.locator("section.one h2").innerText(), /There is no output nobody/);
    await none.close();
  },

  async "a keyboard is enough"() {
    const { page, close } = await open("effect.html");
    const reached = new Set();
    for (let k = 0; k < 16; ++k) {
      await page.keyboard.press("Tab");
      reached.add(await page.evaluate(() => document.activeElement?.tagName));
    }
    for (const wanted of ["SELECT", "INPUT", "BUTTON", "A"]) assert.ok(reached.has(wanted), `Tab reaches ${wanted}`);
    await page.locator("#table a").first().focus();
    await page.keyboard.press("Enter");
    await page.waitForSelector("section.one");
    await close();
  },

  async "a screen reader finds names and heads"() {
    const { page, close } = await open("effect.html");
    assert.equal(await page.evaluate(() => document.documentElement.lang), "en");
    assert.equal(await page.locator("main").count(), 1);
    const nameless = await page.evaluate(() =>
      [...document.querySelectorAll("select,input,button")].filter((it) => !it.labels?.length && !it.innerText.trim()).length);
    assert.equal(nameless, 0);
    assert.equal(await page.locator("table:not(:has(th))").count(), 0);
    await close();
  },

  async "tuning is drawn: each trial, the best so far, what failed and what matters"() {
    const { page, close } = await open("effect.html", "#outcome=correct");
    assert.match(await page.locator("main").innerText(), /Beyond tuning the skill adds/);
    const tuned = page.locator("section:has(> h2:text-is('Tuning'))");
    const drawn = await tuned.locator("svg g[aria-label=link] path").count();
    assert.ok(drawn > 0 && drawn <= 36, `${drawn} outputs`);
    await page.locator("#table a").first().click();
    const one = page.locator("section.one");
    const trials = one.locator("svg[aria-label='Time of each trial and the best so far']");
    await trials.waitFor();
    assert.equal(await trials.locator("g[aria-label=dot] path, g[aria-label=dot] circle").count(), 6);
    const y = await trials.locator("g[aria-label='y-axis tick label'] text").allTextContents();
    assert.deepEqual(y, ["1", "2", "5", "10"]);
    const words = await one.innerText();
    assert.match(words, /Best of 6 of 96 settings: threads = 256, 1\.60\u00d7 \(95%: 1\.50 to 1\.70\) the speed/);
    assert.match(words, /it ended after so many trials/);
    assert.match(words, /does not fit, 1 of them, the first threads = 2048/);
    assert.equal(await one.locator("svg[aria-label^='Share of the spread'] g[aria-label=bar] rect").count(), 2);
    await close();
  },

  async "what a model wrote stays text"() {
    const { page, close } = await open("hostile.html");
    await page.locator("#table a").first().click();
    await page.waitForSelector("section.one");
    assert.equal(await page.evaluate(() => window.broken), undefined);
    assert.equal(await page.locator("main img, main script").count(), 0);
    assert.match(await page.locator("section.one h2").innerText(), /<\/script><script>window\.broken=1/);
    assert.match(await page.locator("section.one pre[aria-label=source]").innerText(), /<img src=x onerror=/);
    await close();
  },

  async "pages without arms, and without outputs"() {
    const plain = await open("plain.html");
    assert.match(await plain.page.locator("h1").innerText(), /^5 outputs judged/);
    await plain.close();
    const none = await open("none.html");
    assert.match(await none.page.locator("h1").innerText(), /^0 outputs judged/);
    await none.close();
  },

  async "nothing is wider than a narrow screen or cut in a picture"() {
    const { page, close } = await open("effect.html", "", { viewport: { width: 390, height: 800 } });
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "the page itself does not scroll sideways");
    const cut = () => page.evaluate(() => [...document.querySelectorAll("svg[role=img]")].flatMap((svg) => {
      const frame = svg.getBoundingClientRect();
      return [...svg.querySelectorAll("text")].filter((it) => {
        const box = it.getBoundingClientRect();
        return box.width > 0 && (box.left < frame.left - 1 || box.right > frame.right + 1);
      }).map((it) => it.textContent);
    }));
    assert.deepEqual(await cut(), []);
    await page.setViewportSize({ width: 1200, height: 900 });
    await page.waitForFunction(() => document.querySelector("svg[role=img]").getAttribute("width") === "720");
    assert.deepEqual(await cut(), []);
    await close();
  },

  async "colours follow the reader's choice"() {
    const grounds = [];
    for (const colorScheme of ["light", "dark"]) {
      const { page, close } = await open("effect.html", "", { colorScheme });
      grounds.push(await page.evaluate(() => getComputedStyle(document.body).backgroundColor));
      await close();
    }
    assert.notEqual(grounds[0], grounds[1]);
  },
};

let failed = 0;
for (const [what, check] of Object.entries(cases)) {
  try {
    await check();
    console.log(`ok    ${what}`);
  } catch (wrong) {
    ++failed;
    console.log(`FAILS ${what}\n      ${wrong.message.replaceAll("\n", "\n      ")}`);
  }
}

if (shots) {
  mkdirSync(shots, { recursive: true });
  const id = "#output=" + encodeURIComponent("model-a/baseline/geglu/1");
  for (const [name, options, media] of [
    ["light", { colorScheme: "light" }], ["dark", { colorScheme: "dark" }],
    ["narrow", { viewport: { width: 390, height: 800 } }], ["print", { viewport: { width: 780, height: 900 } }, "print"],
  ]) {
    const { page, close } = await open("effect.html", id, options);
    if (media) await page.emulateMedia({ media });
    const { width } = page.viewportSize();
    const height = await page.evaluate(() => document.documentElement.scrollHeight);
    for (let from = 0, part = 1; from < height && part <= 3; from += 1300, ++part)
      await page.screenshot({ path: `${shots}/${name}-${part}.png`, fullPage: true, clip: { x: 0, y: from, width, height: Math.min(1300, height - from) } });
    await page.screenshot({ path: `${shots}/${name}-end.png`, fullPage: true, clip: { x: 0, y: Math.max(0, height - 1500), width, height: Math.min(1500, height) } });
    await close();
  }
}
await browser.close();
process.exit(failed ? 1 : 0);
