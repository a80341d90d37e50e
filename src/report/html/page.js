// From the address to what is shown, and back; and again when a daemon has something new.

const isLive = readData("live") === true;
const source = isLive ? new ServerSource() : new EmbeddedSource();
const main = document.getElementById("main");
const summary = document.getElementById("summary"), status = document.getElementById("status");
/** What runs are compared with. */
let baseline = null;
let data = null;
/** What is shown: an overview, or a run with its key. */
let current = null;
let turn = 0;
document.body.append(tooltip);

function summaryText() {
  const count = (verdict) => data.runs.filter((it) => it.verdict === verdict).length;
  return ["critical", "warning", "healthy", "no-data"].filter((it) => count(it) > 0).map((it) => `${count(it)} ${VERDICT_NAMES[it]}`).join(" · ");
}

/** Shows what the address names. Reading may take a moment: an address that came later wins. */
async function show() {
  hideTooltip();
  turn += 1;
  const own = turn, parameters = readHash();
  const index = data.runs.findIndex((it) => it.key === parameters.get("run"));
  if (index < 0) {
    current = new OverviewPage(data);
    document.title = "gradwatch";
    main.replaceChildren(current.element);
    window.scrollTo(0, 0);
    return;
  }
  const { key } = data.runs[index];
  await lookAtBaseline();
  const run = await source.run(index, key);
  if (own !== turn) return;
  const isSame = current?.key === key;
  document.title = `${key} – gradwatch`;
  if (run === null) {
    current = { key, isWaiting: true };
    main.replaceChildren(make("p", { className: "calm", textContent: `${key}: still being read …` }));
    return;
  }
  current = new RunPage(run, key, parameters);
  main.replaceChildren(current.element);
  current.draw();
  if (current.isChosen) scrollToFinding(current.view.finding);
  else if (!isSame) { window.scrollTo(0, 0); main.focus({ preventScroll: true }); }
}

/** Takes the baseline, when there is another one than before. */
async function lookAtBaseline() {
  const news = await source.baseline();
  if (news !== null) baseline = readBaseline(news);
}

/** The picture of the finding's quantity, or the curves. */
function scrollToFinding(finding) {
  const target = document.getElementById(`grid-${finding.quantity}`) ?? document.querySelector(".step-bar");
  target?.scrollIntoView({ block: "start" });
  target?.querySelector("canvas")?.focus({ preventScroll: true });
}

/** Asks the daemon for what is new. */
async function look() {
  const news = await source.overview();
  if (news !== null) {
    data = news;
    summary.textContent = summaryText();
    if (current instanceof OverviewPage) current.update(data);
  }
  const shown = current;
  if (shown?.isWaiting) await show();
  else if (shown instanceof RunPage) {
    await lookAtBaseline();
    const run = await source.runAgain(shown.key);
    if (run !== null && current === shown) shown.update(run);
  }
}

const pause = (ms) => new Promise((done) => { setTimeout(done, ms); });
/** A page that nobody sees asks nothing. */
const isSeen = () => new Promise((done) => {
  if (!document.hidden) done();
  else document.addEventListener("visibilitychange", done, { once: true });
});

/** Follows the daemon for as long as the page is open. */
async function follow() {
  let heardAt = new Date();
  for (;;) {
    const begun = performance.now();
    try {
      if (data === null) {
        data = await source.overview();
        summary.textContent = summaryText();
        await show();
      } else {
        await look();
      }
      heardAt = new Date();
      say("live", "live");
    } catch (error) {
      say("lost", `no answer since ${heardAt.toLocaleTimeString()}: ${error.message}`);
    }
    await pause(Math.min(LOOK_EVERY_MAX_MS, Math.max(LOOK_EVERY_MS, (performance.now() - begun) / BUSY_SHARE)));
    await isSeen();
  }
}

function say(name, words) {
  if (status.textContent === words) return;
  status.className = name;
  status.textContent = words;
}

const redraw = () => { if (current instanceof RunPage) current.draw(); };
let resizing = 0;
window.addEventListener("resize", () => { cancelAnimationFrame(resizing); resizing = requestAnimationFrame(redraw); });
window.addEventListener("hashchange", () => { if (data !== null) show().catch((error) => say("lost", error.message)); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
/** What was closed before everything was opened for the paper. */
let closed = [];
window.addEventListener("beforeprint", () => {
  if (!isPrinting) closed = [...main.querySelectorAll("details:not([open])")];
  isPrinting = true;
  closed.forEach((it) => { it.open = true; it.fill?.(); });
  redraw();
});
window.addEventListener("afterprint", () => {
  isPrinting = false;
  closed.forEach((it) => { it.open = false; });
  redraw();
});
if (isLive) {
  follow();
} else {
  data = source.overview();
  summary.textContent = summaryText();
  show();
}
