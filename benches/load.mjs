// How long pages take to load: from the start of the navigation to the first frame after all pictures are drawn.
//
// In: addresses of pages, a Chromium (CHROMIUM). Out: one line per page, the median of five loads in milliseconds.

import { chromium } from "playwright-core";

const ROUNDS = 5;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
for (const address of process.argv.slice(2)) {
  const times = [];
  for (let i = 0; i < ROUNDS; i++) {
    const page = await browser.newPage();
    await page.goto(address);
    await page.locator("canvas").first().waitFor();
    times.push(await page.evaluate(() => new Promise((done) => { requestAnimationFrame(() => done(performance.now())); })));
    await page.close();
  }
  console.log(times.sort((a, b) => a - b)[ROUNDS >> 1].toFixed(0));
}
await browser.close();
