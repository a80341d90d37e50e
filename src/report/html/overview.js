// All runs: a table that is sorted and filtered, quick with hundreds of rows.

const RANK_OF = { critical: 3, warning: 2, healthy: 1, "no-data": 0 };
const VERDICT_NAMES = { critical: "critical", warning: "warning", healthy: "healthy", "no-data": "no data" };

function badge(verdict) {
  const mark = { critical: "✕", warning: "▲", healthy: "✓", info: "i" }[verdict] ?? "·";
  return make("span", { className: `badge ${verdict}`, textContent: `${mark} ${VERDICT_NAMES[verdict] ?? verdict}` });
}

const SVG = "http://www.w3.org/2000/svg";

/** The loss as a line of 120 x 26; a cross where it was not finite. */
function sparkline(values) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 120 26");
  svg.setAttribute("class", "spark");
  svg.setAttribute("aria-hidden", "true");
  const numbers = values.map(numberOf);
  const finite = numbers.filter(Number.isFinite);
  if (finite.length === 0) return svg;
  const [low, high] = extent(finite);
  const x = (i) => 3 + 114 * (numbers.length > 1 ? i / (numbers.length - 1) : 0.5);
  const y = (value) => 23 - 20 * (high > low ? (value - low) / (high - low) : 0.5);
  let path = "", isDown = false, crosses = "", lastCross = -9;
  numbers.forEach((value, i) => {
    if (Number.isFinite(value)) {
      path += `${isDown ? "L" : "M"}${x(i).toFixed(1)} ${y(value).toFixed(1)}`;
      isDown = true;
    } else {
      isDown = false;
      if (x(i) - lastCross > 5) { crosses += `M${x(i) - 2} 3l4 4m0 -4l-4 4`; lastCross = x(i); }
    }
  });
  for (const [d, name] of [[path, "curve"], [crosses, "cross"]]) {
    const element = document.createElementNS(SVG, "path");
    element.setAttribute("d", d);
    element.setAttribute("class", name);
    svg.append(element);
  }
  return svg;
}

function stepsText(run) {
  if (run.first_step === null) return "–";
  return run.ordinal ? `${thousands(run.last_step - run.first_step + 1)} rows` : `${thousands(run.first_step)} to ${thousands(run.last_step)}`;
}

function lossText(run) {
  return run.loss === null ? "–" : `${shown(numberOf(run.loss[0]))} → ${shown(numberOf(run.loss[2]))}`;
}

function overviewRow(run) {
  const link = make("a", { href: hashOf({ run: run.key }), textContent: run.key });
  const worst = run.worst;
  const since = worst && worst.step !== null ? ` since step ${thousands(worst.step)}` : "";
  const finding = worst === null ? make("span", { className: "dim", textContent: run.reading ? "reading …" : "nothing to say" })
    : make("span", { title: worst.message }, make("b", { textContent: worst.rule }), since);
  const more = run.findings > 1 ? make("span", { className: "dim", textContent: ` and ${run.findings - 1} more` }) : null;
  const row = make("tr", {},
    make("td", {}, badge(run.verdict)), make("td", { className: "name" }, link), make("td", { className: "spark-cell" }, sparkline(run.spark)),
    make("td", { className: "number wide", textContent: lossText(run) }), make("td", { className: "number wide", textContent: stepsText(run) }),
    make("td", { className: "number wide", textContent: run.layers || "–" }), make("td", { className: "what" }, finding, more));
  row.addEventListener("click", (event) => { if (!event.target.closest("a") && !String(getSelection())) location.hash = link.hash; });
  return row;
}

const SORTS = {
  verdict: (a, b) => RANK_OF[b.verdict] - RANK_OF[a.verdict] || b.findings - a.findings || byName(a.key, b.key),
  run: (a, b) => byName(a.key, b.key),
  steps: (a, b) => (b.last_step ?? -Infinity) - (a.last_step ?? -Infinity) || byName(a.key, b.key),
  loss: (a, b) => (numberOf(a.loss?.[2]) ?? Infinity) - (numberOf(b.loss?.[2]) ?? Infinity) || byName(a.key, b.key),
  layers: (a, b) => b.layers - a.layers || byName(a.key, b.key),
};
const byName = new Intl.Collator("en", { numeric: true }).compare;

const overviewState = { sort: "verdict", isReversed: false, text: "", verdict: "all" };

