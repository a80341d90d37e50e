// Layers over steps as colours on a log scale: the input on top, one band per role.

const HEAD_HEIGHT = 16, HEAT_BOTTOM = 22, HEAT_HEIGHT = 560, HEAT_PAPER = 680;

/** A grid as the pictures need it: rows in the order of the groups, cells row by row. */
function readGrid(raw) {
  const nColumns = raw.first.length;
  const cells = readQuads(raw.cells.shown, raw.scale);
  const low = raw.cells.min === null ? null : readQuads(raw.cells.min, raw.scale);
  const high = raw.cells.max === null ? null : readQuads(raw.cells.max, raw.scale);
  const rows = [];
  const groups = raw.groups.map((group) => {
    const begin = rows.length;
    group.rows.forEach((row) => rows.push({ ...row, group }));
    return { ...group, begin, end: rows.length, name: groupName(group) };
  });
  const usualGap = usualGapOf(raw.first);
  const logged = rows.map((_, row) => raw.first.flatMap((_, column) => (cells.kinds[row * nColumns + column] === MISSING ? [] : [column])));
  const usualGaps = logged.map((columns) => usualGapOf(columns.map((it) => raw.first[it])));
  const isNegative = cells.values.some((it) => it < 0);
  return { ...raw, nColumns, cells, low, high, rows, groups, logged, usualGap, usualGaps, isNegative, name: gridName(raw) };
}

/** The distance of most neighbours; 1 where there are none. */
function usualGapOf(steps) {
  const gaps = steps.slice(1).map((it, i) => it - steps[i]).sort((a, b) => a - b);
  return gaps[gaps.length >> 1] ?? 1;
}

/** The step up to which the i-th number of a layer stands: the next one's, unless some are missing between them. */
function reachOf({ first, until, logged, usualGaps }, row, i) {
  const usualGap = usualGaps[row], column = logged[row][i], next = first[logged[row][i + 1]] ?? Infinity;
  return next - until[column] <= 3 * usualGap ? next : until[column] + usualGap;
}

/** The column that stands for a layer at a column: its own, or the last one before it that still reaches there. */
function standingColumn(grid, row, column) {
  const logged = grid.logged[row], i = indexAt(logged, column);
  if (logged.length === 0 || logged[i] >= column) return column;
  return grid.first[column] < reachOf(grid, row, i) ? logged[i] : column;
}

function groupName(group) {
  const section = { enc: "encoder ", dec: "decoder " }[group.section] ?? "";
  if (group.role === "") return "embeddings, heads and layers of their own kind";
  const order = group.order === "unknown" ? " (depth order unknown)" : "";
  return `${section}${group.role}${group.parameter ? ` ${group.parameter}` : ""}${order}`;
}

function gridName(raw) {
  const split = ["train", "unknown"].includes(raw.split) ? "" : ` (${raw.split})`;
  return (QUANTITY_NAMES[raw.quantity] ?? raw.quantity) + split;
}

/** What the numbers of a grid are. */
const unitOf = (grid) => grid.name.replace(" per layer", "").toLowerCase();

/** What stands above the rows of a group. */
function headOf({ name, role, order, begin, end }) {
  const n = end - begin;
  if (order === "ranks") return name;
  const words = n === 1 ? "1 layer" : `${n} layers`;
  return role === "" || n === 1 || order === "unknown" ? `${name} · ${words}` : `${name} · ${words}, input on top`;
}

/** What a cell says, in words. */
function cellText(grid, row, column) {
  const i = row * grid.nColumns + column;
  const kind = grid.cells.kinds[i];
  const tilde = grid.rows[row].estimated ? "~" : "";
  if (kind === MISSING) return "not logged";
  const band = grid.low !== null && grid.low.kinds[i] !== MISSING && grid.low.values[i] !== grid.high.values[i]
    ? ` (${shown(grid.low.values[i])} to ${shown(grid.high.values[i])})` : "";
  return tilde + shown(grid.cells.values[i]) + band;
}

function columnText(grid, column) {
  const [from, to] = [grid.first[column], grid.until[column]];
  return from === to ? `step ${thousands(from)}` : `steps ${thousands(from)} to ${thousands(to)}`;
}

class HeatPicture extends Picture {
  constructor(view, grid, onRow) {
    super(view, `${grid.name}: ${grid.rows.length} rows over steps as colours. Arrow keys move through steps and rows.`);
    Object.assign(this, { onRow, row: 0 });
    this.scale = make("div", { className: "scale" });
    this.take(grid);
    this.element = make("div", { className: "heat" }, this.scale, this.box, this.readout);
  }

