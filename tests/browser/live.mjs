// The live page of a running daemon in a real browser: lines are appended, and the page shows them by itself.
//
// In: the program (GRADWATCH), a Chromium (CHROMIUM). Out: screenshots in target/screenshots, exit status 1 with one line
// per thing that is wrong. Invariants: every wait is for something that the page shows, with a deadline; the page asks
// nothing of any other origin.

import { execFileSync, spawn } from "node:child_process";
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

// The driver is installed under target/, and this file is run beside it.
const root = process.env.GRADWATCH_ROOT ?? resolve(import.meta.dirname, "../..");
const program = process.env.GRADWATCH ?? join(root, "target/release/gradwatch");
const shots = join(root, "target/screenshots");
const work = mkdtempSync(join(tmpdir(), "gradwatch-live-"));
const wrong = [];
const TOKEN = "a-token-of-the-test-0123456789";

function check(condition, text) {
  if (!condition) wrong.push(text);
}

/** Steps of a small healthy run: a loss and gradient norms of 16 layers. */
function rows(from, to, loss = (step) => 4 / (1 + 0.05 * step) + 0.01 * ((step * 7) % 5)) {
  const row = (step) => {
    const norms = Array.from({ length: 16 }, (_, i) => [`grad_norm/blocks.${i}.weight`, 0.5 + 0.05 * Math.sin(step + i)]);
    return `${JSON.stringify({ step, "train/loss": loss(step), ...Object.fromEntries(norms) })}\n`;
  };
  return Array.from({ length: to - from }, (_, i) => row(from + i)).join("");
}

/** A daemon on a free port; its address is on its standard error. */
async function daemon(...args) {
  const child = spawn(program, ["watch", "--poll-every", "0.2", "--format", "json", ...args], { stdio: ["ignore", "ignore", "pipe"] });
  for await (const line of createInterface({ input: child.stderr })) {
    const address = /listening on (\S+)/.exec(line)?.[1];
    if (address) return { child, address };
  }
  throw new Error("the daemon did not say where it listens");
}

function stop({ child }) {
  return new Promise((done) => {
    child.once("exit", (code) => { check(code === 0, `the daemon ended with status ${code}`); done(); });
    child.kill("SIGTERM");
  });
}

async function fresh(browser, name, address, { allowed = [], ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, colorScheme: "light", ...options });
  const page = await context.newPage();
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type()) && !allowed.some((it) => message.text().includes(it))) wrong.push(`${name}: console: ${message.text()}`);
  });
  page.on("pageerror", (error) => wrong.push(`${name}: ${error.stack ?? error}`));
  page.on("request", (request) => { if (new URL(request.url()).origin !== new URL(address).origin) wrong.push(`${name}: asked for ${request.url()}`); });
  await page.goto(address);
  return page;
}

const textOf = (page, selector, text) => page.locator(selector).filter({ hasText: text }).first().waitFor();

async function theOverviewGrows(browser, address, log) {
  const page = await fresh(browser, "overview", address);
  await textOf(page, "tbody tr", "deep");
  await textOf(page, "tbody tr", "0 to 59");
  await page.getByRole("searchbox").fill("deep");
  appendFileSync(log, rows(60, 70));
  await textOf(page, "tbody tr", "0 to 69");
  check(await page.getByRole("searchbox").inputValue() === "deep", "overview: the filter was lost");
  check(await page.getByRole("searchbox").evaluate((it) => it === document.activeElement), "overview: the focus was lost");
  mkdirSync(join(work, "runs", "late"), { recursive: true });
  writeFileSync(join(work, "runs", "late", "metrics.jsonl"), rows(0, 30));
  await page.getByRole("searchbox").fill("");
  await textOf(page, "tbody tr", "late");
  check((await page.locator("#status").innerText()) === "live", "overview: it does not say that it is live");
  await page.screenshot({ path: join(shots, "live-overview.png") });
  await page.context().close();
}

async function theRunGrows(browser, address, log) {
  const page = await fresh(browser, "run", `${address}#run=deep`);
  await page.waitForFunction(() => document.querySelector(".step-now")?.textContent === "step 69");
  const heat = page.locator("#grid-grad_norm .heat canvas");
  const before = await heat.evaluate((it) => it.toDataURL());
  await page.locator("footer summary").first().click();
  await heat.evaluate((it) => { it.dataset.seen = "yes"; });
  appendFileSync(log, rows(70, 90));
  // Who looks at the newest step goes on to.
  await page.waitForFunction(() => document.querySelector(".step-now").textContent === "step 89");
  check(await heat.getAttribute("data-seen") === "yes", "run: the pictures were made anew, not fed");
  check(await heat.evaluate((it) => it.toDataURL()) !== before, "run: the heat map did not change");
  check(await page.locator("footer details").first().evaluate((it) => it.open), "run: what was opened was closed");
  // Who looks at a step stays there.
  await page.locator("input[type=range]").focus();
  await page.keyboard.press("Home");
  await page.waitForFunction(() => document.querySelector(".step-now").textContent === "step 0");
  check(await page.locator("article.finding.critical").count() === 0, "run: an alarm before there is any");
  appendFileSync(log, rows(90, 100, () => "NaN"));
  await textOf(page, "article.finding.critical h3", "non-finite-loss");
  check((await page.locator("h1").innerText()).includes("critical"), "run: the verdict did not change");
  check((await page.locator(".step-now").innerText()) === "step 0", "run: the step was moved from under the reader");
  check(await page.locator("input[type=range]").evaluate((it) => it === document.activeElement), "run: the focus was lost");
  await page.screenshot({ path: join(shots, "live-run.png"), fullPage: true });
  await page.context().close();
}

