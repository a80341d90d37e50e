// One run: its findings, its curves and its layers, all at one step that a person moves through.

const LINE_ORDER = [["loss", "eval_loss"], ["learning_rate"], ["grad_norm_total"], ["weight_norm_total"], ["loss_scale"]];
const GRID_ORDER = ["grad_norm", "weight_norm", "activation_norm", "update_norm", "update_ratio"];

/** What all pictures of a run share. */
class View {
  constructor(sources, finding, baseline) {
    this.pictures = [];
    this.baseline = baseline;
    this.take(sources, finding);
    const start = finding?.first_step ?? this.steps[this.steps.length - 1];
    this.step = this.steps[indexAt(this.steps, start)];
    this.isQueued = false;
  }

  /** Takes other numbers of the same run. Who looks at the newest step goes on to do so. */
  take(sources, finding) {
    const wasNewest = this.steps !== undefined && this.step === this.steps[this.steps.length - 1];
    this.finding = finding;
    this.restarts = sources.flatMap((it) => it.restarts);
    const grids = sources.flatMap((it) => it.grids), lines = sources.flatMap((it) => it.lines);
    const ends = [...grids, ...lines].filter((it) => it.first.length > 0)
      .flatMap((it) => [it.first[0], (it.until ?? it.first)[it.first.length - 1]]);
    this.range = ends.length > 0 ? extent(ends) : [0, 0];
    const all = (grids.length > 0 ? grids : lines).flatMap((it) => it.first);
    this.steps = [...new Set(all)].sort((a, b) => a - b);
    if (this.steps.length === 0) this.steps = [0];
    this.step = this.steps[wasNewest ? this.steps.length - 1 : indexAt(this.steps, this.step ?? 0)];
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

/** The page of a run; `draw` is to be called once it is in the document. */
class RunPage {
  constructor(run, key, parameters) {
    this.key = key;
    this.chosen = parameters.has("finding") ? Number(parameters.get("finding")) : -1;
    this.isChosen = this.chosen in run.findings;
    this.asked = parameters.has("rank") ? Number(parameters.get("rank")) : null;
    this.read(run);
    this.view = new View(this.sources, this.finding, run.compared ? baseline : null);
    if (parameters.has("step")) this.view.step = this.view.steps[indexAt(this.view.steps, Number(parameters.get("step")))];
    this.bar = new StepBar(this);
    this.head = runHead(run, key);
    this.findings = findingsSection(run, key, this.chosen);
    this.body = make("div", {});
    this.build();
    this.about = about(run, this.sources);
    this.element = make("div", { className: "run" }, this.head, this.findings, this.bar.element, this.body, this.about);
  }

  read(run) {
    this.run = run;
    // Without a choice the worst finding is marked, so that the sick step is what is seen first.
    this.finding = run.findings[this.chosen] ?? run.findings.find((it) => it.severity !== "info") ?? null;
    this.ranks = [...new Set(run.sources.map((it) => it.rank))];
    const asked = this.asked ?? this.finding?.rank ?? rankOf(run, this.finding);
    this.rank = this.ranks.includes(asked) ? asked : this.ranks[0] ?? null;
    this.sources = run.sources.filter((it) => it.rank === this.rank);
    // The loss of the other ranks: one that goes its own way is seen at once.
    this.otherLosses = run.sources.filter((it) => it.rank !== this.rank && it.rank !== null)
      .flatMap((it) => it.lines.filter((line) => line.quantity === "loss").slice(0, 1).map((line) => ({ ...line, tag: `${rankName(it.rank)}: ${line.tag}` })));
    this.rankGrid = rankGrid(run);
    this.shape = shapeOf(this);
  }

  build() {
    this.view.pictures = [];
    this.body.replaceChildren(...curves(this), ...rankSection(this), ...layers(this));
  }

  draw() { this.view.drawAll(); }

  /** The same run, later: what a person has opened, chosen or is looking at stays as it is. */
  update(run) {
    const { shape } = this, said = JSON.stringify(this.run.findings);
    this.read(run);
    this.view.baseline = run.compared ? baseline : null;
    this.view.take(this.sources, this.finding);
    this.swap("head", runHead(run, this.key));
    if (JSON.stringify(run.findings) !== said) this.swap("findings", findingsSection(run, this.key, this.chosen));
    if (this.shape === shape) this.feed();
    else this.build();
    this.swap("about", about(run, this.sources));
    this.bar.update();
    this.draw();
  }

  feed() {
    const lists = new Map(lineLists(this)), grids = readGrids(this.sources);
    this.view.lists = lists;
    for (const picture of this.view.pictures) {
      if (picture instanceof LinePicture) picture.take(lists.get(picture.part));
      else picture.take(picture.part === "ranks" ? this.rankGrid : grids[picture.part]);
    }
  }

  swap(part, fresh) {
    const open = new Set([...this[part].querySelectorAll("details")].flatMap((it, i) => (it.open ? [i] : [])));
    [...fresh.querySelectorAll("details")].forEach((it, i) => { it.open ||= open.has(i); });
    this[part].replaceWith(fresh);
    this[part] = fresh;
  }
}

/** Two states of a run with the same shape have the same pictures, with other numbers. */
function shapeOf({ ranks, rankGrid, sources }) {
  return JSON.stringify([ranks, rankGrid?.rows.length ?? 0, sources.map((source) => [source.lines.map((it) => it.tag), source.grids.map((grid) => [grid.quantity, grid.split,
    grid.groups.map((it) => [it.section, it.role, it.parameter, it.rows.map((row) => row.tag)])])])]);
}

function runHead(run, key) {
  const facts = [
    run.ordinal ? `${stepsText(run)} (the log has no step numbers)` : `steps ${stepsText(run)}`,
    `${thousands(run.points)} points`, run.layers > 0 ? `${run.layers} layers` : "no layers logged",
    run.ranks > 1 ? `${run.ranks} ranks` : null,
    run.sources.some((it) => it.several_writers) ? "several processes write into one log: bands hold the numbers of all" : null,
    run.layers > 0 && run.depth_order !== "named" ? `depth order ${run.depth_order}` : null,
  ];
  return make("header", { className: "run-head" }, make("a", { href: "#", className: "back", textContent: "← all runs" }),
    make("h1", {}, make("span", { textContent: key }), " ", badge(run.verdict)), make("p", { className: "dim", textContent: facts.filter(Boolean).join(" · ") }));
}

/** The step that all pictures show; it stays in sight. */
class StepBar {
  constructor(page) {
    this.page = page;
    const { view, key, chosen } = page;
    this.slider = make("input", { type: "range", min: 0, "aria-label": "Step" });
    this.text = make("output", { className: "step-now" });
    this.slider.addEventListener("input", () => { view.step = view.steps[this.slider.value]; view.queue(); });
    view.onMove = () => this.update();
    this.jump = make("button", { type: "button", className: "small", textContent: "to the alarm" });
    this.jump.addEventListener("click", () => view.moveTo(view.finding.first_step));
    this.choice = make("select", { "aria-label": "Rank" });
    this.choice.addEventListener("change", () => { location.hash = hashOf({ run: key, finding: chosen < 0 ? null : chosen, rank: this.choice.value, step: view.step }); });
    this.element = make("div", { className: "step-bar" }, this.text, this.slider, this.jump, this.choice);
    this.update();
  }

  update() {
    const { view, ranks, rank } = this.page;
    this.slider.max = view.steps.length - 1;
    this.slider.value = view.index;
    this.slider.setAttribute("aria-valuetext", `step ${view.step}`);
    this.text.textContent = `step ${thousands(view.step)}`;
    this.jump.hidden = (view.finding?.first_step ?? null) === null;
    this.choice.hidden = ranks.length < 2;
    if (this.choice.childElementCount !== ranks.length) {
      this.choice.replaceChildren(...ranks.map((it) => make("option", { value: it ?? "", textContent: rankName(it), selected: it === rank })));
    }
  }
}

/** The curves of each picture: those that belong together by their quantity, the usual ones first. */
function lineLists({ ranks, sources, otherLosses, view: { baseline } }) {
  const own = sources.flatMap((it) => (ranks.length > 1 ? it.lines.map((line) => ({ ...line, tag: `${rankName(it.rank)}: ${line.tag}` })) : it.lines));
  const lines = [...own, ...otherLosses];
  const loss = lines.findIndex((it) => it.quantity === "loss");
  if (loss >= 0 && baseline?.loss) lines.splice(loss + 1, 0, baselineCurve(baseline));
  const known = new Set(LINE_ORDER.flat());
  const others = [...new Set(lines.map((it) => it.quantity))].filter((it) => !known.has(it));
  return [...LINE_ORDER, ...others.map((it) => [it])].map((names) => [names[0], lines.filter((it) => names.includes(it.quantity))])
    .filter(([, list]) => list.length > 0);
}

function curves(page) {
  const { view } = page;
  const lists = lineLists(page);
  view.lists = new Map(lists);
  const picture = ([key]) => {
    const list = view.lists.get(key);
    const made = new LinePicture(view, QUANTITY_NAMES[list[0].quantity] ?? list[0].quantity, list);
    made.part = key;
    view.pictures.push(made);
    return made.element;
  };
  const usual = new Set(LINE_ORDER.map((it) => it[0]));
  const first = lists.filter(([key]) => usual.has(key)), more = lists.filter(([key]) => !usual.has(key));
  const elements = [];
  if (first.length > 0) elements.push(make("div", { className: "curves" }, ...first.map(picture)));
  if (more.length > 0) {
    const details = make("details", { className: "more" }, make("summary", { textContent: `More curves (${more.length})` }));
    details.fill = () => {
      if (details.childElementCount > 1) return;
      details.append(make("div", { className: "curves" }, ...more.map(picture)));
      view.drawAll();
    };
    details.addEventListener("toggle", details.fill);
    elements.push(details);
  }
  return elements;
}

/** The layers of a run, gradients first. */
function readGrids(sources) {
  const place = (it) => { const at = GRID_ORDER.indexOf(it.quantity); return at < 0 ? GRID_ORDER.length : at; };
  return sources.flatMap((it) => it.grids).sort((a, b) => place(a) - place(b)).map(readGrid);
}

function layers({ view, ranks, rank, sources }) {
  const where = ranks.length > 1 ? `, ${rankName(rank)}` : "";
  return readGrids(sources).map((grid, key) => {
    const profile = new ProfilePicture(view, grid);
    const heat = new HeatPicture(view, grid, (row) => profile.setGroup(heat.grid.groups.find((it) => row >= it.begin && row < it.end)));
    heat.part = profile.part = key;
    view.pictures.push(heat, profile);
    if (view.finding?.quantity === grid.quantity) showFinding(view.finding, grid, heat, profile);
    return make("section", { className: "layers-section", id: `grid-${grid.quantity}` },
      make("h2", { textContent: grid.name + where }), make("div", { className: "pair" }, heat.element, profile.element));
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

/** Restarts that are told one by one. */
const RESTARTS_SHOWN = 8;

function about(run, sources) {
  const files = make("table", { className: "files" }, make("thead", {}, make("tr", {}, ...["file", "format", "bytes", "records", "skipped"].map((it) => make("th", { textContent: it })))),
    make("tbody", {}, ...run.files.map((it) => make("tr", {}, make("td", { textContent: it.path }), make("td", { textContent: it.format }),
      ...[it.bytes, it.records, it.skipped].map((n) => make("td", { className: "number", textContent: thousands(n) }))))));
  const leftOut = sources.reduce((sum, it) => sum + it.left_out, 0);
  const restarts = sources.flatMap((it) => it.restarts).map(([from, to]) => `restart at step ${thousands(to)}: the steps went back from ${thousands(from)}`);
  const further = restarts.length - RESTARTS_SHOWN;
  if (further > 0) restarts.splice(RESTARTS_SHOWN, further, `and ${further} more`);
  return make("footer", { className: "about" },
    restarts.length > 0 ? make("p", { className: "dim", textContent: `Dashed lines: ${restarts.join("; ")}.` }) : null,
    leftOut > 0 ? make("p", { className: "dim", textContent: `${leftOut} further series are not drawn.` }) : null,
    run.problems.length > 0 ? problemList("Not read, and notes", run.problems) : null,
    make("details", {}, make("summary", { textContent: `Files (${run.files.length})` }), files),
    run.rules_without_data.length > 0 ? make("details", {}, make("summary", { textContent: `Rules that had nothing to look at (${run.rules_without_data.length})` }),
      make("p", { className: "dim", textContent: run.rules_without_data.join(", ") })) : null);
}