  /** Other numbers of the same layers. */
  take(grid) {
    this.grid = grid;
    this.colorRange();
    const { view } = this;
    const hasBad = grid.cells.kinds.some((it) => it >= IS_NAN && it <= IS_NEG_INF);
    const keyed = (name, text) => make("span", { className: "keyed" }, make("i", { className: `key ${name}` }), text);
    this.scale.replaceChildren(...[
      make("span", { textContent: powerText(this.low / Math.LN10) }), make("i", { className: "ramp" }),
      make("span", { textContent: `${powerText(this.high / Math.LN10)}, log scale` }),
      hasBad ? keyed("bad-key", "NaN or ∞") : null,
      grid.cells.kinds.includes(IS_ZERO) ? keyed("zero-key", "exactly 0") : null,
      keyed("empty-key", "not logged"),
      view.finding?.quantity === grid.quantity ? keyed("mark-key", "layers and first step of the finding") : null,
      grid.rows.some((it) => it.estimated) ? make("span", { textContent: "~ estimated from histograms" }) : null,
      grid.isNegative ? make("span", { textContent: "colours show the size of negative numbers" }) : null,
    ].filter(Boolean));
  }

  /** From the 1st to the 99.9th hundredth of what is finite, so that one outlier does not flatten the rest. */
  colorRange() {
    const { logs, kinds } = this.grid.cells;
    const finite = logs.filter((_, i) => kinds[i] === IS_FINITE).sort();
    this.low = finite[Math.floor(finite.length * 0.005)] ?? 0;
    this.high = finite[Math.min(finite.length - 1, Math.floor(finite.length * 0.999))] ?? 1;
    if (this.high - this.low < 0.2) { this.low -= 0.1; this.high += 0.1; }
  }

  layOut(width) {
    const { groups, rows } = this.grid;
    const room = HEAT_HEIGHT - groups.length * HEAD_HEIGHT;
    this.rowHeight = Math.max(groups.length > 24 ? 4 : 2, Math.min(rows.length < 10 ? 28 : rows.length < 24 ? 20 : 14, Math.floor(room / rows.length)));
    this.left = Math.min(170, Math.round(width * 0.24));
    this.tops = new Array(rows.length);
    let y = 0;
    for (const group of groups) {
      group.top = y;
      y += HEAD_HEIGHT;
      for (let row = group.begin; row < group.end; row++) { this.tops[row] = y; y += this.rowHeight; }
      y += 3;
    }
    this.bottom = y;
    return y + HEAT_BOTTOM;
  }

  draw() {
    const colors = theme();
    this.height = this.layOut(isPrinting ? HEAT_PAPER : widthOf(this.box));
    const { context, width, ratio } = prepare(this.canvas, this.height, HEAT_PAPER);
    const { range } = this.view;
    Object.assign(this, { context, width, ratio });
    // The last column is as wide as the others.
    this.span = [range[0], range[1] + this.grid.usualGap];
    this.toX = (step) => this.left + (width - this.left - MARGIN.right) * (step - this.span[0]) / (this.span[1] - this.span[0]);
    this.drawNames(context, colors);
    this.drawCells(context, colors);
    drawStepAxis(context, { ...colors, grid: "transparent" }, range, this.toX, this.bottom, this.bottom, width);
    this.picture = document.createElement("canvas");
    this.picture.width = this.canvas.width;
    this.picture.height = this.canvas.height;
    this.picture.getContext("2d").drawImage(this.canvas, 0, 0);
    this.move();
  }

  drawNames(context, colors) {
    context.textBaseline = "middle";
    for (const group of this.grid.groups) {
      context.font = "10px system-ui, sans-serif";
      context.textAlign = "right";
      context.fillStyle = colors.dim;
      const every = Math.ceil(11 / this.rowHeight);
      for (let row = group.begin; row < group.end; row += every) {
        const text = (this.grid.rows[row].estimated ? "~" : "") + this.grid.rows[row].layer;
        context.fillText(fitText(context, text, this.left - 8, true), this.left - 6, this.tops[row] + this.rowHeight / 2 + 0.5);
      }
    }
  }

  /** Above the lines that go through all groups. */
  drawHeads(context, colors) {
    context.font = `600 ${colors.font}`;
    context.textAlign = "left";
    context.textBaseline = "middle";
    for (const group of this.grid.groups) {
      const text = fitText(context, headOf(group), this.width, false);
      context.fillStyle = colors.panel;
      context.fillRect(0, group.top, context.measureText(text).width + 3, HEAD_HEIGHT - 2);
      context.fillStyle = colors.text;
      context.fillText(text, 0, group.top + HEAD_HEIGHT / 2);
    }
  }