/** What the page was given is what `inspect` says of the files. */
async function theNumbersAreThoseOfTheFiles(address, dir) {
  const inspected = JSON.parse(execFileSync(program, ["inspect", dir, "--format", "json"]));
  const series = inspected.runs.find((it) => it.run === "deep").series;
  const run = await (await fetch(new URL("data/run?run=deep", address))).json();
  const shown = run.sources.flatMap((source) => [...source.lines, ...source.grids.flatMap((grid) => grid.groups.flatMap((group) => group.rows))]);
  check(shown.length === series.length && shown.length === 17, `numbers: ${shown.length} series are shown of ${series.length}`);
  for (const { tag, totals } of shown) {
    const known = series.find((it) => it.tag === tag) ?? {};
    for (const [key, value] of Object.entries(totals)) check(JSON.stringify(value) === JSON.stringify(known[key]), `numbers: ${key} of ${tag} is ${value}, in the files ${known[key]}`);
  }
  const list = await (await fetch(new URL("api/v1/runs", address))).json();
  check(list.schema === "gradwatch.runs/1" && list.runs.find((it) => it.run === "deep").last_step === 99, "numbers: the list of runs is not up to date");
  const alerts = await (await fetch(new URL("api/v1/alerts", address))).json();
  check(alerts.alerts.some((it) => it.run === "deep" && it.finding.rule === "non-finite-loss"), "numbers: the alarm is not in the list");
}

/** With a baseline the live page shows it beside each run, and nothing beside itself; also in the dark on a phone. */
async function theBaselineIsBeside(browser) {
  const runs = join(work, "compared");
  for (const [name, scale] of [["sick", 1], ["twin", 2]]) {
    mkdirSync(join(runs, name), { recursive: true });
    writeFileSync(join(runs, name, "metrics.jsonl"), rows(0, 40, (step) => scale * (3 + 0.01 * (step % 3))));
  }
  const compared = await daemon("--listen", "127.0.0.1:0", "--baseline", join(runs, "twin"), runs);
  const page = await fresh(browser, "baseline", `${compared.address}#run=sick`, { viewport: { width: 380, height: 800 }, colorScheme: "dark" });
  await textOf(page, ".legend", "baseline");
  const hint = page.locator("#grid-grad_norm .hint");
  check(/squares: baseline .*twin at step 39$/.test(await hint.innerText()), `baseline: the profile says ${await hint.innerText()}`);
  appendFileSync(join(runs, "sick", "metrics.jsonl"), rows(40, 50, () => 3));
  await page.waitForFunction(() => document.querySelector(".step-now").textContent === "step 49");
  check((await page.locator(".legend").first().innerText()).includes("baseline"), "baseline: it was lost with new points");
  check(await page.evaluate(() => document.documentElement.scrollWidth) <= 380, "baseline: wider than a phone");
  const color = await page.evaluate(() => getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number));
  check(color[0] < 60, `baseline: in the dark the background is ${color}`);
  await page.screenshot({ path: join(shots, "live-phone.png"), fullPage: true });
  await page.evaluate(() => { location.hash = "#run=twin"; });
  await page.waitForFunction(() => document.querySelector("h1")?.textContent.startsWith("twin"));
  check(!(await page.locator(".legend").first().innerText()).includes("baseline"), "baseline: it is compared with itself");
  await page.context().close();
  await stop(compared);
}

/** A page that is open says when its daemon is gone, and goes on when it is back. */
async function aLostDaemonIsSaid(browser, address, running, dir) {
  const page = await fresh(browser, "lost", address, { allowed: ["Failed to load resource"] });
  await textOf(page, "#status.live", "live");
  await stop(running);
  await textOf(page, "#status.lost", "no answer since");
  const again = await daemon("--listen", new URL(address).host, dir);
  await textOf(page, "#status.live", "live");
  await page.context().close();
  return again;
}

async function aTokenIsAskedForOnce(browser, dir) {
  const file = join(work, "token");
  writeFileSync(file, `${TOKEN}\n`);
  const guarded = await daemon("--listen", "127.0.0.1:0", "--listen-token-file", file, dir);
  check((await fetch(guarded.address)).status === 401, "token: a stranger was let in");
  check((await fetch(new URL("healthz", guarded.address))).status === 200, "token: the probe was not let in");
  const page = await fresh(browser, "token", `${guarded.address}?token=${TOKEN}`);
  check(!page.url().includes(TOKEN), `token: it stayed in the address ${page.url()}`);
  await textOf(page, "tbody tr", "deep");
  await page.context().close();
  await stop(guarded);
}

mkdirSync(shots, { recursive: true });
const dir = join(work, "runs"), log = join(dir, "deep", "metrics.jsonl");
mkdirSync(join(dir, "deep"), { recursive: true });
writeFileSync(log, rows(0, 60));
let running = await daemon("--listen", "127.0.0.1:0", dir);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
try {
  await theOverviewGrows(browser, running.address, log);
  await theRunGrows(browser, running.address, log);
  await theNumbersAreThoseOfTheFiles(running.address, dir);
  await aTokenIsAskedForOnce(browser, dir);
  await theBaselineIsBeside(browser);
  running = await aLostDaemonIsSaid(browser, running.address, running, dir);
} finally {
  await browser.close();
  await stop(running);
  rmSync(work, { recursive: true, force: true });
}
for (const text of wrong) console.error(`wrong: ${text}`);
console.log(wrong.length === 0 ? "the live page holds in the browser" : `${wrong.length} things are wrong`);
process.exit(wrong.length === 0 ? 0 : 1);
