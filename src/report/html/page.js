// From the address to what is shown, and back.

const data = readData("overview");
const main = document.getElementById("main");
let current = null;
document.body.append(tooltip);

function summaryText() {
  const count = (verdict) => data.runs.filter((it) => it.verdict === verdict).length;
  return ["critical", "warning", "healthy", "no-data"].filter((it) => count(it) > 0).map((it) => `${count(it)} ${VERDICT_NAMES[it]}`).join(" · ");
}

function show() {
  hideTooltip();
  const parameters = readHash();
  const index = data.runs.findIndex((it) => it.key === parameters.get("run"));
  if (index < 0) {
    current = null;
    document.title = "gradwatch";
    main.replaceChildren(overviewPage(data));
    window.scrollTo(0, 0);
    return;
  }
  const key = data.runs[index].key;
  const isSame = current?.key === key;
  const page = runPage(readData(`run-${index}`), key, parameters);
  current = { ...page, key };
  document.title = `${key} – gradwatch`;
  main.replaceChildren(page.element);
  page.view.drawAll();
  if (page.isChosen) scrollToFinding(page.view.finding);
  else if (!isSame) { window.scrollTo(0, 0); main.focus({ preventScroll: true }); }
}

/** The picture of the finding's quantity, or the curves. */
function scrollToFinding(finding) {
  const target = document.getElementById(`grid-${finding.quantity}`) ?? document.querySelector(".step-bar");
  target?.scrollIntoView({ block: "start" });
  target?.querySelector("canvas")?.focus({ preventScroll: true });
}

const redraw = () => current?.view.drawAll();
let resizing = 0;
window.addEventListener("resize", () => { cancelAnimationFrame(resizing); resizing = requestAnimationFrame(redraw); });
window.addEventListener("hashchange", show);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
window.addEventListener("beforeprint", () => { isPrinting = true; redraw(); });
window.addEventListener("afterprint", () => { isPrinting = false; redraw(); });
document.getElementById("summary").textContent = summaryText();
show();
