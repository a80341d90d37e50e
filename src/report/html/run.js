// One run: its findings, its curves and its layers, all at one step that a person moves through.

const LINE_ORDER = [["loss", "eval_loss"], ["learning_rate"], ["grad_norm_total"], ["weight_norm_total"], ["loss_scale"]];
const GRID_ORDER = ["grad_norm", "weight_norm", "activation_norm", "update_norm", "update_ratio"];

/** What all pictures of a run share. */
class View {
  constructor(sources, finding) {
    this.pictures = [];
    this.finding = finding;
    this.restarts = sources.flatMap((it) => it.restarts);
    const grids = sources.flatMap((it) => it.grids), lines = sources.flatMap((it) => it.lines);
    const ends = [...grids, ...lines].filter((it) => it.first.length > 0)
      .flatMap((it) => [it.first[0], (it.until ?? it.first)[it.first.length - 1]]);
    this.range = ends.length > 0 ? extent(ends) : [0, 0];
    const all = (grids.length > 0 ? grids : lines).flatMap((it) => it.first);
    this.steps = [...new Set(all)].sort((a, b) => a - b);
    if (this.steps.length === 0) this.steps = [0];
    const start = finding?.first_step ?? this.steps[this.steps.length - 1];
    this.step = this.steps[indexAt(this.steps, start)];
    this.isQueued = false;
  }

  get index() { return indexAt(this.steps, this.step); }

  moveTo(step) {
    const index = indexAt(this.steps, step);
    const next = this.steps[index + 1];
    this.step = next !== undefined && next - step < step - this.steps[index] ? next : this.steps[index];
    this.queue();
  }

  moveBy(n) {
    this.step = this.steps[Math.min(this.steps.length - 1, Math.max(0, this.index + n))];
    this.queue();
  }

  /** All pictures once per frame, however often the pointer moves. */
  queue() {
    if (this.isQueued) return;
    this.isQueued = true;
    requestAnimationFrame(() => {
      this.isQueued = false;
      this.onMove?.();
      this.pictures.forEach((it) => it.move());
    });
  }

  drawAll() { this.pictures.forEach((it) => it.draw()); }
}

/** Builds the page of a run; `draw` of the view is to be called once it is in the document. */
function runPage(run, key, parameters) {
  const chosen = parameters.has("finding") ? Number(parameters.get("finding")) : -1;
  // Without a choice the worst finding is marked, so that the sick step is what is seen first.
  const finding = run.findings[chosen] ?? run.findings.find((it) => it.severity !== "info") ?? null;
  const ranks = [...new Set(run.sources.map((it) => it.rank))];
  const asked = parameters.has("rank") ? Number(parameters.get("rank")) : finding?.rank ?? null;
  const rank = ranks.includes(asked) ? asked : ranks[0] ?? null;
  const sources = run.sources.filter((it) => it.rank === rank);
  const view = new View(sources, finding);
  if (parameters.has("step")) view.step = view.steps[indexAt(view.steps, Number(parameters.get("step")))];
  const element = make("div", { className: "run" }, runHead(run, key), findingsSection(run, key, chosen),
    stepBar(view, key, chosen, ranks, rank), ...curves(view, sources), ...layers(view, sources), about(run, sources));
  return { element, view, isChosen: chosen in run.findings };
}

function runHead(run, key) {
  const facts = [
    run.ordinal ? `${stepsText(run)} (the log has no step numbers)` : `steps ${stepsText(run)}`,
    `${thousands(run.points)} points`, run.layers > 0 ? `${run.layers} layers` : "no layers logged",
    run.ranks > 1 ? `${run.ranks} ranks` : null,
    run.layers > 0 && run.depth_order !== "named" ? `depth order ${run.depth_order}` : null,
  ];
  return make("header", { className: "run-head" }, make("a", { href: "#", className: "back", textContent: "← all runs" }),
    make("h1", {}, make("span", { textContent: key }), " ", badge(run.verdict)), make("p", { className: "dim", textContent: facts.filter(Boolean).join(" · ") }));
}

/** The step that all pictures show; it stays in sight. */
function stepBar(view, key, chosen, ranks, rank) {
  const slider = make("input", { type: "range", min: 0, max: view.steps.length - 1, value: view.index, "aria-label": "Step" });
  const text = make("output", { className: "step-now" });
  const say = () => {
    slider.value = view.index;
    slider.setAttribute("aria-valuetext", `step ${view.step}`);
    text.textContent = `step ${thousands(view.step)}`;
  };
  slider.addEventListener("input", () => { view.step = view.steps[slider.value]; view.queue(); });
  view.onMove = say;
  say();
  let choice = null;
  if (ranks.length > 1) {
    choice = make("select", { "aria-label": "Rank" }, ...ranks.map((it) => make("option", { value: it ?? "", textContent: it === null ? "all ranks' log" : `rank ${it}`, selected: it === rank })));
    choice.addEventListener("change", () => { location.hash = hashOf({ run: key, finding: chosen < 0 ? null : chosen, rank: choice.value, step: view.step }); });
  }
  const jump = view.finding && view.finding.first_step !== null ? make("button", { type: "button", className: "small", textContent: "to the alarm" }) : null;
  jump?.addEventListener("click", () => view.moveTo(view.finding.first_step));
  return make("div", { className: "step-bar" }, text, slider, jump, choice);
}

