// One quantity over depth at one step, with the geometric line that the depth rules fit (Theil-Sen on ln).

const PROFILE_HEIGHT = 260, PROFILE = { left: 58, right: 12, top: 24, bottom: 34 }, PROFILE_PAPER = 400;

class ProfilePicture extends Picture {
  constructor(view, grid) {
    super(view, `${grid.name} over depth at one step, from the input to the output. Arrow keys move through the steps.`);
    this.readGroups(grid);
    this.group = this.choices.reduce((best, it) => (it.end - it.begin > best.end - best.begin ? it : best));
    this.select = make("select", { "aria-label": "Layers of one role" },
      ...this.choices.map((it, i) => make("option", { value: i, textContent: `${it.name} · ${it.end - it.begin} layers` })));
    this.select.addEventListener("change", () => this.setGroup(this.choices[this.select.value]));
    this.select.value = this.choices.indexOf(this.group);
    this.title = make("p", { className: "fit" });
    this.element = make("div", { className: "profile" }, make("div", { className: "profile-head" }, this.select), this.title, this.box,
      (this.hint = make("p", { className: "hint" })), this.readout);
    this.rank = 0;
  }

  readGroups(grid) {
    this.grid = grid;
    this.baseline = baselineOf(grid, this.view.baseline);
    this.choices = grid.groups.filter((it) => it.role !== "" || grid.groups.length === 1);
    if (this.choices.length === 0) this.choices = grid.groups;
  }

  /** Other numbers of the same layers. */
  take(grid) {
    const chosen = this.choices.indexOf(this.group);
    this.readGroups(grid);
    this.group = this.choices[chosen] ?? this.choices[0];
  }

  setGroup(group) {
    if (!group || !this.choices.includes(group)) return;
    this.group = group;
    this.select.value = this.choices.indexOf(group);
    this.rank = 0;
    this.draw();
  }

  /** The column of the step, or the last one before it that has any of these layers. */
  get column() {
    const { grid, group } = this, here = indexAt(grid.first, this.view.step);
    let latest = -1;
    for (let row = group.begin; row < group.end; row++) {
      const column = standingColumn(grid, row, here);
      if (grid.cells.kinds[row * grid.nColumns + column] !== MISSING) latest = Math.max(latest, column);
    }
    return latest < 0 ? here : latest;
  }

  bounds() {
    const { grid, group } = this;
    const cells = [];
    for (let i = group.begin * grid.nColumns; i < group.end * grid.nColumns; i++) {
      if (grid.cells.kinds[i] === IS_FINITE && grid.cells.values[i] > 0) cells.push(grid.cells.logs[i] / Math.LN10);
    }
    cells.push(...this.baselineLogs());
    if (cells.length === 0) return [-1, 1];
    const [low, high] = extent(cells);
    const room = Math.max(0.1, (high - low) * 0.06);
    return [low - room, high + room];
  }

  /** log10 of all that the baseline has of these layers. */
  baselineLogs() {
    const { baseline, group } = this;
    if (baseline === null) return [];
    const logs = [];
    for (let row = group.begin; row < group.end; row++) {
      for (let column = 0; column < baseline.steps.length; column++) {
        const cell = baseline.at(row, column);
        if (baseline.kind(cell) === IS_FINITE && baseline.cells.values[cell] > 0) logs.push(baseline.cells.logs[cell] / Math.LN10);
      }
    }
    return logs;
  }

  draw() {
    const colors = theme();
    const { context, width } = prepare(this.canvas, PROFILE_HEIGHT, PROFILE_PAPER);
    const n = this.group.end - this.group.begin;
    const bottom = PROFILE_HEIGHT - PROFILE.bottom;
    const [low, high] = this.bounds();
    this.width = width;
    this.toX = (rank) => PROFILE.left + 8 + (width - PROFILE.left - PROFILE.right - 16) * (n > 1 ? rank / (n - 1) : 0.5);
    this.toY = (log10) => bottom - (bottom - PROFILE.top) * (log10 - low) / (high - low);
    this.drawAxes(context, colors, low, high, bottom);
    // The first profile, to see how far the present one has moved.
    this.drawPoints(context, colors, 0, true);
    this.drawFit(context, colors);
    this.drawBaseline(context, colors);
    this.drawPoints(context, colors, this.column, false);
    this.hint.textContent = plain(`dashed: the fitted geometric line · grey: the first profile of the run${this.baselineText()}`);
    this.title.textContent = this.fitText();
  }