/** The table of all runs. */
class OverviewPage {
  constructor(data) {
    this.body = make("tbody");
    this.count = make("span", { className: "dim", role: "status" });
    this.title = make("h1", {});
    this.chips = make("div", { className: "chips", role: "group", "aria-label": "Show only one verdict" });
    this.problems = make("div", {});
    this.rows = new Map();
    const search = make("input", { type: "search", placeholder: "filter by name or rule", value: overviewState.text, "aria-label": "Filter runs by name or rule" });
    search.addEventListener("input", () => { overviewState.text = search.value; this.fill(); });
    const headers = [["verdict", "verdict"], ["run", "run"], [null, "loss curve"], ["loss", "loss", "wide"], ["steps", "steps", "wide"], ["layers", "layers", "wide"], [null, "worst finding"]];
    const head = make("tr", {}, ...headers.map(([key, text, name]) => headerCell(key, text, name ?? "", () => this.fill())));
    this.element = make("div", {}, this.title, this.chips, make("div", { className: "tools" }, search, this.count),
      make("table", { className: "runs" }, make("thead", {}, head), this.body), this.problems);
    this.update(data);
  }

  /** The same runs, later: only the rows that changed are made anew. */
  update(data) {
    this.data = data;
    const before = this.rows;
    this.rows = new Map(data.runs.map((run) => {
      const text = JSON.stringify(run), known = before.get(run.key);
      return [run.key, known?.text === text ? known : { text, element: overviewRow(run) }];
    }));
    this.title.textContent = `${data.runs.length} ${data.runs.length === 1 ? "run" : "runs"}`;
    const chips = verdictChips(data, () => this.fill());
    this.chips.replaceChildren(...chips);
    this.problems.replaceChildren(...(data.problems.length === 0 ? [] : [problemList("Not read", data.problems)]));
    this.fill();
  }

  fill() {
    const wanted = overviewState.text.toLowerCase();
    const list = this.data.runs.filter((run) => (overviewState.verdict === "all" || run.verdict === overviewState.verdict)
      && (run.key.toLowerCase().includes(wanted) || (run.worst?.rule ?? "").includes(wanted)));
    list.sort((a, b) => SORTS[overviewState.sort](a, b) * (overviewState.isReversed ? -1 : 1));
    this.body.replaceChildren(...list.map((run) => this.rows.get(run.key).element));
    this.count.textContent = list.length === this.data.runs.length ? `${list.length} runs` : `${list.length} of ${this.data.runs.length} runs`;
  }
}

function headerCell(key, text, name, fill) {
  const cell = make("th", { className: name, scope: "col" });
  if (key === null) { cell.textContent = text; return cell; }
  const button = make("button", { type: "button", textContent: text });
  button.addEventListener("click", () => {
    overviewState.isReversed = overviewState.sort === key && !overviewState.isReversed;
    overviewState.sort = key;
    for (const other of cell.parentElement.children) other.removeAttribute("aria-sort");
    cell.setAttribute("aria-sort", overviewState.isReversed ? "descending" : "ascending");
    fill();
  });
  if (overviewState.sort === key) cell.setAttribute("aria-sort", overviewState.isReversed ? "descending" : "ascending");
  cell.append(button);
  return cell;
}

/** How many runs of each verdict; a press shows only these. */
function verdictChips(data, fill) {
  const chips = [];
  for (const verdict of ["all", "critical", "warning", "healthy", "no-data"]) {
    const n = verdict === "all" ? data.runs.length : data.runs.filter((it) => it.verdict === verdict).length;
    if (n === 0 && verdict !== "all") continue;
    const chip = make("button", { type: "button", className: `chip ${verdict}`, textContent: `${VERDICT_NAMES[verdict] ?? "all"} ${n}`, "aria-pressed": String(overviewState.verdict === verdict) });
    chip.addEventListener("click", () => {
      overviewState.verdict = verdict;
      for (const other of chips) other.setAttribute("aria-pressed", String(other === chip));
      fill();
    });
    chips.push(chip);
  }
  return chips;
}

function problemList(title, problems) {
  const items = problems.map((it) => make("li", { textContent: `${it.path}${it.offset === null ? "" : ` at byte ${thousands(it.offset)}`}: ${it.what}`, className: it.note ? "dim" : "" }));
  return make("details", { className: "problems" }, make("summary", { textContent: `${title} (${problems.length})` }), make("ul", {}, ...items));
}