function curves(view, sources) {
  const lines = sources.flatMap((it) => it.lines);
  const known = new Set(LINE_ORDER.flat());
  const first = LINE_ORDER.map((it) => lines.filter((line) => it.includes(line.quantity)));
  const others = [...new Set(lines.map((it) => it.quantity))].filter((it) => !known.has(it))
    .map((quantity) => lines.filter((it) => it.quantity === quantity));
  const picture = (list) => {
    const made = new LinePicture(view, QUANTITY_NAMES[list[0].quantity] ?? list[0].quantity, list);
    view.pictures.push(made);
    return made.element;
  };
  const shownOnes = first.filter((it) => it.length > 0).map(picture);
  const more = others.filter((it) => it.length > 0);
  const elements = [];
  if (shownOnes.length > 0) elements.push(make("div", { className: "curves" }, ...shownOnes));
  if (more.length > 0) {
    const details = make("details", { className: "more" }, make("summary", { textContent: `More curves (${more.length})` }));
    details.addEventListener("toggle", () => {
      if (details.childElementCount > 1) return;
      details.append(make("div", { className: "curves" }, ...more.map(picture)));
      view.drawAll();
    });
    elements.push(details);
  }
  return elements;
}

function layers(view, sources) {
  const raws = sources.flatMap((it) => it.grids);
  const place = (it) => { const at = GRID_ORDER.indexOf(it.quantity); return at < 0 ? GRID_ORDER.length : at; };
  return raws.sort((a, b) => place(a) - place(b)).map((raw) => {
    const grid = readGrid(raw);
    const profile = new ProfilePicture(view, grid);
    const heat = new HeatPicture(view, grid, (row) => profile.setGroup(grid.groups.find((it) => row >= it.begin && row < it.end)));
    view.pictures.push(heat, profile);
    if (view.finding?.quantity === grid.quantity) showFinding(view.finding, grid, heat, profile);
    return make("section", { className: "layers-section", id: `grid-${raw.quantity}` },
      make("h2", { textContent: grid.name }), make("div", { className: "pair" }, heat.element, profile.element));
  });
}

/** The first layer of the finding is the current row, and its role the profile. */
function showFinding(finding, grid, heat, profile) {
  const wanted = new Set(finding.layers);
  const best = grid.groups.map((it) => [it, grid.rows.slice(it.begin, it.end).filter((row) => wanted.has(row.layer)).length])
    .reduce((a, b) => (b[1] > a[1] ? b : a), [null, 0])[0];
  if (best === null) return;
  profile.group = profile.choices.includes(best) ? best : profile.group;
  profile.select.value = profile.choices.indexOf(profile.group);
  heat.row = grid.rows.findIndex((row, i) => i >= best.begin && wanted.has(row.layer));
}

function about(run, sources) {
  const files = make("table", { className: "files" }, make("thead", {}, make("tr", {}, ...["file", "format", "bytes", "records", "skipped"].map((it) => make("th", { textContent: it })))),
    make("tbody", {}, ...run.files.map((it) => make("tr", {}, make("td", { textContent: it.path }), make("td", { textContent: it.format }),
      ...[it.bytes, it.records, it.skipped].map((n) => make("td", { className: "number", textContent: thousands(n) }))))));
  const leftOut = sources.reduce((sum, it) => sum + it.left_out, 0);
  const restarts = sources.flatMap((it) => it.restarts).map(([from, to]) => `restart at step ${thousands(to)}: the steps went back from ${thousands(from)}`);
  return make("footer", { className: "about" },
    restarts.length > 0 ? make("p", { className: "dim", textContent: `Dashed lines: ${restarts.join("; ")}.` }) : null,
    leftOut > 0 ? make("p", { className: "dim", textContent: `${leftOut} further series are not drawn.` }) : null,
    run.problems.length > 0 ? problemList("Not read, and notes", run.problems) : null,
    make("details", {}, make("summary", { textContent: `Files (${run.files.length})` }), files),
    run.rules_without_data.length > 0 ? make("details", {}, make("summary", { textContent: `Rules that had nothing to look at (${run.rules_without_data.length})` }),
      make("p", { className: "dim", textContent: run.rules_without_data.join(", ") })) : null);
}