  move() { this.draw(); }

  drawAxes(context, colors, low, high, bottom) {
    context.font = colors.font;
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const tick of logTicks(low, high, 5)) {
      const y = Math.round(this.toY(tick)) + 0.5;
      context.strokeStyle = colors.grid;
      line(context, PROFILE.left, y, this.width - PROFILE.right, y);
      context.fillStyle = colors.dim;
      context.fillText(powerText(tick), PROFILE.left - 6, y);
    }
    context.fillStyle = colors.dim;
    context.textBaseline = "top";
    context.textAlign = "left";
    context.fillText(`${unitOf(this.grid)}, log scale`, 0, 0);
    const n = this.group.end - this.group.begin;
    context.textAlign = "center";
    for (const rank of ticks(0, n - 1, Math.max(2, Math.min(n - 1, this.width / 60))).filter(Number.isInteger)) {
      context.fillText(String(rank), this.toX(rank), bottom + 4);
    }
    context.textAlign = "left";
    context.fillText("input", PROFILE.left, bottom + 18);
    context.textAlign = "center";
    context.fillText("depth →", this.width / 2, bottom + 18);
    context.textAlign = "right";
    context.fillText("output", this.width - PROFILE.right, bottom + 18);
  }

  drawPoints(context, colors, column, isGhost) {
    const { grid, group } = this;
    const layers = new Set(this.view.finding?.quantity === grid.quantity ? this.view.finding.layers : []);
    context.globalAlpha = isGhost ? 0.3 : 1;
    let previous = null;
    for (let row = group.begin; row < group.end; row++) {
      const i = row * grid.nColumns + column, kind = grid.cells.kinds[i], x = this.toX(row - group.begin);
      if (kind === MISSING) { previous = null; continue; }
      const isShown = kind === IS_FINITE && grid.cells.values[i] > 0;
      const y = isShown ? this.toY(grid.cells.logs[i] / Math.LN10) : null;
      if (!isGhost && kind <= IS_NEG_INF) drawBadMark(context, colors, x, PROFILE.top, kind === IS_NAN, 5);
      if (!isGhost && kind === IS_ZERO) drawZero(context, colors, x, PROFILE_HEIGHT - PROFILE.bottom - 4);
      if (isShown) {
        context.strokeStyle = context.fillStyle = isGhost ? colors.dim : colors.lines[0];
        if (previous) line(context, ...previous, x, y);
        if (!isGhost) this.drawPoint(context, colors, i, x, y, layers.has(grid.rows[row].layer), row - group.begin === this.rank);
      }
      previous = isShown ? [x, y] : null;
    }
    context.globalAlpha = 1;
  }

  drawPoint(context, colors, i, x, y, isOfFinding, isCurrent) {
    const { low, high } = this.grid;
    if (low !== null && low.kinds[i] === IS_FINITE && low.values[i] > 0) {
      context.globalAlpha = 0.5;
      line(context, x, this.toY(low.logs[i] / Math.LN10), x, this.toY(high.logs[i] / Math.LN10));
      context.globalAlpha = 1;
    }
    context.fillStyle = isOfFinding ? colors.mark : colors.lines[0];
    context.beginPath();
    context.arc(x, y, isOfFinding ? 4 : 3, 0, 2 * Math.PI);
    context.fill();
    if (isCurrent) { context.strokeStyle = colors.text; context.stroke(); }
  }

  /** The same layers of the baseline, at the step of it that is nearest: open squares. */
  drawBaseline(context, colors) {
    const { baseline, group } = this;
    if (baseline === null) return;
    const column = baseline.columnAt(this.view.step);
    context.strokeStyle = colors.lines[2];
    let previous = null;
    for (let row = group.begin; row < group.end; row++) {
      const cell = baseline.at(row, column);
      const isShown = baseline.kind(cell) === IS_FINITE && baseline.cells.values[cell] > 0;
      if (baseline.kind(cell) === IS_ZERO) context.strokeRect(this.toX(row - group.begin) - 3, PROFILE_HEIGHT - PROFILE.bottom - 7, 6, 6);
      if (!isShown) { previous = null; continue; }
      const at = [this.toX(row - group.begin), this.toY(baseline.cells.logs[cell] / Math.LN10)];
      if (previous) line(context, ...previous, ...at);
      context.strokeRect(at[0] - 3, at[1] - 3, 6, 6);
      previous = at;
    }
  }

  baselineText() {
    const { baseline } = this;
    return baseline === null ? "" : ` · squares: baseline ${baseline.name} at step ${thousands(baseline.steps[baseline.columnAt(this.view.step)])}`;
  }

  /** What the baseline has at a layer. */
  baselineValue(row) {
    const { baseline } = this;
    const cell = baseline === null ? -1 : baseline.at(row, baseline.columnAt(this.view.step));
    return cell < 0 || baseline.kind(cell) === MISSING ? "" : `; baseline ${shown(baseline.cells.values[cell])}`;
  }

  drawFit(context, colors) {
    const fit = this.group.lines[this.column];
    if (!fit) return;
    const [intercept, slope, first, last] = fit;
    const at = (rank) => [this.toX(rank), this.toY((intercept + slope * rank) / Math.LN10)];
    context.strokeStyle = colors.lines[1];
    context.lineWidth = 2;
    context.setLineDash([7, 4]);
    line(context, ...at(first), ...at(last));
    context.setLineDash([]);
    context.lineWidth = 1;
  }

  fitText() {
    const fit = this.group.lines[this.column];
    const where = columnText(this.grid, this.column);
    if (!fit) return `${where}: ${this.whyNoLine()}`;
    const [, slope, first, last, tau] = fit;
    const total = Math.exp(Math.abs(slope) * (last - first));
    if (total < 1.5) return `${where}: flat over ${last - first + 1} layers, ×${shown(total)} in total`;
    const side = slope > 0 ? "shrinks toward the input" : "grows toward the input";
    return `${where}: ${side}, ×${shown(Math.exp(-slope))} per layer, ×${shown(total)} in total over ${last - first + 1} layers (τ ${shown(tau)})`;
  }

  /** What the layers have instead of norms that a line could go through. */
  whyNoLine() {
    const { grid, group, column } = this, n = group.end - group.begin;
    const count = (is) => { let found = 0; for (let row = group.begin; row < group.end; row++) found += is(grid.cells.kinds[row * grid.nColumns + column]) ? 1 : 0; return found; };
    const parts = [
      [count((kind) => kind >= IS_NAN && kind <= IS_NEG_INF), "NaN or infinite"], [count((kind) => kind === IS_ZERO), "exactly 0"],
      [count((kind) => kind === MISSING), "not logged"],
    ].filter(([it]) => it > 0).map(([it, words]) => `${it === n ? "all" : `${it} of`} ${n} layers ${words}`);
    return parts.length > 0 ? parts.join(", ") : `${n === 1 ? "one layer is" : `${n} layers are`} too few for a line`;
  }

  rankAt(x) {
    const n = this.group.end - this.group.begin;
    const share = (x - this.toX(0)) / Math.max(1, this.toX(n - 1) - this.toX(0));
    return Math.min(n - 1, Math.max(0, Math.round(share * (n - 1))));
  }

  at(x) {
    const row = this.group.begin + this.rankAt(x);
    return [this.grid.rows[row].layer, columnText(this.grid, this.column), cellText(this.grid, row, this.column) + this.baselineValue(row)];
  }

  moveRow(by) {
    this.rank = Math.min(this.group.end - this.group.begin - 1, Math.max(0, this.rank - by));
    this.draw();
  }

  describe() {
    const row = this.group.begin + this.rank;
    return `${this.grid.rows[row].layer}, ${columnText(this.grid, this.column)}: ${cellText(this.grid, row, this.column)}${this.baselineValue(row)}`;
  }
}

/** A norm of exactly zero lies below every log scale. */
function drawZero(context, colors, x, y) {
  context.strokeStyle = colors.text;
  context.beginPath();
  context.arc(x, y, 3, 0, 2 * Math.PI);
  context.stroke();
}
