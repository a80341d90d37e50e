// The run that this one is compared with: its loss as one more curve, its layers as a second profile.

/** The baseline with its numbers read; `null` when there is none. */
function readBaseline(raw) {
  if (raw === null) return null;
  const grids = new Map(raw.grids.map((grid) => [grid.quantity, {
    steps: grid.steps, cells: readQuads(grid.cells, grid.scale), rowOf: new Map(grid.layers.map((it, i) => [it, i])),
  }]));
  return { name: raw.name, loss: raw.loss, grids };
}

/** The loss of the baseline as a curve among the others. */
function baselineCurve({ name, loss }) {
  const values = loss.values.map(numberOf);
  return {
    tag: `baseline ${name}`, quantity: "loss", estimated: false, first: loss.steps, until: null, last: values.map((it) => (Number.isFinite(it) ? it : null)),
    min: null, max: null, n: null, bad: null, isBaseline: true,
  };
}

/** What a grid has beside it: for a row and a step the index of a cell, or -1. */
class BaselineGrid {
  constructor(grid, { name, grids }) {
    Object.assign(this, { name, ...grids.get(grid.quantity) });
    this.rows = grid.rows.map((it) => this.rowOf.get(it.layer) ?? -1);
  }

  /** The step of the baseline that is nearest. */
  columnAt(step) {
    const before = indexAt(this.steps, step), after = Math.min(this.steps.length - 1, before + 1);
    return this.steps[after] - step < step - this.steps[before] ? after : before;
  }

  /** The cell of a layer. */
  at(row, column) {
    return this.rows[row] < 0 ? -1 : this.rows[row] * this.steps.length + column;
  }

  kind(cell) { return cell < 0 ? MISSING : this.cells.kinds[cell]; }
}

/** The baseline of a grid, when it has layers of the same names. */
function baselineOf(grid, baseline) {
  if (!baseline?.grids.has(grid.quantity)) return null;
  const made = new BaselineGrid(grid, baseline);
  return made.steps.length > 0 && made.rows.some((it) => it >= 0) ? made : null;
}