  drawCells(context, colors) {
    const { grid } = this;
    const { kinds, logs } = grid.cells;
    const height = this.rowHeight > 4 ? this.rowHeight - 1 : this.rowHeight;
    const share = 255 / (this.high - this.low);
    // On whole pixels of the screen, so that nothing shines through between neighbours.
    const snap = (x) => Math.round(x * this.ratio) / this.ratio;
    for (let row = 0; row < grid.rows.length; row++) {
      const y = this.tops[row];
      context.fillStyle = colors.empty;
      context.fillRect(this.left, y, this.width - MARGIN.right - this.left, height);
      const logged = grid.logged[row], bad = [];
      for (let at = 0; at < logged.length; at++) {
        const i = row * grid.nColumns + logged[at];
        const kind = kinds[i];
        const x = this.toX(grid.first[logged[at]]), right = Math.min(this.width - MARGIN.right, this.toX(reachOf(grid, row, at)));
        const w = Math.max(1, snap(right) - snap(x));
        if (kind <= IS_NEG_INF) { bad.push([snap(x), Math.max(1.5, w)]); continue; }
        context.fillStyle = kind === IS_FINITE ? HEAT[Math.min(255, Math.max(0, Math.round((logs[i] - this.low) * share)))]
          : colors.text;
        context.fillRect(snap(x), y, w, height);
      }
      // Above the others: the only NaN among thousands of points is seen.
      context.fillStyle = colors.bad;
      for (const [x, w] of bad) context.fillRect(x, y, w, height);
      if (height > 6) for (const [x, w] of bad) strike(context, x, x + w, y, height);
    }
  }

  move() {
    if (!this.picture) return;
    const colors = theme();
    const { context } = this;
    context.save();
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.drawImage(this.picture, 0, 0);
    context.restore();
    drawOverlay(context, colors, { step: this.view.step + this.grid.usualGap / 2, restarts: this.view.restarts, finding: null }, this.toX, 0, this.bottom, this.width - MARGIN.right);
    this.drawFinding(context, colors);
    this.drawHeads(context, colors);
    context.strokeStyle = colors.text;
    context.strokeRect(this.left - 1.5, this.tops[this.row] - 0.5, this.width - MARGIN.right - this.left + 2, this.rowHeight);
  }

  /** A bar beside the layers of the finding, and a frame around its steps. */
  drawFinding(context, colors) {
    const { finding } = this.view;
    if (!finding || finding.first_step === null) return;
    const from = this.toX(finding.first_step);
    context.strokeStyle = colors.mark;
    context.setLineDash([4, 3]);
    context.lineWidth = 2;
    line(context, from, 0, from, this.bottom);
    context.setLineDash([]);
    context.lineWidth = 1;
    if (finding.quantity !== this.grid.quantity) return;
    const layers = new Set(finding.layers);
    context.fillStyle = colors.mark;
    this.grid.rows.forEach((row, i) => {
      if (layers.has(row.layer) || (row.rank !== undefined && row.rank === finding.rank)) context.fillRect(this.left - 4, this.tops[i], 4, this.rowHeight);
    });
  }

  cellAt(x, y) {
    const row = this.tops.findIndex((top) => y >= top && y < top + this.rowHeight);
    if (row < 0) return null;
    return [row, standingColumn(this.grid, row, indexAt(this.grid.first, this.stepAt(x) + this.grid.usualGap / 2))];
  }

  at(x, y) {
    const cell = this.tops ? this.cellAt(x, y) : null;
    if (cell === null) return null;
    return [this.grid.rows[cell[0]].layer, columnText(this.grid, cell[1]), cellText(this.grid, ...cell)];
  }

  stepAt(x) {
    const share = Math.min(1, Math.max(0, (x - this.left) / (this.width - this.left - MARGIN.right)));
    return this.span[0] + share * (this.span[1] - this.span[0]) - this.grid.usualGap / 2;
  }

  pick(event) {
    const cell = this.cellAt(...this.place(event));
    if (cell !== null) this.setRow(cell[0]);
    super.pick(event);
  }

  moveRow(by) { this.setRow(Math.min(this.grid.rows.length - 1, Math.max(0, this.row + by))); }

  setRow(row) {
    this.row = row;
    this.onRow(row);
    this.move();
  }

  describe() {
    const column = standingColumn(this.grid, this.row, indexAt(this.grid.first, this.view.step));
    return `${this.grid.rows[this.row].layer}, ${columnText(this.grid, column)}: ${cellText(this.grid, this.row, column)}`;
  }
}

/** Strokes every eight pixels, so that what is not finite is told without colour, however narrow the columns. */
function strike(context, from, to, y, height) {
  context.strokeStyle = "rgb(255 255 255 / .75)";
  for (let x = Math.ceil(from / 8) * 8; x < to; x += 8) line(context, x - 2, y + height - 1.5, x + 2, y + 1.5);
}

/** A text cut to a width: its end is kept when layers differ there. */
function fitText(context, named, width, keepsEnd) {
  const text = plain(named);
  if (context.measureText(text).width <= width) return text;
  let length = text.length;
  while (length > 1) {
    length = Math.min(length - 1, Math.floor(length * 0.9));
    const cut = keepsEnd ? `…${text.slice(-length)}` : `${text.slice(0, length)}…`;
    if (context.measureText(cut).width <= width) return cut;
  }
  return "…";
}
